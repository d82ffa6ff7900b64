"""A warm update learns what is new, forgets nothing of how its version sees the world, and never gets worse."""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy

from fx_assets.features.plan import PLAN
from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.calibration import CALIBRATION
from fx_assets.models.golden import GOLDEN
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.network import WEIGHTS
from fx_assets.models.onnx_model import ONNX
from fx_assets.models.params import PARAMS
from fx_assets.models.predictors.itransformer import ITransformerPredictor
from fx_assets.models.searched import FOUND, found_file
from fx_assets.settings import Settings
from fx_assets.specs.schema import FeatureSetSpec, ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.data import ReturnWindows
from fx_assets.training.features import fit_features
from fx_assets.training.kind_trainer import FitTrainer
from fx_assets.training.lightning_trainer import LightningTrainer
from fx_assets.training.materials import Base
from fx_assets.training.origins import origins
from fx_assets.training.records import Step, TrainedModel, TrainingFailed
from fx_assets.training.search.trainer import SearchTrainer
from fx_assets.training.trainers import trainer_for
from fx_assets.training.warm import REHEARSED, WarmTrainer, new_since, rehearsed_since
from tests.training.helpers import Heard, cuts, market, materials, replace, spec, trained

SHIFT = 1000  # from this row on returns follow each other, and the second feature is no twin of the first
FEATURES = FeatureSetSpec.model_validate(
    {
        "name": "short",
        "stages": [
            {"stage": "indicators", "options": {"returns": [1, 2]}},
            {"stage": "selection", "options": {"threshold": 0.9}},
        ],
    }
)
SEARCH = {"trials": 2, "folds": 1, "space": {"hyperparameters.width": {"choices": [16, 32]}}}
FOUND_VALUES = {"hyperparameters.width": 32}


def model(**training: Any) -> ModelSpec:
    """Searched for; updated at a rate that learns the new regime in a few epochs."""
    warm = {"update": "warm", "update_epochs": 4, "learning_rate": 5e-3, "batch_size": 32}
    return spec(search=SEARCH, training={**warm, **training})


def shifted() -> PairHistory:
    before, after = market(rows=2000), market(rows=2000, phi=0.8, seed=4)
    steps = np.where(np.arange(1999) < SHIFT, np.diff(np.log(before.closes)), np.diff(np.log(after.closes)))
    noise = np.random.default_rng(5).standard_normal((2000, 2))
    twin = np.where(np.arange(2000) < SHIFT, noise[:, 0] ** 3, noise[:, 1])
    return replace(
        before,
        closes=1.1 * np.exp(np.concatenate([[0.0], np.cumsum(steps)])),
        features=np.column_stack([noise[:, 0], twin]),
        feature_names=("returns_1", "returns_2"),
    )


def at(history: PairHistory, row: int) -> datetime:
    end: datetime = history.ends[row].item()
    return end.replace(tzinfo=UTC)


def window_of(history: PairHistory, *rows: int) -> EvaluationWindow:
    return EvaluationWindow(*(at(history, row) for row in rows))


@dataclass(frozen=True)
class Case:
    history: PairHistory
    window: EvaluationWindow
    base: Base
    updated: TrainedModel
    heard: Heard


@pytest.fixture(scope="module")
def case(tmp_path_factory: pytest.TempPathFactory) -> Case:
    history, scratch = shifted(), tmp_path_factory.mktemp("warm")
    begun, window = window_of(history, 800, 1000, 1100), window_of(history, 1500, 1700, 1999)
    chosen = model().varied(FOUND_VALUES)
    first = trained(chosen, history, scratch=scratch, window=begun, features=FEATURES)
    base = Base("20260101T000000Z", {**first.files, **found_file(FOUND_VALUES)}, begun.validate_until)
    heard = Heard()
    updated = trained(
        model(), history, scratch=scratch, window=window, features=FEATURES, base=base, report=heard.append
    )
    return Case(history, window, base, updated, heard)


def again(case: Case, scratch: Path, asked: ModelSpec | None = None, **changes: Any) -> TrainedModel:
    given: dict[str, Any] = {"window": case.window, "features": FEATURES, "base": case.base, **changes}
    return trained(asked or model(), case.history, scratch=scratch, **given)


