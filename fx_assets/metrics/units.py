"""Errors of log returns in the units that people speak: basis points, price and pips.

All arguments are keyword-only. `y` and `y_hat` are cumulative log returns since the origin, (n,) or (n, q) with windows
on the first axis; `start` (n,) is the price at the origin in quote currency, above 0; `pip` is one number, the pair's
pip in quote currency. Signed errors, actual less forecast, of the shape of `y`: pass them on to a mean of squares or of
absolute values. Raises `ValueError` naming the argument for a wrong shape or a value that is not finite.

Other scores in price or pips: hand y and quantiles through `price_at` (and `in_pips`) to a loss of `losses`. Quantiles
carry over, and so does the median; the mean does not, since exp(mean of log) is below the mean price.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fx_assets.metrics.losses import Floats, _alike, _finite

BASIS_POINTS = 1e4


def price_at(*, log_return: ArrayLike, start: ArrayLike) -> Floats:
    """The price that a log return (n,) or (n, q) leads to from `start` (n,): in quote currency, of that shape."""
    change = _finite("log_return", log_return)
    return np.asarray(_start(start, change) * np.exp(change))


def in_pips(*, price: ArrayLike, pip: float) -> Floats:
    """A price, or a difference of prices, of any shape, in pips."""
    if not (np.isfinite(pip) and pip > 0):
        raise ValueError(f"pip: expected a number above 0, got {pip}")
    return np.asarray(_finite("price", price) / pip)


def error_in_basis_points(*, y: ArrayLike, y_hat: ArrayLike) -> Floats:
    """(y - y_hat) in hundredths of a percent of log return."""
    actual, forecast = _alike(y=y, y_hat=y_hat)
    return np.asarray((actual - forecast) * BASIS_POINTS)


def error_in_price(*, y: ArrayLike, y_hat: ArrayLike, start: ArrayLike) -> Floats:
    """start exp(y) - start exp(y_hat), exact also for small errors, in quote currency."""
    actual, forecast = _alike(y=y, y_hat=y_hat)
    return np.asarray(_start(start, actual) * np.exp(forecast) * np.expm1(actual - forecast))


def error_in_pips(*, y: ArrayLike, y_hat: ArrayLike, start: ArrayLike, pip: float) -> Floats:
    """`error_in_price` in pips."""
    return in_pips(price=error_in_price(y=y, y_hat=y_hat, start=start), pip=pip)


def _start(start: ArrayLike, like: Floats) -> Floats:
    """Prices (n,), with an axis added where `like` has one more."""
    prices = _finite("start", start)
    if like.ndim not in (1, 2) or prices.shape != like.shape[:1]:
        raise ValueError(f"expected log returns (n,) or (n, q) and start (n,); got {like.shape} and {prices.shape}")
    if (prices <= 0).any():
        raise ValueError("start: expected prices above 0")
    return prices if like.ndim == 1 else prices[:, None]
