"""A book's value at risk that follows what came, as ranges of a single pair do.

Whole dates of the past know how pairs moved together on average; a book leans on one side of that, and what it loses
is misjudged alike for years. So each level of each side has a factor on its simulated loss, moved by the rule of
`models.ranges`: log factor += gain (exceeded - level) with every outcome one bar ahead, from a factor of 1
`MEMORY` outcomes ago.

Chosen on the ECB's rates before 2012 alone (eight books of six pairs both ways, EWMA volatilities, 2002-07 to 2011):
the gain of the ranges takes exceptions of 1 % VaR from .29 - 1.52 % to .74 - 1.28 %, and 1.2 % off the mean tick loss;
gains of .005 and .01 and a memory of 250 do less, a longer memory no more. The same factors five bars ahead (five
books): 1.9 % off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.forecasting.document import level_key
from fx_assets.forecasting.joint.book import earned, weighted
from fx_assets.forecasting.joint.document import BothSides, JointForecast, JointHorizon, TailRisk
from fx_assets.forecasting.joint.graph import PairGraph
from fx_assets.forecasting.joint.risk import RISK_LEVELS
from fx_assets.models.ranges import GAIN, MOST

Floats = NDArray[np.float64]

MEMORY = 1000
"""Outcomes that a factor has followed at most."""


@dataclass(frozen=True, eq=False)
class Followed:
    """Logarithms of the factors (2, levels), of the book as held and turned round, after so many `outcomes`."""

    factors: Floats
    outcomes: int


def log_factors(losses: Floats, said: Floats, levels: Sequence[float], *, memory: int = MEMORY) -> Floats:
    """Logarithms of the factors on what is simulated at each of n origins, and at the one to come: (n + 1, 2, levels).

    `losses` (n, 2): what the book lost, held and turned round, in the order of time. `said` (n, 2, levels): value at
    risk as simulated. Row i has followed the outcomes of rows i - `memory` to i - 1 and nothing later. Raises
    `ValueError` for other shapes, and for levels that do not rise.
    """
    if any(later <= earlier for earlier, later in pairwise(levels)):
        raise ValueError(f"levels: expected them to rise, the rarest first; got {tuple(levels)}")
    if losses.ndim != 2 or said.shape != (*losses.shape, len(levels)):
        raise ValueError(f"expected losses (n, 2) and said (n, 2, {len(levels)}), got {losses.shape} and {said.shape}")
    count = len(losses)
    logs = np.zeros((count + 1, *said.shape[1:]))
    # All rows take one step of their own memory at once, the oldest outcome first.
    for back in range(min(memory, count), 0, -1):
        rows = slice(back, count + 1)
        before = slice(0, count + 1 - back)
        exceeded = losses[before, :, None] > said[before] * np.exp(logs[rows])
        logs[rows] = np.clip(logs[rows] + GAIN * (exceeded - np.asarray(levels)), -MOST, MOST)
    return logs


def moved(said: Floats, logs: Floats) -> Floats:
    """Losses (..., levels) times their factors; a rarer one, which comes first, is never smaller than a common one."""
    losses = said * np.exp(logs)
    rising: Floats = np.maximum.accumulate(losses[..., ::-1], axis=-1)[..., ::-1]
    return rising


def moved_books(horizons: Sequence[JointHorizon], followed: Followed | None) -> tuple[JointHorizon, ...]:
    """The same with the book's risk moved at each horizon, and as it was simulated beside it."""
    if followed is None or not followed.outcomes:
        return tuple(horizons)
    found = []
    for horizon in horizons:
        book = horizon.book
        held, turned = (_moved_risk(side, logs) for side, logs in zip(_sides(book), followed.factors, strict=True))
        simulated = BothSides(held=book.held, turned_round=book.turned_round)
        after = book.model_copy(update={"held": held, "turned_round": turned, "simulated": simulated})
        found.append(horizon.model_copy(update={"book": after}))
    return tuple(found)


def _moved_risk(simulated: TailRisk, logs: Floats) -> TailRisk:
    keys = [level_key(level) for level in RISK_LEVELS]
    at_risk = moved(np.array([simulated.value_at_risk[key] for key in keys]), logs)
    beyond = moved(np.array([simulated.expected_shortfall[key] for key in keys]), logs)
    # Each level has a factor of its own, so that a mean beyond a loss might fall below it.
    beyond = np.maximum(beyond, at_risk)
    return TailRisk(
        value_at_risk=dict(zip(keys, at_risk.tolist(), strict=True)),
        expected_shortfall=dict(zip(keys, beyond.tolist(), strict=True)),
    )


def _sides(book: BothSides) -> tuple[TailRisk, TailRisk]:
    return book.held, book.turned_round


def followed(
    rows: pa.Table, graph: PairGraph, trading_dates: NDArray[np.datetime64], closes: Floats, account: str
) -> Followed:
    """What the nights so far have taught about the evenly spread book of just these pairs.

    `rows` of the group's table. `closes` (n, P) on `trading_dates` (n,), the last of them tonight's origin. Of each
    origin before it the first document counts that was issued before its bar ended; outcomes without all prices, and
    documents of other pairs or another account, do not.
    """
    last = trading_dates[-1].astype("datetime64[D]").item()
    places = {day: row for row, day in enumerate(trading_dates.astype("datetime64[D]").tolist())}
    losses, said = list[list[float]](), list[list[list[float]]]()
    for document in _issued_in_time(rows):
        row = places.get(document.data_as_of)
        if row is None or document.data_as_of >= last or document.pairs != graph.pairs or document.account != account:
            continue
        ahead = np.log(closes[row + 1] / closes[row])
        if np.isfinite(ahead).all():
            profit = earned(ahead, graph, closes[row], weighted(graph, closes[row], account))
            losses.append([-profit, profit])
            said.append(_simulated(document))
        if len(losses) == MEMORY:
            break
    shape = (len(losses), 2, len(RISK_LEVELS))
    logs = log_factors(np.reshape(losses[::-1], shape[:2]), np.reshape(said[::-1], shape), RISK_LEVELS)
    return Followed(logs[-1], len(losses))


def _issued_in_time(rows: pa.Table) -> Iterator[JointForecast]:
    """The first document of each origin that nobody could have written with its outcome known, newest origin first.

    One after the other: years of nights need not be read for the newest of them.
    """
    ordered = rows.sort_by([("origin", "descending"), ("issued_at", "ascending")])
    told = zip(ordered.column("origin").to_pylist(), ordered.column("document"), strict=True)
    for _, same in groupby(told, key=itemgetter(0)):
        for _, text in same:
            document = JointForecast.model_validate_json(text.as_py())
            if document.issued_at < document.horizons[0].target_time:
                yield document
                break


def _simulated(document: JointForecast) -> list[list[float]]:
    book = document.horizons[0].book
    return [[side.value_at_risk[level_key(level)] for level in RISK_LEVELS] for side in _sides(book.simulated or book)]
