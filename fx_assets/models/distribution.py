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
        median, quantiles = close * np.exp(row.location), close * np.exp(log_quantiles)
    prices = np.column_stack([median, quantiles])
    if not (np.isfinite(prices) & (prices > 0)).all():
        raise ModelOutputInvalid("a price is not positive and finite; train again")
    if (np.diff(quantiles, axis=1) < 0).any():
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
    if signal is not None and not -1 <= signal <= 1:
        raise ModelOutputInvalid("signal outside [-1, 1]; see _signal() of this kind")
    return replace(distribution, signal=signal)
