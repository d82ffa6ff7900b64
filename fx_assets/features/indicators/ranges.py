"""Volatility from the four prices of a bar: far less noisy than from closes alone; basis points a bar.

Each is the root of a mean over `period` bars of what one bar tells of its variance.
"""

from __future__ import annotations

from math import log

import numpy as np

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import BASIS_POINTS, Periodic, columns, of_changes, of_values
from fx_assets.features.indicators.windows import before, mean, moments

_OHLC = ("open", "high", "low", "close")


def parkinson(frame: Frame, period: int) -> FloatArray:
    """From high and low.

    Parkinson (1980), "The extreme value method for estimating the variance of the rate of return". Unbiased
    without drift and without gaps between bars.
    """
    high, low = columns(frame, "high", "low")
    return _root(mean(np.log(high / low) ** 2, period) / (4 * log(2)))


def garman_klass(frame: Frame, period: int) -> FloatArray:
    """From all four. Garman and Klass (1980), "On the estimation of security price volatilities from historical data".

    The practical form, 0.5 ln(H/L)^2 - (2 ln 2 - 1) ln(C/O)^2: unbiased without drift and without gaps.
    """
    opened, high, low, close = columns(frame, *_OHLC)
    variance = 0.5 * np.log(high / low) ** 2 - (2 * log(2) - 1) * np.log(close / opened) ** 2
    return _root(mean(variance, period))


def rogers_satchell(frame: Frame, period: int) -> FloatArray:
    """From all four, whatever the drift.

    Rogers and Satchell (1991), "Estimating variance from high, low and closing prices".
    """
    return _root(mean(_rogers_satchell(frame), period))


def yang_zhang(frame: Frame, period: int) -> FloatArray:
    """From all four and the gap to the bar before, whatever the drift.

    Yang and Zhang (2000), "Drift-independent volatility estimation based on high, low, open, and close prices":
    variance of the gaps, plus k of that from open to close, plus 1 - k of Rogers and Satchell's.
    """
    opened, _, _, close = columns(frame, *_OHLC)
    unbiased = period / (period - 1)
    (gaps,) = moments(np.log(opened / before(close, 1)), period, 2)
    (inside,) = moments(np.log(close / opened), period, 2)
    k = 0.34 / (1.34 + (period + 1) / (period - 1))
    return _root(gaps * unbiased + k * inside * unbiased + (1 - k) * mean(_rogers_satchell(frame), period))


def _rogers_satchell(frame: Frame) -> FloatArray:
    opened, high, low, close = columns(frame, *_OHLC)
    above = np.log(high / close) * np.log(high / opened)
    return np.asarray(above + np.log(low / close) * np.log(low / opened))


def _root(variance: FloatArray) -> FloatArray:
    # A close a tick outside its bar's range, as a source may have it, can take a still window below 0.
    return np.sqrt(np.maximum(variance, 0)) * BASIS_POINTS


DECLARED = (
    Periodic("parkinson", "Parkinson volatility of {} bars, bp", parkinson, of_values, needs=("high", "low")),
    Periodic("garman_klass", "Garman-Klass volatility of {} bars, bp", garman_klass, of_values, needs=_OHLC),
    Periodic("rogers_satchell", "Rogers-Satchell volatility of {} bars, bp", rogers_satchell, of_values, needs=_OHLC),
    Periodic("yang_zhang", "Yang-Zhang volatility of {} bars, bp", yang_zhang, of_changes, needs=_OHLC),
)
