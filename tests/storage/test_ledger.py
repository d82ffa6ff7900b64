"""The ledger of trials: written once, found by pair and model, and never changed by anybody."""

from __future__ import annotations

import math
import sqlite3
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fx_assets.storage.control import Control
from fx_assets.storage.ledger import LedgerEntry

NOW = datetime(2026, 11, 21, 3, 0, 0, 123456, tzinfo=UTC)


def entry(number: int = 0, **changes: Any) -> LedgerEntry:
    found = LedgerEntry(
        study="usd/ridge/EURUSD/0123456789abcdef/20261121T030000000000Z",
        number=number,
        model_id="usd",
        kind="ridge",
        pairs=("EURUSD",),
        values={"hyperparameters.alpha": 0.1, "hyperparameters.whiten": True},
        state="complete",
        loss=0.55,
        folds=(0.5, 0.6),
        started_at=NOW + timedelta(minutes=number),
        ended_at=NOW + timedelta(minutes=number, seconds=30),
        reason="",
        run_id="run-1",
    )
    return replace(found, **changes)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.db"


@pytest.fixture
def control(path: Path) -> Control:
    return Control(f"sqlite:///{path}")


def test_a_trial_is_found_as_it_was_recorded(control: Control) -> None:
    failed = entry(1, state="failed", loss=None, folds=(), reason="ValueError: too wide")
    for known in (entry(), failed):
        control.record_trial(known)
    assert control.trials() == [entry(recorded_at=control.trials()[0].recorded_at), failed]
    assert repr(control.trials()[0].values) == repr(entry().values)


def test_the_same_trial_is_recorded_once(control: Control) -> None:
    first = entry()
    control.record_trial(first)
    # A search that goes on reports it again, in another run; the zone of a clock makes no difference.
    tokyo = timezone(timedelta(hours=9))
    again = entry(run_id="run-2", started_at=first.started_at.astimezone(tokyo), pairs=["EURUSD"], folds=[0.5, 0.6])
    control.record_trial(again)
    assert control.trials() == [first]


@pytest.mark.parametrize(
    "change",
    [
        {"loss": 0.54},
        {"folds": (0.5,)},
        {"state": "pruned"},
        {"values": {"hyperparameters.alpha": 0.1, "hyperparameters.whiten": 1}},
        {"pairs": ("EURUSD", "USDJPY")},
        {"model_id": "eur"},
        {"ended_at": NOW},
        {"reason": "?"},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_trial_with_other_content_is_refused(control: Control, change: dict[str, Any]) -> None:
    control.record_trial(entry())
    with pytest.raises(ValueError, match=r"trial 0 of usd/ridge/.* is in the ledger with other content"):
        control.record_trial(entry(**change))
    assert [known.content for known in control.trials()] == [entry().content]


def test_what_json_has_no_word_for_is_refused(control: Control) -> None:
    with pytest.raises(ValueError, match="nan has no JSON form"):
        control.record_trial(entry(loss=math.nan))
    with pytest.raises(sa.exc.StatementError, match="no time zone"):
        control.record_trial(entry(started_at=NOW.replace(tzinfo=None)))
    assert control.trials() == []


def test_trials_are_found_by_pair_and_model_newest_last(control: Control) -> None:
    panel = {"study": "majors/ridge/EURUSD+USDJPY/1/2", "model_id": "majors", "pairs": ("EURUSD", "USDJPY")}
    written = [entry(3), entry(1), entry(2, **panel), entry(0, study="jpy/ridge/USDJPY/1/2", pairs=("USDJPY",))]
    for one in written:
        control.record_trial(one)
    late, early, both, first = written
    assert control.trials() == [first, early, both, late]
    assert control.trials("EURUSD") == [early, both, late]
    assert control.trials("USDJPY") == [first, both]
    assert control.trials("USDJPY", "majors") == control.trials(model_id="majors") == [both]
    assert control.trials("EURUS") == control.trials("%") == control.trials("EURUS_") == []
    assert control.trials(model_id="nobody") == []


def insert(number: int, verb: str = "INSERT") -> str:
    row = f"'usd/ridge/EURUSD/0123456789abcdef/20261121T030000000000Z', {number}, 'usd', 'ridge', '[]', '{{}}'"
    return f"{verb} INTO trials VALUES ({row}, 'complete', 0.1, '[]', '{NOW}', '{NOW}', '', 'forger', '{NOW}')"


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE trials SET loss = 0.1",
        "UPDATE trials SET study = 'other'",
        "DELETE FROM trials",
        "DELETE FROM trials WHERE number = 1",
        insert(1, "INSERT OR REPLACE"),
        "UPDATE OR IGNORE trials SET loss = 0.1",
    ],
)
def test_nobody_changes_the_ledger(control: Control, path: Path, statement: str) -> None:
    for number in (0, 1):
        control.record_trial(entry(number))
    before = control.trials()
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError, match="append-only"):
        other.execute(statement)
    assert control.trials() == before


def test_a_row_has_no_second_name_to_be_replaced_by(control: Control, path: Path) -> None:
    control.record_trial(entry())
    with closing(sqlite3.connect(path)) as other:
        with pytest.raises(sqlite3.OperationalError, match="no such column: rowid"):
            other.execute("SELECT rowid FROM trials")
        other.execute(insert(7))  # what is new may be added
        other.commit()
    assert [known.number for known in control.trials()] == [7, 0]


def test_a_database_of_the_version_before_is_brought_up_to_date(path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    from fx_assets.storage import migrations

    config = Config()
    config.set_main_option("script_location", str(Path(str(migrations.__file__)).parent))
    config.set_main_option("path_separator", "os")
    with sa.create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")
        assert not sa.inspect(connection).has_table("trials")
        connection.execute(sa.text("INSERT INTO cancelled_runs VALUES ('run-0', '2026-11-20 03:00:00')"))
    control = Control(f"sqlite:///{path}")
    assert control.is_cancelled("run-0")
    control.record_trial(entry())
    assert len(control.trials()) == 1
    with sa.create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        with pytest.raises(NotImplementedError, match="restore a backup"):
            command.downgrade(config, "0001")
    assert len(control.trials()) == 1
