"""Trains a network by Lightning. Imports torch: only the supervised child and tests import this module."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import numpy as np
import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping
from torch import nn

from fx_assets.models.base import BasePredictor
from fx_assets.models.inputs import PairHistory
from fx_assets.models.network import NetworkPredictor, encode
from fx_assets.models.params import PARAMS, dump_params
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.data import Windows, WindowsModule
from fx_assets.training.export import export
from fx_assets.training.lightning_module import BestWeights, ForecastModule
from fx_assets.training.records import Fitted, Progress
from fx_assets.training.upstream import known_remarks

# Fixed, because the order of sums depends on it: equal seeds give equal bytes on every machine alike.
THREADS = 1
GRADIENT_CLIP = 1.0
EXAMPLES = 16  # validation windows on which the exported files must agree with the network


class LightningTrainer:
    """Trains on the training windows of all pairs together, stops by their validation windows, exports the best."""

    def fit(
        self,
        predictor: BasePredictor,
        histories: Mapping[str, PairHistory],
        window: EvaluationWindow,
        *,
        scratch: Path,
        seed: int,
        progress: Callable[[Progress], None],
    ) -> Fitted:
        """Files without calibration. Raises `TypeError` for a predictor that is not around a network."""
        if not isinstance(predictor, NetworkPredictor):
            raise TypeError(f"kind {predictor.kind!r} has trainer 'lightning' and must derive NetworkPredictor")
        spec = predictor.spec
        training, validation = (Windows.of(spec, histories, window, part) for part in ("train", "validation"))
        params = predictor.fit_scaler({pair: history.until(window.train_until) for pair, history in histories.items()})
        data = WindowsModule(
            training, validation, partial(encode, params=params), batch_size=spec.training.batch_size, seed=seed
        )
        make = partial(_network_class(predictor), **predictor.network_options())
        best = BestWeights(progress)
        with _reproducible(seed):
            module = ForecastModule(
                make(), learning_rate=spec.training.learning_rate, weight_decay=spec.training.weight_decay
            )
            stop = EarlyStopping("validation_loss", patience=spec.training.patience, mode="min")
            trainer = _lightning(scratch, spec.training.max_epochs, [best, stop])
            with known_remarks():
                trainer.fit(module, datamodule=data)
            network = module.network
            network.load_state_dict(best.weights)
            chosen = np.linspace(0, len(validation) - 1, min(EXAMPLES, len(validation))).astype(np.int64)
            examples = torch.from_numpy(encode(validation.gather(chosen)[0], params).inputs)
            files = export(network, make, examples)
        losses = {event.epoch: event.validation_loss for event in best.history}
        return Fitted(
            files={PARAMS: dump_params(params), **files},
            metrics={
                "parameters": float(sum(parameter.numel() for parameter in network.parameters())),
                "train_windows": float(len(training)),
                "best_epoch": float(best.epoch),
                "validation_loss": losses[best.epoch],
                "validation_loss_untrained": losses[0],
            },
            history=tuple(best.history),
            epochs=len(best.history) - 1,
        )


def _network_class(predictor: NetworkPredictor) -> type[nn.Module]:
    module, _, name = (predictor.network or "").partition(":")
    found: type[nn.Module] = getattr(importlib.import_module(module), name)
    return found


def _lightning(scratch: Path, max_epochs: int, callbacks: list[pl.Callback]) -> pl.Trainer:
    # Its information lines ("GPU available", tips) go to the log that a reader of this project's runs sees.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    return pl.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=max_epochs,
        callbacks=callbacks,
        default_root_dir=scratch,
        gradient_clip_val=GRADIENT_CLIP,
        num_sanity_val_steps=-1,  # the whole of it: the untrained network is a candidate
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@contextmanager
def _reproducible(seed: int) -> Iterator[None]:
    """Fixed seed, threads and algorithms; afterwards torch is as it was."""
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(THREADS)
        torch.use_deterministic_algorithms(True)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict)
            torch.set_num_threads(threads)
