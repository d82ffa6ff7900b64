"""What every test of this room takes and gives: a finite series in the order of time, and a `Test`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import ArrayLike

from fx_assets.metrics.losses import Floats


@dataclass(frozen=True)
class Test:
    """Outcome of one test.

    `statistic` (infinite where the series never varies), `p_value` in [0, 1], `degrees` of freedom ((k,) of Student t,
    (k, m) of F, () where the law has none), `n` observations used, `assumed`: the null, the law and its settings in
    words.
    """

    # Otherwise pytest takes it for a class of tests wherever it is imported.
    __test__: ClassVar[bool] = False

    statistic: float
    p_value: float
    degrees: tuple[float, ...]
    n: int
    assumed: str


def series(name: str, value: ArrayLike, *, least: int = 2) -> Floats:
    """`value` as float64 (n,), n of `least` or more, all finite; otherwise `ValueError` naming it."""
    array = np.asarray(value, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"{name}: expected one value per window, shape (n,), got {array.shape}")
    if len(array) < least:
        raise ValueError(f"{name}: expected {least} windows or more, got {len(array)}")
    if not np.isfinite(array).all():
        first = int(np.argmin(np.isfinite(array)))
        raise ValueError(
            f"{name}: {int((~np.isfinite(array)).sum())} of {len(array)} windows are not finite, the first is {first}"
        )
    return array


def checked_horizon(horizon: int) -> int:
    """`horizon` where it is a whole number of 1 or more; otherwise `ValueError`."""
    if horizon != int(horizon) or horizon < 1:
        raise ValueError(f"horizon: expected a whole number of 1 or more, got {horizon}")
    return int(horizon)
