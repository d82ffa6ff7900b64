"""Losses and predictions of windows that a model was not trained on, from walk-forward folds of the training rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import get_args

import numpy as np
from numpy.typing import NDArray

from fx_assets.metrics.losses import crps_normal
from fx_assets.models.base import MemoryCheckpoint
from fx_assets.models.errors import FitFailed, InsufficientHistory
from fx_assets.models.inputs import FloatArray, PairHistory, windows
from fx_assets.models.registry import predictor_class
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow, Part
from fx_assets.training.materials import Materials, Trainer
from fx_assets.training.search.windows import PairWindows

Trainers = Callable[[ModelSpec, Materials], Trainer]


@dataclass(frozen=True, eq=False)
class OutOfFold:
    """Predictions of a fold's test windows, one pair after the other: each (n, H).

    `y` the cumulative log returns that came, `unit` the deviation that a driftless walk would give them
    (training rows of the fold), by which losses of pairs are made comparable. `spans`: which pair the next rows are of,
    and the ends of their origins' bars, (k,) datetime64[us] in UTC.
    """

    location: FloatArray
    scale: FloatArray
    y: FloatArray
    unit: FloatArray
    spans: tuple[tuple[str, NDArray[np.datetime64]], ...] = ()

    @property
    def loss(self) -> float:
        """Mean CRPS of normals in units of the walk: see `crps`."""
        return float(np.mean(crps(self.location, self.scale, self.y, self.unit)))

    @property
    def windows(self) -> tuple[PairWindows, ...]:
        """What each window lost, as `loss`, and what the sign of its location one bar ahead earned, by span."""
        losses = np.mean(crps(self.location, self.scale, self.y, self.unit), axis=1)
        earned = np.sign(self.location[:, 0]) * self.y[:, 0]  # nothing where the location is the last price
        ends = np.cumsum([len(origins) for _, origins in self.spans])
        return tuple(
            PairWindows(pair, origins, losses[end - len(origins) : end], earned[end - len(origins) : end])
            for (pair, origins), end in zip(self.spans, ends, strict=True)
        )

    def same_windows(self, other: OutOfFold) -> bool:
        """Whether both predict the same windows in the same order: what came after them is equal to the last bit."""
        return np.array_equal(self.y, other.y) and np.array_equal(self.unit, other.unit)


def pooled(parts: Sequence[OutOfFold]) -> OutOfFold:
    """Several folds as one, in their order."""
    location, scale, y, unit = (
        np.concatenate([getattr(part, name) for part in parts]) for name in ("location", "scale", "y", "unit")
    )
    return OutOfFold(location, scale, y, unit, tuple(span for part in parts for span in part.spans))


def crps(location: FloatArray, scale: FloatArray, y: FloatArray, unit: FloatArray) -> FloatArray:
    """CRPS of normals (closed form: Gneiting and Raftery 2007) over `unit`; all (n, H)."""
    values: FloatArray = crps_normal(y=y, location=location, scale=scale) / unit
    return values


def folds_of(histories: Mapping[str, PairHistory], window: EvaluationWindow, count: int) -> list[EvaluationWindow]:
    """The folds that trials and members are judged on, cut by the longest history.

    Raises `InsufficientHistory` without a pair, `ValueError` (`insufficient_history`) where a stretch would be empty.
    """
    if not histories:
        raise InsufficientHistory("insufficient_history: no pair to cut into folds")
    longest = max(histories.values(), key=len)
    return window.folds(longest.ends, count)


def out_of_fold(
    spec: ModelSpec, materials: Materials, folds: Sequence[EvaluationWindow], trainers: Trainers
) -> Iterator[OutOfFold]:
    """Train on each fold and predict its test windows, oldest fold first. Each fold is trained when it is asked for.

    A trainer is handed no row after its fold's validation, and the pairs that have windows in all parts of the fold: a
    young pair of a panel joins the later folds. Raises `InsufficientHistory` for a fold without a pair.
    """
    for fold in folds:
        whole = replace(materials.quiet(), histories=_able(spec, materials.histories, fold))
        trained = trainers(spec, whole.until(fold.validate_until)).fit(fold, spec)
        yield predicted(spec, trained.files, whole.histories, fold)


def predicted(
    spec: ModelSpec, files: Mapping[str, bytes], histories: Mapping[str, PairHistory], fold: EvaluationWindow
) -> OutOfFold:
    """Predictions of the fold's test windows of every pair, by the code that predicts at night.

    Raises `InsufficientHistory` for a pair that has none, `FitFailed` for one whose price never moved in training.
    """
    cls = predictor_class(spec.kind)
    parts = []
    for pair, history in histories.items():
        own = history if cls.uses_features else history.bare()
        predictor = cls(spec, own.columns)
        predictor.load_model(MemoryCheckpoint(predictor.identity(), files))
        rows = _origins(spec, own, fold, "test")
        if not len(rows):
            raise InsufficientHistory(
                f"insufficient_history: {pair} has no window between {fold.validate_until} and {fold.test_until}"
            )
        prediction = predictor.predict(*windows(own, rows, spec))
        walk = np.sqrt(np.mean(np.diff(np.log(own.until(fold.train_until).closes)) ** 2))
        if not walk > 0:
            raise FitFailed(f"{pair}: the price never moves until {fold.train_until}, so losses have no unit")
        unit = np.broadcast_to(walk * np.sqrt(np.arange(1, spec.horizon + 1)), prediction.location.shape)
        y = own.outcomes(rows, range(1, spec.horizon + 1))
        parts.append(OutOfFold(prediction.location, prediction.scale, y, unit, ((pair, own.ends[rows]),)))
    return pooled(parts)


def _able(spec: ModelSpec, histories: Mapping[str, PairHistory], fold: EvaluationWindow) -> Mapping[str, PairHistory]:
    able = {
        pair: history
        for pair, history in histories.items()
        if all(len(_origins(spec, history, fold, part)) for part in get_args(Part))
    }
    if not able:
        raise InsufficientHistory(
            f"insufficient_history: {spec.model_id}: no pair has windows of {spec.window} rows with {spec.horizon} "
            f"after it in each part of the fold {fold.train_until} / {fold.validate_until} / {fold.test_until}; ask "
            "for fewer folds, start the history earlier, or shorten window or horizon"
        )
    return able


def _origins(spec: ModelSpec, history: PairHistory, fold: EvaluationWindow, part: Part) -> NDArray[np.int64]:
    return fold.origins(history.ends, window=spec.window, horizon=spec.horizon, part=part)
