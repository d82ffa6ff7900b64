"""Forecasts against what came: one row of the scores table for each origin and horizon."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.forecasting.scores import SCORES_SCHEMA
from fx_assets.metrics.losses import (
    absolute_error,
    covered,
    crps_quantiles,
    interval_score,
    qlike_percent,
    squared_error,
)
from fx_assets.metrics.quantile_grid import pit_quantiles
from fx_assets.models.calibration import DENSE_LEVELS
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.ranges import Ranges, follow

HORIZONS = (1, 5, 20)
BASIS_POINTS = 1e4
_NORMAL = np.array([NormalDist().inv_cdf(level) for level in DENSE_LEVELS.tolist()])
_MEDIAN = len(DENSE_LEVELS) // 2


@dataclass(frozen=True, eq=False)
class Forecasts:
    """What a model said from n neighbouring rows of a history at K horizons, in the order of time.

    `rows` (n,): origins, indices into the history; `steps` (K,): bars ahead; `location`, `scale` (n, K) as in
    `models.results.Prediction`; `observed_until` (n,): the last instant of the market that an input saw, datetime64[us]
    in UTC, None where that is the price at the origin.
    """

    rows: NDArray[np.int64]
    steps: tuple[int, ...]
    location: FloatArray
    scale: FloatArray
    observed_until: NDArray[np.datetime64] | None = None


@dataclass(frozen=True, eq=False)
class References:
    """What others said from the same origins, each (n, K) or None.

    `sigma` (n, K): deviation of a random walk with constant volatility; `garch`, `har`: variances of the cumulative log
    return, NaN where there is none; `freshest` (n,): the newest price of the pair that any source knew at the origin,
    where that is not the close.
    """

    sigma: FloatArray
    garch: FloatArray | None = None
    har: FloatArray | None = None
    freshest: FloatArray | None = None


def quantiles_of(forecasts: Forecasts, path: Sequence[Ranges]) -> FloatArray:
    """Dense quantiles (n, K, 199) of each origin by the ranges as they stood there (at least n of them)."""
    pairs = zip(path, forecasts.location, forecasts.scale, strict=False)
    return np.stack([ranges.dense(location, scale)[1] for ranges, location, scale in pairs])


def judged(
    history: PairHistory,
    forecasts: Forecasts,
    start: Ranges,
    references: References,
    *,
    model_id: str,
    versions: Sequence[str],
    folds: Sequence[str],
) -> pa.Table:
    """Rows of `SCORES_SCHEMA` of all windows that have matured, by horizon and origin.

    `start`: the ranges at the first origin; they follow the outcomes from there on. `versions`, `folds` (n,): what each
    origin was forecast by. Losses are in basis points of log returns, QLIKE in squared percent.
    """
    y = history.outcomes(forecasts.rows, forecasts.steps)
    path = list(follow(start, forecasts.location, forecasts.scale, y, steps=forecasts.steps))
    dense = quantiles_of(forecasts, path)
    still = _standing_still(history, forecasts, references)
    tables = []
    for k, h in enumerate(forecasts.steps):
        matured = np.flatnonzero(np.isfinite(y[:, k]))
        if len(matured):
            columns = {
                **_who(history, forecasts, matured, h, model_id, versions, folds),
                **_losses(forecasts, y, dense, still, matured, k),
                **_against(references, y, still, matured, k),
            }
            tables.append(pa.table({name: columns[name] for name in SCORES_SCHEMA.names}, schema=SCORES_SCHEMA))
    return pa.concat_tables(tables) if tables else SCORES_SCHEMA.empty_table()


def _who(
    history: PairHistory,
    forecasts: Forecasts,
    matured: NDArray[np.int64],
    h: int,
    model_id: str,
    versions: Sequence[str],
    folds: Sequence[str],
) -> dict[str, pa.Array]:
    rows, count = forecasts.rows[matured], len(matured)
    utc = SCORES_SCHEMA.field("origin").type
    seen = history.ends[rows] if forecasts.observed_until is None else forecasts.observed_until[matured]
    return {
        "pair": pa.array([history.pair] * count),
        "model_id": pa.array([model_id] * count),
        "model_version": pa.array([versions[i] for i in matured.tolist()]),
        "fold": pa.array([folds[i] for i in matured.tolist()]),
        "horizon": pa.array([h] * count, pa.int32()),
        "origin": pa.array(history.ends[rows]).cast(utc),
        "target_time": pa.array(history.ends[rows + h]).cast(utc),
        "observed_until": pa.array(seen.astype("datetime64[us]")).cast(utc),
    }


def _standing_still(history: PairHistory, forecasts: Forecasts, references: References) -> FloatArray:
    """(n,): the log return to the price that a random walk repeats, which is 0 where no source knew a newer one."""
    if references.freshest is None:
        return np.zeros(len(forecasts.rows))
    found: FloatArray = np.log(references.freshest / history.closes[forecasts.rows])
    return found


def _losses(
    forecasts: Forecasts, y: FloatArray, dense: FloatArray, still: FloatArray, matured: NDArray[np.int64], k: int
) -> dict[str, NDArray[np.generic]]:
    """The model's own, each (matured,), and those of its ranges around the price that a random walk repeats."""
    came, location = y[matured, k] * BASIS_POINTS, forecasts.location[matured, k] * BASIS_POINTS
    quantiles = dense[matured, k] * BASIS_POINTS
    # Shifted once: the ranges of a model that itself repeats that price stay as they are, to the last bit.
    around = quantiles + (still[matured] * BASIS_POINTS - quantiles[:, _MEDIAN])[:, None]
    edges = {mass: _edges(quantiles, mass) for mass in (80, 90)}
    return {
        "y": y[matured, k],
        "location": forecasts.location[matured, k],
        "volatility": forecasts.scale[matured, k],
        "pit": pit_quantiles(y=came, quantiles=quantiles, levels=DENSE_LEVELS),
        "loss_se": squared_error(y=came, y_hat=location),
        "loss_ae": absolute_error(y=came, y_hat=location),
        "loss_crps": crps_quantiles(y=came, quantiles=quantiles, levels=DENSE_LEVELS),
        "loss_crps_still": crps_quantiles(y=came, quantiles=around, levels=DENSE_LEVELS),
        "loss_qlike": qlike_percent(variance=np.square(forecasts.scale[matured, k]), y=y[matured, k]),
        **{
            f"score_{mass}": interval_score(y=came, lower=low, upper=high, coverage=mass / 100)
            for mass, (low, high) in edges.items()
        },
        **{f"covered_{mass}": covered(y=came, lower=low, upper=high) for mass, (low, high) in edges.items()},
    }


