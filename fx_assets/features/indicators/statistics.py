"""The shape of a window's returns, and where the close stands in its window."""

from __future__ import annotations

import numpy as np

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import BASIS_POINTS, Periodic, column, of_changes, of_values
from fx_assets.features.indicators.windows import (
    STILL,
    above_mean,
    aligned,
    covariance,
    deviation,
    highest,
    lags,
    log_distance,
    log_returns,
    lowest,
    mean,
    moments,
    ratio,
)

# Bars of the longer returns of the variance ratio: a trading week of days.
LONG_RETURN = 5


def skewness(frame: Frame, period: int) -> FloatArray:
    """Skewness of the last `period` one-bar log returns (population, third moment); 0 where they are all equal."""
    second, third = moments(log_returns(column(frame, "close")), period, 2, 3)
    return ratio(third, second * np.sqrt(second), otherwise=0.0, floor=STILL**3)


def kurtosis(frame: Frame, period: int) -> FloatArray:
    """Excess kurtosis of the last `period` one-bar log returns (population); 0 where they are all equal."""
    second, fourth = moments(log_returns(column(frame, "close")), period, 2, 4)
    return ratio(fourth, second * second, otherwise=3.0, floor=STILL**4) - 3


def autocorrelation(frame: Frame, period: int) -> FloatArray:
    """Of the last `period` one-bar log returns with the return before, about their common mean; 0 where all are equal.

    The sum of neighbours' products over the sum of squares, as Box and Jenkins take it: within -1 and 1.
    """
    returns = log_returns(column(frame, "close"))
    average = mean(returns, period)[period - 1 :]
    products, squares, before = np.zeros(len(average)), np.zeros(len(average)), np.zeros(len(average))
    for lag in lags(returns, period):
        apart = lag - average
        products += apart * before
        squares += apart * apart
        before = apart
    floor = period * STILL**2
    return ratio(aligned(products, len(returns)), aligned(squares, len(returns)), otherwise=0.0, floor=floor)


def variance_ratio(frame: Frame, period: int) -> FloatArray:
    """Mean square of the five-bar log returns in the window over five times that of one bar; 1 where nothing moved.

    Lo and MacKinlay (1988), "Stock market prices do not follow random walks", with overlapping returns about zero:
    over 1 where moves go on, under 1 where they turn back; half its log over log 5, plus a half, is Hurst's exponent.
    """
    close = column(frame, "close")
    short = mean(log_returns(close) ** 2, period)
    long = mean(log_returns(close, LONG_RETURN) ** 2, period - LONG_RETURN + 1)
    return ratio(long, LONG_RETURN * short, otherwise=1.0, floor=STILL**2)


def zscore(frame: Frame, period: int) -> FloatArray:
    """Distance of the close from the mean of its window, in standard deviations; 0 where nothing moved."""
    close = column(frame, "close")
    return ratio(above_mean(close, period), deviation(close, period), otherwise=0.0)


def highest_distance(frame: Frame, period: int) -> FloatArray:
    """Log distance of the close from the highest high of `period` bars, basis points: 0 or less."""
    return log_distance(column(frame, "close"), highest(column(frame, "high"), period))


def lowest_distance(frame: Frame, period: int) -> FloatArray:
    """Log distance of the close from the lowest low of `period` bars, basis points: 0 or more."""
    return log_distance(column(frame, "close"), lowest(column(frame, "low"), period))


def drawdown(frame: Frame, period: int) -> FloatArray:
    """Log distance of the close from the highest close of `period` bars, basis points: 0 or less."""
    close = column(frame, "close")
    return log_distance(close, highest(close, period))


def max_drawdown(frame: Frame, period: int) -> FloatArray:
    """Largest fall from a close to a later one among `period` bars, log, basis points: 0 or less."""
    close = column(frame, "close")
    top = close[: max(len(close) - period + 1, 0)]
    kept = np.ones(len(top))
    for lag in lags(close, period):
        top = np.maximum(top, lag)
        kept = np.minimum(kept, lag / top)
    return np.log(aligned(kept, len(close))) * BASIS_POINTS


def correlation(own: FloatArray, other: FloatArray, period: int) -> FloatArray:
    """(n,): correlation of two series of returns in basis points over windows, -1 to 1; 0 where either stood still."""
    one, two = np.sqrt(covariance(own, own, period)), np.sqrt(covariance(other, other, period))
    scale = np.where((one > STILL) & (two > STILL), one * two, 0.0)
    return np.clip(ratio(covariance(own, other, period), scale, otherwise=0.0), -1, 1)


def beta(own: FloatArray, other: FloatArray, period: int) -> FloatArray:
    """(n,): slope of `own` returns on the `other` ones over windows; 0 where the other stood still."""
    return ratio(covariance(own, other, period), covariance(other, other, period), otherwise=0.0, floor=STILL**2)


DECLARED = (
    Periodic("skewness", "skewness of {} returns", skewness, of_changes, cost=2.0),
    Periodic("kurtosis", "excess kurtosis of {} returns", kurtosis, of_changes, cost=2.0),
    Periodic("autocorrelation", "autocorrelation of {} returns at lag 1", autocorrelation, of_changes, cost=2.0),
    Periodic("variance_ratio", "variance ratio of 5 bars to 1 over {} returns", variance_ratio, of_changes, cost=2.0),
    Periodic("zscore", "standard deviations from the mean of {}", zscore, of_values, cost=2.0),
    Periodic(
        "highest_distance",
        "distance from the highest high of {}, bp",
        highest_distance,
        of_values,
        needs=("high", "close"),
    ),
    Periodic(
        "lowest_distance", "distance from the lowest low of {}, bp", lowest_distance, of_values, needs=("low", "close")
    ),
    Periodic("drawdown", "distance from the highest close of {}, bp", drawdown, of_values),
    Periodic("max_drawdown", "largest fall within {} bars, bp", max_drawdown, of_values, cost=2.0),
)
