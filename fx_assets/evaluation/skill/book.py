"""A book of all pairs: its 1 % value at risk by joint simulation, replayed at every origin that has history enough."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.skill.tracks import TAIL
from fx_assets.evaluation.skill.walked import Said
from fx_assets.forecasting.joint.backtest import replay
from fx_assets.forecasting.joint.graph import connected, pair_graph
from fx_assets.forecasting.joint.history import LEAST_DATES
from fx_assets.models.inputs import PairHistory

DRAWS = 2000


@dataclass(frozen=True, eq=False)
class BookTrack:
    """One unit of account currency spread evenly over `pairs`: `held` and `turned` (k,), whether the loss of the book,
    and of the book turned round, was above its value at risk as the outcomes before had moved it."""

    pairs: tuple[str, ...]
    account: str
    held: NDArray[np.bool_]
    turned: NDArray[np.bool_]


def book_track(said: Mapping[str, Said], closes: Mapping[str, PairHistory], *, draws: int = DRAWS) -> BookTrack | None:
    """One day ahead, volatilities as forecast; None where the pairs are one, not connected, or have few dates."""
    if len(closes) < 2 or len(connected(closes)) != 1:
        return None
    graph = pair_graph(closes)
    ends = _common(closes)
    prices = np.column_stack([closes[pair].closes[np.isin(closes[pair].ends, ends)] for pair in graph.pairs])
    volatility = np.full(prices.shape, np.nan)
    for column, pair in enumerate(graph.pairs):
        forecasts = said[pair].forecasts
        at = closes[pair].ends[forecasts.rows]
        shared = np.isin(at, ends)
        volatility[np.searchsorted(ends, at[shared]), column] = forecasts.scale[shared, forecasts.steps.index(1)]
    rows = np.flatnonzero(np.isfinite(volatility).all(axis=1))
    # The first forecast's error is known one row later, so as many errors as dates are asked for lie before this one.
    origins = rows[LEAST_DATES:]
    origins = origins[origins < len(ends) - 1]
    if not len(origins):
        return None
    found = replay(prices, volatility, graph, origins=origins, levels=(TAIL,), draws=draws)
    exceptions = found.exceptions("followed")[:, :, 0]
    return BookTrack(graph.pairs, graph.numeraire, exceptions[:, 0], exceptions[:, 1])


def _common(closes: Mapping[str, PairHistory]) -> NDArray[np.datetime64]:
    histories = list(closes.values())
    ends = histories[0].ends
    for history in histories[1:]:
        ends = np.intersect1d(ends, history.ends)
    return ends
