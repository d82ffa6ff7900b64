"""Decisions in the lake: the same when read back, and what a crash may have cost."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

from fx_assets.evaluation.promotion.record import from_table, in_markdown, lost, to_table
from fx_assets.storage.decisions import Decision

FIRST = Decision(
    pair="EURUSD",
    frequency="1d",
    number=1,
    decided_at=datetime(2026, 3, 16, 21, 30, 0, 123456, tzinfo=UTC),
    decision_date=date(2026, 3, 16),
    kind="initial",
    champion_before=None,
    champion_after="random_walk",
    reason="nothing was decided before",
    evidence={"trials": 3, "candidates": {"garch": {"gain": -0.5}}},
    decided_by="promotion",
    run_id="a",
)
SECOND = replace(
    FIRST,
    number=2,
    decided_at=FIRST.decided_at + timedelta(days=92),
    kind="override",
    champion_before="random_walk",
    champion_after="garch",
    reason="a | b\nc",
    decided_by="ada",
)


def test_decisions_are_read_back_as_they_were() -> None:
    assert from_table(to_table([SECOND, FIRST])) == [FIRST, SECOND]
    assert from_table(to_table([])) == []


def test_what_was_told_and_not_recorded_is_found() -> None:
    assert lost([FIRST, SECOND], [FIRST]) == [SECOND]
    assert lost([FIRST, SECOND], []) == [FIRST, SECOND]
    assert lost([FIRST], [FIRST, SECOND]) == []
    # After the crash a person decided otherwise: that stands.
    other = replace(SECOND, champion_after="har", reason="by hand")
    assert lost([FIRST, SECOND], [FIRST, other]) == []
    assert lost([FIRST, SECOND], [replace(FIRST, reason="another")]) == []


def test_people_read_the_newest_first_on_one_line_each() -> None:
    lines = in_markdown([FIRST, SECOND]).splitlines()
    assert len(lines) == 4
    assert "random_walk → **garch**" in lines[2]
    assert "a \\| b c" in lines[2]
    assert "nobody → **random_walk**" in lines[3]
