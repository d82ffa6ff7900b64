"""What a training reports while it runs, and what it leaves behind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Literal

from fx_assets.storage.trial_series import PackedSeries


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


TrialState = Literal["complete", "pruned", "failed"]


@dataclass(frozen=True)
class Trial:
    """One set of values that a search has tried. `study` and `number` name it for ever.

    `loss` is the mean of `folds`, the out-of-fold losses it got to; None where it got to none. `reason`: of a failure.
    `series`: what each window of those folds lost and earned, by pair; none of a trial from before they were kept.
    """

    study: str
    number: int
    values: Mapping[str, Any]
    state: TrialState
    loss: float | None
    folds: tuple[float, ...]
    started_at: datetime
    ended_at: datetime
    reason: str = ""
    series: tuple[PackedSeries, ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        values = ", ".join(f"{name}={value}" for name, value in sorted(self.values.items()))
        loss = "no loss" if self.loss is None else f"loss {self.loss:.5f}"
        return f"trial {self.number} {self.state}: {loss}, {values}{f' ({self.reason})' if self.reason else ''}"


@dataclass(frozen=True)
class Step:
    """Anything else worth saying while a long training runs, e.g. which member of an ensemble is at work."""

    message: str

    def __str__(self) -> str:
        return self.message


Event = Progress | Trial | Step
Report = Callable[[Event], None]


def silent(_: Event) -> None:
    """Report to nobody."""


_KINDS: Mapping[str, type[Progress] | type[Trial] | type[Step]] = {"progress": Progress, "trial": Trial, "step": Step}


def event_to_json(event: Event) -> dict[str, Any]:
    """The event as it is written on the child's stdout: its name and its fields."""
    name = next(name for name, kind in _KINDS.items() if isinstance(event, kind))
    fields = {key: value.isoformat() if isinstance(value, datetime) else value for key, value in asdict(event).items()}
    return {"event": name, **fields}


def event_from_json(value: Mapping[str, Any]) -> Event:
    """Raises `TrainingFailed` where the event is another: then child and parent differ in version."""
    kind = _KINDS.get(str(value.get("event")))
    if kind is None or set(value) - {"event"} != set(kind.__dataclass_fields__):
        raise TrainingFailed(f"training event with keys {sorted(value)}; restart, so that one version runs")
    fields = {key: item for key, item in value.items() if key != "event"}
    if kind is Trial:
        moments = {name: datetime.fromisoformat(fields[name]) for name in ("started_at", "ended_at")}
        series = tuple(PackedSeries(**one) for one in fields["series"])
        fields = {**fields, **moments, "folds": tuple(fields["folds"]), "series": series}
    return kind(**fields)


@dataclass(frozen=True)
class Fitted:
    """What learning leaves: files, not yet calibrated."""

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
