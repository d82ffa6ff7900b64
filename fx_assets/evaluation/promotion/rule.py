"""Who serves from now on: the serving champion, unless the evidence against it is strong. Nothing else promotes.

Two ways, each at 2.5 %, on 250 new origins at least, by the CRPS one bar ahead:

- On the declared decision dates (`promotion.dates`), from the origins since the last decision: the best of all
  candidates must be better than the champion allowing for how many were tried (superior predictive ability, Hansen
  2005), and the one that is promoted must be better by itself (one-sided Diebold-Mariano, Holm over the candidates).
  Where there are too few new origins nothing is decided, and they go on counting; where there are enough they are used
  up by the decision, whatever it is. Daily bars thus come to one such decision a year.
- On every night, from all origins since the champion began to serve: a bet of 40 times the number of candidates
  (`promotion.capital`), at which one may look as often as one likes.

Neither promotes a model whose CRPS is shown worse at a longer horizon, on all origins there are. All candidates that
ever forecast beside the champion count, also those that are gone: a bad one cannot be forgotten.

What that guarantees where nobody is better. While one champion serves, any bet reaches its mark with 2.5 % at most, in
all the time it serves (for the gains that `inference.sequential` says). Each scheduled decision errs with 2.5 % at most
(as samples grow) and uses up 250 origins. So in N origins some promotion comes with 2.5 % + N / 250 x 2.5 % at most: in
four years of daily bars (1,040 origins, four decisions) with 12.5 %, 3.1 % a year. Asking p < .05 every night has no
bound at all: by the law of the iterated logarithm it promotes in the end. A test simulates both.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from fx_assets.evaluation.promotion.dates import newest_decision_date
from fx_assets.evaluation.promotion.evidence import LEAST_ORIGINS, LEVEL, Found, scheduled, sequential
from fx_assets.evaluation.promotion.losses import ModelLosses
from fx_assets.evaluation.promotion.standing import Standing
from fx_assets.storage.decisions import Decision, DecisionKind
from fx_assets.timegrid.calendars import TradingCalendar
from fx_assets.timegrid.trading_dates import bar_end


@dataclass(frozen=True)
class Ruling:
    """What the evidence says tonight. `kind` is None where nothing is decided: then nothing is to be recorded.

    `decision_date`: the declared date of a scheduled ruling, else tonight's. `evidence` is JSON.
    """

    kind: DecisionKind | None
    decision_date: date
    champion_before: str
    champion_after: str
    reason: str
    evidence: Mapping[str, Any]

    def decision(
        self, newest: Decision | None, pair: str, frequency: str, *, decided_at: datetime, decided_by: str, run_id: str
    ) -> Decision:
        """As it is recorded, after the `newest` decision on record. Raises `ValueError` where nothing is decided."""
        if self.kind is None:
            raise ValueError(f"{pair} {frequency}: nothing was decided ({self.reason}), so there is nothing to record")
        return Decision(
            pair=pair,
            frequency=frequency,
            number=1 if newest is None else newest.number + 1,
            decided_at=decided_at,
            decision_date=self.decision_date,
            kind=self.kind,
            champion_before=None if self.kind == "initial" else self.champion_before,
            champion_after=self.champion_after,
            reason=self.reason,
            evidence=dict(self.evidence),
            decided_by=decided_by,
            run_id=run_id,
        )


def rule(
    standing: Standing,
    champion: ModelLosses,
    candidates: Sequence[ModelLosses],
    *,
    today: date,
    calendar: TradingCalendar,
    trials: int,
    seed: int = 0,
) -> Ruling:
    """Who serves from tonight on, the trading date `today`.

    `champion`, `candidates`: losses of all origins there are; the new ones are chosen here. `candidates` are all models
    that forecast since the champion serves, but none whose inputs saw a later market than the price its target begins
    with: such a gain is no skill. `trials`: the ledger's count, for the record. A pair for which nothing was ever
    decided gets its `initial` decision, from which origins begin to count. A decision date whose night failed is made
    up for, from the origins it would have seen. Raises `ValueError` for losses of other models than they should be.
    """
    _check(standing, champion, candidates)
    if standing.decided_at is None or standing.serving_since is None or standing.decision_date is None:
        said = f"nothing was decided before: {standing.champion} serves, and new origins count from here"
        return Ruling("initial", today, standing.champion, standing.champion, said, {"trials": trials})
    if champion.barred:
        said = f"{standing.champion} cannot serve ({champion.barred}): promote another model or roll back by hand"
        return Ruling(None, today, standing.champion, standing.champion, said, {"trials": trials})
    due = newest_decision_date(today, calendar)
    tested = Found({}, f"{due}, the newest decision date, lies behind the decision of {standing.decision_date}")
    if due > standing.decision_date:
        tested = scheduled(champion, candidates, after=standing.decided_at, before=bar_end(due), seed=seed)
    bets = sequential(champion, candidates, after=standing.serving_since)
    evidence = {
        "level": LEVEL,
        "least_origins": LEAST_ORIGINS,
        "trials": trials,
        "scheduled": dict(tested.evidence),
        "sequential": dict(bets.evidence),
    }
    if tested.promoted is not None:
        return Ruling("scheduled", due, standing.champion, tested.promoted, tested.said, evidence)
    if bets.promoted is not None:
        return Ruling("sequential", today, standing.champion, bets.promoted, bets.said, evidence)
    kind: DecisionKind | None = "scheduled" if tested.decided else None
    said = f"{standing.champion} stays. Decision dates: {tested.said}. Every night: {bets.said}"
    return Ruling(kind, due if kind else today, standing.champion, standing.champion, said, evidence)


def _check(standing: Standing, champion: ModelLosses, candidates: Sequence[ModelLosses]) -> None:
    if champion.model_id != standing.champion:
        raise ValueError(f"losses of {champion.model_id} for the champion, but {standing.champion} serves")
    names = [standing.champion, *(candidate.model_id for candidate in candidates)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)}: given twice among champion and candidates")
