"""Weights of an ensemble from predictions of windows that no member was trained on."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fx_assets.models.inputs import FloatArray
from fx_assets.models.members import moments
from fx_assets.training.search.out_of_fold import crps

# Losses closer than this share are a tie: sums of equal members differ in their last bits.
_TIE = 1e-12


def greedy_weights(
    location: FloatArray, scale: FloatArray, y: FloatArray, unit: FloatArray, *, picks: int
) -> FloatArray:
    """Weights (M,), multiples of 1 / `picks` that sum to 1, by which M forecasts lose least together.

    `location`, `scale` (M, n, H) of the members' out-of-fold predictions; `y`, `unit` (n, H) as in `OutOfFold`.
    Greedy forward selection with replacement: the best member is picked first, then `picks` - 1 times the member
    that lowers the mean CRPS of the mixture's moments most, or raises it least; ties go to the earlier member. Where
    that ends no better than the best member alone, it alone has all the weight: so never worse than it.
    Source: Caruana et al. 2004, doi 10.1145/1015330.1015432.
    Raises `ValueError` for other shapes, without a member, or with less than one pick.
    """
    members = len(location)
    if not members or location.shape != scale.shape or location.shape[1:] != y.shape or y.shape != unit.shape:
        raise ValueError(
            f"expected location and scale (members, windows, horizons), y and unit (windows, horizons); got "
            f"{location.shape}, {scale.shape}, {y.shape}, {unit.shape}"
        )
    if picks < 1:
        raise ValueError(f"expected one pick or more, got {picks}")
    counts: NDArray[np.int64] = np.zeros(members, dtype=np.int64)
    alone = np.inf
    for number in range(picks):
        losses = [mixture_loss(counts + one, location, scale, y, unit) for one in np.eye(members, dtype=np.int64)]
        pick = _first_best(losses)
        counts[pick] += 1
        if number == 0:
            best, alone = pick, losses[pick]
    if not losses[pick] < alone * (1 - _TIE):
        counts = picks * np.eye(members, dtype=np.int64)[best]
    weights: FloatArray = counts / picks
    return weights


def mixture_loss(
    weights: NDArray[np.int64] | FloatArray, location: FloatArray, scale: FloatArray, y: FloatArray, unit: FloatArray
) -> float:
    """Mean CRPS, in units of the walk, of the mixture by `weights` (M,) of any sum above 0."""
    used = np.flatnonzero(weights)
    share = weights[used] / weights.sum()
    return float(np.mean(crps(*moments(share, location[used], scale[used]), y, unit)))


def _first_best(losses: list[float]) -> int:
    least = min(losses)
    return next(at for at, loss in enumerate(losses) if loss <= least + _TIE * abs(least))
