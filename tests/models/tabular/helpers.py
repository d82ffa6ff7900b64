"""Small markets with and without something to find, and models fitted on them."""

from __future__ import annotations

from typing import Any

import numpy as np

from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.registry import predictor_class
from fx_assets.models.tabular import TabularPredictor
from fx_assets.specs.schema import ModelSpec
from tests.models.simulated import cuts, model_spec, pair_history

KINDS = ("ridge", "elastic_net", "gradient_boosting")
WINDOW, HORIZON = 30, 8


def spec(kind: str, **changes: Any) -> ModelSpec:
    """Steps 1, 5 and 8."""
    return model_spec(kind, **{"features": "core", "window": WINDOW, "horizon": HORIZON, **changes})


def empty(kind: str, history: PairHistory, **changes: Any) -> TabularPredictor:
    """Not fitted yet."""
    predictor = predictor_class(kind)(spec(kind, **changes), history.columns, feature_schema="0a1b2c3d")
    assert isinstance(predictor, TabularPredictor)
    return predictor


def fitted(kind: str, history: PairHistory, **changes: Any) -> TabularPredictor:
    """Fitted on the first 60 % of the rows, and loaded."""
    predictor = empty(kind, history, **changes)
    files = predictor.fit({history.pair: history}, cuts(history), seed=7)
    assert predictor.load_model(files, predictor.identity()).skipped == []
    return predictor


def unseen(history: PairHistory, horizon: int = HORIZON, every: int = 1) -> tuple[FloatArray, FloatArray]:
    """Windows of the last 40 % of the rows, and the log returns (n, H) that followed."""
    rows = np.arange(int(len(history) * 0.6) + 1, len(history) - horizon, every)
    ahead = history.closes[rows[:, None] + np.arange(1, horizon + 1)]
    windows = np.stack([history.window(int(row), WINDOW) for row in rows])
    return windows, np.log(ahead / history.closes[rows][:, None])


def ratio(predictor: TabularPredictor, history: PairHistory, every: int = 1) -> FloatArray:
    """Mean squared error on unseen windows over that of the random walk (H,)."""
    windows, truth = unseen(history, predictor.spec.horizon, every)
    error: FloatArray = np.mean((truth - predictor.predict(windows).location) ** 2, axis=0)
    relative: FloatArray = error / np.mean(truth**2, axis=0)
    return relative


def autoregressive(phi: float, n: int = 4000, seed: int = 1, features: int = 2) -> PairHistory:
    """Log returns AR(1); features are noise."""
    returns = np.random.default_rng(seed).normal(0, 0.005, n - 1)
    for row in range(1, n - 1):
        returns[row] += phi * returns[row - 1]
    return pair_history(returns=returns, features=features, seed=seed + 50)


def with_features(history: PairHistory, features: FloatArray) -> PairHistory:
    """The same with other features (n, k)."""
    names = tuple(f"feature_{number}" for number in range(features.shape[1]))
    return PairHistory(history.pair, history.ends, history.trading_dates, history.closes, features, names)


def led(strength: float, n: int = 4000, seed: int = 1, *, width: bool = False) -> PairHistory:
    """Feature 1 of 3 leads the next return by `strength` of its deviation; or, with `width`, the log of its width."""
    rng = np.random.default_rng(seed)
    features = rng.normal(5, 3, (n, 3))
    lead = (features[:-1, 1] - 5) / 3
    noise = rng.normal(0, 0.005, n - 1)
    returns = noise * np.exp(strength * lead) if width else noise + 0.005 * strength * lead
    return with_features(pair_history(returns=returns), features)
