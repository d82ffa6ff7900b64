"""A warm update: a network goes on from its newest version on the windows that are new since then.

Imports torch: only the supervised child and tests import this module.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import numpy as np

from fx_assets.features.plan import PLAN, FeaturePlan, load_plan
from fx_assets.models.base import BasePredictor
from fx_assets.models.inputs import PairHistory
from fx_assets.models.network import WEIGHTS
from fx_assets.models.onnx_model import ONNX
from fx_assets.models.params import PARAMS, read_json
from fx_assets.models.searched import FOUND, found_spec
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.data import ReturnWindows
from fx_assets.training.kind_trainer import KindTrainer
from fx_assets.training.lightning_trainer import Learning, learned, loop_options, network_predictor, resume_file
from fx_assets.training.materials import Base, Materials
from fx_assets.training.origins import origins
from fx_assets.training.records import Fitted, Step, TrainedModel, TrainingFailed

REHEARSED = 8  # batches of older windows beside the new ones, so that what they taught is not forgotten at once
_INSTANT = timedelta(microseconds=1)


class WarmTrainer(KindTrainer):
    """Takes over plan, scaler, found values and weights of `Materials.base`, and trains on what is new.

    `training.update_epochs` epochs at the spec's learning rate, with the optimiser anew. The base's weights are epoch
    0 on today's validation windows: an update that does no better there keeps them. Golden sample and calibration are
    made anew either way. Raises `TrainingFailed` where the base lacks a file or is of another network, `ValueError`
    without a base.
    """

    def __init__(self, materials: Materials) -> None:
        super().__init__(materials)
        if materials.base is None:
            raise ValueError("a warm update needs Materials.base; without one, train by LightningTrainer")
        self._base = materials.base

    def fit(self, window: EvaluationWindow, spec: ModelSpec) -> TrainedModel:
        """See `Trainer`; with the values that the base's search has found, which are not searched for again."""
        files = self._base.files
        missing = [name for name in (PARAMS, WEIGHTS, ONNX) if name not in files]
        if missing:
            raise TrainingFailed(f"version {self._base.version} has no {', '.join(missing)}; train from the start")
        model = super().fit(window, found_spec(spec, files))
        return replace(model, files={**model.files, **{name: files[name] for name in (FOUND,) if name in files}})

    def _plan(
        self, spec: ModelSpec, histories: Mapping[str, PairHistory], window: EvaluationWindow
    ) -> FeaturePlan | None:
        del spec, histories, window
        return load_plan(self._base.files[PLAN]) if PLAN in self._base.files else None

    def _learn(self, learner: BasePredictor, histories: Mapping[str, PairHistory], window: EvaluationWindow) -> Fitted:
        spec, materials, base = learner.spec, self._materials, self._base
        params = read_json(base.files, PARAMS)
        since = new_since(window, base)
        new = len(ReturnWindows(spec, histories, window, "train", params, since=since))
        if not new:
            materials.report(Step(f"nothing new to train on since version {base.version}; its weights are kept"))
            kept = {name: base.files[name] for name in (PARAMS, WEIGHTS, ONNX)}
            return Fitted(files=kept, metrics={"train_windows": 0.0, "new_windows": 0.0, "best_epoch": 0.0})
        earlier = rehearsed_since(spec, histories, window, since)
        learning = Learning(
            network_predictor(learner),
            training=ReturnWindows(spec, histories, window, "train", params, since=earlier),
            validation=ReturnWindows(spec, histories, window, "validation", params),
            options=loop_options(spec, materials.device, epochs=spec.training.update_epochs),
            resume=resume_file(spec, materials, histories, window),
            weights=base.files[WEIGHTS],
        )
        materials.report(
            Step(f"update of version {base.version}: {new} new windows, {len(learning.training) - new} older ones")
        )
        fitted = learned(learning, base.files[PARAMS], materials)
        return replace(fitted, metrics={**fitted.metrics, "new_windows": float(new)})


def new_since(window: EvaluationWindow, base: Base) -> datetime:
    """Until when the base was trained: windows are new whose target ends later, by `window.train_until` at the latest.

    A version says until when it was validated, not where its training rows ended. Both cuts of a window keep their
    distance in the calendar while they move on, so its training ended as much before today's `train_until` as its
    validation before today's `validate_until`. Leap years and the change of clocks, which fall differently in the two
    years, put this off by an hour or a day for some weeks: such windows are trained on twice, or as older ones only.
    """
    return window.train_until - (window.validate_until - base.trained_until)


def rehearsed_since(
    spec: ModelSpec, histories: Mapping[str, PairHistory], window: EvaluationWindow, since: datetime
) -> datetime | None:
    """The moment after which the new windows and `REHEARSED` batches before them end; None: all of them.

    Of a panel, windows that end at the same moment come together, so there may be a few more.
    """
    ends = []
    for history in histories.values():
        rows = origins(spec, history, window, "train")
        ends.append(history.ends[rows + spec.horizon])
    times = np.sort(np.concatenate(ends))
    older = times[times <= np.datetime64(since.astimezone(UTC).replace(tzinfo=None), "us")]
    wanted = REHEARSED * spec.training.batch_size
    if len(older) <= wanted:
        return None
    first: datetime = older[-wanted].astype("datetime64[us]").item()
    return first.replace(tzinfo=UTC) - _INSTANT
