"""The random walk: the last price, with a range as wide as the market is now."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from pydantic import Field

from fx_assets.models.base import BasePredictor
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.params import positive_number
from fx_assets.models.volatility import DEFAULT_ALPHA, ewma_variance, fitted_initial_variance, log_returns
from fx_assets.specs.schema import Strict


class Hyperparameters(Strict):
    """`alpha` is the weight of the newest squared return."""

    alpha: float = Field(default=DEFAULT_ALPHA, gt=0, lt=1)


class RandomWalk(BasePredictor):
    """Location 0 at every horizon, variance h times the EWMA of squared returns; all that anything must beat."""

    kind = "random_walk"
    Hyperparameters = Hyperparameters
    targets = frozenset({"log_return", "level"})
    scopes = frozenset({"pair", "panel"})

    def _fit(self, histories: Mapping[str, PairHistory], rng: np.random.Generator) -> dict[str, Any]:
        del rng  # nothing here is left to chance
        return {"initial_variance": fitted_initial_variance(histories)}

    def _check_params(self, params: Mapping[str, Any]) -> dict[str, str]:
        return positive_number(params, "initial_variance")

    def _predict(self, window: FloatArray) -> tuple[FloatArray, FloatArray]:
        variance = ewma_variance(
            log_returns(window[:, 0]), initial=self.params["initial_variance"], alpha=self.hyperparameters.alpha
        )
        horizons = np.arange(1, self.spec.horizon + 1)
        return np.zeros(len(horizons)), np.sqrt(horizons * variance)
