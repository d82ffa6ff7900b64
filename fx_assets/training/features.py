"""The fitted stages of a model's features, fitted on its training rows and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.plan import FeaturePlan, fit_plan
from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.specs.schema import FeatureSetSpec, Target
from fx_assets.timegrid.windows import EvaluationWindow

BASIS_POINTS = 1e4


def fit_features(
    features: FeatureSetSpec | None,
    histories: Mapping[str, PairHistory],
    window: EvaluationWindow,
    *,
    horizon: int,
    aim: Target,
    scratch: Path,
    seed: int,
) -> FeaturePlan | None:
    """The plan of the set's fitted stages; None without a set, or with one that has none.

    Fitted on the rows whose whole target lies in the training part (purged by the horizon), pooled over the pairs.
    """
    if features is None:
        return None
    values, targets = [], []
    for history in histories.values():
        rows = window.origins(history.ends, window=1, horizon=horizon, part="train")
        values.append(history.features[rows])
        targets.append(target(aim, horizon, history, rows))
    return fit_plan(features, values, targets, scratch=scratch, seed=seed)


def target(aim: Target, horizon: int, history: PairHistory, rows: NDArray[np.int64]) -> FloatArray:
    """(n,) basis points: the log return over the horizon after each row or, for volatility, its realised size."""
    logs = np.log(history.closes)
    if aim != "volatility":
        return np.asarray((logs[rows + horizon] - logs[rows]) * BASIS_POINTS)
    sums = np.concatenate([[0.0], np.cumsum(np.diff(logs) ** 2)])
    return np.asarray(np.sqrt(np.maximum(sums[rows + horizon] - sums[rows], 0.0)) * BASIS_POINTS)


def inside(plan: FeaturePlan | None, histories: Mapping[str, PairHistory]) -> dict[str, PairHistory]:
    """The histories with the features that the model sees, all of them finite.

    Raises `InsufficientHistory` naming a feature with gaps that nothing fills.
    """
    return {
        pair: _complete(history if plan is None else _planned(plan, history)) for pair, history in histories.items()
    }


def _planned(plan: FeaturePlan, history: PairHistory) -> PairHistory:
    return replace(history, features=plan.apply(history.features), feature_names=plan.names)


def _complete(history: PairHistory) -> PairHistory:
    gaps = np.isnan(history.features)
    if gaps.any():
        column = int(np.argmax(gaps.any(axis=0)))
        raise InsufficientHistory(
            f"{history.pair}: feature {history.feature_names[column]} is missing in {int(gaps[:, column].sum())} of "
            f"{len(history)} rows; end the set with the stage selection, which drops or fills such columns"
        )
    return history
