"""Scores of a model on one pair: of its walk forward, and of what the live version says of its held-out year."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.evaluation.holdout import training_sigma
from fx_assets.evaluation.judge import HORIZONS, Forecasts, References, judged
from fx_assets.evaluation.walk import forecasts_of, self_name
from fx_assets.features.known import observed
from fx_assets.forecasting.scores import LIVE, SCORES_SCHEMA
from fx_assets.models.base import BasePredictor
from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.inputs import FloatArray, PairHistory, windows
from fx_assets.models.manifest import Manifest
from fx_assets.models.ranges import Ranges, narrowed
from fx_assets.timegrid.windows import EvaluationWindow

Observed = NDArray[np.datetime64]


@dataclass(frozen=True, eq=False)
class Beside:
    """What stands beside a model's own history.

    `closes`: the pair's bars without the features' warm-up, so that all models meet the same random walk; `observed`
    (len(history),): the instant of the market at which each row's price was seen, datetime64[us]; `variances`: a table
    with `origin`, `horizon`, `garch`, `har`, variances of the cumulative log return.
    """

    closes: PairHistory | None = None
    observed: Observed | None = None
    variances: pa.Table | None = None


def score_live(
    predictor: BasePredictor,
    history: PairHistory,
    window: EvaluationWindow,
    *,
    manifest: Manifest,
    horizons: Sequence[int] = HORIZONS,
    beside: Beside | None = None,
) -> pa.Table:
    """Rows of `SCORES_SCHEMA` of every test origin of `window`, at those of `horizons` that the model reaches.

    The ranges begin as the checkpoint's calibration and follow outcomes from the first test origin on, as they do
    every night. Raises `ValueError` for a checkpoint that has seen test rows, and
    `InsufficientHistory` where no origin has an outcome.
    """
    spec, beside = predictor.spec, beside or Beside()
    if manifest.trained_until > window.validate_until:
        raise ValueError(
            f"{spec.model_id} {manifest.version} was trained until {manifest.trained_until:%Y-%m-%d}, after the test "
            f"begins ({window.validate_until:%Y-%m-%d}): its scores would be in-sample. Take the cuts of held_out()"
        )
    steps = tuple(h for h in sorted(set(horizons)) if h <= spec.horizon)
    rows = window.origins(history.ends, window=spec.window, horizon=steps[0] if steps else 1, part="test")
    if not len(rows) or not steps:
        raise InsufficientHistory(f"{history.pair}: no test origin after {window.validate_until:%Y-%m-%d} to score")
    prediction = predictor.predict(*windows(history, rows, spec))
    wanted = np.asarray(steps) - 1
    forecasts = Forecasts(
        rows=rows,
        steps=steps,
        location=prediction.location[:, wanted],
        scale=prediction.scale[:, wanted],
        observed_until=None if beside.observed is None else beside.observed[rows],
    )
    sigma = np.full(len(rows), training_sigma(beside.closes or history, window.train_until))
    return judged(
        history,
        forecasts,
        Ranges.from_calibration(narrowed(predictor.calibrations[history.pair], steps)),
        references_at(history, forecasts, sigma, beside.variances),
        model_id=spec.model_id,
        versions=[manifest.version] * len(rows),
        folds=[LIVE] * len(rows),
    )


def score_walk(
    walk: pa.Table,
    history: PairHistory,
    model_id: str,
    *,
    horizon: int,
    horizons: Sequence[int] = HORIZONS,
    beside: Beside | None = None,
) -> pa.Table:
    """Rows of `SCORES_SCHEMA` of a walk forward as `evaluation.walk` keeps it; no rows where it has none of the pair.

    The ranges begin as the first fold's calibration and follow outcomes through all folds. `model_version` is the
    fold's name and the begin of its fingerprint.
    """
    beside = beside or Beside()
    steps = tuple(h for h in sorted(set(horizons)) if h <= horizon)
    found = forecasts_of(walk, history, steps) if steps else None
    if found is None:
        return SCORES_SCHEMA.empty_table()
    forecasts, calibration, made = found
    if beside.observed is not None:
        forecasts = replace(forecasts, observed_until=beside.observed[forecasts.rows])
    by_cut = {cut: training_sigma(beside.closes or history, cut) for cut in {each.trained_until for each in made}}
    sigma = np.array([by_cut[each.trained_until] for each in made])
    return judged(
        history,
        forecasts,
        Ranges.from_calibration(calibration),
        references_at(history, forecasts, sigma, beside.variances),
        model_id=model_id,
        versions=[self_name(each.fold, each.fingerprint) for each in made],
        folds=[each.fold for each in made],
    )


def references_at(
    history: PairHistory, forecasts: Forecasts, sigma: FloatArray, variances: pa.Table | None
) -> References:
    """The references at the forecasts' origins: `sigma` (n,) of one day's return, and variances from their table.

    `variances` has columns `origin`, `horizon`, `garch`, `har`; where it lacks an origin the reference is NaN there.
    """
    scaled = sigma[:, None] * np.sqrt(np.asarray(forecasts.steps, dtype=np.float64))
    if variances is None:
        return References(scaled)
    found = {name: np.full(forecasts.location.shape, np.nan) for name in ("garch", "har")}
    origins = history.ends[forecasts.rows].astype("datetime64[us]").astype(np.int64)
    stored = variances.column("origin").to_numpy().astype("datetime64[us]").astype(np.int64)
    horizons = variances.column("horizon").to_numpy()
    for k, step in enumerate(forecasts.steps):
        own = np.flatnonzero(horizons == step)
        order = own[np.argsort(stored[own], kind="stable")]
        at = np.searchsorted(stored[order], origins)
        hit = at < len(order)
        hit[hit] = stored[order[at[hit]]] == origins[hit]
        for name, values in found.items():
            values[hit, k] = variances.column(name).to_numpy()[order[at[hit]]]
    return References(scaled, found["garch"], found["har"])


def observed_at(history: PairHistory, bars: pa.Table) -> Observed:
    """The instant of the market at which each row's price was seen (len(history),), datetime64[us] in UTC.

    That is the end of a bar, and of a fixing its own time, hours before. `bars` are the pair's, with `end`,
    `trading_date` and `kind`.
    """
    ends = bars.column("end").to_numpy().astype("datetime64[us]").astype(np.int64)
    own = history.ends.astype("datetime64[us]").astype(np.int64)
    _, rows, at = np.intersect1d(own, ends, assume_unique=True, return_indices=True)
    own[rows] = observed(bars, ends)[at]
    return own.astype("datetime64[us]")


def target_starts(history: PairHistory, bars: pa.Table) -> dict[datetime, datetime]:
    """By origin (aware, UTC) the instant at which its last price was set; arguments as of `observed_at`."""
    times = (history.ends.astype("datetime64[us]"), observed_at(history, bars))
    origins, seen = (each.astype(object).tolist() for each in times)
    return {at.replace(tzinfo=UTC): when.replace(tzinfo=UTC) for at, when in zip(origins, seen, strict=True)}
