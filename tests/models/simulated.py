"""Simulated histories and small specs for the tests of models: seeded, so every run sees the same rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import numpy as np

from fx_assets.models.calibration import CALIBRATION, fit_calibration
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.params import dump_params
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow

FIRST = np.datetime64("2015-01-01")


def pair_history(
    pair: str = "EURUSD",
    *,
    n: int = 400,
    seed: int = 1,
    features: int = 0,
    returns: FloatArray | None = None,
    start: float = 1.25,
) -> PairHistory:
    """`n` days without gaps ending 22:00 UTC; normal returns of .5 % unless given."""
    rng = np.random.default_rng(seed)
    if returns is None:
        returns = rng.normal(0, 0.005, n - 1)
    closes = start * np.exp(np.concatenate([[0.0], np.cumsum(returns)]))
    dates = FIRST + np.arange(len(closes))
    return PairHistory(
        pair=pair,
        ends=(dates + np.timedelta64(22, "h")).astype("datetime64[us]"),
        trading_dates=dates.astype("datetime64[D]"),
        closes=closes,
        features=rng.normal(0, 1, (len(closes), features)),
        feature_names=tuple(f"feature_{k}" for k in range(features)),
    )


def day(history: PairHistory, row: int) -> datetime:
    """End of a row's bar, aware."""
    end: datetime = history.ends[row].item()
    return end.replace(tzinfo=UTC)


def cuts(history: PairHistory, train: float = 0.6, validate: float = 0.8) -> EvaluationWindow:
    """Training until `train` of the rows, validation until `validate`, the rest is test."""
    n = len(history)
    return EvaluationWindow(day(history, int(n * train)), day(history, int(n * validate)), day(history, n - 1))


def model_spec(kind: str = "random_walk", **changes: Any) -> ModelSpec:
    """A small spec; volatility models get their target."""
    target = "volatility" if kind == "har" else "log_return"
    base = {"model_id": "tried", "kind": kind, "pairs": "all", "window": 30, "horizon": 5, "target": target}
    return ModelSpec.model_validate({**base, **changes})


def calibration_file(horizon: int, *pairs: str, n: int = 400, seed: int = 3) -> dict[str, bytes]:
    """`calibration.json` of standard normal scores."""
    scores = np.abs(np.random.default_rng(seed).normal(size=(n, horizon)))
    return {CALIBRATION: dump_params({pair: fit_calibration(scores) for pair in pairs})}
