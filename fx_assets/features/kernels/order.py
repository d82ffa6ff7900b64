"""What the sorted window says: extremes and their places, quantiles, and values that come again.

Source: tsfresh 0.21; quantiles as numpy's "linear" (Hyndman and Fan 1996, type 7).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel
from fx_assets.features.kernels.checks import at_least
from fx_assets.features.kernels.counting import BoolArray, count
from fx_assets.features.kernels.plain import plain


def quantile_of(windows: Windows, q: float) -> FloatArray:
    """(W,): quantile `q` in [0, 1], to the last bit as `numpy.quantile`."""
    place = (windows.length - 1) * q
    before = int(place)
    after = min(before + 1, windows.length - 1)
    low, high, weight = windows.ordered[:, before], windows.ordered[:, after], place - before
    step = high - low
    return np.asarray(high - step * (1 - weight) if weight >= 0.5 else low + step * weight)


@plain("maximum")
def maximum(windows: Windows) -> FloatArray:
    """Largest value."""
    return windows.maximum


@plain("minimum")
def minimum(windows: Windows) -> FloatArray:
    """Smallest value."""
    return windows.minimum


@plain("absolute_maximum")
def absolute_maximum(windows: Windows) -> FloatArray:
    """Largest absolute value."""
    return np.maximum(np.abs(windows.maximum), np.abs(windows.minimum))


@kernel("mean_n_absolute_max")
def mean_n_absolute_max(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Mean of the `number_of_maxima` largest absolute values; NaN where the window has no more values than that."""
    at_least("mean_n_absolute_max", params, "number_of_maxima", 1)
    return [_mean_of_largest(windows, item["number_of_maxima"]) for item in params]


def _mean_of_largest(windows: Windows, number: int) -> FloatArray:
    if number >= windows.length:
        return windows.missing
    # The largest absolute values lie at the two ends of the sorted window.
    ends = windows.ordered
    if 2 * number < windows.length:
        ends = np.concatenate([ends[:, :number], ends[:, -number:]], axis=1)
    return np.asarray(np.sort(np.abs(ends), axis=1)[:, -number:].mean(axis=1))


@plain("first_location_of_maximum")
def first_location_of_maximum(windows: Windows) -> FloatArray:
    """Where the largest value first stands, as part of the window."""
    return np.asarray(windows.values.argmax(axis=1) / windows.length)


@plain("first_location_of_minimum")
def first_location_of_minimum(windows: Windows) -> FloatArray:
    """Where the smallest value first stands, as part of the window."""
    return np.asarray(windows.values.argmin(axis=1) / windows.length)


@plain("last_location_of_maximum")
def last_location_of_maximum(windows: Windows) -> FloatArray:
    """Behind where the largest value last stands, as part of the window."""
    return np.asarray(1.0 - windows.values[:, ::-1].argmax(axis=1) / windows.length)


@plain("last_location_of_minimum")
def last_location_of_minimum(windows: Windows) -> FloatArray:
    """Behind where the smallest value last stands, as part of the window."""
    return np.asarray(1.0 - windows.values[:, ::-1].argmin(axis=1) / windows.length)


@plain("median")
def median(windows: Windows) -> FloatArray:
    """Median."""
    return windows.median


@kernel("quantile")
def quantile(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Quantile `q`."""
    for item in params:
        if not 0 <= item["q"] <= 1:
            raise ValueError(f"quantile: q is {item['q']}; give a number from 0 to 1")
    return [quantile_of(windows, item["q"]) for item in params]


@kernel("symmetry_looking")
def symmetry_looking(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """1 where mean and median differ by less than `r` times the range."""
    apart = np.abs(windows.mean - windows.median)
    spread = windows.maximum - windows.minimum
    return [(apart < item["r"] * spread).astype(np.float64) for item in params]


@plain("has_duplicate")
def has_duplicate(windows: Windows) -> BoolArray:
    """1 where some value comes more than once."""
    return np.asarray(_repeats(windows).any(axis=1))


@plain("has_duplicate_max")
def has_duplicate_max(windows: Windows) -> BoolArray:
    """1 where the largest value comes more than once."""
    return np.asarray(_repeats(windows)[:, -1:].any(axis=1))


@plain("has_duplicate_min")
def has_duplicate_min(windows: Windows) -> BoolArray:
    """1 where the smallest value comes more than once."""
    return np.asarray(_repeats(windows)[:, :1].any(axis=1))


@plain("ratio_value_number_to_time_series_length")
def ratio_value_number_to_time_series_length(windows: Windows) -> FloatArray:
    """Distinct values over values."""
    return (windows.length - count(_repeats(windows))) / windows.length


@plain("percentage_of_reoccurring_values_to_all_values")
def percentage_of_reoccurring_values_to_all_values(windows: Windows) -> FloatArray:
    """Distinct values that come again over distinct values."""
    repeats = _repeats(windows)
    return count(_second(repeats)) / (windows.length - count(repeats))


@plain("percentage_of_reoccurring_datapoints_to_all_datapoints")
def percentage_of_reoccurring_datapoints_to_all_datapoints(windows: Windows) -> FloatArray:
    """Values that are not alone over values."""
    repeats = _repeats(windows)
    return (count(repeats) + count(_second(repeats))) / windows.length


@plain("sum_of_reoccurring_values")
def sum_of_reoccurring_values(windows: Windows) -> FloatArray:
    """Sum of the distinct values that come again, each once."""
    return np.asarray((windows.ordered[:, 1:] * _second(_repeats(windows))).sum(axis=1))


@plain("sum_of_reoccurring_data_points")
def sum_of_reoccurring_data_points(windows: Windows) -> FloatArray:
    """Sum of all values that are not alone."""
    repeats = _repeats(windows)
    times = np.add(repeats, _second(repeats), dtype=np.int8)
    return np.asarray((windows.ordered[:, 1:] * times).sum(axis=1))


def _repeats(windows: Windows) -> BoolArray:
    """(W, n - 1): whether a value of the sorted window equals the one before, so all but the first of its kind."""
    return np.asarray(windows.ordered[:, 1:] == windows.ordered[:, :-1])


def _second(repeats: BoolArray) -> BoolArray:
    """(W, n - 1): of those, the second of its kind alone, so one for each distinct value that comes again."""
    second = repeats.copy()
    second[:, 1:] &= ~repeats[:, :-1]
    return second
