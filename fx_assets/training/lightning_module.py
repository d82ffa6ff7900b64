"""The training loop's two halves: the loss of a forecaster, and the memory of its best weights."""

from __future__ import annotations

import copy
import math
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import Any

import pytorch_lightning as pl
import torch
from torch import Tensor

from fx_assets.models.networks.heads import Forecaster
from fx_assets.training.data import Batch
from fx_assets.training.records import Progress, Report, TrainingFailed


class ForecastModule(pl.LightningModule):
    """A forecaster trained by the loss of its head; `compiler`: of `torch.compile`, None for no compiling."""

    def __init__(
        self,
        forecaster: Forecaster,
        learning_rate: float,
        weight_decay: float = 0.0,
        *,
        halving: bool = False,
        compiler: str | None = None,
    ) -> None:
        super().__init__()
        self.forecaster = forecaster
        self._learning_rate = learning_rate
        self._weight_decay = weight_decay
        self._halving = halving
        loss = loss_of(forecaster)
        # The function is compiled, not the module: weights keep their names, and exports their network.
        self._loss: Callable[[Batch], Tensor] = loss if compiler is None else torch.compile(loss, backend=compiler)
        self.train_loss = Mean()
        self.validation_loss = Mean()

    def training_step(self, batch: Batch, _index: int) -> Tensor:
        """Loss of one batch."""
        return self._add(batch, self.train_loss)

    def validation_step(self, batch: Batch, _index: int) -> None:
        """Adds to the validation loss."""
        self._add(batch, self.validation_loss)

    def on_train_epoch_start(self) -> None:
        """A new mean for each epoch."""
        self.train_loss = Mean()

    def on_validation_epoch_start(self) -> None:
        """A new mean for each pass."""
        self.validation_loss = Mean()

    def on_validation_epoch_end(self) -> None:
        """Hand the loss to early stopping."""
        self.log("validation_loss", self.validation_loss.value)

    def configure_optimizers(self) -> Any:
        """Adam with decoupled weight decay; where asked for, its rate halves after each epoch."""
        optimizer = torch.optim.AdamW(
            self.parameters(), lr=self._learning_rate, weight_decay=self._weight_decay, fused=True
        )
        if not self._halving:
            return optimizer
        return {
            "optimizer": optimizer,
            "lr_scheduler": torch.optim.lr_scheduler.ExponentialLR(optimizer, gamma=0.5),
        }

    def configure_gradient_clipping(
        self,
        optimizer: torch.optim.Optimizer,
        gradient_clip_val: float | None = None,
        gradient_clip_algorithm: str | None = None,
    ) -> None:
        """By their common norm. Lightning's own refuses fused optimisers beside 16 bits: for a scaler bf16 has not."""
        del optimizer, gradient_clip_algorithm
        if gradient_clip_val is not None:
            torch.nn.utils.clip_grad_norm_(self.parameters(), gradient_clip_val)

    def _add(self, batch: Batch, mean: Mean) -> Tensor:
        loss = self._loss(batch)
        mean.add(loss, len(batch.inputs))
        return loss


def loss_of(forecaster: Forecaster) -> Callable[[Batch], Tensor]:
    """The mean loss of a batch, a scalar."""

    def loss(batch: Batch) -> Tensor:
        return forecaster.head.loss(forecaster.raw(batch.inputs, batch.ahead), batch.targets)

    return loss


class Mean:
    """Mean over windows of per-batch means; the last batch may be smaller."""

    def __init__(self) -> None:
        self._sum: Tensor | float = 0.0
        self._count = 0

    def add(self, loss: Tensor, count: int) -> None:
        """One batch of `count` windows. It stays where it was computed: to ask a GPU at each step would hold it up."""
        self._sum = self._sum + loss.detach().double() * count
        self._count += count

    @property
    def value(self) -> float:
        """The mean. Raises `ZeroDivisionError` before the first batch."""
        return float(self._sum) / self._count


class BestWeights(pl.Callback):
    """Keeps the weights with the lowest validation loss in memory and reports each epoch.

    The untrained network is epoch 0 (Lightning's sanity check, over all of validation): a training that never
    beats it keeps it, and with a head at zero that is the random walk.
    """

    def __init__(self, report: Report) -> None:
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
            self.weights = copy.deepcopy(pl_module.forecaster.state_dict())
        event = Progress(
            epoch=epoch,
            max_epochs=trainer.max_epochs or 0,
            train_loss=None if epoch == 0 else pl_module.train_loss.value,
            validation_loss=loss,
            best=best,
        )
        self.history.append(event)
        self._report(event)

    def state_dict(self) -> dict[str, Any]:
        """For a training that is gone on with."""
        return {"history": [asdict(event) for event in self.history], "epoch": self.epoch, "weights": self.weights}

    def load_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """As it was, without reporting the epochs again."""
        self.history = [Progress(**event) for event in state_dict["history"]]
        self.epoch = state_dict["epoch"]
        self.weights = state_dict["weights"]
