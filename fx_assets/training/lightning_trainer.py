"""Learns a network by Lightning. Imports torch: only the supervised child and tests import this module."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import safetensors
import safetensors.torch
import torch
from torch import nn

from fx_assets.models.base import BasePredictor
from fx_assets.models.inputs import PairHistory
from fx_assets.models.network import WEIGHTS, NetworkPredictor
from fx_assets.models.networks.heads import Forecaster, make_head
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.data import ReturnWindows
from fx_assets.training.export import export
from fx_assets.training.kind_trainer import KindTrainer
from fx_assets.training.loop import LoopOptions, learn, reproducible
from fx_assets.training.materials import Materials
from fx_assets.training.records import Fitted, TrainingFailed
from fx_assets.training.resume import ResumeFile, training_key

EXAMPLES = 16  # validation windows on which the exported files must agree with the network


@dataclass(frozen=True)
class Learning:
    """One learning of a network: on which windows and how long; `weights`: the file to begin with, None: untrained."""

    predictor: NetworkPredictor
    training: ReturnWindows
    validation: ReturnWindows
    options: LoopOptions
    resume: ResumeFile | None
    weights: bytes | None = None


class LightningTrainer(KindTrainer):
    """Trains on the training windows of all pairs together, stops by their validation windows, exports the best."""

    def _learn(self, learner: BasePredictor, histories: Mapping[str, PairHistory], window: EvaluationWindow) -> Fitted:
        predictor, spec = network_predictor(learner), learner.spec
        params = predictor.fit_scaler({pair: history.until(window.train_until) for pair, history in histories.items()})
        learning = Learning(
            predictor,
            training=ReturnWindows(spec, histories, window, "train", params),
            validation=ReturnWindows(spec, histories, window, "validation", params),
            options=loop_options(spec, self._materials.device),
            resume=resume_file(spec, self._materials, histories, window),
        )
        return learned(learning, dump_params(params), self._materials)


def learned(learning: Learning, params: bytes, materials: Materials) -> Fitted:
    """Train and export the best weights, beside the file `params` of their scaler.

    Raises `TrainingFailed` where the weights to begin with are of another network.
    """
    make = partial(make_forecaster, learning.predictor)
    validation = learning.validation
    with reproducible(learning.options.seed, learning.options.device):
        forecaster = make()
        if learning.weights is not None:
            _begin_with(forecaster, learning.weights)
        found = learn(
            forecaster,
            learning.training,
            validation,
            learning.options,
            scratch=materials.scratch,
            report=materials.report,
            resume=learning.resume,
        )
        batch = validation.gather(torch.linspace(0, len(validation) - 1, min(EXAMPLES, len(validation))).long())
        examples = (batch.inputs,) if batch.ahead is None else (batch.inputs, batch.ahead)
        files = export(forecaster, make, examples)
    if learning.resume is not None:
        learning.resume.remove()
    before = "untrained" if learning.weights is None else "base"
    return Fitted(
        files={PARAMS: params, **files},
        metrics={
            "parameters": float(sum(parameter.numel() for parameter in forecaster.parameters())),
            "train_windows": float(len(learning.training)),
            "best_epoch": float(found.best_epoch),
            "validation_loss": found.best_loss,
            f"validation_loss_{before}": found.history[0].validation_loss,
        },
        history=found.history,
        epochs=len(found.history) - 1,
    )


def network_predictor(learner: BasePredictor) -> NetworkPredictor:
    """Raises `TypeError` for a kind that is not around a network."""
    if not isinstance(learner, NetworkPredictor):
        raise TypeError(f"kind {learner.kind!r} has trainer 'lightning' and must derive NetworkPredictor")
    return learner


def make_forecaster(predictor: NetworkPredictor) -> Forecaster:
    """An untrained forecaster as the predictor's spec describes it."""
    head = make_head(predictor.hyperparameters.head, centred=predictor.spec.target == "volatility")
    module, _, name = (predictor.network or "").partition(":")
    network: type[nn.Module] = getattr(importlib.import_module(module), name)
    return Forecaster(network(outputs=head.outputs, **predictor.network_options()), head)


def loop_options(spec: ModelSpec, device: str, *, epochs: int | None = None) -> LoopOptions:
    """The loop as a spec's `training` describes it; with `epochs`, exactly so many."""
    training = spec.training
    return LoopOptions(
        max_epochs=epochs or training.max_epochs,
        patience=epochs or training.patience,
        batch_size=training.batch_size,
        learning_rate=training.learning_rate,
        weight_decay=training.weight_decay,
        seed=training.seed,
        device=device,
    )


def resume_file(
    spec: ModelSpec, materials: Materials, histories: Mapping[str, PairHistory], window: EvaluationWindow
) -> ResumeFile | None:
    """Where each whole epoch of this very training is kept; None where nothing is."""
    if materials.resume is None:
        return None
    return ResumeFile(materials.resume, training_key(spec, histories, window, materials.base, materials.device))


def _begin_with(forecaster: Forecaster, weights: bytes) -> None:
    try:
        forecaster.load_state_dict(safetensors.torch.load(weights))
    except (RuntimeError, safetensors.SafetensorError) as error:
        raise TrainingFailed(f"{WEIGHTS} of the version to go on from is of another network: {error}") from error
