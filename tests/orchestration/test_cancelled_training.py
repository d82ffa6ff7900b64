"""A training that was overtaken, cancelled or killed: nothing is published and no process is left."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from fx_assets.training.remote import CHILD
from tests.e2e.installation import Installation, wait_for
from tests.support.whole_night import NETWORK, WholeNight, whole_night
from tests.training.helpers import wait_until_gone

DOOMED = "checkpoints/doomed"


@pytest.fixture(scope="module")
def with_data(tmp_path_factory: pytest.TempPathFactory) -> WholeNight:
    """Prices, bars and features of one pair, and no model."""
    made = whole_night(tmp_path_factory.mktemp("with_data"))
    made.pair("USDJPY")
    (result,) = made.launch(("night_pairs", "USDJPY"))
    assert result.success
    return made


@pytest.fixture
def night(with_data: WholeNight, tmp_path: Path) -> WholeNight:
    """A copy, whose Dagster home has seen no run."""
    copied = with_data.copy(tmp_path / "copy")
    shutil.rmtree(copied.settings.dagster_home)
    return copied


def children(of: psutil.Process) -> list[psutil.Process]:
    """Trainings among the descendants of a process."""
    return [process for process in of.children(recursive=True) if is_training(process)]


def is_training(process: psutil.Process) -> bool:
    try:
        return CHILD in process.cmdline()
    except (psutil.NoSuchProcess, psutil.ZombieProcess):
        return False


@contextmanager
def at_first_epoch(act: Callable[[], None]) -> Iterator[list[int]]:
    """Do something when a training reports for the first time; gives the ids of its processes."""
    pids: list[int] = []

    class Once(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            del record
            if not pids:
                pids.extend(process.pid for process in children(psutil.Process()))
                act()

    logger, handler = logging.getLogger("fx_assets.training"), Once()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield pids
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def rotate(night: WholeNight) -> None:
    night.tiny.control.acquire(DOOMED, "USDJPY", "a-newer-run")


def cancel_in_the_ui(night: WholeNight) -> None:
    with night.instance() as instance:
        (record,) = instance.get_run_records(limit=1)
        instance.report_run_canceling(record.dagster_run)


@pytest.mark.parametrize(
    ("act", "reason"),
    [
        (rotate, "held by run a-newer-run"),
        pytest.param(cancel_in_the_ui, "is being cancelled", marks=pytest.mark.slow),
    ],
)
def test_a_run_that_lost_its_lease_while_training_publishes_nothing(
    night: WholeNight, act: Callable[[WholeNight], None], reason: str
) -> None:
    night.model(NETWORK.format(model="doomed", pairs="[USDJPY]", scope="pair", epochs=1), "doomed")
    with at_first_epoch(lambda: act(night)) as pids:
        (result,) = night.launch(("night_doomed", "USDJPY"))
    assert len(pids) == 1, "the training process was not seen"
    assert not result.success
    (failure,) = result.filter_events(lambda event: event.is_step_failure)
    error = failure.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    assert error is not None
    assert reason in error.message
    assert result.get_asset_materialization_events() == []
    assert wait_until_gone(*pids, seconds=0) == []
    assert night.versions() == []
    assert night.tiny.control.versions("doomed", "USDJPY") == []
    folder = night.settings.artifacts_path / "doomed" / "USDJPY"
    assert list(folder.iterdir()) == []  # it was staged there: no hidden folder is left either
    assert list(night.settings.scratch_path.iterdir()) == []


LAUNCH = """
mutation Launch($params: ExecutionParams!) {
  launchRun(executionParams: $params) {
    __typename
    ... on LaunchRunSuccess { run { runId } }
    ... on PythonError { message }
  }
}"""
TERMINATE = """
mutation Terminate($run: String!) {
  terminateRun(runId: $run) { __typename ... on TerminateRunFailure { message } ... on PythonError { message } }
}"""
STATUS = "query Status($run: ID!) { runOrError(runId: $run) { ... on Run { status } } }"


def launch(installation: Installation) -> str:
    params = {
        "selector": {
            "repositoryLocationName": "fx_assets",
            "repositoryName": "__repository__",
            "pipelineName": "night_doomed",
        },
        "mode": "default",
        "executionMetadata": {"tags": [{"key": "dagster/partition", "value": "USDJPY"}]},
    }
    answer: Any = installation.graphql(LAUNCH, {"params": params})["launchRun"]
    assert answer["__typename"] == "LaunchRunSuccess", answer
    return str(answer["run"]["runId"])


def training(installation: Installation) -> psutil.Process | None:
    """The training process, once it has begun to work."""
    found = [process for process in installation.processes() if is_training(process)]
    return found[0] if found and found[0].cpu_times().user > 2 else None


@pytest.mark.slow
def test_ending_a_run_ends_its_training(night: WholeNight) -> None:
    # Long enough never to end by itself while the test looks on.
    night.model(NETWORK.format(model="doomed", pairs="[USDJPY]", scope="pair", epochs=100_000), "doomed")
    installation = Installation(night.settings.home)
    installation.environ["FX_CONFIGS"] = str(night.settings.configs)
    with installation.up():
        run = launch(installation)
        process = wait_for(lambda: training(installation), installation.logs)
        answer = installation.graphql(TERMINATE, {"run": run})["terminateRun"]
        assert answer["__typename"] == "TerminateRunSuccess", answer
        assert wait_until_gone(process.pid) == []
        wait_for(lambda: status(installation, run) == "CANCELED", installation.logs)
        assert list(night.settings.scratch_path.iterdir()) == []

        # Killed outright, a run can end nothing itself: the kernel does.
        launch(installation)
        process = wait_for(lambda: training(installation), installation.logs)
        worker = process.parent()
        assert worker is not None
        worker.kill()
        assert wait_until_gone(process.pid) == []
    assert installation.processes() == []
    assert night.versions() == []


def status(installation: Installation, run: str) -> str:
    found: Any = installation.graphql(STATUS, {"run": run})["runOrError"]
    return str(found["status"])
