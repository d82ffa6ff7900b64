"""What a training may see, what it keeps, and whether it learns what is there and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.numpy
import torch

from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.calibration import CALIBRATION, Calibration
from fx_assets.models.golden import GOLDEN
from fx_assets.models.inputs import PairHistory
from fx_assets.models.network import WEIGHTS
from fx_assets.models.networks.heads import Forecaster, PointHead
from fx_assets.models.params import PARAMS
from fx_assets.models.predictors.itransformer import ITransformerPredictor
from fx_assets.settings import Settings
from fx_assets.specs.schema import ModelSpec
from fx_assets.training import trainers
from fx_assets.training.finish import scores
from fx_assets.training.lightning_module import BestWeights, ForecastModule, Mean
from fx_assets.training.materials import Materials, Trainer
from fx_assets.training.records import TrainedModel, TrainingFailed
from tests.training.helpers import cuts, held_out, market, replace, spec, trained


def loaded(model: ModelSpec, history: PairHistory, result: TrainedModel) -> ITransformerPredictor:
    predictor = ITransformerPredictor(model, history.columns)
    predictor.load_model(MemoryCheckpoint(predictor.identity(), result.files))
    return predictor


def loss_ratio(model: ModelSpec, history: PairHistory, result: TrainedModel) -> Any:
    """Squared error per horizon over the held-out year, as a share of the random walk's."""
    windows, returns = held_out(history, model, cuts(history, model))
    location = loaded(model, history, result).predict(windows).location
    return np.mean((returns - location) ** 2, axis=0) / np.mean(returns**2, axis=0)


def test_equal_seeds_give_equal_bytes_and_leave_torch_as_it_was(first: TrainedModel, tmp_path: Path) -> None:
    torch.manual_seed(99)  # whatever ran before in this process does not matter
    settings = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_rng_state().tolist()
    again = trained(spec(), market(phi=0.5), scratch=tmp_path)
    assert again.files == first.files
    after = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled(), torch.get_rng_state().tolist()
    assert after == settings
    other = trained(spec(training={"seed": 8}), market(phi=0.5), scratch=tmp_path)
    assert other.files[WEIGHTS] != first.files[WEIGHTS]


def test_the_held_out_year_changes_nothing(first: TrainedModel, tmp_path: Path) -> None:
    history = market(phi=0.5)
    hidden = history.ends > np.datetime64(cuts(history, spec()).validate_until.replace(tzinfo=None), "us")
    assert 250 < hidden.sum() < 290
    other = replace(
        history,
        closes=np.where(hidden, history.closes * 7, history.closes),
        features=np.where(hidden[:, None], -1e6, history.features),
    )
    assert trained(spec(), other, scratch=tmp_path).files == first.files
    assert first.trained_until <= cuts(history, spec()).validate_until


def test_the_held_out_year_is_not_even_handed_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    handed: dict[str, PairHistory] = {}

    def stop(_spec: ModelSpec, materials: Materials, _settings: Settings) -> Trainer:
        handed.update(materials.histories)
        raise TrainingFailed("seen enough")

    monkeypatch.setattr(trainers, "trainer_for", stop)
    with pytest.raises(TrainingFailed, match="seen enough"):
        trained(spec(), market(), scratch=tmp_path)
    limit = np.datetime64(cuts(market(), spec()).validate_until.replace(tzinfo=None), "us")
    assert handed["EURUSD"].ends[-1] <= limit
    assert market().ends[len(handed["EURUSD"])] > limit


def test_validation_rows_are_not_trained_on(tmp_path: Path) -> None:
    # One epoch whose weights are kept either way: what validation decides is only whether, not how, they moved.
    model, history = spec(training={"max_epochs": 1, "learning_rate": 1e-4}), market(phi=0.8)
    validation = history.ends > np.datetime64(cuts(history, model).train_until.replace(tzinfo=None), "us")
    rng = np.random.default_rng(3)
    other = replace(
        history,
        # A change of scale at the cut leaves all returns after it as they are, so that both keep epoch 1.
        closes=np.where(validation, history.closes * 3, history.closes),
        features=np.where(validation[:, None], rng.normal(-5, 9, history.features.shape), history.features),
    )
    one, two = (trained(model, each, scratch=tmp_path) for each in (history, other))
    assert one.metrics["best_epoch"] == two.metrics["best_epoch"] == 1
    assert one.files[PARAMS] == two.files[PARAMS]
    assert one.files[WEIGHTS] == two.files[WEIGHTS]
    assert one.files[CALIBRATION] != two.files[CALIBRATION]


