"""The Fourier spectrum of a window: its coefficients, their shape, and Welch's density.

`numpy.fft` transforms row by row, so a window's spectrum does not depend on its neighbours; scipy's does several rows
at once. The bits are those of tsfresh all the same, signed zeros included, which decide the angle of an empty bin.
Source: tsfresh 0.21; Welch 1967 as in `scipy.signal.welch`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel
from fx_assets.features.kernels.checks import at_least, one_of

LONGEST_SEGMENT = 256
ComplexArray = NDArray[np.complex128]

PARTS: dict[str, Callable[[ComplexArray], FloatArray]] = {
    "real": lambda spectrum: np.asarray(spectrum.real),
    "imag": lambda spectrum: np.asarray(spectrum.imag),
    "abs": lambda spectrum: np.asarray(np.abs(spectrum)),
    "angle": lambda spectrum: np.asarray(np.angle(spectrum, deg=True)),
}


@kernel("fft_coefficient")
def fft_coefficient(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Coefficient `coeff` of the transform: its `attr` real, imag, abs or angle (degrees); NaN beyond the spectrum."""
    at_least("fft_coefficient", params, "coeff", 0)
    one_of("fft_coefficient", params, "attr", PARTS)
    spectrum = np.fft.rfft(windows.values)
    live = min(spectrum.shape[1], 1 + max(item["coeff"] for item in params))
    spectrum = np.ascontiguousarray(spectrum[:, :live])
    parts = {attr: PARTS[attr](spectrum) for attr in {item["attr"] for item in params}}
    return [parts[i["attr"]][:, i["coeff"]] if i["coeff"] < live else windows.missing for i in params]


@kernel("fft_aggregated")
def fft_aggregated(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """`aggtype` of the absolute spectrum as a distribution over its bins: centroid, variance, skew or kurtosis.

    Skew and kurtosis are NaN where the variance is below half a bin; all are NaN for a window of zeros. The kurtosis
    is tsfresh's, whose last term is the centroid and not its fourth power.
    """
    one_of("fft_aggregated", params, "aggtype", ("centroid", "variance", "skew", "kurtosis"))
    weights = np.abs(np.fft.rfft(windows.values))
    total = weights.sum(axis=1)
    bins = np.arange(weights.shape[1], dtype=np.float64)
    with np.errstate(divide="ignore", invalid="ignore"):
        first, second, third, fourth = (np.vecdot(weights, bins**power) / total for power in (1, 2, 3, 4))
        variance = second - first**2
        narrow = variance < 0.5
        skew = (third - 3 * first * variance - first**3) / variance**1.5
        kurtosis = (fourth - 4 * first * third + 6 * second * first**2 - 3 * first) / variance**2
    columns = {
        "centroid": first,
        "variance": variance,
        "skew": np.where(narrow, np.nan, skew),
        "kurtosis": np.where(narrow, np.nan, kurtosis),
    }
    return [columns[item["aggtype"]] for item in params]


@kernel("spkt_welch_density")
def spkt_welch_density(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Bin `coeff` of Welch's power spectral density; NaN beyond it."""
    at_least("spkt_welch_density", params, "coeff", 0)
    density = welch_density(windows)
    live = density.shape[1]
    return [density[:, item["coeff"]] if item["coeff"] < live else windows.missing for item in params]


def welch_density(windows: Windows) -> FloatArray:
    """(W, bins): power spectral density of the window, by segments of at most 256 values that overlap by half."""
    taper = _taper(min(windows.length, LONGEST_SEGMENT))
    size = len(taper)
    step = size - size // 2
    segments = np.lib.stride_tricks.sliding_window_view(windows.values, size, axis=1)[:, ::step]
    segments = segments - segments.mean(axis=2, keepdims=True)
    spectrum = np.fft.rfft(segments * taper)
    power = spectrum.real**2 + spectrum.imag**2
    power[:, :, 1 : -1 if size % 2 == 0 else None] *= 2
    return np.asarray(power[:, 0] if power.shape[1] == 1 else power.mean(axis=1))


@lru_cache(maxsize=16)
def _taper(size: int) -> FloatArray:
    """(size,): Hann's window, scaled to a density."""
    from scipy.signal import get_window

    taper = get_window("hann", size)
    return np.asarray(taper * (1 / np.sqrt(sum(taper**2))))
