"""When a trial is not worth going on with."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence

COMPLETE_FIRST = 5  # trials that are judged to the end, whatever they look like, before any is pruned


def mean_loss(folds: Sequence[float]) -> float:
    """The mean of a trial's folds, equal wherever it is computed, and finite where they are."""
    return math.fsum(fold / len(folds) for fold in folds)


def hopeless(folds: Sequence[float], complete: Sequence[Sequence[float]]) -> bool:
    """The median stopping rule (Golovin et al. 2017, "Google Vizier"), for folds in place of epochs.

    Whether the mean of the `folds` so far is above the median of the means that the `complete` trials had over the same
    folds. Optuna's own rule takes the lowest value of each so far: right for a curve that falls while a model learns,
    wrong for folds, of which one lies in a calmer market than the next.
    """
    if len(complete) < COMPLETE_FIRST:
        return False
    return mean_loss(folds) > statistics.median(mean_loss(other[: len(folds)]) for other in complete)
