"""Candidates walked forward: trained for each fold by the trainer of the night, asked at each of its origins."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.judge import Forecasts
from fx_assets.models.base import BasePredictor, MemoryCheckpoint
from fx_assets.models.inputs import PairHistory, windows
from fx_assets.models.ranges import Ranges, narrowed
from fx_assets.models.registry import predictor_class
from fx_assets.settings import Settings
from fx_assets.specs.schema import FeatureSetSpec, ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.materials import Materials
from fx_assets.training.trainers import train

Show = Callable[[str], None]


@dataclass(frozen=True, eq=False)
class Said:
    """What a model said of one pair at the test origins of all folds; `start`: its ranges at the first of them.

    The ranges begin as the first fold's calibration and follow what matures through all folds: a refit changes the
    scale that they multiply a little, and what they have learned of it hardly. `noted`: origins with a remark, such as
    that the EWMA variance was used.
    """

    forecasts: Forecasts
    start: Ranges
    noted: int

    def moved(self, own: PairHistory, other: PairHistory) -> Said:
        """The same with row numbers of `other`, which has all bars of `own` that were forecast from.

        Raises `ValueError` where it has not.
        """
        ends = own.ends[self.forecasts.rows]
        rows = np.searchsorted(other.ends, ends)
        if (rows >= len(other)).any() or not np.array_equal(other.ends[rows], ends):
            raise ValueError(f"{own.pair}: a bar that was forecast from is missing in the other history")
        return replace(self, forecasts=replace(self.forecasts, rows=rows))


def walk(
    spec: ModelSpec,
    histories: Mapping[str, PairHistory],
    folds: Sequence[EvaluationWindow],
    steps: tuple[int, ...],
    *,
    features: FeatureSetSpec | None,
    settings: Settings,
    show: Show,
) -> dict[str, Said]:
    """The forecasts of `spec` by pair, `steps` bars ahead.

    `histories` hold the candidates of `features`; row numbers are theirs. A fold's self is trained on rows that ended
    by its `validate_until`, no later one reaches it. `show` is called after each training. Raises as
    `training.trainers.train` does.
    """
    groups = [tuple(histories)] if spec.scope == "panel" else [(pair,) for pair in histories]
    found: dict[str, Said] = {}
    for pairs in groups:
        own = {pair: histories[pair] for pair in pairs}
        parts: dict[str, list[_Part]] = {pair: [] for pair in pairs}
        for number, fold in enumerate(folds, 1):
            predictor = _trained(spec, own, fold, features, settings)
            for pair in pairs:
                parts[pair].append(_forecast(predictor, own[pair], fold, steps))
            show(f"{spec.model_id}, {' '.join(pairs)}: fold {number} of {len(folds)}")
        found |= {pair: _joined(parts[pair], steps) for pair in pairs}
    return found


@dataclass(frozen=True, eq=False)
class _Part:
    rows: NDArray[np.int64]
    location: NDArray[np.float64]
    scale: NDArray[np.float64]
    start: Ranges
    noted: int


def _trained(
    spec: ModelSpec,
    histories: Mapping[str, PairHistory],
    fold: EvaluationWindow,
    features: FeatureSetSpec | None,
    settings: Settings,
) -> BasePredictor:
    with tempfile.TemporaryDirectory() as scratch:
        files = train(spec, Materials(histories, Path(scratch), features), fold, settings=settings).files
    cls = predictor_class(spec.kind)
    columns = next(iter(histories.values())).columns if cls.uses_features else ("close",)
    predictor = cls(spec, columns)
    predictor.load_model(MemoryCheckpoint(predictor.identity(), files))
    return predictor


def _forecast(predictor: BasePredictor, history: PairHistory, fold: EvaluationWindow, steps: tuple[int, ...]) -> _Part:
    spec = predictor.spec
    own = history if predictor.uses_features else history.bare()
    rows = fold.origins(own.ends, window=spec.window, horizon=min(steps), part="test")
    prediction = predictor.predict(*windows(own, rows, spec))
    wanted = np.asarray(steps) - 1
    return _Part(
        rows=rows,
        location=prediction.location[:, wanted],
        scale=prediction.scale[:, wanted],
        start=Ranges.from_calibration(narrowed(predictor.calibrations[history.pair], steps)),
        noted=sum(bool(said) for said in prediction.notes),
    )


def _joined(parts: Sequence[_Part], steps: tuple[int, ...]) -> Said:
    forecasts = Forecasts(
        rows=np.concatenate([part.rows for part in parts]),
        steps=steps,
        location=np.concatenate([part.location for part in parts]),
        scale=np.concatenate([part.scale for part in parts]),
    )
    return Said(forecasts, parts[0].start, sum(part.noted for part in parts))
