"""A worked example of a new model: this class and one YAML file, nothing else.

model_id: drift
kind: example_drift
pairs: all
window: 30
horizon: 20
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from fx_assets.models.base import BasePredictor
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.volatility import log_returns


class Drift(BasePredictor):
    """The mean log return of the training rows, again and again; the deviation is that of the window."""

    kind = "example_drift"

    def _fit(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, Any]:
        del rng
        returns = np.concatenate([log_returns(history.closes) for history in histories.values()])
        return {"drift": float(np.mean(returns)), "deviation": float(np.std(returns))}

    def _predict(self, window: FloatArray) -> tuple[FloatArray, FloatArray]:
        steps = np.arange(1, self.spec.horizon + 1)
        deviation = np.std(log_returns(window[:, 0])) or self.params["deviation"]
        return steps * self.params["drift"], np.sqrt(steps) * deviation
