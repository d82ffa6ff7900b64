"""From a calibrated row to prices, refusing what no market can do."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from fx_assets.models.calibration import Calibration
from fx_assets.models.errors import ModelOutputInvalid
from fx_assets.models.ranges import Ranges
from fx_assets.models.results import Distribution, FloatArray, Row


def price_distribution(row: Row, close: float, calibration: Calibration | Ranges, levels: FloatArray) -> Distribution:
    """Prices around `close` (quote currency) at `levels` (Q,), for each horizon.

    Raises `ModelOutputInvalid` for a price that is not positive and finite, or quantiles that cross;
    `ValueError` for a level the calibration cannot support.
    """
    with np.errstate(over="ignore", under="ignore"):  # refused below, in words
        log_quantiles = calibration.quantiles(levels, row.location, row.scale)
        prices = np.empty((len(row.location), 1 + len(levels)))
        prices[:, 0], prices[:, 1:] = row.location, log_quantiles
        np.multiply(close, np.exp(prices, out=prices), out=prices)
    median, quantiles = prices[:, 0], prices[:, 1:]
    # NaN is in no range, and so is refused too.
    if not (prices.min() > 0 and prices.max() < np.inf):
        raise ModelOutputInvalid("a price is not positive and finite; train again")
    if (quantiles[:, 1:] < quantiles[:, :-1]).any():
        raise ModelOutputInvalid("quantiles cross; train again")
    return Distribution(
        horizons=np.arange(1, len(row.location) + 1),
        location=row.location,
        scale=row.scale,
        median=median,
        levels=levels,
        quantiles=quantiles,
        log_quantiles=log_quantiles,
        volatility=row.scale.copy(),
        notes=row.notes,
    )


def with_signal(distribution: Distribution, signal: float | None) -> Distribution:
    """The distribution with its signal. Raises `ModelOutputInvalid` outside [-1, 1] (NaN is outside)."""
    if signal is None:
        return distribution
    if not -1 <= signal <= 1:
        raise ModelOutputInvalid("signal outside [-1, 1]; see _signal() of this kind")
    return replace(distribution, signal=signal)
