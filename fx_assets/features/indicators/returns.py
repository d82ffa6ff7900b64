"""Returns over a period, in three forms."""

from __future__ import annotations

import numpy as np

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import BASIS_POINTS, Periodic, column, of_changes
from fx_assets.features.indicators.windows import STILL, before, log_returns, mean, ratio


def returns(frame: Frame, period: int) -> FloatArray:
    """Log return over `period` bars, basis points."""
    return log_returns(column(frame, "close"), period)


def roc(frame: Frame, period: int) -> FloatArray:
    """Rate of change: the move over `period` bars in parts of the price it began at, basis points (TA-Lib's ROCP)."""
    close = column(frame, "close")
    return (close - before(close, period)) / before(close, period) * BASIS_POINTS


def momentum(frame: Frame, period: int) -> FloatArray:
    """The move over `period` bars (TA-Lib's MOM) in parts of the price it ended at, basis points."""
    close = column(frame, "close")
    return (close - before(close, period)) / close * BASIS_POINTS


def scaled_return(frame: Frame, period: int) -> FloatArray:
    """Log return over `period` bars in units of its own volatility; 0 where nothing moved.

    Moskowitz, Ooi and Pedersen (2012), "Time series momentum": return over volatility, here both of one window, so
    that it lies within plus and minus the root of the period.
    """
    close = column(frame, "close")
    expected = np.sqrt(mean(log_returns(close) ** 2, period) * period)
    return ratio(log_returns(close, period), expected, otherwise=0.0, floor=STILL)


DECLARED = (
    Periodic("returns", "log return over {} bars, bp", returns, of_changes),
    Periodic("roc", "rate of change over {} bars, bp of the first price", roc, of_changes),
    Periodic("momentum", "move over {} bars, bp of the last price", momentum, of_changes),
    Periodic("scaled_return", "log return over {} bars per unit of its volatility", scaled_return, of_changes),
)
