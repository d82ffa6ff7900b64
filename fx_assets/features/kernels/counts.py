"""How many values of a window lie where, and how long they stay there. Source: tsfresh 0.21."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel
from fx_assets.features.kernels.checks import at_least
from fx_assets.features.kernels.counting import BoolArray, count, share
from fx_assets.features.kernels.plain import plain


@plain("count_above_mean")
def count_above_mean(windows: Windows) -> FloatArray:
    """Values above the mean."""
    return count(windows.values > windows.mean[:, None])


@plain("count_below_mean")
def count_below_mean(windows: Windows) -> FloatArray:
    """Values below the mean."""
    return count(windows.values < windows.mean[:, None])


@plain("longest_strike_above_mean")
def longest_strike_above_mean(windows: Windows) -> FloatArray:
    """Longest run of values above the mean."""
    return _longest_run(windows.values > windows.mean[:, None])


@plain("longest_strike_below_mean")
def longest_strike_below_mean(windows: Windows) -> FloatArray:
    """Longest run of values below the mean."""
    return _longest_run(windows.values < windows.mean[:, None])


@kernel("count_above")
def count_above(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Part of the values that is `t` or more."""
    return [share(windows.values >= item["t"]) for item in params]


@kernel("count_below")
def count_below(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Part of the values that is `t` or less."""
    return [share(windows.values <= item["t"]) for item in params]


@kernel("value_count")
def value_count(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Values that equal `value`; none for NaN, as windows are finite."""
    return [count(windows.values == item["value"]) for item in params]


@kernel("range_count")
def range_count(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Values from `min`, included, to `max`, excluded."""
    return [count((windows.values >= item["min"]) & (windows.values < item["max"])) for item in params]


@kernel("ratio_beyond_r_sigma")
def ratio_beyond_r_sigma(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Part of the values that is more than `r` standard deviations away from the mean."""
    apart = np.abs(windows.centred)
    return [share(apart > (item["r"] * windows.deviation)[:, None]) for item in params]


@kernel("number_crossing_m")
def number_crossing_m(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """How often the window changes between above `m` and not above it."""
    above = [windows.values > item["m"] for item in params]
    return [count(side[:, 1:] != side[:, :-1]) for side in above]


@kernel("number_peaks")
def number_peaks(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Values larger than each of their `n` neighbours on both sides; values with fewer neighbours are no peaks."""
    at_least("number_peaks", params, "n", 1)
    values = windows.values
    found: dict[int, FloatArray] = {}
    largest, covered = values, 1  # (W, n - covered + 1): the largest of each `covered` values that follow one another
    for support in sorted({item["n"] for item in params}):
        if 2 * support >= windows.length:
            found[support] = np.zeros(len(windows))
            continue
        while covered < support:
            step = min(covered, support - covered)
            largest, covered = np.maximum(largest[:, step:], largest[:, :-step]), covered + step
        middle = values[:, support:-support]
        found[support] = count((middle > largest[:, : -support - 1]) & (middle > largest[:, support + 1 :]))
    return [found[item["n"]] for item in params]


def _longest_run(mask: BoolArray) -> FloatArray:
    """(W,): the most values that follow one another and are true."""
    # Behind each window stands one false, so that a run ends in its own window.
    ends = np.ones((len(mask), mask.shape[1] + 1), dtype=bool)
    np.logical_not(mask, out=ends[:, :-1])
    runs = np.diff(np.flatnonzero(ends), prepend=-1) - 1
    of_window = count(ends).astype(np.int64)
    first = np.cumsum(of_window) - of_window  # over windows, but of whole numbers
    return np.maximum.reduceat(runs, first).astype(np.float64)