def test_the_best_weights_are_kept_not_the_last(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # Steps far too long: the validation loss rises again, and patience lets it.
    model = spec(training={"max_epochs": 6, "patience": 6, "learning_rate": 0.02})
    seen: list[dict[str, Any]] = []
    remember = BestWeights.on_validation_end

    def on_validation_end(self: BestWeights, trainer: Any, pl_module: Any) -> None:
        remember(self, trainer, pl_module)
        seen.append({name: value.numpy().copy() for name, value in pl_module.forecaster.state_dict().items()})

    monkeypatch.setattr(BestWeights, "on_validation_end", on_validation_end)
    result = trained(model, market(phi=0.5), scratch=tmp_path)
    losses = [event.validation_loss for event in result.history]
    best = int(np.argmin(losses))
    assert 0 < best < len(losses) - 1
    assert result.metrics["best_epoch"] == best
    assert result.metrics["validation_loss"] == losses[best]
    assert [event.best for event in result.history] == [loss == min(losses[: i + 1]) for i, loss in enumerate(losses)]
    kept = safetensors.numpy.load(result.files[WEIGHTS])
    for name, value in kept.items():
        np.testing.assert_array_equal(value, seen[best][name])
    assert any((value != seen[-1][name]).any() for name, value in kept.items())


def test_it_stops_when_patience_is_over_and_falls_back_to_the_random_walk(tmp_path: Path) -> None:
    model = spec(training={"max_epochs": 30, "patience": 2, "learning_rate": 0.1})
    history = market()
    result = trained(model, history, scratch=tmp_path)
    best = int(result.metrics["best_epoch"])
    assert result.epochs == best + 2 or (best == 0 and result.epochs < 30)
    if best == 0:
        windows, _ = held_out(history, model, cuts(history, model))
        assert not loaded(model, history, result).predict(windows[:5]).location.any()


def test_a_mean_counts_windows_not_batches() -> None:
    mean = Mean()
    mean.add(torch.tensor(1.0), 3)
    mean.add(torch.tensor(5.0, requires_grad=True), 1)
    assert mean.value == 2.0


def test_gradients_are_clipped_by_their_common_norm() -> None:
    module = ForecastModule(Forecaster(torch.nn.Linear(3, 1), PointHead()), 1e-3)
    for clip, expected in ((None, 20.0), (1.0, 1.0)):
        for parameter in module.parameters():
            parameter.grad = torch.full_like(parameter, 10.0)
        module.configure_gradient_clipping(torch.optim.SGD(module.parameters(), lr=1.0), clip)
        norm = torch.linalg.vector_norm(
            torch.cat([p.grad.flatten() for p in module.parameters() if p.grad is not None])
        )
        assert norm.item() == pytest.approx(expected, rel=1e-4)


def test_a_loss_that_is_not_finite_is_a_failure(tmp_path: Path) -> None:
    with pytest.raises(TrainingFailed, match=r"validation loss is not finite; lower training\.learning_rate"):
        trained(spec(training={"learning_rate": 1e37}), market(), scratch=tmp_path)


def test_a_panel_is_one_checkpoint_with_a_calibration_for_each_pair(first: TrainedModel, tmp_path: Path) -> None:
    model = spec(pairs=("EURUSD", "USDJPY"), scope="panel")
    calm, wild = market("EURUSD"), market("USDJPY", seed=1, volatility=0.03)
    result = trained(model, calm, wild, scratch=tmp_path)
    assert result.metrics["train_windows"] == 2 * first.metrics["train_windows"]
    stored = json.loads(result.files[CALIBRATION])
    assert list(stored) == ["EURUSD", "USDJPY"]
    predictor = loaded(model, calm, result)
    for history in (calm, wild):
        rows = cuts(history, model).origins(history.ends, window=16, horizon=3, part="validation")
        own = Calibration.from_json(stored[history.pair])
        assert own.n == len(rows)
        windows = np.stack([history.window(int(row), 16) for row in rows])
        prediction = predictor.predict(windows)
        found = scores(prediction, history, rows)
        returns = np.log(history.closes[rows[:, None] + [1, 2, 3]] / history.closes[rows][:, None])
        np.testing.assert_allclose(found, np.abs(returns - prediction.location) / prediction.scale)
        # Two scores in three lie under the half-width of two thirds, of its own pair.
        assert np.mean(found[:, 0] <= own.z[0, 65]) == pytest.approx(0.66, abs=0.01)
    assert stored["EURUSD"]["z"] != stored["USDJPY"]["z"]


def test_a_kind_without_network_trains_here(tmp_path: Path) -> None:
    history = replace(market(), features=np.empty((1300, 0)), feature_names=())
    model = spec(kind="random_walk", hyperparameters={})
    result = trained(model, history, scratch=tmp_path, supervised=True)
    assert set(result.files) == {PARAMS, GOLDEN, CALIBRATION}
    assert result.metrics["validation_windows"] == json.loads(result.files[CALIBRATION])["EURUSD"]["n"]


def test_no_pair_at_all_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no pair to train on"):
        trained(spec(), window=cuts(market(), spec()), scratch=tmp_path)


LEARNING = {"max_epochs": 6, "patience": 3, "learning_rate": 2e-3}


def test_it_learns_what_is_there(tmp_path: Path) -> None:
    model, history = spec(training=LEARNING), market(phi=0.5, rows=2600)
    ratios = loss_ratio(model, history, trained(model, history, scratch=tmp_path))
    # A perfect forecaster of AR(.5) reaches .75 one step ahead.
    assert ratios[0] < 0.85
    assert (ratios < 1).all()


def test_it_learns_nothing_from_noise(tmp_path: Path) -> None:
    model, history = spec(training=LEARNING), market(rows=2600)
    ratios = loss_ratio(model, history, trained(model, history, scratch=tmp_path))
    assert ratios[0] == pytest.approx(1, abs=0.02)
    assert (ratios < 1.02).all()
