"""From a group's served forecasts and its common history to the joint document. Pure: writes nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.joint.coherence import coherent, error_covariance
from fx_assets.forecasting.joint.document import RISK_NOTE, SERVED_NOTE, TOUCH_NOTE, JointForecast, Member
from fx_assets.forecasting.joint.follow import Followed, moved_books
from fx_assets.forecasting.joint.graph import PairGraph
from fx_assets.forecasting.joint.history import LEAST_DATES, WholeDates, standardised, whole_dates
from fx_assets.forecasting.joint.simulate import DRAWS, content_seed, simulate, step_volatility
from fx_assets.forecasting.joint.summary import horizons, touches
from fx_assets.models.errors import InsufficientHistory

Floats = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class JointHistory:
    """Prices and volatilities of a group's pairs on common dates, oldest first; the last row is the origin.

    `trading_dates` (n,) datetime64[D]; `closes` and `volatility` (n, P), in the order of the graph's pairs and as
    `history.standardised` takes them. `location` (n, P), if known: of the next log return as forecast at the row, NaN
    where not; errors of crosses beyond those of their legs are learned from it. `rescaled`: the volatilities are of
    another model than the served forecasts.
    """

    trading_dates: NDArray[np.datetime64]
    closes: Floats
    volatility: Floats
    location: Floats | None = None
    rescaled: bool = False


def joint_forecast(
    served: Sequence[ForecastDocument],
    graph: PairGraph,
    history: JointHistory,
    *,
    group: str,
    now: datetime,
    run_id: str,
    account: str | None = None,
    draws: int = DRAWS,
    most: int | None = None,
    followed: Followed | None = None,
) -> JointForecast:
    """The joint forecast of the pairs of `graph` from one served forecast each, all from one origin.

    `now` (aware) becomes `issued_at`; `account`: currency of the risk figures, the numeraire if not given; `most`: only
    so many dates back; `followed`: what outcomes say of the book's risk.

    Raises `InsufficientHistory` for too few whole dates, `ValueError` naming the pair for forecasts
    that are missing, of another origin, horizon or frequency, or whose last price is not the history's.
    """
    documents = _aligned(served, graph, history)
    if now.tzinfo is None:
        raise ValueError("now has no time zone; give an aware time such as datetime.now(UTC)")
    last = np.array([document.last_price for document in documents])
    medians = np.array([[horizon.median for horizon in document.horizons] for document in documents])
    volatility = np.array([[horizon.volatility for horizon in document.horizons] for document in documents])
    columns, until = graph.leg_columns, len(history.closes) - 1
    errors = standardised(history.closes, history.volatility, graph.pairs, history.location)[:, columns]
    dates = whole_dates(errors, graph.legs, until=until, most=most)
    residuals = dates.centred(rescaled=history.rescaled)
    gaps, known = _gaps(graph, history, dates)
    covariance = error_covariance(residuals[known], graph, volatility[columns], gaps[known])
    location = coherent(np.log(medians / last[:, None]), graph, covariance)
    steps, falls = step_volatility(volatility[columns])
    members = [
        Member(pair=d.pair, model_id=d.model_id, model_version=d.model_version, last_price=d.last_price)
        for d in documents
    ]
    seed = content_seed(group, [member.model_dump() for member in members], location, steps, residuals, draws)
    paths = simulate(residuals, graph, steps=steps, seed=seed, location=location, draws=draws)
    money = account or graph.numeraire
    first = documents[0]
    notes = [SERVED_NOTE, TOUCH_NOTE, RISK_NOTE]
    if falls:
        notes.append(f"{falls} steps stand still: a served volatility is lower there than one horizon before")
    outcomes = 0 if followed is None else followed.outcomes
    if outcomes:
        notes.append(
            f"the risk of the book has followed {outcomes} outcomes one bar ahead; simulated is what it was without"
        )
    days = history.trading_dates[dates.rows[[0, -1]]].astype("datetime64[D]").tolist()
    return JointForecast(
        group=group,
        frequency=first.frequency,
        origin=first.origin,
        data_as_of=first.data_as_of,
        issued_at=now.astimezone(UTC),
        run_id=run_id,
        pairs=graph.pairs,
        numeraire=graph.numeraire,
        account=money,
        legs=graph.legs,
        crosses={cross: graph.recipe(cross) for cross in graph.crosses},
        members=tuple(members),
        horizons=moved_books(horizons(documents, graph, paths, location, seed=seed, account=money), followed),
        touches=touches(graph, paths, last, volatility[:, 0]),
        dates_used=len(dates.rows),
        dates_left_out=dates.left_out,
        first_date=days[0],
        last_date=days[1],
        rescaled=history.rescaled,
        seed=seed,
        draws=draws,
        book_outcomes=outcomes,
        notes=tuple(notes),
    )


def _gaps(graph: PairGraph, history: JointHistory, dates: WholeDates) -> tuple[Floats, NDArray[np.bool_]]:
    """By how much errors of crosses were above those of their legs, (n, K), and the dates (n,) on which that is known.

    Outcomes add up, so the locations alone tell; where none are given, nothing was off.
    """
    if history.location is None:
        return np.zeros((len(dates.rows), len(graph.crosses))), np.ones(len(dates.rows), dtype=np.bool_)
    gaps = -(history.location[dates.rows - 1] @ graph.constraints.T)
    known = np.asarray(np.isfinite(gaps).all(axis=1))
    if (count := int(known.sum())) < LEAST_DATES:
        raise InsufficientHistory(
            f"locations of {', '.join(graph.crosses)} are known with those of their legs on {count} dates, at "
            f"least {LEAST_DATES} are needed; give more, or none at all"
        )
    return gaps, known


def _aligned(served: Sequence[ForecastDocument], graph: PairGraph, history: JointHistory) -> list[ForecastDocument]:
    """One document for each pair of the graph, in its order."""
    by_pair = {document.pair: document for document in served}
    if len(by_pair) != len(served) or set(by_pair) != set(graph.pairs):
        found = ", ".join(sorted(document.pair for document in served)) or "none"
        raise ValueError(f"expected one served forecast of each of {', '.join(graph.pairs)}, found {found}")
    documents = [by_pair[pair] for pair in graph.pairs]
    shape = (len(history.trading_dates), len(graph.pairs))
    if not shape[0] or history.closes.shape != shape or history.volatility.shape != shape:
        raise ValueError(
            f"history: expected closes and volatility {shape}, got {history.closes.shape}, {history.volatility.shape}"
        )
    first = documents[0]
    for document, close in zip(documents, history.closes[-1].tolist(), strict=True):
        for name in ("frequency", "origin", "data_as_of"):
            mine, others = getattr(document, name), getattr(first, name)
            if mine != others:
                raise ValueError(
                    f"{document.pair}: {name} {mine}, but that of {first.pair} is {others}; join equals only"
                )
        if [(each.target_time, *each.quantiles) for each in document.horizons] != [
            (each.target_time, *each.quantiles) for each in first.horizons
        ]:
            raise ValueError(
                f"{document.pair}: its horizons have other target times or levels than those of {first.pair}"
            )
        if close != document.last_price:
            raise ValueError(
                f"{document.pair}: the history ends with the price {close}, its forecast begins at "
                f"{document.last_price}; give prices up to the origin"
            )
    if history.trading_dates[-1].astype("datetime64[D]").item() != first.data_as_of:
        raise ValueError(f"history ends on {history.trading_dates[-1]}, the forecasts begin on {first.data_as_of}")
    return documents
