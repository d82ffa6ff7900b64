"""Windows as tensors in memory: whole batches at once, no worker, no sampler, no Python for a window."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, NamedTuple, Protocol, Self

import numpy as np
import pytorch_lightning as pl
import torch
from numpy.typing import NDArray
from torch import Tensor

from fx_assets.models.inputs import PairHistory
from fx_assets.models.network import anchored, scaled_rows, window_sigma
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow, Part
from fx_assets.training.origins import origins


class Batch(NamedTuple):
    """Inputs (B, window, columns), targets (B, targets, horizon), ahead (B, horizon, known_ahead) or None; float32."""

    inputs: Tensor
    targets: Tensor
    ahead: Tensor | None = None


class Source(Protocol):
    """Windows of one part of the data."""

    def __len__(self) -> int:
        """How many windows."""

    def gather(self, chosen: Tensor) -> Batch:
        """The windows with these numbers (B,), int64."""

    def to(self, device: torch.device) -> Self:
        """The same windows, gathered on `device`."""


class _Tables:
    """Tensors that windows are cut from. Only tables are kept, never windows: those are views made when asked for."""

    def to(self, device: torch.device) -> Self:
        """The same tables on `device`."""
        moved = copy.copy(self)
        for name, value in vars(self).items():
            if isinstance(value, Tensor):
                setattr(moved, name, value.to(device))
        return moved


class ReturnWindows(_Tables):
    """Windows of pairs for networks of this project: scaled as `models.network` scales, pooled over the pairs.

    Rows of all pairs lie in one table, column by column; windows are strided views of it. Origins are chosen such that
    window and target stay inside one pair. In training every `stride`-th; with `since` (aware), only those whose target
    ends later, which may be none. Raises `InsufficientHistory` naming a pair that has no window in `part` at all.
    """

    def __init__(
        self,
        spec: ModelSpec,
        histories: Mapping[str, PairHistory],
        cuts: EvaluationWindow,
        part: Part,
        params: Mapping[str, Any],
        *,
        since: datetime | None = None,
    ) -> None:
        closes, features, last, sigmas, targets, ahead, offset = [], [], [], [], [], [], 0
        for history in histories.values():
            found = origins(spec, history, cuts, part, since=since)
            rows = scaled_rows(np.column_stack([history.closes, history.features]), params)
            closes.append(rows[:, 0])
            features.append(rows[:, 1:].T.astype(np.float32))
            last.append(found + offset)
            seen = np.lib.stride_tricks.sliding_window_view(history.closes, spec.window)[found - spec.window + 1]
            sigma = window_sigma(seen, params)
            returns = np.log(history.closes[found[:, None] + np.arange(1, spec.horizon + 1)] / seen[:, -1:])
            returns = np.expm1(returns) if spec.target == "level" else returns
            sigmas.append(sigma)
            targets.append(returns / (sigma[:, None] * np.sqrt(np.arange(1, spec.horizon + 1))))
            known = history.ahead(found, spec.horizon, spec.known_ahead)
            ahead.extend([] if known is None else [known])
            offset += len(history)
        # Logarithms of prices keep 64 bits until they are differences: of 32, a JPY pair's would lose three digits.
        self._closes = torch.from_numpy(np.concatenate(closes))  # (rows,)
        self._features = torch.from_numpy(np.concatenate(features, axis=1))  # (features, rows)
        self._first = torch.from_numpy(np.concatenate(last) - spec.window + 1)
        self._sigma = torch.from_numpy(np.concatenate(sigmas))
        self._targets = torch.from_numpy(np.concatenate(targets).astype(np.float32))[:, None]
        self._ahead = torch.from_numpy(np.concatenate(ahead).astype(np.float32)) if ahead else None
        self._window = spec.window

    def __len__(self) -> int:
        return len(self._first)

    def gather(self, chosen: Tensor) -> Batch:
        """Windows, targets and what is known ahead of the chosen."""
        chosen = chosen.to(self._first.device)
        first = self._first[chosen]
        closes = self._closes.unfold(0, self._window, 1).index_select(0, first)
        features = self._features.unfold(1, self._window, 1).transpose(0, 1).index_select(0, first)
        anchor = anchored(closes[..., None], self._sigma[chosen])[..., 0].float()
        inputs = torch.cat([anchor[:, None], features], dim=1).transpose(1, 2)
        return Batch(inputs, self._targets[chosen], None if self._ahead is None else self._ahead[chosen])


class LevelWindows(_Tables):
    """Windows of a table of levels (rows, variates), every variate both input and target, as benchmarks have it.

    `last` (n,): the rows that windows end with. The levels are taken as they are: whoever calls has scaled them.
    """

    def __init__(self, values: NDArray[np.float32], last: NDArray[np.int64], *, window: int, horizon: int) -> None:
        self._levels = torch.from_numpy(np.ascontiguousarray(values.T, dtype=np.float32))  # (variates, rows)
        self._last = torch.from_numpy(last)
        self._window, self._horizon = window, horizon

    def __len__(self) -> int:
        return len(self._last)

    def gather(self, chosen: Tensor) -> Batch:
        """Windows and the levels that followed."""
        chosen = chosen.to(self._last.device)
        last = self._last[chosen]
        inputs, targets = (
            self._levels.unfold(1, length, 1).transpose(0, 1).index_select(0, first)
            for length, first in ((self._window, last - self._window + 1), (self._horizon, last + 1))
        )
        return Batch(inputs.transpose(1, 2), targets)


class Batches:
    """Whole batches of a source, in a new order each epoch or in the order of time."""

    def __init__(self, source: Source, size: int, shuffle: torch.Generator | None = None) -> None:
        self._source = source
        self._size = size
        self._shuffle = shuffle

    def __len__(self) -> int:
        return -(-len(self._source) // self._size)

    def __iter__(self) -> Iterator[Batch]:
        count = len(self._source)
        # Drawn when the first batch is asked for, on the CPU: the same order on every device.
        order = torch.arange(count) if self._shuffle is None else torch.randperm(count, generator=self._shuffle)
        for chosen in torch.split(order, self._size):
            yield self._source.gather(chosen)


class WindowsModule(pl.LightningDataModule):
    """Training windows in a new order each epoch, decided by the seed; validation windows in the order of time.

    Its state is the order of the epochs to come.
    """

    def __init__(self, training: Source, validation: Source, *, batch_size: int, seed: int) -> None:
        super().__init__()
        self._order = torch.Generator().manual_seed(seed)
        self._training = Batches(training, batch_size, self._order)
        self._validation = Batches(validation, max(batch_size, 256))

    def train_dataloader(self) -> Batches:
        """Whole batches, as an iterable."""
        return self._training

    def val_dataloader(self) -> Batches:
        """Whole batches, as an iterable."""
        return self._validation

    def transfer_batch_to_device(self, batch: Batch, device: torch.device, dataloader_idx: int) -> Batch:
        """The batch as it is: its source lies on the device already."""
        del device, dataloader_idx
        return batch

    def state_dict(self) -> dict[str, Any]:
        """The generator of the orders to come."""
        return {"order": self._order.get_state()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on with the order of the epoch after the one saved."""
        self._order.set_state(state_dict["order"])
