"""The training loop's two halves: the loss of a network, and the memory of its best weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable

import pytorch_lightning as pl
import torch
from torch import Tensor, nn

from fx_assets.training.data import Batch
from fx_assets.training.records import Progress, TrainingFailed

# Targets have a deviation near 1: within 2 of them the loss is the squared error, beyond it grows only linearly,
# so that a day such as 2015-01-15 in CHF (over 20 of them) does not decide the weights.
HUBER_DELTA = 2.0


class ForecastModule(pl.LightningModule):
    """A network (B, window, columns) -> (B, 1, horizon) trained on scaled cumulative returns (B, horizon)."""

    def __init__(self, network: nn.Module, *, learning_rate: float, weight_decay: float) -> None:
        super().__init__()
        self.network = network
        self.loss = nn.HuberLoss(delta=HUBER_DELTA)
        self._learning_rate = learning_rate
        self._weight_decay = weight_decay
        self.train_loss = Mean()
        self.validation_loss = Mean()

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Loss of one batch."""
        return self._loss(batch, self.train_loss)

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Adds to the validation loss."""
        self._loss(batch, self.validation_loss)

    def on_train_epoch_start(self) -> None:
        """A new mean for each epoch."""
        self.train_loss = Mean()

    def on_validation_epoch_start(self) -> None:
        """A new mean for each pass."""
        self.validation_loss = Mean()

    def on_validation_epoch_end(self) -> None:
        """Hand the loss to early stopping."""
        self.log("validation_loss", self.validation_loss.value)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        """Adam with decoupled weight decay."""
        return torch.optim.AdamW(self.parameters(), lr=self._learning_rate, weight_decay=self._weight_decay)

    def _loss(self, batch: Batch, mean: Mean) -> Tensor:
        inputs, targets = batch
        loss: Tensor = self.loss(self.network(inputs)[:, 0], targets)
        mean.add(loss.item(), len(inputs))
        return loss


class Mean:
    """Mean over windows of per-batch means; the last batch may be smaller."""

    def __init__(self) -> None:
        self._sum = 0.0
        self._count = 0

    def add(self, value: float, count: int) -> None:
        """One batch of `count` windows."""
        self._sum += value * count
        self._count += count

    @property
    def value(self) -> float:
        """The mean. Raises `ZeroDivisionError` before the first batch."""
        return self._sum / self._count


class BestWeights(pl.Callback):
    """Keeps the weights with the lowest validation loss in memory and reports each epoch.

    The untrained network is epoch 0 (Lightning's sanity check, over all of validation): a training that never
    beats it keeps it, and with a head at zero that is the random walk.
    """

    def __init__(self, report: Callable[[Progress], None]) -> None:
        self._report = report
        self.history: list[Progress] = []
        self.epoch = 0
        self.weights: dict[str, Tensor] = {}

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        """After each pass over the validation windows."""
        assert isinstance(pl_module, ForecastModule)
        loss = pl_module.validation_loss.value
        if not math.isfinite(loss):
            raise TrainingFailed("validation loss is not finite; lower training.learning_rate, or look at the features")
        best = not self.history or loss < min(event.validation_loss for event in self.history)
        epoch = 0 if trainer.sanity_checking else trainer.current_epoch + 1
        if best:
            self.epoch = epoch
            self.weights = copy.deepcopy(pl_module.network.state_dict())
        event = Progress(
            epoch=epoch,
            max_epochs=trainer.max_epochs or 0,
            train_loss=None if epoch == 0 else pl_module.train_loss.value,
            validation_loss=loss,
            best=best,
        )
        self.history.append(event)
        self._report(event)
