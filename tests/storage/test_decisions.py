"""Decisions about champions: one follows the other, at any moment exactly one champion, and nothing is ever changed."""

from __future__ import annotations

import math
import sqlite3
import threading
from contextlib import closing
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fx_assets.storage.control import Control, Decision, DecisionConflict, LeaseLost
from fx_assets.storage.decisions import DecisionKind, before_that

NOW = datetime(2026, 9, 15, 21, 15, 0, 123456, tzinfo=UTC)


def decision(number: int = 1, before: str | None = "walk", after: str = "har", **changes: Any) -> Decision:
    found = Decision(
        pair="EURUSD",
        frequency="1d",
        number=number,
        decided_at=NOW + timedelta(days=number - 1),
        decision_date=date(2026, 9, 15),
        kind="scheduled",
        champion_before=before,
        champion_after=after,
        reason="beats it by 1 % (p .01)",
        evidence={"spa_p_value": 0.01, "origins": 260, "candidates": ["har", "garch"]},
        decided_by="promotion",
        run_id="run-1",
    )
    return replace(found, **changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.db"


@pytest.fixture
def control(path: Path) -> Control:
    return Control(f"sqlite:///{path}")


def test_the_champion_at_a_moment_is_that_of_the_newest_decision_before_it(control: Control) -> None:
    first, second = decision(), decision(2, "har", "garch")
    for one in (first, second):
        control.decide(one)
    assert control.decisions("EURUSD", "1d") == [first, second]
    assert control.decision_at("EURUSD", "1d") == second
    moments = [NOW - timedelta(microseconds=1), NOW, second.decided_at - timedelta(microseconds=1), second.decided_at]
    assert [control.decision_at("EURUSD", "1d", when) for when in moments] == [None, first, first, second]
    assert control.decision_at("USDJPY", "1d") is control.decision_at("EURUSD", "1h") is None


def test_pairs_and_frequencies_decide_apart(control: Control) -> None:
    others = [decision(), decision(pair="USDJPY"), decision(frequency="1h")]
    for one in others:
        control.decide(one)
    assert control.decisions() == [others[0], others[2], others[1]]
    assert control.decisions(frequency="1d") == [others[0], others[1]]
    assert [one.id for one in control.decisions("EURUSD")] == ["EURUSD/1d/1", "EURUSD/1h/1"]


def test_who_decides_second_is_told_by_whom_and_why(control: Control) -> None:
    control.decide(decision())
    with pytest.raises(DecisionConflict, match=r"EURUSD/1d/1 was made by promotion at .*: beats it by 1 %.*look again"):
        control.decide(decision(after="garch"))
    with pytest.raises(DecisionConflict, match="EURUSD/1d/3 was not recorded"):
        control.decide(decision(3, "har", "garch"))
    assert control.decisions() == [decision()]


def test_of_deciders_at_once_one_wins(path: Path) -> None:
    rounds, gate = 5, threading.Barrier(4)
    told: list[str] = []

    def decide(name: str) -> None:
        own = Control(f"sqlite:///{path}")
        for number in range(1, rounds + 1):
            newest = own.decision_at("EURUSD", "1d")
            before = "walk" if newest is None else newest.champion_after
            gate.wait(60)
            try:
                own.decide(decision(number, before, f"{name}_{number}"))
            except DecisionConflict:
                told.append(name)
            gate.wait(60)

    Control(f"sqlite:///{path}").close()
    threads = [threading.Thread(target=decide, args=(f"model_{at}",)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = Control(f"sqlite:///{path}").decisions()
    assert [one.number for one in found] == list(range(1, rounds + 1))
    assert len(told) == 3 * rounds
    assert all(after.champion_before == one.champion_after for one, after in pairwise(found))


def test_a_decision_begins_from_the_champion_that_serves(control: Control) -> None:
    control.decide(decision())
    with pytest.raises(ValueError, match=r"EURUSD/1d/2 begins from 'walk', but 'har' serves"):
        control.decide(decision(2, "walk", "garch"))
    with pytest.raises(ValueError, match="who served in the past does not change"):
        control.decide(decision(2, "har", "garch", decided_at=NOW - timedelta(seconds=1)))
    control.decide(decision(2, "har", "garch", decided_at=NOW))
    assert control.decision_at("EURUSD", "1d", NOW) == decision(2, "har", "garch", decided_at=NOW)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"kind": "whim"}, "kind 'whim', expected one of scheduled"),
        ({"number": 0}, "numbers begin with 1"),
        ({"number": 2, "kind": "initial"}, "only the first decision is initial"),
        ({"decided_at": NOW.replace(tzinfo=None)}, "no time zone"),
        ({"reason": "  "}, "say the champion, the reason"),
        ({"champion_after": ""}, "say the champion, the reason"),
        ({"decided_by": ""}, "who decides"),
        ({"kind": "override", "champion_after": "walk"}, "walk is the champion already"),
        ({"evidence": {"p": math.nan}}, "nan has no JSON form"),
    ],
)
def test_what_is_no_decision_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        decision(**changes)


