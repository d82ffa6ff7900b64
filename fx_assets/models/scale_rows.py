"""Training rows of the kind `scale`: those of all pairs in one table, and how many of them a fit is believed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.volatility import MIN_VARIANCE, believable, log_returns

_CHUNK = 1024
# From features (n, k) and what is known ahead (n, H, c) or None to variances (n, H) of cumulative returns.
Variances = Callable[[FloatArray, FloatArray | None], FloatArray]


@dataclass(frozen=True, eq=False)
class PooledRows:
    """`features` (n, k) of origins, `ahead` (n, c): the calendar of the bar so many steps on, `returns` (n,) of it."""

    features: FloatArray
    ahead: FloatArray
    returns: FloatArray


def pooled_rows(histories: Mapping[str, PairHistory], step: int, known_ahead: Sequence[str]) -> PooledRows:
    """Every origin of every pair whose bar `step` ahead is there, with the log return of that bar alone."""
    features, ahead, returns = [], [], []
    for history in histories.values():
        origins = np.arange(max(len(history) - step, 0))
        calendar = history.ahead(origins, step, known_ahead)
        features.append(history.features[origins])
        ahead.append(np.empty((len(origins), 0)) if calendar is None else calendar[:, -1])
        returns.append(log_returns(history.closes)[step - 1 :])
    return PooledRows(np.concatenate(features), np.concatenate(ahead), np.concatenate(returns))


def share_outside(
    histories: Mapping[str, PairHistory],
    variances: Variances,
    *,
    initial: float,
    alpha: float,
    horizon: int,
    known_ahead: Sequence[str],
) -> float:
    """Share of the rows from which the variance at some horizon leaves [1/10, 10] times the EWMA's."""
    outside = rows = 0
    bars = np.arange(1, horizon + 1)
    for history in histories.values():
        ewma = _ewma_path(log_returns(history.closes), initial, alpha)
        for first in range(0, len(history), _CHUNK):
            chunk = np.arange(first, min(first + _CHUNK, len(history)))
            sums = variances(history.features[chunk], history.ahead(chunk, horizon, known_ahead))
            outside += int((~believable(sums / (bars * ewma[chunk, None]))).any(axis=1).sum())
        rows += len(history)
    return outside / rows


def _ewma_path(returns: FloatArray, initial: float, alpha: float) -> FloatArray:
    """EWMA variance (n,) after each of n closes, as `ewma_variance` has it."""
    path = [initial]
    for value in returns.tolist():
        path.append((1.0 - alpha) * path[-1] + alpha * (value * value))
    return np.maximum(path, MIN_VARIANCE)
