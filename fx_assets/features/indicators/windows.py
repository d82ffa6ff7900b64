"""Windows over a series, one sum at a time: a value depends on its window alone, to the last bit.

Running sums, as TA-Lib and pandas keep them, carry the rounding of rows that have long left the window. Here every
window is summed afresh from its oldest value to its newest, all windows side by side, so that neither the place of a
window nor the number of its neighbours changes a bit of it.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from fx_assets.features.frames import FloatArray
from fx_assets.features.indicators.declared import BASIS_POINTS

# Returns that differ by less (basis points) differ by the rounding of prices: nothing moved.
STILL = 1e-6


def lags(values: FloatArray, period: int) -> Iterator[FloatArray]:
    """`period` views (w,) of `values` (n,): the oldest value of each of the w windows, ..., the newest."""
    rows = max(len(values) - period + 1, 0)
    for start in range(period):
        yield values[start : start + rows]


def aligned(windows: FloatArray, rows: int) -> FloatArray:
    """(rows,): the value of each window at its last row, NaN before."""
    result = np.full(rows, np.nan)
    result[rows - len(windows) :] = windows
    return result


def before(values: FloatArray, period: int) -> FloatArray:
    """(n,): the value `period` rows before each, NaN where there is none."""
    return aligned(values[: max(len(values) - period, 0)], len(values))


def total(values: FloatArray, period: int) -> FloatArray:
    """(n,): sum of each window."""
    summed = np.zeros(max(len(values) - period + 1, 0))
    for lag in lags(values, period):
        summed += lag
    return aligned(summed, len(values))


def mean(values: FloatArray, period: int) -> FloatArray:
    """(n,): mean of each window."""
    return total(values, period) / period


def highest(values: FloatArray, period: int) -> FloatArray:
    """(n,): largest value of each window."""
    largest, covered = values, 1
    while covered < period:
        step = min(covered, period - covered)
        largest = np.maximum(largest[step:], largest[: max(len(largest) - step, 0)])
        covered += step
    return aligned(largest, len(values))


def lowest(values: FloatArray, period: int) -> FloatArray:
    """(n,): smallest value of each window."""
    return -highest(-values, period)


def above_mean(values: FloatArray, period: int) -> FloatArray:
    """(n,): distance of the newest value from the mean of its window.

    Summed from the distances to the newest value, so that it is exactly 0 where nothing moved.
    """
    newest = values[period - 1 :]
    summed = np.zeros(len(newest))
    for lag in lags(values, period):
        summed += newest - lag
    return aligned(summed / period, len(values))


def mean_distance(values: FloatArray, period: int) -> FloatArray:
    """(n,): mean distance of the values of each window from their mean; exactly 0 where nothing moved."""
    summed = np.zeros(max(len(values) - period + 1, 0))
    for apart in _apart(values, period):
        summed += np.abs(apart)
    return aligned(summed / period, len(values))


def deviation(values: FloatArray, period: int) -> FloatArray:
    """(n,): standard deviation (population) of each window; exactly 0 where nothing moved."""
    summed = np.zeros(max(len(values) - period + 1, 0))
    for apart in _apart(values, period):
        summed += apart**2
    return aligned(np.sqrt(summed / period), len(values))


def moments(values: FloatArray, period: int, *orders: int) -> list[FloatArray]:
    """(n,) for each of `orders`: mean of that power of the distance from the window's mean."""
    average = mean(values, period)[period - 1 :]
    summed = [np.zeros(len(average)) for _ in orders]
    for lag in lags(values, period):
        powers = [np.ones(len(average)), lag - average]
        for _ in range(2, max(orders) + 1):
            powers.append(powers[-1] * powers[1])
        for target, order in zip(summed, orders, strict=True):
            target += powers[order]
    return [aligned(target / period, len(values)) for target in summed]


def covariance(left: FloatArray, right: FloatArray, period: int) -> FloatArray:
    """(n,): mean product of the distances of two series from their means in the window."""
    means = mean(left, period)[period - 1 :], mean(right, period)[period - 1 :]
    summed = np.zeros(len(means[0]))
    for one, other in zip(lags(left, period), lags(right, period), strict=True):
        summed += (one - means[0]) * (other - means[1])
    return aligned(summed / period, len(left))


def ratio(over: FloatArray, under: FloatArray, otherwise: float, floor: float = 0.0) -> FloatArray:
    """(n,): `over / under`, `otherwise` where `under` is not above `floor`, NaN where either is NaN."""
    missing = np.isnan(over) | np.isnan(under)
    result = np.where(missing, np.nan, otherwise)
    return np.divide(over, under, out=result, where=~missing & (under > floor))


def log_returns(close: FloatArray, period: int = 1) -> FloatArray:
    """(n,): log return over `period` bars, basis points, NaN in the first `period` rows."""
    logs = np.log(close)
    return (logs - before(logs, period)) * BASIS_POINTS


def log_distance(value: FloatArray, reference: FloatArray) -> FloatArray:
    """(n,): log of `value / reference`, basis points; exactly 0 where they are equal."""
    return np.asarray(np.log(value / reference) * BASIS_POINTS)


def _apart(values: FloatArray, period: int) -> Iterator[FloatArray]:
    """`period` arrays (w,): the distances of a window's values from their mean."""
    newest, above = values[period - 1 :], above_mean(values, period)[period - 1 :]
    for lag in lags(values, period):
        yield lag - newest + above
