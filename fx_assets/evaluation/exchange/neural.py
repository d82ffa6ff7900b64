"""The project's networks on levels, trained by the project's own loop."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from fx_assets.evaluation.exchange.model import Fitted, Model
from fx_assets.evaluation.exchange.split import LOOK_BACK, Rows, Split
from fx_assets.evaluation.exchange.table import CURRENCIES, Floats

if TYPE_CHECKING:
    from torch import nn

    from fx_assets.training.data import LevelWindows

    Build = Callable[[int], nn.Module]

EPOCHS, PATIENCE, BATCH = 10, 3, 32
_FORECAST_BATCH = 256


@dataclass(frozen=True)
class NetworkModel(Model):
    """A network of `build(horizon)`; Adam, its rate halved after each epoch, the squared error, the best epoch kept.

    The untrained network is epoch 0 and is kept where no epoch beats it.
    """

    name: str
    build: Build
    learning_rate: float = 1e-4
    batch: int = BATCH
    epochs: int = EPOCHS
    seeded: bool = True

    def fit(self, split: Split, horizon: int, seed: int) -> Fitted:
        """Trained on every training window, stopped by every validation window."""
        import torch

        from fx_assets.models.networks.heads import Forecaster, PointHead
        from fx_assets.training.loop import LoopOptions, learn, reproducible
        from fx_assets.training.records import silent

        training, validation = (
            _windows(split, split.origins(part, horizon), horizon) for part in ("train", "validation")
        )
        options = LoopOptions(
            max_epochs=self.epochs,
            patience=PATIENCE,
            batch_size=self.batch,
            learning_rate=self.learning_rate,
            seed=seed,
            gradient_clip=None,
            halving=True,
        )
        with tempfile.TemporaryDirectory() as scratch, reproducible(seed):
            forecaster = Forecaster(self.build(horizon), PointHead(squared=True))
            learn(forecaster, training, validation, options, scratch=Path(scratch), report=silent)
        forecaster.eval()

        def forecast(last: Rows) -> Floats:
            windows = _windows(split, last, horizon=1)
            with reproducible(seed), torch.no_grad():
                parts = [
                    forecaster.raw(windows.gather(chosen).inputs)[..., 0].numpy()
                    for chosen in torch.split(torch.arange(len(last)), _FORECAST_BATCH)
                ]
            return np.concatenate(parts).astype(np.float64)

        weights = {name: value.numpy() for name, value in forecaster.state_dict().items()}
        return Fitted(forecast, weights)


def _windows(split: Split, last: Rows, horizon: int) -> LevelWindows:
    from fx_assets.training.data import LevelWindows

    return LevelWindows(split.z.astype(np.float32), last, window=LOOK_BACK, horizon=horizon)


def itransformer(horizon: int) -> nn.Module:
    """At the paper's Exchange settings (arXiv 2310.06625, authors' script): 211,840 + 129 H parameters."""
    from fx_assets.models.networks.itransformer import ITransformer

    return ITransformer(
        window=LOOK_BACK,
        horizon=horizon,
        variates=len(CURRENCIES),
        targets=None,
        width=128,
        layers=2,
        heads=8,
        feed_forward=128,
        dropout=0.1,
        zero_start=False,
        normalise=True,
    )


def patchtst(horizon: int) -> nn.Module:
    """Patches of 16 rows, 8 apart, as published; width, layers and batch as its authors have for small data sets."""
    from fx_assets.models.networks.patchtst import PatchTST

    return PatchTST(
        window=LOOK_BACK,
        horizon=horizon,
        variates=len(CURRENCIES),
        targets=None,
        width=16,
        layers=3,
        heads=4,
        feed_forward=128,
        dropout=0.3,
        zero_start=False,
        normalise=True,
    )


def dlinear(horizon: int) -> nn.Module:
    """Trend and rest, a matrix each, as published (arXiv 2205.13504)."""
    from fx_assets.models.networks.linear import LinearNetwork

    return LinearNetwork(
        variant="dlinear",
        window=LOOK_BACK,
        horizon=horizon,
        variates=len(CURRENCIES),
        targets=None,
        zero_start=False,
    )


def rlinear(horizon: int) -> nn.Module:
    """A matrix on the standardised window; it starts as repeat-last and leaves it only where validation gains."""
    from fx_assets.models.networks.linear import LinearNetwork

    return LinearNetwork(
        variant="rlinear", window=LOOK_BACK, horizon=horizon, variates=len(CURRENCIES), targets=None, zero_start=True
    )
