"""Decisions and series on a real PostgreSQL server: the same refusals, and one winner of those who decide at once."""

from __future__ import annotations

import threading

import pytest
import sqlalchemy as sa

from fx_assets.storage.control import Control, DecisionConflict
from tests.storage.test_control_postgres import url as server
from tests.storage.test_decisions import decision
from tests.storage.test_ledger import entry
from tests.storage.test_trial_series import series

pytestmark = pytest.mark.slow
url = server  # the fixture: a server for this module, thrown away afterwards


def test_decisions_and_series_are_append_only_on_postgresql(url: str) -> None:
    control = Control(url)
    control.decide(decision())
    control.record_trial(entry(), [series()])
    with pytest.raises(DecisionConflict, match="was made by promotion"):
        control.decide(decision(after="garch"))
    with pytest.raises(ValueError, match="with other content"):
        control.record_trial(entry(), [series(seed=2)])
    engine = sa.create_engine(url)
    for table, column in (("decisions", "number"), ("trial_series", "windows")):
        for statement in (f"UPDATE {table} SET {column} = 9", f"DELETE FROM {table}", f"TRUNCATE {table}"):
            with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
                connection.execute(sa.text(statement))
    engine.dispose()
    assert control.decisions() == [decision()]
    assert [len(one.losses) for one in control.series("EURUSD", "usd")] == [5]


def test_of_deciders_at_once_one_wins_on_postgresql(url: str) -> None:
    rounds, gate = 20, threading.Barrier(4)
    told: list[str] = []
    failed: list[BaseException] = []

    def decide(name: str) -> None:
        own = Control(url)
        try:
            for number in range(1, rounds + 1):
                newest = own.decision_at("USDJPY", "1d")
                before = "walk" if newest is None else newest.champion_after
                gate.wait(60)
                try:
                    own.decide(decision(number, before, f"{name}_{number}", pair="USDJPY"))
                except DecisionConflict as conflict:
                    told.append(str(conflict))
                gate.wait(60)
        except BaseException as error:
            failed.append(error)
            gate.abort()

    threads = [threading.Thread(target=decide, args=(f"model_{at}",)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    found = Control(url).decisions("USDJPY")
    assert [one.number for one in found] == list(range(1, rounds + 1))
    assert len(told) == 3 * rounds
