"""What a training reports while it runs, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any


class TrainingFailed(RuntimeError):
    """A training ended without a model; the message says which, why, and what to do."""


@dataclass(frozen=True)
class Progress:
    """One epoch. Epoch 0 is the network before training; `best` says whether no epoch before was as good.

    Losses are in units of the network's scaled target, and comparable between epochs of one training only.
    """

    epoch: int
    max_epochs: int
    train_loss: float | None
    validation_loss: float
    best: bool

    def __str__(self) -> str:
        losses = f"validation loss {self.validation_loss:.5f}{' (best so far)' if self.best else ''}"
        if self.train_loss is None:
            return f"before training: {losses}"
        return f"epoch {self.epoch} of at most {self.max_epochs}: train loss {self.train_loss:.5f}, {losses}"

    def to_json(self) -> dict[str, Any]:
        """The event as it is written on the child's stdout."""
        return asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> Progress:
        """Raises `TrainingFailed` where the event has other keys: then child and parent differ in version."""
        if set(value) != set(cls.__dataclass_fields__):
            raise TrainingFailed(f"progress event with keys {sorted(value)}; restart, so that one version runs")
        return cls(**value)


@dataclass(frozen=True)
class Fitted:
    """What a trainer leaves: files, not yet calibrated."""

    files: Mapping[str, bytes]
    metrics: Mapping[str, float]
    history: tuple[Progress, ...] = ()
    epochs: int = 0


@dataclass(frozen=True)
class TrainedModel:
    """A trained model as bytes by file name, with what was measured on the way.

    `trained_until` (aware) is the end of the validation rows: weights, stopping and calibration have
    seen everything before it and nothing after. `epochs` counts those that ran, not the one kept.
    """

    files: Mapping[str, bytes]
    metrics: Mapping[str, float]
    history: tuple[Progress, ...]
    trained_until: datetime
    epochs: int
