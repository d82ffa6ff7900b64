"""Who serves a pair and frequency, since when and why: one decision after the other, added and never changed.

The champion at a moment is that of the newest decision at or before it; before the first, a rule of `forecasting` says.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from fx_assets.storage.control_schema import DECISIONS
from fx_assets.storage.errors import StorageError
from fx_assets.storage.hashing import canonical_json

DecisionKind = Literal["scheduled", "sequential", "override", "rollback", "initial"]
# Only a scheduled decision may leave the champion as it was: the others are made to change it, or to begin.
_MAY_KEEP: frozenset[DecisionKind] = frozenset({"scheduled", "initial"})


class DecisionConflict(StorageError):
    """Another decision of the pair and frequency came first, so this one was made of what no longer holds."""


@dataclass(frozen=True)
class Decision:
    """Decision `number` (1, 2, ...) of a pair and frequency.

    `champion_before`: of the decision before, or the rule's where this is the first; None where nobody was served.
    `decision_date`: the trading date it belongs to; `decided_at` (aware): from when on it holds. `evidence`: whatever
    was weighed, as JSON. `decided_by`: a person's name, or of the asset. Raises `ValueError` for what is no decision.
    """

    pair: str
    frequency: str
    number: int
    decided_at: datetime
    decision_date: date
    kind: DecisionKind
    champion_before: str | None
    champion_after: str
    reason: str
    evidence: Mapping[str, Any]
    decided_by: str
    run_id: str

    def __post_init__(self) -> None:
        named = f"decision {self.number} of {self.pair} {self.frequency}"
        if self.kind not in get_args(DecisionKind):
            raise ValueError(f"{named}: kind {self.kind!r}, expected one of {', '.join(get_args(DecisionKind))}")
        if self.number < 1 or (self.kind == "initial") > (self.number == 1):
            raise ValueError(f"{named}: numbers begin with 1, and only the first decision is initial")
        if self.decided_at.tzinfo is None:
            raise ValueError(f"{named}: decided_at {self.decided_at} has no time zone; use UTC")
        if not self.champion_after or not self.reason.strip() or not self.decided_by:
            raise ValueError(f"{named}: say the champion, the reason and who decides")
        if self.champion_after == self.champion_before and self.kind not in _MAY_KEEP:
            raise ValueError(f"{named}: {self.champion_after} is the champion already, so {self.kind} changes nothing")
        canonical_json(self.evidence)  # ValueError or TypeError for NaN, dates and the like, saying where

    @property
    def id(self) -> str:
        """Its name for ever: `EURUSD/1d/3`."""
        return f"{self.pair}/{self.frequency}/{self.number}"

    @property
    def changed(self) -> bool:
        """Whether another model serves since."""
        return self.champion_before != self.champion_after


def decide(connection: sa.Connection, decision: Decision) -> None:
    """Add the decision if it follows the newest one, to the number and to the champion; nothing else is written.

    Raises `DecisionConflict` where another came first, also one at the same moment in another process; `ValueError`
    for one that is dated before the newest, or begins from another champion than that one left.
    """
    pair, frequency = decision.pair, decision.frequency
    newest = at(connection, pair, frequency)
    if decision.number != (0 if newest is None else newest.number) + 1:
        raise _conflict(decision, newest)
    if newest is not None and decision.champion_before != newest.champion_after:
        raise ValueError(
            f"{decision.id} begins from {decision.champion_before!r}, but {newest.champion_after!r} serves"
        )
    if newest is not None and decision.decided_at < newest.decided_at:
        raise ValueError(
            f"{decision.id} is of {decision.decided_at.isoformat()}, before {newest.id} of "
            f"{newest.decided_at.isoformat()}: who served in the past does not change; check this machine's clock"
        )
    try:
        connection.execute(sa.insert(DECISIONS).values({**asdict(decision), "evidence": dict(decision.evidence)}))
    except IntegrityError as error:  # PostgreSQL: two looked before either had written
        raise _conflict(decision, None) from error


def history(connection: sa.Connection, pair: str | None = None, frequency: str | None = None) -> list[Decision]:
    """Decisions, the oldest first of each pair and frequency: of one, or of all."""
    table = DECISIONS.c
    query = sa.select(DECISIONS).order_by(table.pair, table.frequency, table.number)
    if pair is not None:
        query = query.where(table.pair == pair)
    if frequency is not None:
        query = query.where(table.frequency == frequency)
    return _all(connection, query)


def at(connection: sa.Connection, pair: str, frequency: str, when: datetime | None = None) -> Decision | None:
    """The newest decision at or before `when` (aware), of all where it is None; None before the first."""
    table = DECISIONS.c
    query = sa.select(DECISIONS).where(table.pair == pair, table.frequency == frequency)
    if when is not None:
        query = query.where(table.decided_at <= when)
    return next(iter(_all(connection, query.order_by(table.number.desc()).limit(1))), None)


def served(decision: Decision | None, rule: str, able: Collection[str]) -> str:
    """Who really serves: the champion that was decided, where it is among those `able` to, else the `rule`'s.

    `able`: models that are configured for the pair and frequency. A champion that comes back serves again.
    """
    return rule if decision is None or decision.champion_after not in able else decision.champion_after


def before_that(decisions: Sequence[Decision]) -> str | None:
    """The champion that a roll back returns to, of all decisions of one pair and frequency, oldest first.

    The one that served before the present one was chosen. After a roll back that is the one before the champion which
    was returned to: rolling back twice goes back two, never forth. None where no other has served.
    """
    seen: list[str] = []
    for decision in decisions:
        if decision.number == 1 and decision.champion_before is not None:
            seen.append(decision.champion_before)
        if decision.kind == "rollback":
            del seen[-1:]
        if seen[-1:] != [decision.champion_after]:
            seen.append(decision.champion_after)
    return seen[-2] if len(seen) > 1 else None


def _conflict(decision: Decision, newest: Decision | None) -> DecisionConflict:
    said = "another decision was written at the same moment"
    if newest is not None:
        said = f"{newest.id} was made by {newest.decided_by} at {newest.decided_at.isoformat()}: {newest.reason}"
    return DecisionConflict(f"{decision.id} was not recorded, it does not follow the newest one ({said}); look again")


def _all(connection: sa.Connection, query: sa.Select[tuple[object, ...]]) -> list[Decision]:
    return [_decision(row) for row in connection.execute(query).mappings()]


def _decision(row: Mapping[Any, Any]) -> Decision:
    values = dict(row)
    values["decided_at"] = values["decided_at"].astimezone(UTC)
    return Decision(**values)
