"""Directional calls: were they right, what is left of them after costs, and how often they must be right.

A call is the sign of the forecast: one unit of base currency bought or sold at `start` and closed at the end of the
window, both at the mid, less what a round trip costs. A forecast of 0 is no call: it has no hit, no result and no cost.
A call on a market that did not move (y of 0) is a miss: it won nothing and has paid. So a hit rate above the break-even
one and a mean net result above 0 are the same statement. Before financing. At horizons over one bar windows overlap:
their results are not the profit of an account, which the back-test tells.

Arguments as in `units`; what a round trip costs, `spread_pips` and `commission_per_million` (quote currency for a
million of base currency, on each of the two fills), as in the pair's `costs`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from fx_assets.metrics.losses import Floats, _alike
from fx_assets.metrics.units import error_in_pips

_MILLION = 1e6


def hits(*, y: ArrayLike, y_hat: ArrayLike) -> Floats:
    """1 where the call was right, 0 where it was wrong or the market did not move, NaN where there was no call.

    `y` and `y_hat` (n,) in any unit; returns (n,). The mean over what is not NaN is the hit rate.
    """
    actual, forecast = _windows(y, y_hat)
    right = (np.sign(actual) == np.sign(forecast)).astype(np.float64)
    return np.where(forecast == 0, np.nan, right)


def gross_pips(*, y: ArrayLike, y_hat: ArrayLike, start: ArrayLike, pip: float) -> Floats:
    """What each call made before costs, in pips, (n,); 0 where there was no call."""
    actual, forecast = _windows(y, y_hat)
    return np.asarray(np.sign(forecast) * error_in_pips(y=actual, y_hat=np.zeros_like(actual), start=start, pip=pip))


def round_trip_pips(*, pip: float, spread_pips: float, commission_per_million: float) -> float:
    """What it costs to enter and leave a position, in pips: the spread once, and the commission twice."""
    if not (math.isfinite(pip) and pip > 0):
        raise ValueError(f"pip: expected a number above 0, got {pip}")
    for name, value in (("spread_pips", spread_pips), ("commission_per_million", commission_per_million)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name}: expected a number of 0 or more, got {value}")
    return spread_pips + 2 * commission_per_million / _MILLION / pip


def net_pips(
    *,
    y: ArrayLike,
    y_hat: ArrayLike,
    start: ArrayLike,
    pip: float,
    spread_pips: float,
    commission_per_million: float,
) -> Floats:
    """What each call made after costs, in pips, (n,); 0 where there was no call."""
    gross = gross_pips(y=y, y_hat=y_hat, start=start, pip=pip)
    cost = round_trip_pips(pip=pip, spread_pips=spread_pips, commission_per_million=commission_per_million)
    return np.where(np.asarray(y_hat, dtype=np.float64) == 0, 0.0, gross - cost)


def break_even_hit_rate(*, average_win: float, average_loss: float, cost: float) -> float:
    """The share of calls that must be right to earn nothing and lose nothing: (loss + cost) / (win + loss).

    All in one unit and per call, 0 or more: gross win of a hit, gross loss of a miss, cost of any. Above 1 where even
    an average win does not pay the cost. Raises `ValueError` for a number below 0, and where nothing moves.
    """
    for name, value in (("average_win", average_win), ("average_loss", average_loss), ("cost", cost)):
        if not (math.isfinite(value) and value >= 0):
            raise ValueError(f"{name}: expected a number of 0 or more, got {value}")
    if average_win + average_loss == 0:
        raise ValueError("average_win and average_loss are both 0: no hit rate earns a cost where nothing moves")
    return (average_loss + cost) / (average_win + average_loss)


@dataclass(frozen=True)
class Calls:
    """What the calls of many windows came to; pips. None where there is no call, hit or miss to take a mean of."""

    windows: int
    calls: int
    hit_rate: float | None
    average_win: float | None
    average_loss: float | None
    cost: float
    mean_net: float | None
    break_even: float | None


def summarise_calls(
    *,
    y: ArrayLike,
    y_hat: ArrayLike,
    start: ArrayLike,
    pip: float,
    spread_pips: float,
    commission_per_million: float,
) -> Calls:
    """Hit rate, average gross win and loss, mean net result and break-even hit rate of all calls; all (n,), pips."""
    gross = gross_pips(y=y, y_hat=y_hat, start=start, pip=pip)
    cost = round_trip_pips(pip=pip, spread_pips=spread_pips, commission_per_million=commission_per_million)
    hit = hits(y=y, y_hat=y_hat)
    called = ~np.isnan(hit)
    win, loss = _mean(gross[hit == 1]), _mean(-gross[hit == 0])
    mean_gross = _mean(gross[called])
    return Calls(
        windows=len(hit),
        calls=int(called.sum()),
        hit_rate=_mean(hit[called]),
        average_win=win,
        average_loss=loss,
        cost=cost,
        mean_net=None if mean_gross is None else mean_gross - cost,
        break_even=None
        if win is None or loss is None
        else break_even_hit_rate(average_win=win, average_loss=loss, cost=cost),
    )


def _mean(values: Floats) -> float | None:
    return float(values.mean()) if len(values) else None


def _windows(y: ArrayLike, y_hat: ArrayLike) -> list[Floats]:
    arrays = _alike(y=y, y_hat=y_hat)
    if arrays[0].ndim != 1:
        raise ValueError(f"expected y and y_hat (n,), one number a window; got {arrays[0].shape}")
    return arrays
