"""How much of a back-test may be the luck of having chosen among many: the ledger's trials against its Sharpe ratio."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.inference.overfitting import (
    Deflated,
    backtest_overfitting,
    deflated_sharpe,
    expected_maximum,
    probabilistic_sharpe,
)
from fx_assets.storage.ledger import LedgerEntry
from fx_assets.storage.trial_series import TrialSeries

Floats = NDArray[np.float64]
_BLOCKS, _LEAST = 16, 3


@dataclass(frozen=True)
class Luck:
    """The deflated Sharpe ratio and the probability of back-test overfitting (PBO), each None with its reason.

    `trials`: those of all models on the pair that the ledger has ever counted, and one at least. `probability`: that
    the true Sharpe ratio is above `threshold`, the one that the best of so many trials without skill is expected to
    have; all per bar. `overfitting`: how often the settings that were best in one half of the windows of the model's
    newest search are no better than the median in the other.
    """

    trials: int
    threshold: float | None
    probability: float | None
    overfitting: float | None
    notes: tuple[str, ...]


def luck_of(returns: Floats, trials: Sequence[LedgerEntry], series: Sequence[TrialSeries], *, model_id: str) -> Luck:
    """Judge `returns` (n,) of a back-test by the ledger's `trials` on its pair and their `series`, the newest last.

    Failed trials gave no figure to choose by and do not count; pruned ones do.
    """
    tried = [trial for trial in trials if trial.state != "failed"]
    kept = [one for one in series if one.state != "failed"]
    count = max(1, len(tried), len(kept))
    notes = [] if tried else ["no search of this pair is in the ledger: counted as one trial"]
    deflated, note = _deflated(returns, kept, count)
    overfitting, reason = _overfitting([one for one in series if one.model_id == model_id and one.state == "complete"])
    return Luck(
        trials=count,
        threshold=None if deflated is None else deflated.threshold,
        probability=None if deflated is None else deflated.probability,
        overfitting=overfitting,
        notes=tuple(said for said in (*notes, note, reason) if said),
    )


def _deflated(returns: Floats, series: Sequence[TrialSeries], count: int) -> tuple[Deflated | None, str]:
    if len(returns) < _LEAST or not np.ptp(returns) > 0:
        return None, "no Sharpe ratio to deflate: the equity never varies"
    sharpes = [one.returns.mean() / one.returns.std(ddof=1) for one in series if _varies(one.returns)]
    if count == 1 or len(sharpes) > 1:
        return deflated_sharpe(returns, sharpes if count > 1 else [0.0], trials=count), ""
    # Sharpe ratios of n returns without skill vary by 1 / n.
    threshold = expected_maximum(count, 1 / len(returns))
    own = deflated_sharpe(returns, [0.0])
    centred = (returns - returns.mean()) / returns.std()
    probability = probabilistic_sharpe(
        own.sharpe,
        threshold=threshold,
        n=len(returns),
        skewness=float(np.mean(centred**3)),
        kurtosis=float(np.mean(centred**4)),
    )
    note = "the ledger has returns of fewer than two trials: their Sharpe ratios are taken to vary as without skill"
    return Deflated(own.sharpe, threshold, probability, count, len(returns)), note


def _overfitting(series: Sequence[TrialSeries]) -> tuple[float | None, str]:
    """PBO of the newest study that has two trials or more with windows enough in common."""
    studies: dict[str, list[TrialSeries]] = {}
    for one in reversed(series):
        studies.setdefault(one.study, []).append(one)
    for members in studies.values():
        common = members[0].origins
        for one in members[1:]:
            common = np.intersect1d(common, one.origins, assume_unique=True)
        if len(members) > 1 and len(common) >= 2 * _BLOCKS:
            table = [one.returns[np.isin(one.origins, common)] for one in members]
            return backtest_overfitting(np.column_stack(table), blocks=_BLOCKS).probability, ""
    return None, f"no PBO: no search of this model has two whole trials with {2 * _BLOCKS} windows in common"


def _varies(returns: Floats) -> bool:
    return len(returns) >= _LEAST and bool(np.ptp(returns) > 0)
