"""Searches kept on a real PostgreSQL server: the same trials, and turns by advisory locks."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from fx_assets.training.records import Event, Step, Trial, silent
from fx_assets.training.search.coordinator import Judge, SearchUnavailable
from fx_assets.training.search.optuna_coordinator import OptunaCoordinator
from tests.storage.test_control_postgres import url as server
from tests.training.search.helpers import STUDY, alike, bowl, search_spec
from tests.training.search.helpers import url as file_url

pytestmark = pytest.mark.slow
url = server  # the fixture: a server for this module, thrown away afterwards


def test_trials_are_those_of_sqlite_and_go_on(url: str, tmp_path: Path) -> None:
    spec = search_spec(trials=12)
    expected = OptunaCoordinator(file_url(tmp_path)).search(STUDY, spec, bowl, silent)

    def stopped(values: Mapping[str, Any], judge: Judge) -> None:
        judged.append(values)
        if len(judged) == 4:
            raise ZeroDivisionError
        bowl(values, judge)

    judged: list[Mapping[str, Any]] = []
    with pytest.raises(ZeroDivisionError):
        OptunaCoordinator(url).search(STUDY, spec, stopped, silent)
    assert alike(OptunaCoordinator(url).search(STUDY, spec, bowl, silent)) == alike(expected)


def test_a_second_process_waits_on_postgresql(url: str) -> None:
    begun, go_on = threading.Event(), threading.Event()
    judged: list[str] = []
    results: list[list[Trial]] = []

    def slow(values: Mapping[str, Any], judge: Judge) -> None:
        judged.append(threading.current_thread().name)
        begun.set()
        assert go_on.wait(60)
        bowl(values, judge)

    def first() -> None:
        results.append(OptunaCoordinator(url).search("second", search_spec(trials=2), slow, silent))

    thread = threading.Thread(target=first, name="first")
    thread.start()
    assert begun.wait(60)
    said: list[Event] = []

    def second(event: Event) -> None:
        said.append(event)
        go_on.set()

    found = OptunaCoordinator(url).search("second", search_spec(trials=2), slow, second)
    thread.join(60)
    assert results == [found]
    assert judged == ["first"] * 2
    assert [type(event) for event in said] == [Step, Trial, Trial]


def test_a_server_that_is_gone_is_named_without_its_password(url: str) -> None:
    with pytest.raises(SearchUnavailable, match="run again") as gone:
        OptunaCoordinator(url.replace("?host=", "?host=/nowhere")).search(STUDY, search_spec(), bowl, silent)
    assert "secret" not in str(gone.value)
