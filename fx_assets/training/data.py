"""Windows of one or several pairs as whole batches: no worker, no sampler, no Python per window."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from fx_assets.models.inputs import FloatArray, PairHistory
from fx_assets.models.network import Encoded
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow, Part
from fx_assets.training.origins import origins

Batch = tuple[Tensor, Tensor]
Encode = Callable[[FloatArray], Encoded]


@dataclass(frozen=True, eq=False)
class Windows:
    """All windows of one part, pooled over the pairs.

    `values` (rows of all pairs, columns), column 0 the close; `origins` (n,) rows in it, each the last
    row of a window, chosen such that window and target stay inside one pair.
    """

    values: FloatArray
    origins: NDArray[np.int64]
    window: int
    horizon: int

    @classmethod
    def of(cls, spec: ModelSpec, histories: Mapping[str, PairHistory], cuts: EvaluationWindow, part: Part) -> Windows:
        """The windows of `part`, every `training.stride`-th of them where it is the training's."""
        rows, found, offset = [], [], 0
        for history in histories.values():
            rows.append(np.column_stack([history.closes, history.features]))
            found.append(origins(spec, history, cuts, part) + offset)
            offset += len(history)
        return cls(np.concatenate(rows), np.concatenate(found), spec.window, spec.horizon)

    def __len__(self) -> int:
        return len(self.origins)

    def gather(self, chosen: NDArray[np.int64]) -> tuple[FloatArray, FloatArray]:
        """Windows (B, window, columns) and cumulative log returns (B, horizon) of the chosen of them."""
        last = self.origins[chosen][:, None]
        windows = self.values[last + np.arange(1 - self.window, 1)]
        ahead = self.values[last + np.arange(1, self.horizon + 1), 0]
        return windows, np.log(ahead / self.values[last, 0])


class Batches:
    """Batches of (inputs (B, window, columns), targets (B, horizon)), float32; shuffled afresh each epoch or not."""

    def __init__(self, windows: Windows, encode: Encode, size: int, shuffle: np.random.Generator | None = None) -> None:
        self._windows = windows
        self._encode = encode
        self._size = size
        self._shuffle = shuffle
        self._root_h = np.sqrt(np.arange(1, windows.horizon + 1))

    def __len__(self) -> int:
        return -(-len(self._windows) // self._size)

    def __iter__(self) -> Iterator[Batch]:
        order = np.arange(len(self._windows))
        if self._shuffle is not None:
            self._shuffle.shuffle(order)
        for first in range(0, len(order), self._size):
            windows, returns = self._windows.gather(order[first : first + self._size])
            inputs, sigma = self._encode(windows)
            targets = returns / (sigma[:, None] * self._root_h)
            yield torch.from_numpy(inputs), torch.from_numpy(targets.astype(np.float32))


class WindowsModule(pl.LightningDataModule):
    """Training windows in a new order each epoch, decided by the seed; validation windows in the order of time."""

    def __init__(self, training: Windows, validation: Windows, encode: Encode, *, batch_size: int, seed: int) -> None:
        super().__init__()
        self._training = Batches(training, encode, batch_size, np.random.default_rng(seed))
        self._validation = Batches(validation, encode, max(batch_size, 256))

    def train_dataloader(self) -> Batches:
        """Whole batches, as an iterable."""
        return self._training

    def val_dataloader(self) -> Batches:
        """Whole batches, as an iterable."""
        return self._validation