def errors(case: Case, files: Any) -> FloatArray:
    """Mean squared error per horizon on rows after both versions were made, over the random walk's."""
    predictor = ITransformerPredictor(model(), case.history.columns)
    predictor.load_model(MemoryCheckpoint(predictor.identity(), files))
    rows = origins(model(), case.history, case.window, "test")
    predicted = predictor.predict(np.stack([case.history.window(int(row), 16) for row in rows]))
    came = case.history.outcomes(rows, range(1, 4))
    ratio: FloatArray = np.mean((came - predicted.location) ** 2, axis=0) / np.mean(came**2, axis=0)
    return ratio


def test_it_learns_the_new_regime_that_its_version_knows_nothing_of(case: Case) -> None:
    before, after = errors(case, case.base.files), errors(case, case.updated.files)
    assert before[0] > 0.95
    assert (after < before).all()
    assert after[0] < 0.75  # the best there is to know is .36


def test_it_begins_with_the_weights_of_its_version(case: Case) -> None:
    start, *epochs = case.updated.history
    assert start.epoch == 0
    assert start.train_loss is None
    assert len(epochs) == 4
    assert case.updated.metrics["validation_loss_base"] == start.validation_loss
    assert case.updated.metrics["validation_loss"] == min(event.validation_loss for event in case.updated.history)
    assert case.updated.metrics["validation_loss"] < start.validation_loss
    assert case.updated.trained_until == case.window.validate_until


def test_plan_scaler_and_found_values_are_those_of_its_version(case: Case, tmp_path: Path) -> None:
    for name in (PLAN, PARAMS, FOUND):
        assert case.updated.files[name] == case.base.files[name]
    assert safetensors.numpy.load(case.updated.files[WEIGHTS])["network.embedding.weight"].shape == (32, 16)
    # Fitted anew, both would be others.
    plan = fit_features(
        FEATURES, {"EURUSD": case.history}, case.window, horizon=3, aim="log_return", scratch=tmp_path, seed=7
    )
    assert plan is not None
    assert plan.dump() != case.base.files[PLAN]


def test_calibration_and_golden_sample_are_of_today(case: Case) -> None:
    validation = origins(model(), case.history, case.window, "validation")
    assert json.loads(case.updated.files[CALIBRATION])["EURUSD"]["n"] == len(validation)
    golden = np.array(json.loads(case.updated.files[GOLDEN])["window"])
    np.testing.assert_array_equal(golden, case.history.window(int(validation[0]), 16))


def test_it_says_on_what_it_goes_on_and_trains_on_no_more(case: Case) -> None:
    ends = case.history.ends[origins(model(), case.history, case.window, "train") + 3]
    since = new_since(case.window, case.base)
    new = int((ends > np.datetime64(since.replace(tzinfo=None), "us")).sum())
    assert 690 < new < 710  # rows 800 to 1500
    assert case.heard.of(Step) == [
        Step(f"update of version 20260101T000000Z: {new} new windows, {REHEARSED * 32} older ones")
    ]
    assert case.updated.metrics["train_windows"] == new + REHEARSED * 32
    assert case.updated.metrics["new_windows"] == new


def test_an_update_that_makes_it_worse_keeps_the_weights(case: Case, tmp_path: Path) -> None:
    kept = again(case, tmp_path, model(learning_rate=3.0, update_epochs=1))
    assert kept.history[1].validation_loss > kept.history[0].validation_loss
    assert kept.metrics["best_epoch"] == 0
    for name in (WEIGHTS, ONNX, PARAMS, PLAN, FOUND):
        assert kept.files[name] == case.base.files[name]
    assert kept.files[CALIBRATION] != case.base.files[CALIBRATION]


def test_where_nothing_is_new_its_weights_are_kept(case: Case, tmp_path: Path) -> None:
    heard = Heard()
    saturday = datetime(2025, 6, 7, 12, tzinfo=UTC)
    then, now = (
        EvaluationWindow(moment, moment + timedelta(weeks=40), moment + timedelta(weeks=50))
        for moment in (saturday, saturday + timedelta(days=1))
    )
    base = dataclasses.replace(case.base, trained_until=then.validate_until)
    kept = again(case, tmp_path, window=now, base=base, report=heard.append)
    assert heard == [Step("nothing new to train on since version 20260101T000000Z; its weights are kept")]
    assert kept.epochs == 0
    assert kept.metrics["new_windows"] == 0
    for name in (WEIGHTS, ONNX, PARAMS, PLAN, FOUND):
        assert kept.files[name] == case.base.files[name]
    assert kept.files[CALIBRATION] != case.base.files[CALIBRATION]
    predictor = ITransformerPredictor(model(), case.history.columns)
    assert predictor.load_model(MemoryCheckpoint(predictor.identity(), kept.files)).skipped == []


