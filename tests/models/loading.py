"""Predictors that are fitted, calibrated and loaded in memory."""

from __future__ import annotations

from typing import Any

from fx_assets.models.base import BasePredictor
from fx_assets.models.predictors.random_walk import RandomWalk
from tests.models.example_drift import Drift
from tests.models.simulated import calibration_file, cuts, model_spec, pair_history

HISTORY = pair_history(n=300)


class Featured(Drift):
    """Drift that may look at features."""

    kind = "test_featured"
    uses_features = True


def stored(predictor: BasePredictor) -> dict[str, bytes]:
    files = predictor.fit({"EURUSD": HISTORY}, cuts(HISTORY), seed=1)
    return {**files, **calibration_file(predictor.spec.horizon, "EURUSD")}


def loaded(cls: type[BasePredictor] = RandomWalk, **changes: Any) -> BasePredictor:
    predictor = cls(model_spec(cls.kind, **changes))
    predictor.load_model(stored(predictor), predictor.identity())
    return predictor
