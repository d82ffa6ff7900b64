"""`gradient_boosting`: quantiles by boosted trees over histograms (Friedman 2001; Ke et al. 2017, LightGBM)."""

from __future__ import annotations

from statistics import NormalDist
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, Field

from fx_assets.models.inputs import FloatArray
from fx_assets.models.tabular import TabularHyperparameters, TabularPredictor

LOW, MIDDLE, HIGH = 0.1, 0.5, 0.9
# A width under this share of the EWMA's is not believed.
NARROWEST = 0.1


class GradientBoostingHyperparameters(TabularHyperparameters):
    """Small trees, few of them, with many rows in a leaf: what noise allows."""

    max_iter: int = Field(default=40, ge=1, le=5000, description="Trees for each quantile")
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    max_leaf_nodes: int = Field(default=3, ge=2, le=255)
    min_samples_leaf: int = Field(
        default=200, ge=1, description="Rows in a leaf at step 1; at step h, h times as many, up to a quarter of all"
    )
    l2_regularization: float = Field(default=1.0, ge=0)


class GradientBoostingPredictor(TabularPredictor):
    """Quantiles .1, .5 and .9 for each step: the location is the median, the width (q90 - q10) / (2 z.9).

    Targets are centred on their median, for the drift of training rows is not to be carried on. Quantiles that cross
    are put in order (Chernozhukov, Fernandez-Val and Galichon 2010). For target `volatility` the location is 0, and the
    median is not fitted.
    """

    kind = "gradient_boosting"
    Hyperparameters: ClassVar[type[BaseModel]] = GradientBoostingHyperparameters
    targets = frozenset({"log_return", "volatility"})

    @property
    def levels(self) -> tuple[float, ...]:
        """Levels of the quantiles that are fitted."""
        return (LOW, HIGH) if self.spec.target == "volatility" else (LOW, MIDDLE, HIGH)

    @property
    def outputs(self) -> int:
        """One estimator a quantile."""
        return len(self.levels)

    def _estimators(
        self, rows: NDArray[np.float32], targets: FloatArray, step: int, rng: np.random.Generator
    ) -> list[Any]:
        from sklearn.ensemble import HistGradientBoostingRegressor

        options = self.hyperparameters.model_dump(exclude={"lags", "steps"})
        leaf = options["min_samples_leaf"]
        options["min_samples_leaf"] = max(leaf, min(round(leaf * self.overlap(step)), len(rows) // 4))
        targets = targets - np.median(targets)
        found = []
        for level in self.levels:
            trees = HistGradientBoostingRegressor(
                loss="quantile",
                quantile=level,
                early_stopping=False,  # it would hold out rows at random, neighbours of those it learns from
                random_state=int(rng.integers(2**31)),
                **options,
            ).fit(rows, targets)
            _round_thresholds(trees)
            found.append(trees)
        return found

    def _units(self, answers: FloatArray) -> tuple[FloatArray, FloatArray, tuple[str, ...]]:
        ordered = np.sort(answers, axis=1)
        width = (ordered[:, -1] - ordered[:, 0]) / (2 * NormalDist().inv_cdf(HIGH))
        location = np.zeros(len(answers)) if self.spec.target == "volatility" else ordered[:, 1]
        narrow = [step for step, value in zip(self.steps, width.tolist(), strict=True) if value < NARROWEST]
        note = f"width held at a tenth of the EWMA's at steps {', '.join(map(str, narrow))}: its quantiles were closer"
        return location, np.maximum(width, NARROWEST), (note,) if narrow else ()


def _round_thresholds(trees: Any) -> None:
    """Thresholds to the next number of 32 bits below, in place.

    ONNX holds them in 32 bits, rounded to nearest: a row between neighbouring numbers would then go to the other side.
    Rounded down, every row of 32 bits goes where it went: x <= t holds exactly where x <= floor(t).
    """
    for (tree,) in trees._predictors:
        exact = tree.nodes["num_threshold"]
        rounded = exact.astype(np.float32)
        down = np.nextafter(rounded, np.float32(-np.inf))
        tree.nodes["num_threshold"] = np.where(rounded > exact, down, rounded)
