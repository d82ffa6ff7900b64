"""Straight lines through a window, or through the aggregates of its parts: `scipy.stats.linregress` on time.

Source: tsfresh 0.21, scipy 1.17.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel
from fx_assets.features.kernels.checks import at_least, one_of

ATTRIBUTES = ("intercept", "pvalue", "rvalue", "slope", "stderr")
AGGREGATES = ("max", "mean", "min", "std", "sum", "var")
# Keeps scipy's test statistic finite for a perfect line.
TINY = 1.0e-20


@kernel("linear_trend")
def linear_trend(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """`attr` of the line through the window; NaN for a single value, and where the window has no variance."""
    one_of("linear_trend", params, "attr", ATTRIBUTES)
    if windows.length < 2:
        return [windows.missing for _ in params]
    line = _line(windows.values, {item["attr"] for item in params})
    return [line[item["attr"]] for item in params]


@kernel("agg_linear_trend")
def agg_linear_trend(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """`attr` of the line through `f_agg` of each `chunk_len` values, the last part maybe shorter.

    NaN where one part holds the whole window.
    """
    one_of("agg_linear_trend", params, "attr", ATTRIBUTES)
    one_of("agg_linear_trend", params, "f_agg", AGGREGATES)
    at_least("agg_linear_trend", params, "chunk_len", 1)
    sizes = {item["chunk_len"] for item in params if item["chunk_len"] < windows.length}
    lines = {}
    for size in sizes:
        aggregates = sorted({item["f_agg"] for item in params if item["chunk_len"] == size})
        parts = np.concatenate(_aggregated(windows.values, size, aggregates))
        attributes = {item["attr"] for item in params if item["chunk_len"] == size}
        for attribute, column in _line(parts, attributes).items():
            for aggregate, one in zip(aggregates, column.reshape(len(aggregates), -1), strict=True):
                lines[size, aggregate, attribute] = one
    return [lines.get((item["chunk_len"], item["f_agg"], item["attr"]), windows.missing) for item in params]


def _aggregated(values: FloatArray, size: int, aggregates: Sequence[str]) -> list[FloatArray]:
    """(W, parts) for each aggregate: of each `size` values, and of the rest."""
    rows, length = values.shape
    whole = length - length % size
    # The values of a part lie in as many planes: numpy works along short rows value by value, along planes at once.
    planes = np.ascontiguousarray(np.moveaxis(values[:, :whole].reshape(rows, whole // size, size), 2, 0))
    parts = [_aggregate(planes, aggregate) for aggregate in aggregates]
    if whole < length:
        rest = np.ascontiguousarray(values[:, whole:].T)[:, :, None]
        last = [_aggregate(rest, aggregate) for aggregate in aggregates]
        parts = [np.concatenate(pair, axis=1) for pair in zip(parts, last, strict=True)]
    return parts


def _aggregate(planes: FloatArray, aggregate: str) -> FloatArray:
    """(W, parts) of (size, W, parts)."""
    if aggregate in ("max", "min"):
        return np.asarray(planes.max(axis=0) if aggregate == "max" else planes.min(axis=0))
    total = _total(planes)
    if aggregate == "sum":
        return total
    mean = total / len(planes)
    if aggregate == "mean":
        return mean
    apart = planes - mean
    variance = _total(apart * apart) / len(planes)
    return variance if aggregate == "var" else np.sqrt(variance)


def _total(planes: FloatArray) -> FloatArray:
    """Sum over the first axis in the order in which numpy adds up a row: in eights, halved above 128.

    Parts of equal values have a variance of exactly 0 only by luck of that order, and the line goes by it.
    """
    size = len(planes)
    if size < 8:
        return _one_by_one(planes)
    if size > 128:
        half = size // 2 - size // 2 % 8
        return _total(planes[:half]) + _total(planes[half:])
    whole = size - size % 8
    a, b, c, d, e, f, g, h = (_one_by_one(planes[first:whole:8]) for first in range(8))
    total = ((a + b) + (c + d)) + ((e + f) + (g + h))
    for plane in planes[whole:]:
        total += plane
    return total


def _one_by_one(planes: FloatArray) -> FloatArray:
    total: FloatArray = planes[0].copy()
    for plane in planes[1:]:
        total += plane
    return total


def _line(values: FloatArray, attributes: set[str]) -> dict[str, FloatArray]:
    """(W,) of each attribute: the least-squares line through each row of (W, n) at the times 0 to n - 1; n >= 2."""
    n = values.shape[1]
    mean, middle = values.mean(axis=1), (n - 1) / 2
    x, y = np.arange(n) - middle, values - mean[:, None]
    sxx, sxy, syy = (np.vecdot(a, b) * (1 / n) for a, b in ((x, x), (y, x), (y, y)))
    with np.errstate(divide="ignore", invalid="ignore"):
        r = np.clip(sxy / np.sqrt(sxx * syy), -1.0, 1.0)
        # scipy: no correlation where there is no variance, unless rounding left a covariance.
        r = np.where(syy == 0, np.where(sxy == 0, np.nan, 0.0), r)
        slope = sxy / sxx
        stderr = np.zeros(len(values)) if n == 2 else np.sqrt((1 - r**2) * syy / sxx / (n - 2))
    found = {"slope": slope, "intercept": mean - slope * middle, "rvalue": r, "stderr": stderr}
    if "pvalue" in attributes:
        found["pvalue"] = np.where(values[:, 0] == values[:, 1], 1.0, 0.0) if n == 2 else _p_value(r, n - 2)
    return found


def _p_value(r: FloatArray, freedom: int) -> FloatArray:
    """(W,): two-sided, of no slope, by Student's t."""
    from scipy.special import stdtr

    statistic = r * np.sqrt(freedom / ((1.0 - r + TINY) * (1.0 + r + TINY)))
    return np.asarray(2 * stdtr(freedom, -np.abs(statistic)))
