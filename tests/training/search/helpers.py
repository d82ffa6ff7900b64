"""A search whose objective is a formula; also what processes of the tests search for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fx_assets.specs.schema import SearchSpec
from fx_assets.training.records import Trial
from fx_assets.training.search.coordinator import Judge, Objective
from fx_assets.training.search.windows import PairWindows

STUDY = "model/kind/EURUSD/0123456789abcdef"
SPACE: dict[str, Any] = {
    "training.learning_rate": {"low": 1e-5, "high": 1.0, "log": True},
    "training.batch_size": {"low": 1, "high": 512, "log": True, "whole": True},
    "hyperparameters.width": {"choices": [8, 16, 32]},
}


class Folds:
    """A judge that never prunes, and remembers what a trial told of its folds."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.windows: list[PairWindows] = []

    def __call__(self, loss: float, windows: Sequence[PairWindows] = (), /) -> None:
        self.losses.append(loss)
        self.windows.extend(windows)


def search_spec(**changes: Any) -> SearchSpec:
    """Eight trials of three folds."""
    return SearchSpec.model_validate({"trials": 8, "folds": 3, "seed": 3, "space": SPACE, **changes})


def url(folder: Path) -> str:
    """A database in a folder that need not exist."""
    return f"sqlite:///{folder / 'home' / 'search.db'}"


def bowl(values: Mapping[str, Any], judge: Judge) -> None:
    """Lowest at a learning rate of 0.1 and a batch of 30; folds differ more from each other than trials do."""
    for fold in range(3):
        rate, size = values["training.learning_rate"], values["training.batch_size"]
        judge(10.0 * fold + (rate - 0.1) ** 2 + (size - 30) ** 2 / 1e4 + values["hyperparameters.width"] / 1e3)


def of_losses(*losses: float | Exception) -> Objective:
    """Trial after trial, one loss for all three folds each, or an error after the first fold."""
    left = list(losses)

    def objective(values: Mapping[str, Any], judge: Judge) -> None:
        del values
        loss = left.pop(0)
        if isinstance(loss, Exception):
            judge(1.0)
            raise loss
        for _ in range(3):
            judge(loss)

    return objective


def alike(trials: list[Trial]) -> list[Trial]:
    """Without what differs from one search to its repetition: when it was, and in which database."""
    moment = datetime(2026, 11, 21, tzinfo=UTC)
    return [replace(trial, study=STUDY, started_at=moment, ended_at=moment) for trial in trials]
