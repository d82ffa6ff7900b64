"""All models of a pair at once: which of them could be the best, and whether the best beats the random walk."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import reduce

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fx_assets.evaluation.inference.multiple import model_confidence_set, superior_predictive_ability
from fx_assets.metrics.losses import Floats

# Fewer shared windows say nothing about which of several models is best.
LEAST_WINDOWS = 60


@dataclass(frozen=True)
class Together:
    """Of one pair, one bar ahead, by CRPS on the `windows` that all models share.

    `confidence`: for each model the largest size at which it stays in the model confidence set; above .1 it is in the
    90 % set. `superior`: p-value of "no model is better than the random walk with the champion's volatility", allowing
    for how many were tried. Printed, never sufficient: a worse model may well stay in the set.
    """

    windows: int
    confidence: Mapping[str, float]
    superior: float


def together(scores: Mapping[str, pa.Table], champion: str) -> Together | None:
    """From the scores of two models or more on one pair, each origin once; None where they share too few windows."""
    rows = {name: _first_horizon(table) for name, table in sorted(scores.items())}
    if champion not in rows or len(rows) < 2:
        return None
    shared = reduce(np.intersect1d, (origins for origins, _, _ in rows.values()))
    if len(shared) < LEAST_WINDOWS:
        return None
    losses = {name: crps[np.searchsorted(origins, shared)] for name, (origins, crps, _) in rows.items()}
    origins, _, still = rows[champion]
    walk = still[np.searchsorted(origins, shared)]
    confidence = model_confidence_set(losses, horizon=1, seed=0)
    superior = superior_predictive_ability(walk, losses, horizon=1, seed=0)
    return Together(len(shared), confidence.p_values, superior.p_value)


def _first_horizon(table: pa.Table) -> tuple[NDArray[np.int64], Floats, Floats]:
    """Origins (n,), increasing, CRPS, and that of the ranges around the last price."""
    rows = table.filter(pc.equal(table.column("horizon"), 1)).sort_by("origin")
    if not rows.num_rows:
        return np.array([], dtype=np.int64), np.array([]), np.array([])
    crps, still = (
        np.asarray(rows.column(name).to_numpy(), dtype=np.float64) for name in ("loss_crps", "loss_crps_still")
    )
    return np.asarray(rows.column("origin").cast(pa.int64()).to_numpy()), crps, still
