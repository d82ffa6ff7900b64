"""`elastic_net`: a linear regression that leaves inputs out (Zou and Hastie 2005)."""

from __future__ import annotations

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from fx_assets.models.errors import FitFailed
from fx_assets.models.inputs import FloatArray
from fx_assets.models.tabular import TabularHyperparameters, TabularPredictor

_MOST_PASSES = 10_000


class ElasticNetHyperparameters(TabularHyperparameters):
    """How much is asked of an input before it counts."""

    strength: float = Field(
        default=1.0, gt=0, le=100, description="Times the correlation that the best of so many useless inputs has"
    )
    l1_ratio: float = Field(
        default=0.5, gt=0, le=1, description="1 leaves out inputs only; less also shrinks what is left"
    )


class ElasticNetPredictor(TabularPredictor):
    """Location by elastic net for each step, width the random walk's.

    What an input must exceed is the universal threshold (Donoho and Johnstone 1994): of p useless inputs the one that
    correlates best with n targets reaches about sqrt(2 log(p) / n), so pure noise leaves every coefficient at exactly
    0, the random walk. At step h neighbouring targets share h - 1 of their h bars: n / h counts. No intercept.
    """

    kind = "elastic_net"
    Hyperparameters: ClassVar[type[BaseModel]] = ElasticNetHyperparameters
    targets = frozenset({"log_return", "level"})

    def _estimators(
        self, rows: NDArray[np.float32], targets: FloatArray, step: int, rng: np.random.Generator
    ) -> list[Any]:
        del rng  # coordinates are visited in order
        from sklearn.linear_model import ElasticNet

        count, inputs = rows.shape
        threshold = self.hyperparameters.strength * math.sqrt(2 * math.log(max(inputs, 2)) * self.overlap(step) / count)
        ratio = self.hyperparameters.l1_ratio
        net = ElasticNet(threshold / ratio, l1_ratio=ratio, fit_intercept=False, max_iter=_MOST_PASSES, tol=1e-6)
        net.fit(rows.astype(np.float64), targets)
        if net.n_iter_ >= _MOST_PASSES:
            raise FitFailed(f"elastic net at step {step} did not settle in {_MOST_PASSES} passes; lower l1_ratio")
        return [net]
