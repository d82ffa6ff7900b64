"""Trains an ensemble: candidates are judged on rows they were not trained on, the weighted ones train on all."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from fx_assets.models.calibration import CALIBRATION
from fx_assets.models.errors import FitFailed, InsufficientHistory, ModelOutputInvalid
from fx_assets.models.golden import GOLDEN
from fx_assets.models.inputs import FloatArray
from fx_assets.models.members import ENSEMBLE, StoredEnsemble, StoredMember, member_spec, members_of, prefixed
from fx_assets.models.registry import predictor_class
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.finish import calibrated
from fx_assets.training.materials import Materials
from fx_assets.training.records import Step, TrainedModel, TrainingFailed, Trial
from fx_assets.training.search.coordinator import OptimizationCoordinator
from fx_assets.training.search.out_of_fold import OutOfFold, Trainers, folds_of, out_of_fold, pooled
from fx_assets.training.search.trainer import find
from fx_assets.training.stacking import greedy_weights, mixture_loss

# What may happen to one candidate without ending the ensemble; anything else is a fault of the whole.
_FAILURES = (FitFailed, InsufficientHistory, ModelOutputInvalid, TrainingFailed)


@dataclass(frozen=True, eq=False)
class Candidate:
    """A member as it may be stored: `name` for reports and metrics, its place in the spec, its own spec and values."""

    name: str
    member: int
    spec: ModelSpec
    values: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, eq=False)
class _Member:
    """A candidate of weight over 0, trained on all training rows; `loss`: of its out-of-fold predictions."""

    candidate: Candidate
    trained: TrainedModel
    weight: float
    loss: float


class EnsembleTrainer:
    """Stacks candidates by weights that are fitted on out-of-fold predictions inside the training rows.

    A member with a search is a candidate for each of its best settings. These were chosen on the same rows that weights
    are fitted on, so the out-of-fold losses of searched members are a little too good; what counts is measured later.
    """

    def __init__(
        self, materials: Materials, *, trainers: Trainers, coordinator: OptimizationCoordinator | None = None
    ) -> None:
        self._materials = materials
        self._trainers = trainers
        self._coordinator = coordinator

    def fit(self, window: EvaluationWindow, spec: ModelSpec) -> TrainedModel:
        """See `Trainer`. A candidate that cannot be trained is left out and reported.

        Raises `TrainingFailed` where none can, `ValueError` for a search without a coordinator.
        """
        started = time.monotonic()
        ensemble = members_of(spec)
        materials = self._materials.until(window.validate_until)
        seen = materials.until(window.train_until)
        folds = folds_of(seen.histories, window, ensemble.folds)
        left_out: dict[str, str] = {}
        candidates = list(self._candidates(spec, seen, window, left_out))
        judged = list(self._judged(candidates, seen, folds, left_out))
        members, loss = self._mixed(judged, replace(materials, base=None), window, ensemble.picks, left_out)
        files = _files(members, loss, folds, left_out)
        columns = next(iter(materials.histories.values())).columns
        files, windows = calibrated(predictor_class(spec.kind)(spec, columns), files, materials.histories, window)
        weights = {member.candidate.name: member.weight for member in members}
        return TrainedModel(
            files=files,
            metrics={
                **{f"loss_{candidate.name}": found.loss for candidate, found in judged},
                **{f"weight_{candidate.name}": weights.get(candidate.name, 0.0) for candidate, _ in judged},
                "loss_ensemble": loss,
                "loss_best_member": min(found.loss for candidate, found in judged if candidate.name not in left_out),
                "candidates": float(len({candidate.name for candidate in candidates} | left_out.keys())),
                "candidates_left_out": float(len(left_out)),
                "validation_windows": float(windows),
                "seconds": time.monotonic() - started,
            },
            history=(),
            trained_until=window.validate_until,
            epochs=sum(member.trained.epochs for member in members),
        )

    def _candidates(
        self, spec: ModelSpec, seen: Materials, window: EvaluationWindow, left_out: dict[str, str]
    ) -> Iterator[Candidate]:
        """One for each member, `keep` for each that has a search."""
        for number, member in enumerate(members_of(spec).members):
            own, name = member_spec(spec, member), f"{number}_{member.kind}"
            if member.search is None:
                yield Candidate(name, number, own)
                continue
            if self._coordinator is None:
                raise ValueError(f"member {number} ({member.kind}) has a search, and this trainer no coordinator")
            self._say(f"member {number} ({member.kind}): searching, {member.search.trials} trials")
            try:
                trials = find(own, member.search, seen, window, self._trainers, self._coordinator)
            except _FAILURES as error:
                self._leave_out(name, error, left_out)
                continue
            kept: list[Trial] = []
            for trial in trials:
                if trial.state == "complete" and all(trial.values != other.values for other in kept):
                    kept.append(trial)
            for trial in kept[: member.keep]:
                yield Candidate(f"{name}_trial_{trial.number}", number, own.varied(trial.values), dict(trial.values))

    def _judged(
        self,
        candidates: list[Candidate],
        seen: Materials,
        folds: list[EvaluationWindow],
        left_out: dict[str, str],
    ) -> Iterator[tuple[Candidate, OutOfFold]]:
        """Candidates with their predictions of all folds."""
        for at, candidate in enumerate(candidates, 1):
            predictions, parts = out_of_fold(candidate.spec, seen, folds, self._trainers), []
            try:
                for number in range(1, len(folds) + 1):
                    self._say(f"candidate {at} of {len(candidates)} ({candidate.name}): fold {number} of {len(folds)}")
                    parts.append(next(predictions))
            except _FAILURES as error:
                self._leave_out(candidate.name, error, left_out)
                continue
            yield candidate, pooled(parts)

    def _mixed(
        self,
        judged: list[tuple[Candidate, OutOfFold]],
        materials: Materials,
        window: EvaluationWindow,
        picks: int,
        left_out: dict[str, str],
    ) -> tuple[list[_Member], float]:
        """Members trained on the whole training part, and the loss of all; one that fails there makes new weights."""
        trained: dict[str, TrainedModel] = {}
        while rest := [(candidate, found) for candidate, found in judged if candidate.name not in left_out]:
            weights, loss = weigh(rest, picks)
            for (candidate, _), weight in zip(rest, weights, strict=True):
                if weight == 0 or candidate.name in trained:
                    continue
                self._say(f"{candidate.name}: weight {weight:.3g}, training on all training rows")
                try:
                    trained[candidate.name] = self._trainers(candidate.spec, materials).fit(window, candidate.spec)
                except _FAILURES as error:
                    self._leave_out(candidate.name, error, left_out)
                    break
            else:
                return [
                    _Member(candidate, trained[candidate.name], float(weight), found.loss)
                    for (candidate, found), weight in zip(rest, weights, strict=True)
                    if weight > 0
                ], loss
        reasons = "; ".join(f"{name}: {reason}" for name, reason in left_out.items())
        raise TrainingFailed(f"no member of the ensemble could be trained: {reasons}")

    def _leave_out(self, name: str, error: Exception, left_out: dict[str, str]) -> None:
        left_out[name] = f"{type(error).__name__}: {error}"
        self._say(f"{name} is left out: {left_out[name]}")

    def _say(self, message: str) -> None:
        self._materials.report(Step(message))


def _files(
    members: list[_Member], loss: float, folds: list[EvaluationWindow], left_out: Mapping[str, str]
) -> dict[str, bytes]:
    """The checkpoint without calibration. Members bring none of their own: the whole is calibrated, and checked."""
    stored = StoredEnsemble(
        members=tuple(
            StoredMember(
                member=member.candidate.member,
                kind=member.candidate.spec.kind,
                values=dict(member.candidate.values),
                weight=member.weight,
                loss=member.loss,
            )
            for member in members
        ),
        loss=loss,
        folds=tuple((fold.train_until, fold.validate_until, fold.test_until) for fold in folds),
        left_out=dict(left_out),
    )
    files = {ENSEMBLE: stored.dump()}
    for number, member in enumerate(members):
        own = {name: content for name, content in member.trained.files.items() if name not in (CALIBRATION, GOLDEN)}
        files |= prefixed(own, number)
    return files


def weigh(judged: list[tuple[Candidate, OutOfFold]], picks: int) -> tuple[FloatArray, float]:
    """Weights (M,) of candidates by their out-of-fold predictions, and the loss of the mixture.

    Raises `RuntimeError` where they are not predictions of the same windows, row for row.
    """
    first = judged[0][1]
    for candidate, found in judged[1:]:
        if not found.same_windows(first):
            raise RuntimeError(f"{candidate.name} predicted other windows than {judged[0][0].name}; report this fault")
    location, scale = (np.stack([getattr(found, name) for _, found in judged]) for name in ("location", "scale"))
    weights = greedy_weights(location, scale, first.y, first.unit, picks=picks)
    return weights, mixture_loss(weights, location, scale, first.y, first.unit)
