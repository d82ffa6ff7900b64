"""Mean and deviation of features over training rows: fitted here for every kind that z-scores them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fx_assets.models.errors import FitFailed
from fx_assets.models.inputs import PairHistory
from fx_assets.models.params import positive_number
from fx_assets.models.volatility import fitted_initial_variance


def fit_scaler(histories: Mapping[str, PairHistory], names: Sequence[str]) -> dict[str, Any]:
    """`params` of scaling from histories that hold training rows only, pooled over the pairs; `names` of the features.

    Raises `FitFailed` naming a feature that never changes: it has no scale.
    """
    features = np.concatenate([history.features for history in histories.values()])
    std = features.std(axis=0)
    # A constant column of large numbers has a deviation of rounding errors, not of 0.
    constant = ~(std > 1e-12 * (1 + np.abs(features).max(axis=0, initial=0)))
    if constant.any():
        listed = ", ".join(np.array(names)[constant])
        raise FitFailed(f"features {listed} never change in the training rows; remove them from the feature set")
    return {
        "initial_variance": fitted_initial_variance(histories),
        "mean": features.mean(axis=0).tolist(),
        "std": std.tolist(),
    }


def scaler_problems(params: Mapping[str, Any], features: int) -> dict[str, str]:
    """For `_check_params`: what is missing or wrong in the `params` of a scaler of so many features."""
    problems = positive_number(params, "initial_variance")
    for name, fits in (("mean", _number), ("std", _positive)):
        values = params.get(name)
        if not isinstance(values, list) or len(values) != features or not all(map(fits, values)):
            problems[name] = f"is not a list of {features} numbers that a scaler can have"
    return problems


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _positive(value: Any) -> bool:
    return _number(value) and value > 0
