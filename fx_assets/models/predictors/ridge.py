"""`ridge`: a linear regression that believes little (Hoerl and Kennard 1970)."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from fx_assets.models.inputs import FloatArray
from fx_assets.models.tabular import TabularHyperparameters, TabularPredictor


class RidgeHyperparameters(TabularHyperparameters):
    """`believed` is the belief before any row is seen; .005 a day would be a Sharpe ratio of 1.1 a year."""

    believed: float = Field(
        default=0.005, gt=0, lt=1, description="Share of the target's variance that all inputs together may explain"
    )


class RidgePredictor(TabularPredictor):
    """Location by ridge regression for each step, width the random walk's.

    The penalty is Bayesian: inputs and targets have a variance near 1, so p coefficients that together explain a share
    R of the target have the prior variance R / p, and the penalty is p / R whatever the number of rows: many rows
    outweigh it, few do not. At step h neighbouring targets share h - 1 of their h bars, n of them say as much as n / h,
    and the penalty is h times as large. No intercept: inputs at their means give the random walk.
    """

    kind = "ridge"
    Hyperparameters: ClassVar[type[BaseModel]] = RidgeHyperparameters
    targets = frozenset({"log_return", "level"})

    def _estimators(
        self, rows: NDArray[np.float32], targets: FloatArray, step: int, rng: np.random.Generator
    ) -> list[Any]:
        del rng  # least squares has one answer
        from sklearn.linear_model import Ridge

        penalty = self.overlap(step) * rows.shape[1] / self.hyperparameters.believed
        return [Ridge(penalty, fit_intercept=False, solver="cholesky").fit(rows.astype(np.float64), targets)]
