"""The plug point between a trainer that can judge settings and a library that proposes them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from fx_assets.specs.schema import SearchSpec
from fx_assets.training.records import Report, Trial
from fx_assets.training.search.windows import PairWindows

Values = Mapping[str, Any]
"""One proposal: a value for each dotted key of the search's space."""


class Judge(Protocol):
    """Takes one fold after another: its loss, and what each of its windows lost and earned, for the ledger."""

    def __call__(self, loss: float, windows: Sequence[PairWindows] = (), /) -> None:
        """Raises `Pruned` where the proposal is not worth going on with."""


Objective = Callable[[Values, Judge], None]
"""Judges one proposal fold by fold."""


class Pruned(Exception):
    """Raised by a `Judge` to end a trial early; an objective lets it pass."""


class SearchUnavailable(RuntimeError):
    """The database of searches is gone, broken or stays locked: no fault of a trial, so it ends the training."""


class OptimizationCoordinator(Protocol):
    """Proposes values, remembers what came of them, and goes on where a killed search stopped."""

    def search(self, study: str, spec: SearchSpec, objective: Objective, report: Report) -> Sequence[Trial]:
        """All trials of `study`, best first, `spec.trials` of them complete, pruned or failed.

        `study` names the search by all that decides its result: the same name goes on with the same trials.
        Each trial, also one finished before a restart, is reported at least once. A trial whose objective raises
        a `ValueError` or `TrainingFailed` counts as failed, with the reason; other errors end the search.
        Raises `TrainingFailed` where no trial was completed, `SearchUnavailable` where trials cannot be kept.
        """
