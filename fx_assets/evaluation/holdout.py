"""Scores on the held-out last year: the calibrated forecast against a random walk with constant volatility."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.forecasting.scores import SCORES_SCHEMA, summary
from fx_assets.metrics.losses import covered, crps_quantiles
from fx_assets.models.base import BasePredictor
from fx_assets.models.calibration import DENSE_LEVELS
from fx_assets.models.inputs import FloatArray, InsufficientHistory, PairHistory, windows
from fx_assets.models.manifest import Manifest
from fx_assets.models.results import Prediction
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow

HORIZONS = (1, 5, 20)
BASIS_POINTS = 1e4
_LOW_80, _HIGH_80 = np.searchsorted(DENSE_LEVELS, [0.1 - 1e-9, 0.9 - 1e-9]).tolist()
_NORMAL = np.array([NormalDist().inv_cdf(level) for level in DENSE_LEVELS.tolist()])


@dataclass(frozen=True)
class Scores:
    """Rows of `SCORES_SCHEMA`: one per horizon and origin. Losses in basis points, `y` a log return."""

    table: pa.Table

    @property
    def summary(self) -> dict[int, dict[str, Any]]:
        """Means per horizon: see `forecasting.scores.summary`."""
        return summary(self.table)


def held_out(history: PairHistory, spec: ModelSpec, manifest: Manifest) -> EvaluationWindow:
    """The cuts to score a checkpoint by: the held-out year, less what the checkpoint has seen of it.

    A panel is cut by the newest of its pairs, so one that lags behind has seen some of its own last
    year. Raises `ValueError` (`insufficient_history`) where nothing unseen is left.
    """
    training = spec.training
    window = EvaluationWindow.held_out_year(
        history.ends, refit_every=training.refit_every, validation_years=training.validation_years
    )
    if manifest.trained_until >= window.test_until:
        raise InsufficientHistory(
            f"insufficient_history: {history.pair} has no row after {manifest.trained_until:%Y-%m-%d}, until which "
            f"{manifest.model_id} {manifest.version} was trained"
        )
    return replace(window, validate_until=max(window.validate_until, manifest.trained_until))


def score_holdout(
    predictor: BasePredictor,
    history: PairHistory,
    window: EvaluationWindow,
    *,
    manifest: Manifest,
    horizons: Sequence[int] = HORIZONS,
    baseline: PairHistory | None = None,
) -> Scores:
    """Score every test origin of `window` at `horizons` (those that the model reaches).

    Both losses are CRPS on the dense grid of 199 levels. The random walk is normal with location 0 and
    sigma sqrt(h), sigma the root mean square of one-day log returns on training rows only, of
    `baseline` where given (the pair's bars without the features' warm-up, so that all models meet the
    same walk), else of `history`. Raises `ValueError` for a checkpoint that has seen test rows, and
    `InsufficientHistory` where there is no test origin.
    """
    spec = predictor.spec
    if manifest.trained_until > window.validate_until:
        raise ValueError(
            f"{spec.model_id} {manifest.version} was trained until {manifest.trained_until:%Y-%m-%d}, after the test "
            f"begins ({window.validate_until:%Y-%m-%d}): its scores would be in-sample. Take the cuts of held_out()"
        )
    reached = [h for h in sorted(set(horizons)) if h <= spec.horizon]
    rows = {h: window.origins(history.ends, window=spec.window, horizon=h, part="test") for h in reached}
    scored = {h: origins for h, origins in rows.items() if len(origins)}
    if not scored:
        raise InsufficientHistory(f"{history.pair}: no test origin after {window.validate_until:%Y-%m-%d} to score")
    # Shorter horizons have every origin of the longer ones: each window is predicted once.
    origins = scored[min(scored)]
    prediction = predictor.predict(*windows(history, origins, spec))
    dense = _dense(predictor, history.pair, prediction)
    sigma = training_sigma(baseline or history, window)
    tables = [
        _table(history, manifest, h, chosen, dense[np.searchsorted(origins, chosen), h - 1], sigma)
        for h, chosen in scored.items()
    ]
    return Scores(pa.concat_tables(tables))


def training_sigma(history: PairHistory, window: EvaluationWindow) -> float:
    """Root mean square of the one-day log returns of the training rows, about zero: a driftless walk's sigma."""
    closes = history.until(window.train_until).closes
    if len(closes) < 2:
        raise InsufficientHistory(f"{history.pair}: fewer than two training rows before {window.train_until:%Y-%m-%d}")
    return float(np.sqrt(np.mean(np.diff(np.log(closes)) ** 2)))


def _dense(predictor: BasePredictor, pair: str, prediction: Prediction) -> FloatArray:
    """Calibrated quantiles (B, H, 199) of the cumulative log return."""
    calibration = predictor.calibrations[pair]
    rows = zip(prediction.location, prediction.scale, strict=True)
    return np.stack([calibration.dense(location, scale)[1] for location, scale in rows])


def _table(
    history: PairHistory,
    manifest: Manifest,
    h: int,
    origins: NDArray[np.int64],
    quantiles: FloatArray,
    sigma: float,
) -> pa.Table:
    """Scores at horizon `h` of `origins` (n,) with `quantiles` (n, 199)."""
    y = np.log(history.closes[origins + h] / history.closes[origins])
    walk = np.broadcast_to(sigma * np.sqrt(h) * _NORMAL, quantiles.shape)
    n = len(origins)
    utc = SCORES_SCHEMA.field("origin").type
    columns = {
        "pair": [history.pair] * n,
        "model_id": [manifest.model_id] * n,
        "model_version": [manifest.version] * n,
        "horizon": pa.array([h] * n, pa.int32()),
        "origin": pa.array(history.ends[origins]).cast(utc),
        "target_time": pa.array(history.ends[origins + h]).cast(utc),
        "loss_crps": crps_quantiles(y=y, quantiles=quantiles, levels=DENSE_LEVELS) * BASIS_POINTS,
        "loss_crps_random_walk": crps_quantiles(y=y, quantiles=walk, levels=DENSE_LEVELS) * BASIS_POINTS,
        "covered_80": covered(y=y, lower=quantiles[:, _LOW_80], upper=quantiles[:, _HIGH_80]),
        "y": y,
    }
    return pa.table(columns, schema=SCORES_SCHEMA)