def _against(
    references: References, y: FloatArray, still: FloatArray, matured: NDArray[np.int64], k: int
) -> dict[str, NDArray[np.float64] | pa.Array]:
    """Those of the references, each (matured,); nulls where there is none."""
    came = y[matured, k] * BASIS_POINTS
    repeated = still[matured] * BASIS_POINTS
    walk = repeated[:, None] + references.sigma[matured, k, None] * _NORMAL * BASIS_POINTS
    others = {"garch": references.garch, "har": references.har}
    return {
        "loss_se_walk": squared_error(y=came, y_hat=repeated),
        "loss_crps_walk": crps_quantiles(y=came, quantiles=walk, levels=DENSE_LEVELS),
        **{
            f"loss_qlike_{name}": _qlike(None if variance is None else variance[matured, k], y[matured, k])
            for name, variance in others.items()
        },
    }


def _qlike(variance: FloatArray | None, y: FloatArray) -> pa.Array:
    """QLIKE where there is a variance, null elsewhere."""
    if variance is None:
        return pa.nulls(len(y), pa.float64())
    known = np.isfinite(variance)
    values = np.zeros(len(y))
    values[known] = qlike_percent(variance=variance[known], y=y[known])
    return pa.array(values, mask=~known)


def _edges(quantiles: FloatArray, mass: int) -> tuple[FloatArray, FloatArray]:
    """Lower and upper end of the central range, from the dense grid."""
    low, high = np.searchsorted(DENSE_LEVELS, [0.5 - mass / 200 - 1e-9, 0.5 + mass / 200 - 1e-9]).tolist()
    return quantiles[:, low], quantiles[:, high]
