"""Volatility from returns: the exponentially weighted variance (RiskMetrics 1996), without any fitting."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.models.errors import FitFailed
from fx_assets.models.inputs import PairHistory

FloatArray = NDArray[np.float64]

# A standard deviation of 1e-8 a bar: thousands of times calmer than a currency peg. Frozen quotes would
# otherwise fade to 0, and the division by it to infinity.
MIN_VARIANCE = 1e-16
DEFAULT_ALPHA = 0.06

# A fitted variance this many times over or under the EWMA is not believed, and the EWMA is used instead.
BELIEVABLE = 10.0
# A fit that leaves that range on more than this share of its own training rows is refused altogether.
MOST_OUTSIDE = 0.05


def log_returns(closes: FloatArray) -> FloatArray:
    """Log returns (..., n - 1) of closes (..., n), oldest first."""
    returns: FloatArray = np.diff(np.log(closes), axis=-1)
    return returns


def ewma_variance(returns: FloatArray, *, initial: float, alpha: float = DEFAULT_ALPHA) -> float:
    """v <- (1 - alpha) v + alpha r^2 over exactly these returns (n,), from `initial`; at least `MIN_VARIANCE`.

    In squared returns per bar. Starting from a stored value, a window gives the same variance wherever it is cut from.
    """
    variance = float(initial)
    for value in np.asarray(returns, dtype=np.float64).tolist():
        variance = (1.0 - alpha) * variance + alpha * (value * value)
    return max(variance, MIN_VARIANCE)


def ewma_variances(returns: FloatArray, *, initial: float, alpha: float = DEFAULT_ALPHA) -> FloatArray:
    """As `ewma_variance` for each row of returns (B, n), equal to it bit for bit: (B,)."""
    if len(returns) == 1:  # one row is followed faster as plain numbers than as arrays of one
        return np.array([ewma_variance(returns[0], initial=initial, alpha=alpha)])
    variance = np.full(len(returns), float(initial))
    for column in np.asarray(returns, dtype=np.float64).T:
        variance = (1.0 - alpha) * variance + alpha * (column * column)
    floored: FloatArray = np.maximum(variance, MIN_VARIANCE)
    return floored


def fitted_initial_variance(histories: Mapping[str, PairHistory]) -> float:
    """Mean squared daily log return of all training rows of all pairs: what the recursion starts from.

    Raises `FitFailed` naming a pair whose close never moves.
    """
    squares = []
    for pair, history in histories.items():
        square = np.square(log_returns(history.closes))
        if not (square > 0).any():
            raise FitFailed(f"{pair}: its {len(history)} training closes never move; check its prices")
        squares.append(square)
    return max(float(np.mean(np.concatenate(squares))), MIN_VARIANCE)


def believable(ratio: Any) -> Any:
    """Whether a fitted variance over the EWMA variance is within [1/10, 10]."""
    return (ratio >= 1 / BELIEVABLE) & (ratio <= BELIEVABLE)
