"""Fitted stages see training rows alone, and a checkpoint brings along what they learned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fx_assets.features.plan import PLAN, FeaturePlan, load_plan
from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.errors import InsufficientHistory, InvalidCheckpoint, InvalidInput
from fx_assets.models.inputs import PairHistory
from fx_assets.models.registry import predictor_class
from fx_assets.specs.schema import FeatureSetSpec, ModelSpec, Target
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.features import fit_features, target
from tests.training.helpers import cuts, market, replace, spec
from tests.training.helpers import trained as train_on

SELECTED = FeatureSetSpec.model_validate(
    {
        "name": "short",
        "stages": [
            {"stage": "indicators", "options": {"returns": [1, 2], "volatility": [5]}},
            {"stage": "selection", "options": {"threshold": 0.9}},
        ],
    }
)
NAMES = ("returns_1", "returns_2", "volatility_5")


def with_features(history: PairHistory) -> PairHistory:
    """Three features: noise, a twin of it, and noise with gaps."""
    draw = np.random.default_rng(5)
    noise = draw.standard_normal((len(history), 2))
    gappy = noise[:, 1].copy()
    gappy[draw.random(len(history)) < 0.1] = np.nan
    return replace(history, features=np.column_stack([noise[:, 0], noise[:, 0] ** 3, gappy]), feature_names=NAMES)


def fitted(model: ModelSpec, history: PairHistory, window: EvaluationWindow, scratch: Path) -> FeaturePlan | None:
    return fit_features(
        SELECTED, {"EURUSD": history}, window, horizon=model.horizon, aim=model.target, scratch=scratch, seed=1
    )


def test_what_lies_after_the_training_rows_changes_no_bit_of_what_is_learned(tmp_path: Path) -> None:
    model, history = spec(), with_features(market())
    window = cuts(history, model)
    plan = fitted(model, history, window, tmp_path)
    assert plan is not None
    rows = window.origins(history.ends, window=1, horizon=model.horizon, part="train")
    later = np.arange(len(history)) > rows[-1]
    # Targets reach `horizon` rows further, and no feature of those rows is seen.
    shaken = np.where(later[:, None], history.features * 9 - 4, history.features)
    other = fitted(model, replace(history, features=shaken), window, tmp_path)
    assert other is not None
    assert other.dump() == plan.dump()
    first = np.where(np.arange(len(history))[:, None] == rows[-1], -1e6 * np.sign(history.features), history.features)
    moved = fitted(model, replace(history, features=first), window, tmp_path)
    assert moved is not None
    assert moved.dump() != plan.dump()


@pytest.mark.parametrize("aim", ["log_return", "volatility"])
def test_targets_are_what_follows_a_row(aim: Target) -> None:
    history = market(rows=40)
    rows = np.array([0, 7, 36])
    logs = np.log(history.closes)
    ahead = [np.diff(logs[row : row + 4]) for row in rows]
    expected = [np.sum(step) if aim == "log_return" else np.sqrt(np.sum(step**2)) for step in ahead]
    assert target(aim, 3, history, rows) == pytest.approx(np.array(expected) * 1e4, abs=1e-7)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Any:
    model, history = spec(training={"max_epochs": 1}), with_features(market())
    return model, history, train_on(model, history, scratch=tmp_path_factory.mktemp("scratch"), features=SELECTED)


def test_a_checkpoint_brings_its_selection_and_fills_gaps(trained: Any) -> None:
    model, history, made = trained
    plan = load_plan(made.files[PLAN])
    assert plan.names == ("returns_1", "volatility_5")
    predictor = predictor_class(model.kind)(model, history.columns)
    predictor.load_model(MemoryCheckpoint(predictor.identity(), made.files))
    assert predictor.inside == ("close", "returns_1", "volatility_5")
    gaps = np.isnan(history.features[:, 2])
    row = int(np.flatnonzero(gaps)[-1])
    window = history.window(row, model.window)
    answer = predictor.predict(window[None])
    filled = np.where(np.isnan(window), plan.steps[0][1]["fill"]["volatility_5"], window)
    assert predictor.predict(filled[None]).location.tobytes() == answer.location.tobytes()
    rows: list[list[float | None]] = [[None if np.isnan(v) else v for v in line] for line in window.tolist()]
    assert predictor.prepare_input({"data": rows}).tobytes() == np.ascontiguousarray(window).tobytes()
    rows[0][0] = None
    with pytest.raises(InvalidInput, match="expected a number, got null"):
        predictor.prepare_input({"data": rows})


def test_a_plan_for_other_candidates_is_refused(trained: Any) -> None:
    model, history, made = trained
    columns = ("close", "returns_1", "volatility_5", "returns_2")
    predictor = predictor_class(model.kind)(model, columns)
    with pytest.raises(InvalidCheckpoint, match=r"features\.json: made for other candidate features"):
        predictor.load_model(MemoryCheckpoint(predictor.identity(), made.files))
    del history


def test_gaps_that_nothing_fills_name_the_feature_and_the_remedy(tmp_path: Path) -> None:
    model, history = spec(), with_features(market())
    bare = SELECTED.model_copy(update={"stages": SELECTED.stages[:1]})
    with pytest.raises(InsufficientHistory, match=r"feature volatility_5 is missing in \d+ of 1017 rows; end the set"):
        train_on(model, history, scratch=tmp_path, features=bare)


def test_a_kind_that_reads_no_features_leaves_them_aside(tmp_path: Path) -> None:
    model, history = spec(kind="random_walk", hyperparameters={}), with_features(market())
    made = train_on(model, history, scratch=tmp_path, features=SELECTED)
    assert PLAN not in made.files
    assert made.files == train_on(model, history.bare(), scratch=tmp_path).files
