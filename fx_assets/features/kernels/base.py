"""What a kernel is: one of tsfresh's calculators for many windows at once. Names and parameters are tsfresh's own.

A value depends on its own window alone, to the last bit, however many windows are computed with it. So a kernel adds
along windows only by means that numpy orders the same for one row as for a thousand (no matrix product of BLAS, no
running sum over windows): tests compute each window alone and together.
Source: tsfresh 0.21, `feature_extraction.feature_calculators` (Christ et al. 2018).
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable, Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Params = Mapping[str, Any]
Kernel = Callable[["Windows", Sequence[Params]], list[FloatArray]]

KERNELS: dict[str, Kernel] = {}

# Rows of windows computed together: 1,024 windows of 96 float64 are 0.8 MB, which stays in a core's cache.
CHUNK = 1024
_LARGE = 31 << 20


class Windows:
    """A chunk of windows, (W, n) float64 in C order and finite, with what several kernels derive from it.

    Everything derived is computed once, when first asked for.
    """

    def __init__(self, values: FloatArray) -> None:
        if values.ndim != 2 or values.dtype != np.float64:
            raise ValueError(f"windows: expected float64 (windows, length), got {values.dtype} {values.shape}")
        self.values: FloatArray = np.ascontiguousarray(values)

    def __len__(self) -> int:
        return len(self.values)

    @property
    def length(self) -> int:
        """Values in one window."""
        return int(self.values.shape[1])

    @cached_property
    def sum(self) -> FloatArray:
        """(W,)."""
        return np.asarray(self.values.sum(axis=1))

    @cached_property
    def mean(self) -> FloatArray:
        """(W,)."""
        return np.asarray(self.values.mean(axis=1))

    @cached_property
    def centred(self) -> FloatArray:
        """(W, n): less the mean of its window."""
        return np.asarray(self.values - self.mean[:, None])

    @cached_property
    def variance(self) -> FloatArray:
        """(W,): of the population, as numpy's."""
        return np.asarray(self.values.var(axis=1))

    @cached_property
    def deviation(self) -> FloatArray:
        """(W,): of the population, as numpy's."""
        return np.asarray(self.values.std(axis=1))

    @cached_property
    def ordered(self) -> FloatArray:
        """(W, n): each window sorted."""
        return np.sort(self.values, axis=1)

    @cached_property
    def median(self) -> FloatArray:
        """(W,)."""
        return np.asarray((self.ordered[:, (self.length - 1) // 2] + self.ordered[:, self.length // 2]) / 2)

    @cached_property
    def minimum(self) -> FloatArray:
        """(W,)."""
        return np.asarray(self.values.min(axis=1))

    @cached_property
    def maximum(self) -> FloatArray:
        """(W,)."""
        return np.asarray(self.values.max(axis=1))

    @cached_property
    def magnitude(self) -> FloatArray:
        """(W, n): absolute values."""
        return np.asarray(np.abs(self.values))

    @cached_property
    def squares(self) -> FloatArray:
        """(W, n)."""
        return np.asarray(self.values * self.values)

    @cached_property
    def changes(self) -> FloatArray:
        """(W, n - 1): each value less the one before."""
        return np.diff(self.values, axis=1)

    @cached_property
    def missing(self) -> FloatArray:
        """(W,) of NaN: the answer of a calculator that has none."""
        return np.full(len(self), np.nan)


def kernel(name: str) -> Callable[[Kernel], Kernel]:
    """Register the kernel of tsfresh's calculator `name`.

    It gets the windows and a list of parameter sets, and gives one (W,) float64 for each set, in that order; a
    calculator without parameters gets one empty set. It raises `ValueError` for parameters it does not know.
    """

    def register(function: Kernel) -> Kernel:
        if name in KERNELS:
            raise TypeError(f"two kernels for {name!r}")
        KERNELS[name] = function
        return function

    return register


@cache
def kernels() -> Mapping[str, Kernel]:
    """All kernels by tsfresh's name; every module of this folder is loaded first."""
    package = importlib.import_module("fx_assets.features.kernels")
    for module in pkgutil.iter_modules(package.__path__):
        importlib.import_module(f"{package.__name__}.{module.name}")
    return KERNELS


def column_of(calculator: str, params: Params, kind: str = "value") -> str:
    """tsfresh's own column name, e.g. `value__quantile__q_0.1`."""
    parts = [
        f'{key}_"{value}"' if isinstance(value, str) else f"{key}_{value}" for key, value in sorted(params.items())
    ]
    return "__".join([kind, calculator, *parts])


def compute(values: FloatArray, asked: Mapping[str, Sequence[Params]]) -> dict[str, FloatArray]:
    """Columns `value__...` (W,) of all windows (W, n), `CHUNK` of them at a time; `values` may be a strided view."""
    known = kernels()
    # glibc hands memory of this size back to the system at each free, and faults it in again at the next temporary;
    # one larger block, freed once, raises its limits. A third of the time is saved.
    np.empty(_LARGE, dtype=np.uint8)
    names = {name: [column_of(name, params) for params in group] for name, group in asked.items()}
    result = {column: np.empty(len(values)) for group in names.values() for column in group}
    for first in range(0, len(values), CHUNK):
        chunk = Windows(np.asarray(values[first : first + CHUNK], dtype=np.float64))
        for name, group in asked.items():
            for column, made in zip(names[name], known[name](chunk, group), strict=True):
                result[column][first : first + CHUNK] = made
    return result
