"""Averages, bands and the strength and direction of a trend.

No parabolic SAR: where it stands depends on every turn since the history began, with no bound on how far back.
"""

from __future__ import annotations

import numpy as np

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import (
    BASIS_POINTS,
    HIGH_LOW_CLOSE,
    Periodic,
    column,
    columns,
    of_changes,
    of_span,
    of_values,
    of_wilder,
    warm_up,
)
from fx_assets.features.indicators.windows import (
    above_mean,
    aligned,
    before,
    deviation,
    lags,
    log_distance,
    ratio,
    total,
)

# Kaufman's fastest and slowest averages are of 2 and 30 bars.
_FASTEST, _SLOWEST = 2 / 3, 2 / 31


def ema_ratio(frame: Frame, period: int) -> FloatArray:
    """Log distance of the close from its exponential average (TA-Lib's EMA), basis points."""
    import talib

    close = column(frame, "close")
    return log_distance(close, talib.EMA(close, timeperiod=period))


def sma_ratio(frame: Frame, period: int) -> FloatArray:
    """Log distance of the close from the mean of the last `period`, basis points."""
    close = column(frame, "close")
    return log_distance(close, close - above_mean(close, period))


def bollinger(frame: Frame, period: int) -> FloatArray:
    """Place of the close within bands of two standard deviations: -1 on the lower, 1 on the upper.

    Bands without width mean that nothing moved: the close lies in their middle, 0.
    """
    close = column(frame, "close")
    return ratio(above_mean(close, period), 2 * deviation(close, period), otherwise=0.0)


def efficiency_ratio(frame: Frame, period: int) -> FloatArray:
    """Kaufman's efficiency: how far the close came in `period` bars over how far it went, 0 to 1; 0 where it stood."""
    return _efficiency(column(frame, "close"), period)


def kama_ratio(frame: Frame, period: int) -> FloatArray:
    """Log distance of the close from Kaufman's adaptive average, basis points.

    In a market without direction the average forgets only 0.4 % a bar. So that it depends on a known stretch, it is
    begun anew for each row, `max(500, 12 * period)` rows before: TA-Lib's KAMA of that stretch.
    """
    close = column(frame, "close")
    rows = warm_up(period)
    weight = (_efficiency(close, period) * (_FASTEST - _SLOWEST) + _SLOWEST) ** 2
    steps = list(zip(lags(close, rows + 1), lags(weight, rows + 1), strict=True))
    average = steps[period - 1][0].copy()
    for price, share in steps[period:]:
        average += share * (price - average)
    return log_distance(close, aligned(average, len(close)))


def slope(frame: Frame, period: int) -> FloatArray:
    """Slope of the least-squares line through the last `period` log closes, basis points a bar."""
    logs = np.log(column(frame, "close"))
    newest = logs[period - 1 :]
    places = np.arange(period) - (period - 1) / 2
    summed = np.zeros(len(newest))
    for weight, lag in zip(places.tolist(), lags(logs, period), strict=True):
        summed += weight * (lag - newest)
    return aligned(summed / float((places**2).sum()) * BASIS_POINTS, len(logs))


def adx(frame: Frame, period: int) -> FloatArray:
    """Wilder's average directional index, 0 to 100: how one-sided the moves are, whatever their side."""
    import talib

    high, low, close = columns(frame, *HIGH_LOW_CLOSE)
    return np.asarray(talib.ADX(high, low, close, timeperiod=period))


def plus_di(frame: Frame, period: int) -> FloatArray:
    """Wilder's positive directional indicator, 0 to 100: upward moves as part of the true range."""
    import talib

    high, low, close = columns(frame, *HIGH_LOW_CLOSE)
    return np.asarray(talib.PLUS_DI(high, low, close, timeperiod=period))


def minus_di(frame: Frame, period: int) -> FloatArray:
    """Wilder's negative directional indicator, 0 to 100: downward moves as part of the true range."""
    import talib

    high, low, close = columns(frame, *HIGH_LOW_CLOSE)
    return np.asarray(talib.MINUS_DI(high, low, close, timeperiod=period))


def aroon(frame: Frame, period: int) -> FloatArray:
    """Aroon oscillator, -100 to 100: how much newer the highest high of `period` + 1 bars is than the lowest low."""
    import talib

    high, low = columns(frame, "high", "low")
    return np.asarray(talib.AROONOSC(high, low, timeperiod=period))


def _efficiency(close: FloatArray, period: int) -> FloatArray:
    steps = np.abs(close - before(close, 1))
    covered = np.abs(close - before(close, period))
    return ratio(covered, total(steps, period), otherwise=0.0)


def _three_wilder(period: int) -> int:
    """An average of averages forgets later than either: a Wilder average of one and a half times the period."""
    return 3 * period


DECLARED = (
    Periodic("ema_ratio", "distance from the exponential average of {}, bp", ema_ratio, of_span, recursive=True),
    Periodic("bollinger", "place within the Bollinger bands of {}", bollinger, of_values),
    Periodic("sma_ratio", "distance from the mean of {}, bp", sma_ratio, of_values),
    Periodic("kama_ratio", "distance from Kaufman's average of {}, bp", kama_ratio, warm_up, cost=10.0),
    Periodic("efficiency_ratio", "Kaufman's efficiency over {} bars", efficiency_ratio, of_changes),
    Periodic("slope", "slope of log prices over {} bars, bp a bar", slope, of_values),
    Periodic("adx", "average directional index of {}", adx, _three_wilder, recursive=True, needs=HIGH_LOW_CLOSE),
    Periodic("plus_di", "directional indicator of {}, up", plus_di, of_wilder, recursive=True, needs=HIGH_LOW_CLOSE),
    Periodic(
        "minus_di", "directional indicator of {}, down", minus_di, of_wilder, recursive=True, needs=HIGH_LOW_CLOSE
    ),
    Periodic("aroon", "Aroon oscillator of {}", aroon, of_changes, needs=("high", "low")),
)
