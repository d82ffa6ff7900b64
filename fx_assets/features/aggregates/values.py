"""What is aggregated: one number of each bar, in basis points of price where it is a price at all."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fx_assets.features.frames import FloatArray

_BASIS_POINTS = 1e4


@dataclass(frozen=True)
class Value:
    """One number of each bar. `needs`: the bar columns it is made of."""

    needs: tuple[str, ...]
    about: str
    of: Callable[[Mapping[str, FloatArray]], FloatArray]


def log_close(bars: Mapping[str, FloatArray]) -> FloatArray:
    """Log of the close, basis points: differences of it are distances."""
    return np.log(bars["close"]) * _BASIS_POINTS


def _returns(bars: Mapping[str, FloatArray]) -> FloatArray:
    return np.diff(log_close(bars), prepend=np.nan)


def _range(bars: Mapping[str, FloatArray]) -> FloatArray:
    return np.log(bars["high"] / bars["low"]) * _BASIS_POINTS


def _spread(bars: Mapping[str, FloatArray]) -> FloatArray:
    return bars["spread"] / bars["close"] * _BASIS_POINTS


VALUES: dict[str, Value] = {
    "close": Value(("close",), "log close, bp", log_close),
    "returns": Value(("close",), "log return since the bar before, bp", _returns),
    "range": Value(("high", "low"), "log of high over low, bp", _range),
    "spread": Value(("spread", "close"), "mean spread over close, bp", _spread),
    "ticks": Value(("ticks",), "quotes in the bar", lambda bars: bars["ticks"]),
    "volume": Value(("volume",), "volume of the bar", lambda bars: bars["volume"]),
}
