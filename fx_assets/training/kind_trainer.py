"""What trainers of one kind share: features fitted first, then learning, then calibration by unseen windows."""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping

from fx_assets.features.plan import PLAN, FeaturePlan
from fx_assets.models.base import BasePredictor
from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.inputs import PairHistory
from fx_assets.models.registry import predictor_class
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.features import fit_features, inside
from fx_assets.training.finish import calibrated
from fx_assets.training.materials import Materials
from fx_assets.training.records import Fitted, TrainedModel


class KindTrainer(ABC):
    """Trains one predictor from its own rows. A subclass says how a kind learns, and may say what made its features."""

    def __init__(self, materials: Materials) -> None:
        self._materials = materials

    def fit(self, window: EvaluationWindow, spec: ModelSpec) -> TrainedModel:
        """See `Trainer`. The features' plan comes first; learning sees what it leaves.

        A kind that reads no features leaves them aside.
        """
        started = time.monotonic()
        materials = self._materials.until(window.validate_until)
        cls = predictor_class(spec.kind)
        columns, histories = _same_columns(spec, materials.histories, features=cls.uses_features)
        plan = self._plan(spec, histories, window) if cls.uses_features else None
        seen = inside(plan, histories)
        learner = cls(spec, next(iter(seen.values())).columns)
        fitted = self._learn(learner, seen, window)
        files = {**fitted.files, **({} if plan is None else {PLAN: plan.dump()})}
        files, windows = calibrated(cls(spec, columns), files, histories, window)
        return TrainedModel(
            files=files,
            metrics={**fitted.metrics, "validation_windows": float(windows), "seconds": time.monotonic() - started},
            history=fitted.history,
            trained_until=window.validate_until,
            epochs=fitted.epochs,
        )

    def _plan(
        self, spec: ModelSpec, histories: Mapping[str, PairHistory], window: EvaluationWindow
    ) -> FeaturePlan | None:
        """Hook: what the set's fitted stages learned, None where it has none. Here: fitted now, on training rows."""
        return fit_features(
            self._materials.features,
            histories,
            window,
            horizon=spec.horizon,
            aim=spec.target,
            scratch=self._materials.scratch,
            seed=spec.training.seed,
        )

    @abstractmethod
    def _learn(self, learner: BasePredictor, histories: Mapping[str, PairHistory], window: EvaluationWindow) -> Fitted:
        """Hook: files without calibration, from histories with the columns that `learner` has inside."""


class FitTrainer(KindTrainer):
    """For kinds that fit themselves, by numpy, scikit-learn or arch."""

    def _learn(self, learner: BasePredictor, histories: Mapping[str, PairHistory], window: EvaluationWindow) -> Fitted:
        return Fitted(files=learner.fit(histories, window, seed=learner.spec.training.seed), metrics={})


def _same_columns(
    spec: ModelSpec, histories: Mapping[str, PairHistory], *, features: bool
) -> tuple[tuple[str, ...], Mapping[str, PairHistory]]:
    """The columns that all histories have; without `features`, the closes alone."""
    if not histories:
        raise InsufficientHistory(f"model {spec.model_id}: no pair to train on")
    if not features:
        histories = {pair: history.bare() for pair, history in histories.items()}
    columns = next(iter(histories.values())).columns
    for history in histories.values():
        if history.columns != columns:
            raise ValueError(f"{history.pair}: columns {history.columns}, but the first pair has {columns}")
    return columns, histories
