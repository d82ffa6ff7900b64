"""The ledger of every trial that a search has ever run: rows are added, never changed, never deleted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

from fx_assets.storage.control_schema import TRIALS
from fx_assets.storage.hashing import canonical_json


@dataclass(frozen=True)
class LedgerEntry:
    """One trial. `study` and `number` name it; times are aware, UTC once stored.

    `state`: complete, pruned or failed. `loss`: the mean of `folds`, the out-of-fold losses it got to. `run_id` and
    `recorded_at` say who wrote the row first, and when; they are no part of the trial.
    """

    study: str
    number: int
    model_id: str
    kind: str
    pairs: tuple[str, ...]
    values: Mapping[str, Any]
    state: str
    loss: float | None
    folds: tuple[float, ...]
    started_at: datetime
    ended_at: datetime
    reason: str
    run_id: str
    recorded_at: datetime = field(default_factory=lambda: datetime.now(UTC))

    @property
    def content(self) -> str:
        """The trial as one text: True, 1 and 1.0 are different values. Raises `ValueError` for a loss like NaN."""
        row = {name: value for name, value in asdict(self).items() if name not in ("run_id", "recorded_at")}
        moments = {name: row[name].astimezone(UTC).isoformat() for name in ("started_at", "ended_at")}
        return canonical_json({**row, **moments})


def record(connection: sa.Connection, entry: LedgerEntry) -> None:
    """Add a trial; harmless when it is known, `ValueError` when known with other content."""
    content, table = entry.content, TRIALS.c
    known = _entries(connection, sa.and_(table.study == entry.study, table.number == entry.number))
    if not known:
        row = {**asdict(entry), "pairs": list(entry.pairs), "folds": list(entry.folds), "values": dict(entry.values)}
        connection.execute(sa.insert(TRIALS).values(row))
    elif known[0].content != content:
        raise ValueError(
            f"trial {entry.number} of {entry.study} is in the ledger with other content: what was tried never changes; "
            f"if the database of searches was restored from a backup, restore this one with it or begin another search"
        )


def entries(connection: sa.Connection, *, pair: str | None = None, model_id: str | None = None) -> list[LedgerEntry]:
    """Trials of a pair, a model, both or all, the newest last. A panel's trial is one of each of its pairs."""
    conditions: list[sa.ColumnElement[bool]] = [sa.true()]
    if pair is not None:
        # A list of plain names in JSON holds each of them between quotation marks.
        conditions.append(sa.cast(TRIALS.c.pairs, sa.Text).contains(f'"{pair}"', autoescape=True))
    if model_id is not None:
        conditions.append(TRIALS.c.model_id == model_id)
    return _entries(connection, sa.and_(*conditions))


def _entries(connection: sa.Connection, where: sa.ColumnElement[bool]) -> list[LedgerEntry]:
    table = TRIALS.c
    query = sa.select(TRIALS).where(where).order_by(table.ended_at, table.study, table.number)
    rows = connection.execute(query).mappings()
    return [LedgerEntry(**{**row, "pairs": tuple(row["pairs"]), "folds": tuple(row["folds"])}) for row in rows]
