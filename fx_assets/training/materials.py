"""What a trainer is given by its constructor: data, a place to work, someone to report to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import Protocol

from fx_assets.models.inputs import PairHistory
from fx_assets.specs.schema import FeatureSetSpec, ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.records import Report, TrainedModel, silent


class Trainer(Protocol):
    """Turns a window and a spec into a model. All else it needs came in by its constructor."""

    def fit(self, window: EvaluationWindow, spec: ModelSpec) -> TrainedModel:
        """Fit on training rows; validation rows may only decide when to stop, and calibrate.

        No row after `window.validate_until` is seen. Raises `TrainingFailed`, `FitFailed` or `InsufficientHistory`.
        """


@dataclass(frozen=True)
class Base:
    """The version that a warm update goes on from: its files, and the end of what it has seen (aware)."""

    version: str
    files: Mapping[str, bytes]
    trained_until: datetime


@dataclass(frozen=True)
class Materials:
    """`histories` by pair; `features`: the set that made their features; `scratch`: a folder that exists.

    `resume`: a folder that outlives a killed training, for its last whole epoch; None: nothing is kept.
    `base`: where a warm update begins; None: from the start. `device`: `cpu`, `cuda`, or `auto`.
    """

    histories: Mapping[str, PairHistory]
    scratch: Path
    features: FeatureSetSpec | None = None
    report: Report = field(default=silent)
    resume: Path | None = None
    base: Base | None = None
    device: str = "cpu"

    def until(self, when: datetime) -> Materials:
        """The same without the rows after `when`."""
        return replace(self, histories={pair: history.until(when) for pair, history in self.histories.items()})

    def quiet(self) -> Materials:
        """The same for one of many trainings: nobody follows its epochs, nothing of it is resumed or continued."""
        return replace(self, report=silent, resume=None, base=None)
