"""From one value to the next: changes, products of lagged values, and where the mass of the window lies.

Source: tsfresh 0.21; c3 is Schreiber and Schmitz 1997, `cid_ce` the complexity of Batista et al. 2014.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel
from fx_assets.features.kernels.checks import at_least
from fx_assets.features.kernels.counting import count
from fx_assets.features.kernels.plain import plain


@plain("absolute_sum_of_changes")
def absolute_sum_of_changes(windows: Windows) -> FloatArray:
    """Sum of the absolute changes."""
    return np.asarray(np.abs(windows.changes).sum(axis=1))


@plain("mean_abs_change")
def mean_abs_change(windows: Windows) -> FloatArray:
    """Mean absolute change; NaN for a single value."""
    if windows.length < 2:
        return windows.missing
    return np.asarray(np.abs(windows.changes).mean(axis=1))


@plain("mean_change")
def mean_change(windows: Windows) -> FloatArray:
    """Mean change; NaN for a single value."""
    if windows.length < 2:
        return windows.missing
    return (windows.values[:, -1] - windows.values[:, 0]) / (windows.length - 1)


@plain("mean_second_derivative_central")
def mean_second_derivative_central(windows: Windows) -> FloatArray:
    """Mean of the central second differences; NaN for less than three values."""
    if windows.length < 3:
        return windows.missing
    values = windows.values
    return (values[:, -1] - values[:, -2] - values[:, 1] + values[:, 0]) / (2 * (windows.length - 2))


@kernel("cid_ce")
def cid_ce(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Length of the line of changes; with `normalize` of the standardised window, 0 for a constant one."""
    line = np.sqrt((windows.changes * windows.changes).sum(axis=1))
    deviation = windows.deviation
    standard = np.divide(line, deviation, out=np.zeros(len(windows)), where=deviation != 0)
    return [standard if item["normalize"] else line for item in params]


@kernel("c3")
def c3(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Mean of the products of three values, each `lag` behind the last; 0 where the window is too short for one."""
    at_least("c3", params, "lag", 0)
    columns = []
    for lag in (item["lag"] for item in params):
        earlier, middle, later = (_late(windows.values, lag, times) for times in range(3))
        columns.append(_mean_or_zero(later * middle * earlier))
    return columns


@kernel("time_reversal_asymmetry_statistic")
def time_reversal_asymmetry_statistic(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Mean of later squared times middle, less middle times earlier squared; 0 where the window is too short."""
    at_least("time_reversal_asymmetry_statistic", params, "lag", 0)
    columns = []
    for lag in (item["lag"] for item in params):
        squares = _late(windows.squares, lag, 2) - _late(windows.squares, lag, 0)
        columns.append(_mean_or_zero(squares * _late(windows.values, lag, 1)))
    return columns


def _late(values: FloatArray, lag: int, times: int) -> FloatArray:
    """(W, n - 2 lag): of three stretches of a window, each `lag` behind the last, the one `times` behind the first."""
    first = times * lag
    return values[:, first : first + max(values.shape[1] - 2 * lag, 0)]


def _mean_or_zero(products: FloatArray) -> FloatArray:
    return np.asarray(products.mean(axis=1)) if products.shape[1] else np.zeros(len(products))


@kernel("index_mass_quantile")
def index_mass_quantile(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Part of the window in which part `q` of the absolute values has come; NaN where all values are 0."""
    n = windows.length
    total = windows.magnitude.sum(axis=1)
    with np.errstate(invalid="ignore"):
        come = np.cumsum(windows.magnitude, axis=1) / total[:, None]
    columns = []
    for item in params:
        before = count(come < item["q"])
        # Rounding may keep the whole below 1: tsfresh then answers with the first place.
        before[before == n] = 0
        columns.append(np.where(total == 0, np.nan, (before + 1) / n))
    return columns


@kernel("energy_ratio_by_chunks")
def energy_ratio_by_chunks(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Squares of part `segment_focus` of `num_segments`, of those of the window; NaN where all values are 0."""
    total = windows.squares.sum(axis=1)
    columns = []
    for item in params:
        part = windows.squares[:, _segment(windows.length, item["num_segments"], item["segment_focus"])]
        columns.append(np.divide(part.sum(axis=1), total, out=windows.missing.copy(), where=total != 0))
    return columns


def _segment(length: int, segments: int, focus: int) -> slice:
    """Part `focus` as numpy's `array_split` cuts it: the first parts are one longer where the cut is not even."""
    if not 0 <= focus < segments:
        raise ValueError(
            f"energy_ratio_by_chunks: segment_focus is {focus} of num_segments {segments}; "
            f"give a segment_focus from 0 to one less than num_segments"
        )
    short, longer = divmod(length, segments)
    first = focus * short + min(focus, longer)
    return slice(first, first + short + (focus < longer))