def test_a_scheduled_decision_may_keep_the_champion(control: Control) -> None:
    kept = decision(1, "walk", "walk")
    control.decide(kept)
    assert (kept.changed, decision().changed) == (False, True)
    assert control.decisions() == [kept]


def test_a_decision_is_published_with_what_belongs_to_it_or_not_at_all(control: Control) -> None:
    older = control.acquire("champions", "EURUSD", "older")
    lease = control.acquire("champions", "EURUSD", "newer")
    with pytest.raises(LeaseLost), control.publishing(older) as transaction:
        transaction.decide(decision())
    with pytest.raises(DecisionConflict), control.publishing(lease) as transaction:  # noqa: PT012 - all or nothing
        transaction.decide(decision())
        transaction.decide(decision())
    assert control.decisions() == []
    with control.publishing(lease) as transaction:
        transaction.decide(decision())
    assert control.decisions() == [decision()]


def chain(*steps: tuple[DecisionKind, str], first: str | None = "a") -> list[Decision]:
    found: list[Decision] = []
    for number, (kind, after) in enumerate(steps, 1):
        found.append(decision(number, found[-1].champion_after if found else first, after, kind=kind))
    return found


@pytest.mark.parametrize(
    ("decisions", "expected"),
    [
        ([], None),
        (chain(("initial", "a"), first=None), None),
        (chain(("scheduled", "a")), None),
        (chain(("override", "b")), "a"),
        (chain(("override", "b"), ("scheduled", "b"), ("scheduled", "b")), "a"),
        (chain(("override", "b"), ("sequential", "c")), "b"),
        (chain(("override", "b"), ("sequential", "c"), ("rollback", "b")), "a"),
        (chain(("override", "b"), ("sequential", "c"), ("rollback", "b"), ("rollback", "a")), None),
        (chain(("override", "b"), ("rollback", "a"), ("override", "c")), "a"),
        (chain(("override", "b"), ("override", "a")), "b"),
    ],
)
def test_a_roll_back_returns_to_the_champion_before(decisions: list[Decision], expected: str | None) -> None:
    assert before_that(decisions) == expected


def insert(number: int, verb: str) -> str:
    row = f"'EURUSD', '1d', {number}, '{NOW}', '2026-09-15', 'override', 'walk', 'forged', 'why', '{{}}', 'me', 'run'"
    return f"{verb} INTO decisions VALUES ({row})"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE decisions SET champion_after = 'forged'",
        "UPDATE OR IGNORE decisions SET reason = ''",
        "UPDATE OR REPLACE decisions SET number = 2",
        "DELETE FROM decisions",
        insert(1, "INSERT OR REPLACE"),
        insert(1, "REPLACE"),
    ],
)
def test_nobody_changes_a_decision(control: Control, path: Path, statement: str) -> None:
    control.decide(decision())
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(statement)
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.OperationalError, match="no such column"):
        other.execute("SELECT rowid FROM decisions")
    assert control.decisions() == [decision()]


def test_a_ledger_of_the_version_before_is_brought_up_to_date_and_never_back(path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    from fx_assets.storage import migrations
    from tests.storage.test_ledger import entry, insert

    config = Config()
    config.set_main_option("script_location", str(Path(str(migrations.__file__)).parent))
    config.set_main_option("path_separator", "os")
    with sa.create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0002")
        connection.execute(sa.text(insert(0).replace(":", r"\:")))
    control = Control(f"sqlite:///{path}")
    assert [trial.number for trial in control.trials()] == [0]
    control.record_trial(entry(1))
    control.decide(decision())
    with sa.create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        with pytest.raises(NotImplementedError, match="restore a backup"):
            command.downgrade(config, "0002")
    assert control.decisions() == [decision()]
