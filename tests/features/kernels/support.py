"""What holds every kernel to tsfresh: families of windows, and both sides computed on them."""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fx_assets.features.kernels.base import Params, Windows, column_of, kernels

FloatArray = NDArray[np.float64]
TOLERANCE = 1e-9
WINDOW, COUNT = 96, 12


def families(window: int = WINDOW, count: int = COUNT) -> dict[str, FloatArray]:
    """(count, window) of each kind of series that a bar can give: the same in every run."""
    draw = np.random.default_rng(20260101)
    steps = draw.standard_t(4, (count, window)) * 8
    levels = 1.1 * np.exp(np.cumsum(steps, axis=1) / 1e4)
    tied = np.round(steps / 8)
    spiked = steps.copy()
    spiked[:, window // 2] = 900.0
    trending = np.arange(window) * 0.5 + draw.standard_normal((count, window))
    halves = np.where(np.arange(window) < window // 2, 1.0, -2.0) * np.ones((count, 1))
    return {
        "returns": steps,
        "levels": levels,
        "levels_of_yen": levels * 100,
        "tied": tied,
        "mostly_zero": np.where(draw.random((count, window)) < 0.8, 0.0, tied),
        "constant": np.full((count, window), 1.25),
        "zeros": np.zeros((count, window)),
        "spiked": spiked,
        "trending": trending,
        "two_levels": halves,
        "short": draw.standard_normal((count, 20)) * 5,
        "odd_length": draw.standard_normal((count, 33)),
    }


def by_kernel(values: FloatArray, calculator: str, params: Sequence[Params]) -> dict[str, FloatArray]:
    """Columns (W,) by name, without the kind in front."""
    found = kernels()[calculator](Windows(values), params)
    assert len(found) == len(params)
    for column in found:
        assert column.shape == (len(values),)
        assert column.dtype == np.float64
    return {column_of(calculator, item): column for item, column in zip(params, found, strict=True)}


def by_tsfresh(values: FloatArray, calculator: str, params: Sequence[Params]) -> dict[str, FloatArray]:
    """The same by the library itself, one window after the other, under the names it gives."""
    from tsfresh.feature_extraction import feature_calculators

    function = getattr(feature_calculators, calculator)
    columns: dict[str, list[float]] = {}
    for row in values:
        given = pd.Series(row) if getattr(function, "input", None) == "pd.Series" else row
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")  # tsfresh divides by zero on constant windows, and says so each time
            if function.fctype == "combiner":
                for key, value in function(given, param=[dict(item) for item in params]):
                    columns.setdefault(f"value__{calculator}__{key}", []).append(value)
            else:
                for item in params:
                    columns.setdefault(column_of(calculator, item), []).append(function(given, **item))
    return {name: np.array(column, dtype=np.float64) for name, column in columns.items()}


def differences(ours: dict[str, FloatArray], theirs: dict[str, FloatArray]) -> list[str]:
    """What is not equal to 1e-9 (of the larger of 1 and the value), NaN and infinities by place; empty where all is."""
    found = [f"only ours: {name}" for name in sorted(set(ours) - set(theirs))]
    found += [f"only tsfresh: {name}" for name in sorted(set(theirs) - set(ours))]
    for name in sorted(set(ours) & set(theirs)):
        a, b = ours[name], theirs[name]
        with np.errstate(invalid="ignore"):
            near = np.abs(a - b) <= TOLERANCE * np.maximum(1.0, np.abs(b))
        equal = near | (a == b) | (np.isnan(a) & np.isnan(b))
        if not equal.all():
            row = int(np.argmin(equal))
            found.append(f"{name}: window {row}: ours {a[row]!r}, tsfresh {b[row]!r} ({int((~equal).sum())} windows)")
    return found


def unlike_alone(values: FloatArray, calculator: str, params: Sequence[Params]) -> list[str]:
    """Columns in which a window computed alone, or in another chunk, is not bit-identical to the whole."""
    whole = by_kernel(values, calculator, params)
    found: dict[str, str] = {}
    for rows in (*(slice(i, i + 1) for i in range(len(values))), slice(1, None), slice(None, None, -1)):
        part = by_kernel(values[rows], calculator, params)
        for name, column in whole.items():
            if part[name].tobytes() != np.ascontiguousarray(column[rows]).tobytes():
                found.setdefault(name, f"{name}: rows {rows}")
    return list(found.values())
