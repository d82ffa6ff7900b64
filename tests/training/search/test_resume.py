"""A search that was killed and goes on ends as an undisturbed one; two processes at one search take turns."""

from __future__ import annotations

import gc
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import optuna
import pytest
import sqlalchemy as sa

from fx_assets.training.records import Event, Report, Step, Trial, silent
from fx_assets.training.search.coordinator import Judge
from fx_assets.training.search.optuna_coordinator import KILLED, OUTCOME, OptunaCoordinator
from fx_assets.training.search.turns import turn
from tests.training.search.helpers import STUDY, alike, bowl, search_spec, url

ROOT = Path(__file__).resolve().parents[3]
# Kills itself, as an out-of-memory killer does, between two folds of its third trial.
KILLED_SEARCH = """
import os, signal, sys
from fx_assets.training.search.optuna_coordinator import OptunaCoordinator
from tests.training.search.helpers import STUDY, bowl, search_spec

def objective(values, judge):
    def until_killed(loss):
        judge(loss)
        if len(begun) == 3:
            print(values, flush=True)
            os.kill(os.getpid(), signal.SIGKILL)
    begun.append(0)
    bowl(values, until_killed)

begun = []
OptunaCoordinator(sys.argv[1]).search(STUDY, search_spec(trials=4), objective, print)
"""


class Died(BaseException):
    """The process is no more; nothing in it catches this."""


def undisturbed(folder: Path, trials: int) -> list[Trial]:
    return OptunaCoordinator(url(folder)).search(STUDY, search_spec(trials=trials), bowl, silent)


@contextmanager
def dies_at_commit(number: int) -> Iterator[None]:
    """End the block by `Died` in place of its commit of that number, the first being 1; later ones are refused too."""
    gc.collect()  # connections of a block that died before are closed, as those of a dead process are
    commits = count(1)

    def die(connection: sa.Connection) -> None:
        del connection
        if next(commits) >= number:
            raise Died

    sa.event.listen(sa.Engine, "commit", die)
    try:
        yield
    finally:
        sa.event.remove(sa.Engine, "commit", die)


def test_a_search_that_was_killed_ends_as_an_undisturbed_one(tmp_path: Path) -> None:
    killed = subprocess.run(
        [sys.executable, "-c", KILLED_SEARCH, url(tmp_path)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert killed.stderr == "", "nothing is said beside the reports"
    reported, tried = killed.stdout.splitlines()[:-1], killed.stdout.splitlines()[-1]
    judged: list[str] = []

    def objective(values: Mapping[str, Any], judge: Judge) -> None:
        judged.append(repr(dict(values)))
        bowl(values, judge)

    seen: list[Event] = []
    trials = OptunaCoordinator(url(tmp_path)).search(STUDY, search_spec(trials=4), objective, seen.append)
    assert len(judged) == 2
    assert judged[0] == tried, "the killed trial's values are tried again, before any other"
    assert [str(event) for event in seen[:2]] == reported, "what was finished before is reported again"
    assert [trial.number for trial in seen if isinstance(trial, Trial)] == [0, 1, 2, 3]
    assert alike(trials) == alike(undisturbed(tmp_path / "undisturbed", 4))
    study = optuna.load_study(study_name=STUDY, storage=url(tmp_path))
    assert [(trial.state.name, KILLED in trial.user_attrs) for trial in study.trials] == [
        *[("COMPLETE", False)] * 2,
        ("FAIL", True),
        *[("COMPLETE", False)] * 2,
    ]
    assert [path.name for path in (tmp_path / "home").iterdir() if path.suffix == ".lock"] == []


@pytest.mark.slow
def test_a_search_may_die_at_each_commit(tmp_path: Path) -> None:
    space = {"training.learning_rate": {"low": 1e-5, "high": 1.0, "log": True}}

    def objective(values: Mapping[str, Any], judge: Judge) -> None:
        judge(values["training.learning_rate"])
        judge(1.0)

    def searched(folder: Path, trials: int, report: Report = silent) -> list[Trial]:
        spec = search_spec(trials=trials, folds=2, space=space)
        return alike(OptunaCoordinator(url(folder)).search(STUDY, spec, objective, report))

    expected = searched(tmp_path / "undisturbed", 2)
    for number in count(1):
        before: list[Event] = []
        after: list[Event] = []
        try:
            with dies_at_commit(number):
                searched(tmp_path / str(number), 1, before.append)
            break
        except Died:
            pass
        gc.collect()
        assert searched(tmp_path / str(number), 2, after.append) == expected, number
        assert after[: len(before)] == before, "a trial is the same each time it is reported"
        kept = optuna.load_study(study_name=STUDY, storage=url(tmp_path / str(number))).trials
        ended = [trial.state.name for trial in kept if OUTCOME in trial.user_attrs]
        assert ended == ["COMPLETE"] * 2, "Optuna learns from each trial, as from those of an undisturbed search"
    assert number > 10


def test_another_error_ends_the_search_and_its_trial_is_tried_again(tmp_path: Path) -> None:
    def broken(values: Mapping[str, Any], judge: Judge) -> None:
        judge(1.0)
        if len(judged) == 1:
            raise ZeroDivisionError("a fault in the code")
        judged.append(values)
        bowl(values, judge)

    judged: list[Mapping[str, Any]] = []
    with pytest.raises(ZeroDivisionError, match="a fault in the code"):
        OptunaCoordinator(url(tmp_path)).search(STUDY, search_spec(trials=3), broken, silent)
    assert alike(undisturbed(tmp_path, 2))[1:] == alike(undisturbed(tmp_path / "undisturbed", 2))[1:]


def test_a_second_process_waits_and_finds_the_trials_of_the_first(tmp_path: Path) -> None:
    begun, go_on = threading.Event(), threading.Event()
    judged: list[str] = []
    results: list[list[Trial]] = []

    def slow(values: Mapping[str, Any], judge: Judge) -> None:
        judged.append(threading.current_thread().name)
        begun.set()
        assert go_on.wait(60)
        bowl(values, judge)

    def first() -> None:
        results.append(OptunaCoordinator(url(tmp_path)).search(STUDY, search_spec(trials=3), slow, silent))

    thread = threading.Thread(target=first, name="first")
    thread.start()
    assert begun.wait(60)
    said: list[Event] = []

    def second(event: Event) -> None:
        said.append(event)
        go_on.set()

    found = OptunaCoordinator(url(tmp_path)).search(STUDY, search_spec(trials=3), slow, second)
    thread.join(60)
    assert results == [found]
    assert judged == ["first"] * 3
    assert said[0] == Step(f"search {STUDY}: another process is at it; waiting for its trials")
    assert len(said) == 4


def test_a_turn_has_one_holder_at_a_time_and_leaves_no_file(tmp_path: Path) -> None:
    where = sa.make_url(f"sqlite:///{tmp_path / 'search.db'}")
    inside, most = [0], [0]

    def work() -> None:
        for _ in range(100):
            with turn(where, "name"):
                inside[0] += 1
                most[0] = max(most[0], inside[0])
                os.sched_yield()
                inside[0] -= 1

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert most == [1]
    assert list(tmp_path.iterdir()) == []


def test_an_error_gives_the_turn_back(tmp_path: Path) -> None:
    where = sa.make_url(f"sqlite:///{tmp_path / 'search.db'}")
    with pytest.raises(Died), turn(where, "name"):
        raise Died
    with turn(where, "name", waiting=lambda: pytest.fail("it was given back")), turn(where, "other"):
        pass
