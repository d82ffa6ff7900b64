"""Sums, means and moments of each window.

Source: tsfresh 0.21; skewness and kurtosis are pandas' unbiased ones (Joanes and Gill 1998, G1 and G2).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel
from fx_assets.features.kernels.counting import BoolArray
from fx_assets.features.kernels.plain import plain

# Below it pandas takes a sum of powers for rounding, and the window for constant (pandas issue 18044).
ROUNDING = 1e-14


@plain("sum_values")
def sum_values(windows: Windows) -> FloatArray:
    """Sum."""
    return windows.sum


@plain("abs_energy")
def abs_energy(windows: Windows) -> FloatArray:
    """Sum of the squares."""
    return np.asarray(windows.squares.sum(axis=1))


@plain("mean")
def mean(windows: Windows) -> FloatArray:
    """Mean."""
    return windows.mean


@plain("length")
def length(windows: Windows) -> FloatArray:
    """Values in a window."""
    return np.full(len(windows), float(windows.length))


@plain("variance")
def variance(windows: Windows) -> FloatArray:
    """Variance of the population."""
    return windows.variance


@plain("standard_deviation")
def standard_deviation(windows: Windows) -> FloatArray:
    """Standard deviation of the population."""
    return windows.deviation


@plain("variance_larger_than_standard_deviation")
def variance_larger_than_standard_deviation(windows: Windows) -> BoolArray:
    """1 where the variance is larger than its root."""
    return windows.variance > np.sqrt(windows.variance)


@plain("variation_coefficient")
def variation_coefficient(windows: Windows) -> FloatArray:
    """Standard deviation over mean; NaN where the mean is 0."""
    return np.divide(windows.deviation, windows.mean, out=windows.missing.copy(), where=windows.mean != 0)


@plain("root_mean_square")
def root_mean_square(windows: Windows) -> FloatArray:
    """Root of the mean square."""
    return np.asarray(np.sqrt(windows.squares.mean(axis=1)))


@plain("skewness")
def skewness(windows: Windows) -> FloatArray:
    """Skewness, unbiased; 0 for a constant window, NaN for less than three values."""
    n = float(windows.length)
    if n < 3:
        return windows.missing
    second = windows.centred * windows.centred
    m2 = _without_rounding(second.sum(axis=1))
    m3 = _without_rounding((second * windows.centred).sum(axis=1))
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (n * (n - 1) ** 0.5 / (n - 2)) * (m3 / m2**1.5)
    return np.where(m2 == 0, 0.0, values)


@plain("kurtosis")
def kurtosis(windows: Windows) -> FloatArray:
    """Excess kurtosis, unbiased; 0 for a constant window, NaN for less than four values."""
    n = float(windows.length)
    if n < 4:
        return windows.missing
    second = windows.centred * windows.centred
    m2 = second.sum(axis=1)
    m4 = (second * second).sum(axis=1)
    numerator = _without_rounding(n * (n + 1) * (n - 1) * m4)
    denominator = _without_rounding((n - 2) * (n - 3) * m2**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        values = numerator / denominator - 3 * (n - 1) ** 2 / ((n - 2) * (n - 3))
    return np.where(denominator == 0, 0.0, values)


@kernel("large_standard_deviation")
def large_standard_deviation(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """1 where the standard deviation is larger than `r` times the range."""
    spread = windows.maximum - windows.minimum
    return [(windows.deviation > item["r"] * spread).astype(np.float64) for item in params]


def _without_rounding(sums: FloatArray) -> FloatArray:
    return np.where(np.abs(sums) < ROUNDING, 0.0, sums)
