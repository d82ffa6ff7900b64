"""The one entry to training: which trainer a model needs, and whether it works in a process of its own.

Imports no torch: networks, ensembles and searches run in a supervised child.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

from fx_assets.models.registry import predictor_class
from fx_assets.settings import Settings
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.kind_trainer import FitTrainer
from fx_assets.training.materials import Materials, Trainer
from fx_assets.training.records import TrainedModel
from fx_assets.training.search.coordinator import OptimizationCoordinator


def needs_child(spec: ModelSpec) -> bool:
    """Whether a training is long or heavy enough for a process that can be stopped for sure."""
    return predictor_class(spec.kind).trainer != "fit" or spec.search is not None


def train(
    spec: ModelSpec, materials: Materials, window: EvaluationWindow, *, settings: Settings, supervised: bool = True
) -> TrainedModel:
    """Train `spec` in a folder of its own under `materials.scratch`, which is made if missing and left as found.

    Rows after `window.validate_until` are cut off before anything sees them. Long trainings run in a child process
    that is gone when this returns or raises (unless not `supervised`: for tests and debugging), others here.
    Raises `TrainingFailed` where the child fails, `FitFailed` or `InsufficientHistory` where a fit here does.
    """
    materials.scratch.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=f"{spec.model_id}-", dir=materials.scratch) as name:
        own = replace(materials.until(window.validate_until), scratch=Path(name))
        if supervised and needs_child(spec):
            from fx_assets.training.remote import train_in_child

            return train_in_child(spec, own, window, grace_s=settings.child_grace_seconds)
        return trainer_for(spec, own, settings).fit(window, spec)


def trainer_for(spec: ModelSpec, materials: Materials, settings: Settings) -> Trainer:
    """The trainer of a model, with all it depends on: the only place that puts them together."""

    def single(member: ModelSpec, given: Materials) -> Trainer:
        if predictor_class(member.kind).trainer == "fit":
            return FitTrainer(given)
        if given.base is not None:
            from fx_assets.training.warm import WarmTrainer

            return WarmTrainer(given)
        from fx_assets.training.lightning_trainer import LightningTrainer

        return LightningTrainer(given)

    def coordinator() -> OptimizationCoordinator:
        from fx_assets.training.search.optuna_coordinator import OptunaCoordinator

        return OptunaCoordinator(settings.search_database)

    if predictor_class(spec.kind).trainer == "ensemble":
        from fx_assets.training.ensemble import EnsembleTrainer

        searches = any(member.search is not None for member in (spec.ensemble.members if spec.ensemble else ()))
        return EnsembleTrainer(materials, trainers=single, coordinator=coordinator() if searches else None)
    if spec.search is not None and materials.base is None:  # a warm update keeps what was found
        from fx_assets.training.search.trainer import SearchTrainer

        return SearchTrainer(materials, trainers=single, coordinator=coordinator())
    return single(spec, materials)
