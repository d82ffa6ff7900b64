"""The figures of the joint document out of the paths."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fx_assets.forecasting.document import ForecastDocument, HorizonForecast, level_key
from fx_assets.forecasting.joint.book import profits, weighted
from fx_assets.forecasting.joint.document import (
    BookRisk,
    BothSides,
    JointHorizon,
    PairAtHorizon,
    TailRisk,
    TouchProbability,
)
from fx_assets.forecasting.joint.graph import PairGraph
from fx_assets.forecasting.joint.risk import (
    RISK_LEVELS,
    aggregation,
    correlations,
    ended_beyond,
    expected_shortfall,
    touched,
    value_at_risk,
)

Floats = NDArray[np.float64]
Tails = dict[str, tuple[Floats, Floats]]

SIGMAS = (-2, -1, 1, 2)
_BP = 1e4


def horizons(
    served: Sequence[ForecastDocument], graph: PairGraph, paths: Floats, location: Floats, *, seed: int, account: str
) -> tuple[JointHorizon, ...]:
    """All pairs and the evenly spread book at each horizon.

    `served`: one document for each pair, in the order of the graph, with the same horizons and levels. `paths` (draws,
    H, P) and `location` (P, H): coherent cumulative log returns. Raises as `book.profits` does.
    """
    last = np.array([document.last_price for document in served])
    earned = profits(paths, graph, last, weighted(graph, last, account))
    book = aggregation(earned, seed=seed)
    # The book holds a P-th of a unit in each pair.
    alone, together = _tails(earned * len(graph.pairs)), _tails(earned.sum(axis=2))
    correlation, deviation = correlations(paths), paths.std(axis=0)
    levels = [float(level) for level in served[0].horizons[0].quantiles]
    simulated = np.quantile(paths, levels, axis=0)  # (Q, H, P)
    found = []
    for step, first in enumerate(served[0].horizons):
        pairs = {
            document.pair: _pair(
                document.horizons[step],
                document.last_price,
                location=float(location[column, step]),
                deviation=float(deviation[step, column]),
                simulated=simulated[:, step, column],
                risk=BothSides(**_sides(alone, (step, column))),
            )
            for column, document in enumerate(served)
        }
        sums = {
            "summed": _by_level(book.summed[0, :, step]),
            "independent": _by_level(book.independent[0, :, step]),
        }
        found.append(
            JointHorizon(
                h=first.h,
                target_time=first.target_time,
                pairs=pairs,
                correlation=tuple(tuple(row) for row in correlation[step].tolist()),
                book=BookRisk(**_sides(together, (step,)), **sums),
            )
        )
    return tuple(found)


def touches(graph: PairGraph, paths: Floats, last: Floats, sigma: Floats) -> tuple[TouchProbability, ...]:
    """Of the levels one and two one-step volatilities `sigma` (P,) under and over the last prices (P,)."""
    found = []
    for column, (pair, price, width) in enumerate(zip(graph.pairs, last.tolist(), sigma.tolist(), strict=True)):
        path = paths[:, :, column]
        for sigmas in SIGMAS:
            level = float(price * np.exp(sigmas * width))
            reached = touched(path, last=price, level=level)
            beyond = ended_beyond(path, last=price, level=level)
            found.append(
                TouchProbability(
                    pair=pair,
                    sigmas=sigmas,
                    level=level,
                    touched=tuple(reached.tolist()),
                    ended_beyond=tuple(beyond.tolist()),
                )
            )
    return tuple(found)


def _pair(
    served: HorizonForecast, last: float, *, location: float, deviation: float, simulated: Floats, risk: BothSides
) -> PairAtHorizon:
    quantiles = np.log(np.array(list(served.quantiles.values())) / last)
    differences = (simulated - quantiles) * _BP
    return PairAtHorizon(
        location=location,
        median=float(last * np.exp(location)),
        served_median=served.median,
        served_off_bp=float(np.log(served.median / last) - location) * _BP,
        volatility=served.volatility,
        simulated_volatility=deviation,
        simulated_minus_served_bp=dict(zip(served.quantiles, differences.tolist(), strict=True)),
        risk=risk,
    )


def _tails(profit: Floats) -> Tails:
    """VaR and expected shortfall of both sides, levels on the last axis."""
    return {
        side: (np.moveaxis(value_at_risk(held), 0, -1), np.moveaxis(expected_shortfall(held), 0, -1))
        for side, held in (("held", profit), ("turned_round", -profit))
    }


def _sides(tails: Tails, where: tuple[int, ...]) -> dict[str, TailRisk]:
    return {
        side: TailRisk(value_at_risk=_by_level(losses[where]), expected_shortfall=_by_level(means[where]))
        for side, (losses, means) in tails.items()
    }


def _by_level(losses: Floats) -> dict[str, float]:
    return {level_key(level): float(loss) for level, loss in zip(RISK_LEVELS, losses, strict=True)}
