"""The honest choice: one candidate for the whole table, by walk-forward folds of the rows before the test.

Why folds: the protocol's validation has 41 windows at 720, all of one stretch; early stopping may use it, a choice
among dozens of candidates may not. Why one for all horizons: at 720 even the folds have but a few independent windows.
A candidate's figure is its MSE over repeat-last's in each fold and horizon, averaged with the number of independent
windows as weight, so that a window counts alike wherever it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from fx_assets.evaluation.exchange.candidates import Candidate, Family
from fx_assets.evaluation.exchange.split import Split
from fx_assets.evaluation.exchange.table import Floats
from fx_assets.timegrid.windows import EvaluationWindow

Show = Callable[[str], None]


@dataclass(frozen=True)
class Figure:
    """Of one candidate over the folds: MSE as a share of repeat-last's, in all and by horizon."""

    candidate: Candidate
    ratio: float
    by_horizon: dict[int, float]


@dataclass(frozen=True)
class Choice:
    """`ranking`: every candidate, the best first. `tried`: candidates times horizons. `digest`: of all the fits."""

    ranking: tuple[Figure, ...]
    tried: int
    folds: dict[int, int]
    digest: str

    @property
    def best(self) -> Figure:
        """What was chosen."""
        return self.ranking[0]


def fits(split: Split, family: Family, horizons: Sequence[int]) -> int:
    """How many fits a choice takes."""
    return sum(len(split.folds(horizon)) for horizon in horizons) * len(family.models)


def choose(split: Split, family: Family, horizons: Sequence[int], *, seed: int, show: Show) -> Choice:
    """Fit every model in every fold and rank every candidate. `show` is called after each fit."""
    candidates = family.candidates
    digest = hashlib.sha256()
    sums = np.zeros((len(candidates), len(horizons)))
    weights = np.zeros(len(horizons))
    folds = {}
    for at, horizon in enumerate(horizons):
        parts = split.folds(horizon)
        folds[horizon] = len(parts)
        for number, fold in enumerate(parts, start=1):
            last = fold.origins("test", horizon)
            changes = {}
            for model in family.models:
                fitted = model.fit(fold, horizon, seed)
                digest.update(fitted.digest(last).encode())
                changes[model.name] = fitted.forecast(last) - fold.z[last][:, :, None]
                show(f"choosing: {model.name} at {horizon}, fold {number}")
            independent = EvaluationWindow.independent(len(last), horizon)
            truth = fold.actual(last, horizon) - fold.z[last][:, :, None]
            sums[:, at] += independent * _ratios(candidates, changes, truth)
            weights[at] += independent
    by_horizon = sums / weights
    overall = sums.sum(1) / weights.sum()
    figures = [
        Figure(candidate, float(ratio), dict(zip(horizons, row.tolist(), strict=True)))
        for candidate, ratio, row in zip(candidates, overall, by_horizon, strict=True)
    ]
    ranking = tuple(sorted(figures, key=lambda figure: figure.ratio))
    return Choice(ranking, len(candidates) * len(horizons), folds, digest.hexdigest())


def _ratios(candidates: Sequence[Candidate], changes: dict[str, Floats], truth: Floats) -> Floats:
    """MSE of each candidate over repeat-last's. With d the change that its members forecast and y the one that came,
    it is 1 + (w^2 mean d^2 - 2 w mean d y) / mean y^2: one pass over the windows serves all weights."""
    scale = float(np.square(truth).mean())
    known: dict[tuple[str, ...], tuple[float, float]] = {}
    ratios = []
    for candidate in candidates:
        if candidate.members not in known:
            mean = np.mean([changes[name] for name in candidate.members], axis=0, dtype=np.float64)
            known[candidate.members] = float(np.square(mean).mean()), float((mean * truth).mean())
        square, product = known[candidate.members]
        ratios.append(1 + (candidate.weight**2 * square - 2 * candidate.weight * product) / scale)
    return np.array(ratios)
