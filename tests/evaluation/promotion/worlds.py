"""Losses of a champion and its candidates, night after night, in worlds where one knows who is better."""

from __future__ import annotations

from datetime import UTC, date, datetime
from functools import cache

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.promotion.losses import ModelLosses
from fx_assets.metrics.losses import Floats
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end, bar_ends

FX = calendar("fx")
BEGAN = date(2022, 1, 3)
"""The trading date on whose evening the champion began to serve; the first new origin is that of the next one."""
BEGAN_AT = bar_end(BEGAN)


@cache
def nights(count: int) -> list[date]:
    """Trading dates after `BEGAN`: on night i, the gains of origins 0 to i - 1 have come due."""
    return FX.next_days(BEGAN, count)


@cache
def origins(count: int) -> NDArray[np.datetime64]:
    """Bar ends of `nights`."""
    return np.array([end.replace(tzinfo=None) for end in bar_ends(nights(count))], dtype="datetime64[us]")


def losses(name: str, crps: Floats, *, barred: str = "", first: int = 0) -> ModelLosses:
    """Of one bar (n,), or of bars 1, 5, ... (n, K); `first`: its first origin."""
    table = crps if crps.ndim == 2 else crps[:, None]
    horizons = (1, 5, 20)[: table.shape[1]]
    return ModelLosses(name, origins(first + len(table))[first:], horizons, table, barred)


def moment(day: date) -> datetime:
    """Shortly after the bar of `day` has ended."""
    return datetime.combine(day, datetime.min.time(), UTC).replace(hour=22, minute=30)


def until(losses: ModelLosses, night: int) -> ModelLosses:
    """What is known on the evening of night `night`: gains of the origins before."""
    return losses.between(None, bar_end(nights(night + 1)[night]))


def fair_gains(count: int, candidates: int, rng: np.random.Generator) -> Floats:
    """Gains (count, candidates) of mean 0, whatever is known before: correlated, t(6), with GARCH volatility."""
    shocks = rng.standard_t(6, (count, candidates)) + rng.standard_t(6, (count, 1))
    variance, gains = 1.0, np.empty((count, candidates))
    for row in range(count):
        gains[row] = np.sqrt(variance) * shocks[row]
        variance = 0.05 + 0.9 * variance + 0.05 * variance * float(shocks[row, 0]) ** 2 / 3.0
    return gains
