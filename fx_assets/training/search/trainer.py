"""Trains a model whose settings are searched for: folds of the training rows decide, then all of them train."""

from __future__ import annotations

from dataclasses import replace

from fx_assets.models.searched import FOUND, found_file, found_spec
from fx_assets.specs.schema import ModelSpec, SearchSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.materials import Materials
from fx_assets.training.records import TrainedModel, Trial
from fx_assets.training.search.coordinator import Judge, OptimizationCoordinator, Values
from fx_assets.training.search.out_of_fold import Trainers, folds_of, out_of_fold
from fx_assets.training.search.study import study_name


class SearchTrainer:
    """Asks the coordinator for values, judges them out of fold, and trains with the best on all training rows.

    A warm update goes on with the values of its base: a search belongs to the beginning of a refit period.
    """

    def __init__(self, materials: Materials, *, trainers: Trainers, coordinator: OptimizationCoordinator) -> None:
        self._materials = materials
        self._trainers = trainers
        self._coordinator = coordinator

    def fit(self, window: EvaluationWindow, spec: ModelSpec) -> TrainedModel:
        """See `Trainer`. Raises `ValueError` for a spec without `search`."""
        if spec.search is None:
            raise ValueError(f"model {spec.model_id} has no search; take the trainer of its kind")
        base = self._materials.base
        if base is not None and FOUND in base.files:
            known = found_spec(spec, base.files)
            trained = self._trainers(known, self._materials).fit(window, known)
            return replace(trained, files={**trained.files, FOUND: base.files[FOUND]})
        trials = find(spec, spec.search, self._materials, window, self._trainers, self._coordinator)
        best = trials[0]
        chosen = spec.varied(best.values)
        trained = self._trainers(chosen, self._materials).fit(window, chosen)
        states = [trial.state for trial in trials]
        return replace(
            trained,
            files={**trained.files, **found_file(best.values)},
            metrics={
                **trained.metrics,
                "trials": float(len(trials)),
                "trials_pruned": float(states.count("pruned")),
                "trials_failed": float(states.count("failed")),
                "best_trial": float(best.number),
                "best_trial_loss": float(best.loss or 0.0),
            },
        )


def find(
    spec: ModelSpec,
    search: SearchSpec,
    materials: Materials,
    window: EvaluationWindow,
    trainers: Trainers,
    coordinator: OptimizationCoordinator,
) -> list[Trial]:
    """All trials, the best first; judged by the mean CRPS of their folds' unseen windows, in units of the walk."""
    seen = materials.until(window.train_until)
    folds = folds_of(seen.histories, window, search.folds)

    def judge(values: Values, report: Judge) -> None:
        for fold in out_of_fold(spec.varied(values), seen, folds, trainers):
            report(fold.loss, fold.windows)

    return list(coordinator.search(study_name(spec, search, seen, window), search, judge, materials.report))
