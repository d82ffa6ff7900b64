"""The ledger on a real PostgreSQL server: the same refusals, and one row from two who write at once."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
import sqlalchemy as sa

from fx_assets.storage.control import Control
from tests.storage.test_control_postgres import url as server
from tests.storage.test_ledger import entry

pytestmark = pytest.mark.slow
url = server  # the fixture: a server for this module, thrown away afterwards


def test_the_ledger_is_append_only_on_postgresql(url: str) -> None:
    control = Control(url)
    for number in (0, 1):
        control.record_trial(entry(number))
        control.record_trial(entry(number, run_id="run-2"))
    known = control.trials("EURUSD", "usd")
    assert [one.content for one in known] == [entry(0).content, entry(1).content]
    assert repr(known[0].values) == repr(entry().values)
    with pytest.raises(ValueError, match="with other content"):
        control.record_trial(entry(loss=0.1))
    engine = sa.create_engine(url)
    for statement in ("UPDATE trials SET loss = 0.1", "DELETE FROM trials WHERE number = 0", "TRUNCATE trials"):
        with pytest.raises(sa.exc.DBAPIError, match="append-only"), engine.begin() as connection:
            connection.execute(sa.text(statement))
    engine.dispose()
    assert control.trials() == known


def test_two_who_record_one_trial_at_once_leave_one(url: str) -> None:
    studies = [f"race/{number}/p/d" for number in range(20)]
    gate = threading.Barrier(4)
    failed: list[BaseException] = []

    def write(run_id: str) -> None:
        control = Control(url)
        try:
            for study in studies:
                gate.wait(60)
                control.record_trial(replace(entry(), study=study, model_id="race", run_id=run_id))
        except BaseException as error:
            failed.append(error)
            gate.abort()

    threads = [threading.Thread(target=write, args=(f"run-{number}",)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert sorted(one.study for one in Control(url).trials(model_id="race")) == sorted(studies)
