"""Changes inside a corridor of quantiles: tsfresh's `change_quantiles`, for all corridors at once.

A corridor holds the values from its lower to its upper quantile, both included, and a change is inside it where both
its values are. So each change has a highest edge at or below both its values and a lowest edge at or above them, and
changes that share these two (a cell) are inside the same corridors. Count, mean and sum of squares of the cells are
put together to those of the corridors as Chan, Golub and LeVeque (1983) do, which takes no difference of large sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel
from fx_assets.features.kernels.checks import one_of
from fx_assets.features.kernels.order import quantile_of

AGGREGATES = ("mean", "median", "std", "var")
IntArray = NDArray[np.int16]
# Count, mean, and sum of squares about the mean: (edge, edge, W), and for each list of changes the same.
Moments = tuple[FloatArray, FloatArray, FloatArray]


@kernel("change_quantiles")
def change_quantiles(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """`f_agg` of the changes (with `isabs` absolute) inside the corridor from quantile `ql` to `qh`.

    0 where no change is inside, where `ql` is not below `qh`, and where they are no quantiles.
    """
    one_of("change_quantiles", params, "f_agg", AGGREGATES)
    none = np.zeros(len(windows))
    exists = [0 <= item["ql"] < item["qh"] <= 1 for item in params]
    if not any(exists) or windows.length < 2:
        return [none for _ in params]
    edges = sorted({item[side] for item in compress(params, exists) for side in ("ql", "qh")})
    signs = sorted({bool(item["isabs"]) for item in params})
    changes = {sign: np.abs(windows.changes) if sign else windows.changes for sign in signs}
    lower, upper = _fit(windows, edges)
    number, means, squares = _moments(list(changes.values()), lower, upper, len(edges))
    columns = []
    for item, corridor in zip(params, exists, strict=True):
        if not corridor:
            columns.append(none)
            continue
        sign, low, high = bool(item["isabs"]), edges.index(item["ql"]), edges.index(item["qh"])
        if item["f_agg"] == "mean":
            columns.append(means[signs.index(sign), low, high])
        elif item["f_agg"] == "median":
            columns.append(_median(changes[sign], (lower >= low) & (upper <= high)))
        else:
            variance = squares[signs.index(sign), low, high] / np.maximum(number[low, high], 1)
            columns.append(variance if item["f_agg"] == "var" else np.sqrt(variance))
    return columns


def _fit(windows: Windows, edges: Sequence[float]) -> tuple[IntArray, IntArray]:
    """(W, n - 1) twice: by change, the place in `edges` of the highest edge at or below it (-1 where there is none),
    and of the lowest edge at or above it (one behind the last where there is none)."""
    from_below = np.full(windows.values.shape, -1, dtype=np.int16)
    from_above = np.zeros(windows.values.shape, dtype=np.int16)
    for q in edges:
        # pandas' qcut goes by percent, and the last bit decides whether the value at the edge is inside.
        edge = quantile_of(windows, q * 100.0 / 100)[:, None]
        from_below += windows.values >= edge
        from_above += windows.values > edge
    lower = np.minimum(from_below[:, 1:], from_below[:, :-1])
    return lower, np.maximum(from_above[:, 1:], from_above[:, :-1])


def _moments(changes: Sequence[FloatArray], lower: IntArray, upper: IntArray, edges: int) -> Moments:
    """Of the changes inside the corridor from one edge to the other; 0 where there are none."""
    rows, side = len(lower), edges + 1
    cells = (lower + 1) * np.int64(side) + upper
    cells += np.arange(rows)[:, None] * side**2
    place, size = cells.ravel(), rows * side**2
    number = np.bincount(place, minlength=size)
    divisor = np.maximum(number, 1)
    means, squares = [], []
    for values in changes:
        flat = values.ravel()
        mean = np.bincount(place, weights=flat, minlength=size) / divisor
        flat = flat - mean.take(place)
        means.append(mean)
        squares.append(np.bincount(place, weights=flat * flat, minlength=size))

    n, m, s = (
        # Without the changes that fit in no corridor: those below the first edge, and above the last.
        np.array([part.reshape(rows, side**2).T for part in parts]).reshape(len(parts), side, side, rows)[:, 1:, :-1]
        for parts in ([number.astype(np.float64)], means, squares)
    )
    n = n[0]
    for low in range(edges - 2, -1, -1):
        n[low], m[:, low], s[:, low] = _together(
            (n[low + 1], m[:, low + 1], s[:, low + 1]), (n[low], m[:, low], s[:, low])
        )
    for high in range(1, edges):
        one, other = (..., high - 1, slice(None)), (..., high, slice(None))
        n[other], m[other], s[other] = _together((n[one], m[one], s[one]), (n[other], m[other], s[other]))
    return n, m, s


def _together(one: Moments, other: Moments) -> Moments:
    """Of two sets of changes as one."""
    number = one[0] + other[0]
    part = other[0] / np.maximum(number, 1)
    apart = other[1] - one[1]
    return number, one[1] + apart * part, one[2] + other[2] + apart * apart * (one[0] * part)


def _median(changes: FloatArray, inside: NDArray[np.bool_]) -> FloatArray:
    """(W,): of those inside, 0 where there are none."""
    number = inside.sum(axis=1)
    ordered = np.sort(np.where(inside, changes, np.inf), axis=1)
    rows = np.arange(len(changes))
    middle = (ordered[rows, np.maximum(number - 1, 0) // 2] + ordered[rows, number // 2]) / 2
    return np.where(number == 0, 0.0, middle)
