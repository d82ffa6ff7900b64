"""Technical indicators of the close alone, so that they stand on fixings too.

Returns, distances and volatility are in basis points of price (1 % = 100), so that columns of
different pairs are of one size. Formulas: TA-Lib (Wilder's RSI, exponential averages, Bollinger, MACD).
"""

from __future__ import annotations

from typing import Annotated, Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, field_validator

from fx_assets.features.stages.base import Arrays, Stage, StageOptions

BASIS_POINTS = 1e4
# A recursive average never forgets where its history starts; after this many rows, or this many
# periods where that is more, what it remembers is below rounding.
WARM_UP_ROWS = 500
WARM_UP_PERIODS = 12
MACD_FAST, MACD_SLOW, MACD_SIGNAL = 12, 26, 9

# Strict options take a list for a list; a tuple would refuse what YAML gives.
Periods = Annotated[list[Annotated[int, Field(ge=1, le=2_000)]], Field(max_length=20)]
LongPeriods = Annotated[list[Annotated[int, Field(ge=2, le=2_000)]], Field(max_length=20)]


class IndicatorOptions(StageOptions):
    """Which indicators, each for a list of periods in bars."""

    returns: Periods = Field(default_factory=list)
    volatility: LongPeriods = Field(default_factory=list)
    rsi: LongPeriods = Field(default_factory=list)
    ema_ratio: LongPeriods = Field(default_factory=list)
    bollinger: LongPeriods = Field(default_factory=list)
    macd: bool = False

    @field_validator("returns", "volatility", "rsi", "ema_ratio", "bollinger")
    @classmethod
    def _each_once(cls, value: list[int]) -> list[int]:
        if len(set(value)) != len(value):
            raise ValueError("each period may stand once")
        return value


class Indicators(Stage):
    """Log returns, realised volatility, RSI, distance to averages and bands, MACD."""

    name = "indicators"
    priority = 10
    Options = IndicatorOptions

    def lookback(self, options: IndicatorOptions) -> int:
        """Rows dropped at the start: the longest window, or the warm-up of the recursive ones."""
        windows = [*options.returns, *options.volatility, *(period - 1 for period in options.bollinger)]
        recursive = [*options.rsi, *options.ema_ratio, *([MACD_SLOW] if options.macd else [])]
        warm_up = max(WARM_UP_ROWS, WARM_UP_PERIODS * max(recursive)) if recursive else 0
        return max([*windows, warm_up], default=0)

    def columns(self, options: IndicatorOptions) -> list[str]:
        """Column names, `<indicator>_<period>`, in the order of the options' fields."""
        names = [f"{field}_{period}" for field in _PERIODIC for period in getattr(options, field)]
        return [*names, *(["macd", "macd_histogram"] if options.macd else [])]

    def _compute(self, bars: Arrays, options: Any) -> dict[str, NDArray[np.float64]]:
        close = np.ascontiguousarray(bars["close"])
        result = {f"{field}_{p}": make(close, p) for field, make in _PERIODIC.items() for p in getattr(options, field)}
        if options.macd:
            result |= _macd(close)
        return result


def _log_return(close: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """Log return over `period` bars, basis points."""
    result = np.full(len(close), np.nan)
    logs = np.log(close)
    result[period:] = (logs[period:] - logs[:-period]) * BASIS_POINTS
    return result


def _volatility(close: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """Root mean square of the last `period` one-bar log returns, basis points.

    About zero, not about their mean: over days the mean is noise. Each window is summed afresh, so a
    value depends on its window alone.
    """
    result = np.full(len(close), np.nan)
    if len(close) > period:
        squared = _log_return(close, 1)[1:] ** 2
        windows = np.lib.stride_tricks.sliding_window_view(squared, period)
        result[period:] = np.sqrt(windows.mean(axis=1))
    return result


def _rsi(close: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """Wilder's relative strength index, 0 to 100."""
    import talib

    return talib.RSI(close, timeperiod=period)


def _ema_ratio(close: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """Log distance of the close from its exponential average, basis points."""
    import talib

    return np.log(close / talib.EMA(close, timeperiod=period)) * BASIS_POINTS


def _bollinger(close: NDArray[np.float64], period: int) -> NDArray[np.float64]:
    """Place of the close within bands of two standard deviations: -1 on the lower, 1 on the upper."""
    import talib

    upper, middle, _ = talib.BBANDS(close, timeperiod=period, nbdevup=2.0, nbdevdn=2.0)
    width = upper - middle
    # Bands without width mean that nothing moved: the close lies in their middle.
    return np.divide(close - middle, width, out=np.where(width == 0, 0.0, np.nan), where=width > 0)


def _macd(close: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """MACD line and its distance from the signal line, in basis points of the close."""
    import talib

    line, _, histogram = talib.MACD(close, fastperiod=MACD_FAST, slowperiod=MACD_SLOW, signalperiod=MACD_SIGNAL)
    return {"macd": line / close * BASIS_POINTS, "macd_histogram": histogram / close * BASIS_POINTS}


_PERIODIC = {
    "returns": _log_return,
    "volatility": _volatility,
    "rsi": _rsi,
    "ema_ratio": _ema_ratio,
    "bollinger": _bollinger,
}