def test_a_version_that_cannot_be_gone_on_with_is_refused(case: Case, tmp_path: Path) -> None:
    files = {name: content for name, content in case.base.files.items() if name != ONNX}
    with pytest.raises(TrainingFailed, match=r"version 20260101T000000Z has no model\.onnx; train from the start"):
        again(case, tmp_path, base=dataclasses.replace(case.base, files=files))
    other = {**case.base.files, **found_file({"hyperparameters.width": 16})}
    with pytest.raises(TrainingFailed, match=r"model\.safetensors of the version to go on from is of another network"):
        again(case, tmp_path, base=dataclasses.replace(case.base, files=other))
    with pytest.raises(TrainingFailed, match="is of another network"):
        again(case, tmp_path, base=dataclasses.replace(case.base, files={**case.base.files, WEIGHTS: b"nothing"}))


def test_only_a_version_to_go_on_from_makes_an_update(case: Case, tmp_path: Path) -> None:
    settings = Settings(home=tmp_path)
    bare, warm = materials(tmp_path, case.history), materials(tmp_path, case.history, base=case.base)
    single = model().model_copy(update={"search": None})
    assert isinstance(trainer_for(single, bare, settings), LightningTrainer)
    assert isinstance(trainer_for(model(), bare, settings), SearchTrainer)
    assert isinstance(trainer_for(model(), warm, settings), WarmTrainer)  # which does not search again
    walk = spec(kind="random_walk", hyperparameters={})
    assert isinstance(trainer_for(walk, bare, settings), FitTrainer)
    with pytest.raises(ValueError, match=r"a warm update needs Materials\.base"):
        WarmTrainer(bare)


def test_from_night_to_night_every_window_is_trained_on_and_new_but_once() -> None:
    history, asked = market(rows=1700), spec(training={"validation_years": 1, "batch_size": 1})
    nights = [
        EvaluationWindow.held_out_year(history.ends[:last], refit_every="day", validation_years=1)
        for last in range(1100, 1701)
    ]
    new: list[Any] = []
    rehearsed: set[Any] = set()
    for before, window in pairwise(nights):
        seen = history.until(window.validate_until)
        ends = seen.ends[origins(asked, seen, window, "train") + 3]
        since = new_since(window, Base("before", {}, before.validate_until))
        found = ends[ends > naive(since)]
        new.extend(found)
        older = rehearsed_since(asked, {"EURUSD": seen}, window, since)
        if len(found) and older is not None:
            rehearsed.update(ends[ends > naive(older)])
    first, last = naive(nights[0].train_until), naive(nights[-1].train_until)
    expected = history.ends[(history.ends > first) & (history.ends <= last)]
    assert set(expected) <= rehearsed
    # 29 February 2024 puts one night off, and the change of clocks some others by an hour.
    assert len(set(expected) - set(new)) <= 1
    assert len(new) - len(set(new)) <= 12


def naive(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


@pytest.mark.parametrize("pairs", [1, 2])
def test_older_windows_are_rehearsed_beside_the_new_ones(pairs: int) -> None:
    asked = spec(training={"batch_size": 10})
    histories = {name: market(name, seed=seed) for seed, name in enumerate(("EURUSD", "USDJPY")[:pairs])}
    window = cuts(histories["EURUSD"], asked)
    params = {"initial_variance": 4e-5, "mean": [3.0, 3.0], "std": [2.0, 2.0]}
    since = window.train_until - timedelta(days=10)

    def count(after: datetime | None) -> int:
        return len(ReturnWindows(asked, histories, window, "train", params, since=after))

    assert count(rehearsed_since(asked, histories, window, since)) == count(since) + REHEARSED * 10
    assert rehearsed_since(spec(training={"batch_size": 1000}), histories, window, since) is None


@pytest.mark.slow
def test_a_child_updates_to_the_very_same_files(case: Case, tmp_path: Path) -> None:
    assert again(case, tmp_path, supervised=True, resume=tmp_path / "resume").files == case.updated.files
    assert list((tmp_path / "resume").iterdir()) == []
