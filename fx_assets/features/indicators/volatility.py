"""How much the price moves, by closes, by true ranges and by what was seen inside the bars; basis points a bar."""

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
    of_values,
    of_wilder,
)
from fx_assets.features.indicators.windows import log_returns, mean


def volatility(frame: Frame, period: int) -> FloatArray:
    """Root mean square of the last `period` one-bar log returns, basis points.

    About zero, not about their mean: over days the mean is noise.
    """
    return np.sqrt(mean(log_returns(column(frame, "close")) ** 2, period))


def downside_volatility(frame: Frame, period: int) -> FloatArray:
    """The part of `volatility` that falls make: returns above zero count as zero."""
    return np.sqrt(mean(np.minimum(log_returns(column(frame, "close")), 0) ** 2, period))


def upside_volatility(frame: Frame, period: int) -> FloatArray:
    """The part of `volatility` that rises make: returns below zero count as zero."""
    return np.sqrt(mean(np.maximum(log_returns(column(frame, "close")), 0) ** 2, period))


def ewma_volatility(frame: Frame, period: int) -> FloatArray:
    """Root of the exponential average, of span `period`, of squared one-bar log returns, basis points.

    RiskMetrics (1996) with a decay of (period - 1) / (period + 1); its 0.94 is a period of about 32.
    """
    import talib

    return np.sqrt(talib.EMA(log_returns(column(frame, "close")) ** 2, timeperiod=period))


def atr(frame: Frame, period: int) -> FloatArray:
    """Wilder's average true range (TA-Lib's ATR), basis points of the close."""
    import talib

    high, low, close = columns(frame, *HIGH_LOW_CLOSE)
    return np.asarray(talib.ATR(high, low, close, timeperiod=period) / close * BASIS_POINTS)


def realised_volatility(frame: Frame, period: int) -> FloatArray:
    """Root of the mean realised variance of the last `period` bars, basis points.

    Andersen, Bollerslev, Diebold and Labys (2003), "Modeling and forecasting realized volatility".
    """
    return np.sqrt(mean(column(frame, "realised_variance"), period)) * BASIS_POINTS


def _of_squares(period: int) -> int:
    """A jump is squared and so forgotten later: as in an average of one and a half times the period."""
    return 3 * period // 2 + 1


DECLARED = (
    Periodic("volatility", "root mean square return of {} bars, bp", volatility, of_changes),
    Periodic("downside_volatility", "root mean square fall of {} bars, bp", downside_volatility, of_changes),
    Periodic("upside_volatility", "root mean square rise of {} bars, bp", upside_volatility, of_changes),
    Periodic("ewma_volatility", "exponential volatility of {}, bp", ewma_volatility, _of_squares, recursive=True),
    Periodic("atr", "average true range of {}, bp", atr, of_wilder, recursive=True, needs=HIGH_LOW_CLOSE),
    Periodic(
        "realised_volatility",
        "root mean realised variance of {} bars, bp",
        realised_volatility,
        of_values,
        needs=("realised_variance",),
    ),
)
