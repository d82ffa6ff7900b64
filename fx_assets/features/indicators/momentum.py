"""Oscillators: where the price stands between extremes, and what share of the moves went up."""

from __future__ import annotations

import numpy as np

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import (
    BASIS_POINTS,
    HIGH_LOW_CLOSE,
    Periodic,
    Switch,
    column,
    columns,
    of_changes,
    of_values,
    of_wilder,
)
from fx_assets.features.indicators.windows import above_mean, before, highest, lowest, mean, mean_distance, ratio, total

MACD_FAST, MACD_SLOW, MACD_SIGNAL = 12, 26, 9
_SMOOTHED = 3  # bars in the smoothed stochastic
_LAMBERT = 0.015  # Lambert's constant: most values of the CCI lie within plus and minus 100
_ULTIMATE = ((1, 4), (2, 2), (4, 1))  # Williams' multiples of the period, and their weights


def rsi(frame: Frame, period: int) -> FloatArray:
    """Wilder's relative strength index, 0 to 100 (TA-Lib); 0 where nothing ever moved."""
    import talib

    return np.asarray(talib.RSI(column(frame, "close"), timeperiod=period))


def chande_momentum(frame: Frame, period: int) -> FloatArray:
    """Chande's momentum oscillator, -100 to 100: rises less falls over both, in plain sums; 0 where nothing moved.

    Chande and Kroll (1994), "The New Technical Trader". TA-Lib's CMO smooths as Wilder does and is the RSI again.
    """
    close = column(frame, "close")
    moves = close - before(close, 1)
    return 100 * ratio(total(moves, period), total(np.abs(moves), period), otherwise=0.0)


def stochastic_k(frame: Frame, period: int) -> FloatArray:
    """Lane's fast %K, 0 to 100: place of the close between the lowest low and the highest high; 50 where they meet."""
    high, low, close = columns(frame, *HIGH_LOW_CLOSE)
    bottom = lowest(low, period)
    return 100 * ratio(close - bottom, highest(high, period) - bottom, otherwise=0.5)


def stochastic_d(frame: Frame, period: int) -> FloatArray:
    """Lane's fast %D, 0 to 100: mean of the last three %K."""
    return mean(stochastic_k(frame, period), _SMOOTHED)


def williams_r(frame: Frame, period: int) -> FloatArray:
    """Williams' %R, -100 to 0: %K counted from the top; -50 where high and low meet."""
    return stochastic_k(frame, period) - 100


def cci(frame: Frame, period: int) -> FloatArray:
    """Lambert's commodity channel index: the typical price's distance from its mean over its mean distance.

    0 where nothing moved.
    """
    high, low, close = columns(frame, *HIGH_LOW_CLOSE)
    typical = (high + low + close) / 3
    return ratio(above_mean(typical, period), _LAMBERT * mean_distance(typical, period), otherwise=0.0)


def ultimate_oscillator(frame: Frame, period: int) -> FloatArray:
    """Williams' ultimate oscillator, 0 to 100, over one, two and four times the period; 50 where nothing moved.

    Share of the true range that was bought, weighted 4, 2 and 1. TA-Lib's ULTOSC of period, 2 and 4 times it.
    """
    high, low, close = columns(frame, *HIGH_LOW_CLOSE)
    last = before(close, 1)
    bottom = np.minimum(low, last)
    bought, true_range = close - bottom, np.maximum(high, last) - bottom
    shares = [
        weight * ratio(total(bought, times * period), total(true_range, times * period), otherwise=0.5)
        for times, weight in _ULTIMATE
    ]
    return np.asarray(100 * (shares[0] + shares[1] + shares[2]) / 7)


def trix(frame: Frame, period: int) -> FloatArray:
    """One-bar rate of change of the close smoothed by three exponential averages in a row (TA-Lib), basis points."""
    import talib

    return np.asarray(talib.TRIX(column(frame, "close"), timeperiod=period) / 100 * BASIS_POINTS)


def macd(frame: Frame) -> list[FloatArray]:
    """MACD line of 12 and 26 bars, and its distance from the signal line of 9, in basis points of the close."""
    import talib

    close = column(frame, "close")
    line, _, histogram = talib.MACD(close, fastperiod=MACD_FAST, slowperiod=MACD_SLOW, signalperiod=MACD_SIGNAL)
    return [line / close * BASIS_POINTS, histogram / close * BASIS_POINTS]


def _of_smoothed(period: int) -> int:
    return of_values(period) + _SMOOTHED - 1


def _of_ultimate(period: int) -> int:
    return of_changes(_ULTIMATE[-1][0] * period)


def _of_three(period: int) -> int:
    """An average of an average of averages forgets later than one: as one of one and a half times the period."""
    return 3 * period // 2 + 1


DECLARED = (
    Periodic("rsi", "relative strength index of {}", rsi, of_wilder, recursive=True),
    Switch(
        "macd",
        {"macd": "MACD line of 12 and 26, bp", "macd_histogram": "MACD line less its signal line of 9, bp"},
        macd,
        span=MACD_SLOW,
    ),
    Periodic("chande_momentum", "Chande's momentum oscillator of {}", chande_momentum, of_changes),
    Periodic("stochastic_k", "fast %K of {}", stochastic_k, of_values, needs=HIGH_LOW_CLOSE),
    Periodic("stochastic_d", "fast %D of {}", stochastic_d, _of_smoothed, needs=HIGH_LOW_CLOSE),
    Periodic("williams_r", "Williams' %R of {}", williams_r, of_values, needs=HIGH_LOW_CLOSE),
    Periodic("cci", "commodity channel index of {}", cci, of_values, needs=HIGH_LOW_CLOSE),
    Periodic(
        "ultimate_oscillator",
        "ultimate oscillator from {} bars",
        ultimate_oscillator,
        _of_ultimate,
        needs=HIGH_LOW_CLOSE,
    ),
    Periodic("trix", "change of the triple exponential average of {}, bp", trix, _of_three, recursive=True),
)
