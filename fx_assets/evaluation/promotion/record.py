"""Decisions as they lie in the lake: the control database decides, and this is what any engine can read of it."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict

import pyarrow as pa

from fx_assets.storage.decisions import Decision
from fx_assets.storage.hashing import canonical_json

DECISION_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("frequency", pa.string()),
        pa.field("number", pa.int32()),
        pa.field("decided_at", pa.timestamp("us", tz="UTC")),
        pa.field("decision_date", pa.date32()),
        pa.field("kind", pa.string()),
        pa.field("champion_before", pa.string()),
        pa.field("champion_after", pa.string()),
        pa.field("reason", pa.string()),
        pa.field("evidence", pa.string()),
        pa.field("decided_by", pa.string()),
        pa.field("run_id", pa.string()),
    ]
)


def to_table(decisions: Sequence[Decision]) -> pa.Table:
    """Rows of `DECISION_SCHEMA` in the order given; `evidence` is canonical JSON."""
    rows = [{**asdict(one), "evidence": canonical_json(dict(one.evidence))} for one in decisions]
    return pa.Table.from_pylist(rows, schema=DECISION_SCHEMA)


def from_table(table: pa.Table) -> list[Decision]:
    """What `to_table` wrote, by number."""
    rows = table.select(DECISION_SCHEMA.names).sort_by("number").to_pylist()
    return [Decision(**{**row, "evidence": json.loads(row["evidence"])}) for row in rows]


def lost(told: Sequence[Decision], recorded: Sequence[Decision]) -> list[Decision]:
    """Decisions that are `told` in the lake and missing where they are recorded: the commit came, the crash, no more.

    None where what is recorded went another way since: a person has decided after the crash, and that stands.
    """
    return list(told[len(recorded) :]) if list(told[: len(recorded)]) == list(recorded) else []


def in_markdown(decisions: Sequence[Decision]) -> str:
    """The newest first, a line each."""
    lines = ["| decided | champion | kind | by | reason |", "|---|---|---|---|---|"]
    for one in reversed(decisions):
        before = one.champion_before or "nobody"
        champion = f"{before} → **{one.champion_after}**" if one.changed else f"**{one.champion_after}** stays"
        reason = one.reason.replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {one.decided_at:%Y-%m-%d %H:%M} | {champion} | {one.kind} | {one.decided_by} | {reason} |")
    return "\n".join(lines)
