"""Through the trainer: fitted stages of the feature set first, then the model, calibration and golden sample."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from fx_assets.features.plan import PLAN, load_plan
from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.calibration import CALIBRATION
from fx_assets.models.golden import GOLDEN
from fx_assets.models.inputs import PairHistory
from fx_assets.models.onnx_model import ONNX
from fx_assets.models.params import PARAMS
from fx_assets.models.registry import predictor_class
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.training.kind_trainer import FitTrainer
from fx_assets.training.materials import Materials
from tests.models.tabular.helpers import KINDS
from tests.training.helpers import cuts, market, replace, spec

SELECTED = FeatureSetSpec.model_validate(
    {
        "name": "short",
        "stages": [
            {"stage": "indicators", "options": {"returns": [1, 2], "volatility": [5]}},
            {"stage": "selection", "options": {"threshold": 0.9}},
        ],
    }
)


def candidates(history: PairHistory) -> PairHistory:
    """Three features: noise, a twin of it, and noise with gaps."""
    draw = np.random.default_rng(5)
    noise = draw.standard_normal((len(history), 2))
    gappy = np.where(draw.random(len(history)) < 0.1, np.nan, noise[:, 1])
    names = ("returns_1", "returns_2", "volatility_5")
    return replace(history, features=np.column_stack([noise[:, 0], noise[:, 0] ** 3, gappy]), feature_names=names)


@pytest.mark.parametrize("kind", KINDS)
def test_a_feature_set_with_a_selection_trains_loads_and_fills_gaps(kind: str, tmp_path: Path) -> None:
    history = candidates(market(rows=1200))
    model = spec(kind=kind, hyperparameters={}, features="short")
    materials = Materials({"EURUSD": history}, tmp_path, features=SELECTED)
    made = FitTrainer(materials).fit(cuts(history, model), model)
    assert set(made.files) == {PARAMS, ONNX, PLAN, GOLDEN, CALIBRATION}
    assert load_plan(made.files[PLAN]).names == ("returns_1", "volatility_5")
    predictor = predictor_class(kind)(model, history.columns)
    assert predictor.load_model(MemoryCheckpoint(predictor.identity(), made.files)).skipped == []
    gap = int(np.flatnonzero(np.isnan(history.features[:, 2]))[-1])
    window = history.window(gap, model.window)
    rows = [[None if np.isnan(cell) else cell for cell in row] for row in window.tolist()]
    answer = predictor.run({"data": rows}, "EURUSD")
    assert answer.quantiles.shape == (model.horizon, len(model.quantiles))
    assert answer.location.tobytes() == predictor.predict(window[None]).location[0].tobytes()
