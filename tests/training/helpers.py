"""Small simulated markets and a small network, so that a training takes a second."""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.settings import Settings
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.materials import Materials
from fx_assets.training.records import Event, TrainedModel
from fx_assets.training.trainers import train

SMALL: dict[str, Any] = {
    "model_id": "small",
    "kind": "itransformer",
    "pairs": ("EURUSD",),
    "window": 16,
    "horizon": 3,
    "hyperparameters": {"width": 16, "layers": 1, "heads": 2, "feed_forward": 16, "dropout": 0.1},
    "training": {"max_epochs": 2, "patience": 2, "batch_size": 64, "learning_rate": 1e-3, "validation_years": 1},
}


def spec(training: dict[str, Any] | None = None, **changes: Any) -> ModelSpec:
    """The small model with changes."""
    return ModelSpec.model_validate({**SMALL, **changes, "training": {**SMALL["training"], **(training or {})}})


def market(
    pair: str = "EURUSD",
    *,
    rows: int = 1300,
    phi: float = 0.0,
    features: int = 2,
    seed: int = 0,
    volatility: float = 0.006,
) -> PairHistory:
    """Business days ending 2026-10-30 at 21:00 UTC; log returns AR(1) with coefficient `phi`; features are noise."""
    rng = np.random.default_rng(seed)
    days = np.arange(np.datetime64("1990-01-01"), np.datetime64("2026-10-31"))
    days = days[np.is_busday(days)][-rows:]
    returns = rng.normal(0, volatility, rows)
    for row in range(1, rows):
        returns[row] += phi * returns[row - 1]
    return PairHistory(
        pair=pair,
        ends=(days + np.timedelta64(21, "h")).astype("datetime64[us]"),
        trading_dates=days.astype("datetime64[D]"),
        closes=1.1 * np.exp(np.cumsum(returns)),
        features=rng.normal(3, 2, (rows, features)),
        feature_names=tuple(f"noise_{number}" for number in range(features)),
    )


def cuts(history: PairHistory, model: ModelSpec) -> EvaluationWindow:
    """The window that the nightly run would use."""
    return EvaluationWindow.held_out_year(
        history.ends, refit_every=model.training.refit_every, validation_years=model.training.validation_years
    )


def replace(history: PairHistory, **changes: Any) -> PairHistory:
    """A copy with other arrays."""
    return dataclasses.replace(history, **changes)


def materials(scratch: Path, *histories: PairHistory, **more: Any) -> Materials:
    """What a trainer is given, by pair."""
    return Materials(histories={history.pair: history for history in histories}, scratch=scratch, **more)


def trained(
    model: ModelSpec,
    *histories: PairHistory,
    scratch: Path,
    window: EvaluationWindow | None = None,
    supervised: bool = False,
    **more: Any,
) -> TrainedModel:
    """Train in this process unless `supervised`, cut as at night unless by `window`."""
    return train(
        model,
        materials(scratch, *histories, **more),
        window or cuts(histories[0], model),
        settings=Settings(home=scratch, child_grace_seconds=1),
        supervised=supervised,
    )


class Heard(list[Event]):
    """Collects what a training reports."""

    def of(self, kind: type[Any]) -> list[Any]:
        """The events of one kind."""
        return [event for event in self if isinstance(event, kind)]


def held_out(history: PairHistory, model: ModelSpec, window: EvaluationWindow) -> tuple[FloatArray, FloatArray]:
    """Held-out windows (n, rows, columns) and the returns (n, H) that followed."""
    rows = window.origins(history.ends, window=model.window, horizon=model.horizon, part="test")
    ahead = history.closes[rows[:, None] + np.arange(1, model.horizon + 1)]
    windows = np.stack([history.window(int(row), model.window) for row in rows])
    return windows, np.log(ahead / history.closes[rows][:, None])


def alive(pid: int) -> bool:
    """Whether a process runs; a zombie that nobody reaps does not."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def wait_until_gone(*pids: int, seconds: float = 30.0) -> list[int]:
    """The processes still alive after a generous wait; empty as soon as none is."""
    deadline = time.monotonic() + seconds
    while (left := [pid for pid in pids if alive(pid)]) and time.monotonic() < deadline:
        time.sleep(0.02)
    for pid in left:  # a failed test must not leave them behind
        os.kill(pid, 9)
    return left
