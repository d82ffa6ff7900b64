"""The training loop by Lightning, for any network and any source of windows. Imports torch."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytorch_lightning as pl
import torch
from pytorch_lightning.callbacks import EarlyStopping

from fx_assets.models.networks.heads import Forecaster
from fx_assets.training.data import Source, WindowsModule
from fx_assets.training.device import Device, chosen_device
from fx_assets.training.lightning_module import BestWeights, ForecastModule
from fx_assets.training.records import Progress, Report
from fx_assets.training.resume import DigestedFiles, LastEpoch, ResumeFile
from fx_assets.training.upstream import known_remarks

# Fixed, because the order of sums depends on it: equal seeds give equal bytes on every machine alike. One is also the
# faster: 13 ms a step against 22 with two, iTransformer at the Exchange settings on two cores with other work beside.
THREADS = 1


@dataclass(frozen=True)
class LoopOptions:
    """How long and how a network trains; `halving`: the learning rate is halved after each epoch.

    `device`: `cpu`, `cuda`, or `auto`. `patience`: epochs without a better validation loss after which it ends.
    """

    max_epochs: int
    patience: int
    batch_size: int
    learning_rate: float
    seed: int
    weight_decay: float = 0.0
    gradient_clip: float | None = 1.0
    halving: bool = False
    device: str = "cpu"


@dataclass(frozen=True)
class Learned:
    """Each epoch that ran, the network as it came as epoch 0 first, and the number of the best."""

    history: tuple[Progress, ...]
    best_epoch: int

    @property
    def best_loss(self) -> float:
        """Validation loss of the weights that were kept."""
        return next(event.validation_loss for event in self.history if event.epoch == self.best_epoch)


def learn(
    forecaster: Forecaster,
    training: Source,
    validation: Source,
    options: LoopOptions,
    *,
    scratch: Path,
    report: Report,
    resume: ResumeFile | None = None,
) -> Learned:
    """Train `forecaster` in place; it ends on the CPU, with the weights that did best on the validation windows.

    Call it inside `reproducible(seed)`, together with what builds the network. `resume`: where each whole epoch is
    kept; a training that finds one there goes on from it, to the same result. Whoever gave it removes it in the end.
    Raises `TrainingFailed` where the validation loss is not finite, or the device is missing.
    """
    device = chosen_device(options.device)
    data = WindowsModule(
        training.to(device.place), validation.to(device.place), batch_size=options.batch_size, seed=options.seed
    )
    module = ForecastModule(
        forecaster, options.learning_rate, options.weight_decay, halving=options.halving, compiler=device.compiler
    )
    best = BestWeights(report)
    callbacks: list[pl.Callback] = [best, EarlyStopping("validation_loss", patience=options.patience, mode="min")]
    begun = None
    if resume is not None:
        begun = resume.begin(report)
        callbacks.append(LastEpoch(resume.path))
    trainer = _lightning(scratch, options, device, callbacks, begun=begun is not None)
    with known_remarks():
        trainer.fit(module, datamodule=data, ckpt_path=begun, weights_only=True)
    forecaster.cpu().load_state_dict(best.weights)
    return Learned(tuple(best.history), best.epoch)


def _lightning(
    scratch: Path, options: LoopOptions, device: Device, callbacks: list[pl.Callback], *, begun: bool
) -> pl.Trainer:
    # Its information lines ("GPU available", tips) go to the log that a reader of this project's runs sees.
    logging.getLogger("pytorch_lightning").setLevel(logging.WARNING)
    keeps = any(isinstance(callback, LastEpoch) for callback in callbacks)
    return pl.Trainer(
        accelerator=device.accelerator,
        devices=1,
        precision=device.precision,  # type: ignore[arg-type]
        max_epochs=options.max_epochs,
        callbacks=callbacks,
        plugins=[DigestedFiles()],
        default_root_dir=scratch,
        gradient_clip_val=options.gradient_clip,
        # The whole of it: the untrained network is a candidate. Once only, for the best so far is kept with the epoch.
        num_sanity_val_steps=0 if begun else -1,
        logger=False,
        enable_checkpointing=keeps,
        enable_progress_bar=False,
        enable_model_summary=False,
    )


@contextmanager
def reproducible(seed: int, device: str = "cpu") -> Iterator[None]:
    """Fixed seed, threads and algorithms; afterwards torch is as it was.

    On CUDA an operation without a deterministic algorithm is a warning, elsewhere an error.
    """
    threads, strict = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    lenient = torch.is_deterministic_algorithms_warn_only_enabled()
    cuda = chosen_device(device).place.type == "cuda"
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        torch.set_num_threads(THREADS)
        torch.use_deterministic_algorithms(True, warn_only=cuda)
        try:
            yield
        finally:
            torch.use_deterministic_algorithms(strict, warn_only=lenient)
            torch.set_num_threads(threads)
