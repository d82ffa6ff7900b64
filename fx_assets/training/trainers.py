"""The one entry to training. Imports no torch: networks train in a supervised child process."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from fx_assets.features.plan import PLAN
from fx_assets.models.base import BasePredictor, MemoryCheckpoint
from fx_assets.models.calibration import CALIBRATION, fit_calibration
from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.params import dump_params
from fx_assets.models.registry import predictor_class
from fx_assets.specs.schema import FeatureSetSpec, ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.features import fit_features, inside
from fx_assets.training.origins import origins
from fx_assets.training.records import Fitted, Progress, TrainedModel

Report = Callable[[Progress], None]


class Trainer(Protocol):
    """Turns histories into files that the predictor can load; sees no row after `window.validate_until`."""

    def fit(
        self,
        predictor: BasePredictor,
        histories: Mapping[str, PairHistory],
        window: EvaluationWindow,
        *,
        scratch: Path,
        seed: int,
        progress: Report,
    ) -> Fitted:
        """Fit on training rows; validation rows may only decide when to stop."""


class FitTrainer:
    """For kinds that fit themselves, in numpy."""

    def fit(
        self,
        predictor: BasePredictor,
        histories: Mapping[str, PairHistory],
        window: EvaluationWindow,
        *,
        scratch: Path,
        seed: int,
        progress: Report,
    ) -> Fitted:
        """`BasePredictor.fit`; there are no epochs to report and nothing to write."""
        del scratch, progress
        return Fitted(files=predictor.fit(histories, window, seed=seed), metrics={})


def train(
    spec: ModelSpec,
    histories: Mapping[str, PairHistory],
    *,
    window: EvaluationWindow,
    scratch: Path,
    seed: int,
    features: FeatureSetSpec | None = None,
    progress: Report = lambda _: None,
    supervised: bool = True,
    grace_s: float = 5.0,
) -> TrainedModel:
    """Train `spec` on one pair or, pooled, on several; `features` is the set that made the histories' features.

    Rows after `window.validate_until` are cut off before anything sees them. Kinds with a network train in
    a child process that is gone when this returns or raises (unless not `supervised`: for tests and
    debugging), others here. `scratch` is made if missing and left as it was found.
    Raises `TrainingFailed` where the child fails, `FitFailed` or `InsufficientHistory` where a fit here does.
    """
    known = {pair: history.until(window.validate_until) for pair, history in histories.items()}
    scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{spec.model_id}-", dir=scratch) as name:
        if supervised and predictor_class(spec.kind).trainer == "lightning":
            from fx_assets.training.remote import train_in_child

            return train_in_child(
                spec,
                known,
                window=window,
                folder=Path(name),
                seed=seed,
                features=features,
                progress=progress,
                grace_s=grace_s,
            )
        return train_here(
            spec, known, window=window, scratch=Path(name), seed=seed, features=features, progress=progress
        )


def train_here(
    spec: ModelSpec,
    histories: Mapping[str, PairHistory],
    *,
    window: EvaluationWindow,
    scratch: Path,
    seed: int,
    progress: Report,
    features: FeatureSetSpec | None = None,
) -> TrainedModel:
    """As `train`, in this process.

    The features' fitted stages are fitted first, on training rows; the trainer sees what they leave.
    """
    started = time.monotonic()
    if not histories:
        raise InsufficientHistory(f"model {spec.model_id}: no pair to train on")
    columns = next(iter(histories.values())).columns
    for history in histories.values():
        if history.columns != columns:
            raise ValueError(f"{history.pair}: columns {history.columns}, but the first pair has {columns}")
    plan = fit_features(features, histories, window, horizon=spec.horizon, aim=spec.target, scratch=scratch, seed=seed)
    seen = inside(plan, histories)
    learner = predictor_class(spec.kind)(spec, next(iter(seen.values())).columns)
    fitted = _trainer(learner).fit(learner, seen, window, scratch=scratch, seed=seed, progress=progress)
    files = {**fitted.files, **({} if plan is None else {PLAN: plan.dump()})}
    predictor = predictor_class(spec.kind)(spec, columns)
    predictor.load_model(MemoryCheckpoint(predictor.identity(), files))
    calibrations, windows = _calibrate(predictor, histories, window)
    return TrainedModel(
        files={**files, CALIBRATION: dump_params(calibrations)},
        metrics={**fitted.metrics, "validation_windows": float(windows), "seconds": time.monotonic() - started},
        history=fitted.history,
        trained_until=window.validate_until,
        epochs=fitted.epochs,
    )


def _trainer(predictor: BasePredictor) -> Trainer:
    if predictor.trainer == "fit":
        return FitTrainer()
    from fx_assets.training.lightning_trainer import LightningTrainer

    return LightningTrainer()


def _calibrate(
    predictor: BasePredictor, histories: Mapping[str, PairHistory], window: EvaluationWindow
) -> tuple[dict[str, Any], int]:
    """Calibration of each pair from its validation windows, predicted by the code that predicts at night."""
    calibrations, count = {}, 0
    for pair, history in histories.items():
        rows = origins(predictor.spec, history, window, "validation")
        calibrations[pair] = fit_calibration(scores(predictor, history, rows))
        count += len(rows)
    return calibrations, count


def scores(predictor: BasePredictor, history: PairHistory, rows: Any) -> FloatArray:
    """|y - location| / scale (n, H) of the windows that end with `rows` (n,)."""
    spec = predictor.spec
    prediction = predictor.predict(np.stack([history.window(int(row), spec.window) for row in rows]))
    ahead = history.closes[rows[:, None] + np.arange(1, spec.horizon + 1)]
    returns = np.log(ahead / history.closes[rows][:, None])
    result: FloatArray = np.abs(returns - prediction.location) / prediction.scale
    return result
