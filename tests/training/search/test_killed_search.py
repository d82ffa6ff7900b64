"""A real search of 20 trials on one pair, run by Dagster in the supervised child, killed in the middle and resumed."""

from __future__ import annotations

import logging
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import dagster as dg
import numpy as np
import optuna
import psutil
import pytest

from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.searched import FOUND
from fx_assets.models.stored import predictor_of
from fx_assets.orchestration import keys
from fx_assets.orchestration.resources import Stores
from fx_assets.storage.ledger import LedgerEntry
from fx_assets.training.assets import build
from fx_assets.training.remote import CHILD
from tests.support.tiny_lake import TinyLake, tiny_lake
from tests.training.helpers import wait_until_gone

pytestmark = pytest.mark.slow
MODEL = """\
model_id: searched
kind: random_walk
pairs: [EURUSD]
window: 30
horizon: 5
quantiles: [0.1, 0.5, 0.9]
training: {validation_years: 1}
search:
  trials: 20
  folds: 3
  space:
    hyperparameters.alpha: {low: 0.001, high: 0.9, log: true}
"""


def installation(folder: Path) -> TinyLake:
    """One pair of simulated rates, and a model with a search."""
    folder.mkdir()
    tiny = tiny_lake(folder)
    (tiny.settings.configs / "models" / "searched.yaml").write_text(MODEL)
    assert tiny.catalog.broken == {}
    tiny.bars("EURUSD")
    return tiny


def materialized(tiny: TinyLake, patch: pytest.MonkeyPatch) -> dg.ExecuteInProcessResult:
    """One run of the checkpoint's asset; its child reads the same settings from the environment."""
    patch.setenv("FX_HOME", str(tiny.settings.home))
    patch.setenv("FX_CONFIGS", str(tiny.settings.configs))
    key = keys.checkpoint("searched")
    (asset,) = (asset for asset in build(tiny.catalog) if asset.key == key)
    return dg.materialize(
        [asset], partition_key="EURUSD", resources={"lake": Stores(tiny.settings)}, raise_on_error=False
    )


@contextmanager
def killed_at_trial(number: int) -> Iterator[list[int]]:
    """SIGKILL the child's whole process group when the parent hears of that trial; gives the child's id."""
    pids: list[int] = []

    class Killer(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            if record.getMessage().startswith(f"trial {number} ") and not pids:
                pids.extend(child.pid for child in psutil.Process().children() if CHILD in child.cmdline())
                for pid in pids:
                    os.killpg(pid, signal.SIGKILL)

    logger, handler = logging.getLogger("fx_assets.training"), Killer()
    level = logger.level
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    try:
        yield pids
    finally:
        logger.removeHandler(handler)
        logger.setLevel(level)


def alike(trials: list[LedgerEntry]) -> list[str]:
    """What was tried and what came of it; not when, and in which database."""
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    return [replace(trial, study="", started_at=moment, ended_at=moment).content for trial in trials]


def test_a_search_of_twenty_trials_survives_a_kill(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = installation(tmp_path / "killed")
    with killed_at_trial(6) as pids:
        first = materialized(tiny, monkeypatch)
    assert len(pids) == 1, "the training process was not seen"
    assert wait_until_gone(*pids, seconds=0) == []
    assert not first.success
    (failure,) = first.filter_events(lambda event: event.is_step_failure)
    assert "killed by SIGKILL" in str(failure.step_failure_data.error)
    early = tiny.control.trials("EURUSD")
    assert 7 <= len(early) < 20, "it was killed in the middle"
    assert tiny.control.versions("searched", "EURUSD") == []

    second = materialized(tiny, monkeypatch)
    assert second.success
    ledger = tiny.control.trials("EURUSD", "searched")
    assert [trial.number for trial in ledger] == list(range(20)), "none is lost, none is there twice"
    assert ledger[: len(early)] == early, "what was written stays, with the run that wrote it"
    assert {trial.run_id for trial in early} == {first.run_id}
    assert {trial.run_id for trial in ledger[len(early) :]} == {second.run_id}
    assert len({trial.study for trial in ledger}) == 1
    (study,) = optuna.get_all_study_names(tiny.settings.search_database)
    kept = optuna.load_study(study_name=study, storage=tiny.settings.search_database).trials
    assert sum("outcome" in trial.user_attrs for trial in kept) == 20
    assert len(kept) <= 21, "at most the one trial that was at work when it was killed"

    calm = installation(tmp_path / "undisturbed")
    assert materialized(calm, monkeypatch).success
    assert alike(calm.control.trials("EURUSD")) == alike(ledger)
    series = tiny.control.series("EURUSD", "searched")
    assert [(one.number, one.state) for one in series] == [(trial.number, trial.state) for trial in ledger]
    for one, other, trial in zip(series, calm.control.series("EURUSD"), ledger, strict=True):
        for name in ("origins", "losses", "returns"):
            assert getattr(one, name).tobytes() == getattr(other, name).tobytes()
        folds = np.split(one.losses, np.flatnonzero(np.diff(one.origins) >= np.timedelta64(7, "D")) + 1)
        np.testing.assert_allclose([fold.mean() for fold in folds], trial.folds, rtol=1e-6)
        assert (one.returns == 0).all(), "a random walk has no direction"
    files = [served(one) for one in (tiny, calm)]
    assert files[0] == files[1], "the same checkpoint to the last bit"
    best = min((trial for trial in ledger if trial.state == "complete"), key=lambda trial: trial.loss or 0.0)
    predictor = predictor_of(tiny.catalog.models["searched"], tiny.catalog.features)
    predictor.load_model(MemoryCheckpoint(predictor.identity(), files[0]))
    assert predictor.hyperparameters.alpha == best.values["hyperparameters.alpha"]
    assert FOUND in files[0]

    third = materialized(tiny, monkeypatch)
    assert third.success
    assert tiny.control.trials() == ledger, "an unchanged night searches nothing"


def served(tiny: TinyLake) -> dict[str, bytes]:
    (version,) = tiny.control.versions("searched", "EURUSD")
    return dict(tiny.artifacts.load("searched", "EURUSD", version.version).files)
