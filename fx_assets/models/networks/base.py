"""What every network takes and answers. A new one overrides `_raw` and gives its last layer to `_answering`."""

from __future__ import annotations

from typing import NotRequired, TypedDict

import torch
from torch import Tensor, nn

from fx_assets.models.networks.normalise import Normalise


class Shape(TypedDict):
    """Arguments that every network's constructor takes by keyword, beside its own."""

    window: int
    horizon: int
    variates: NotRequired[int | None]
    targets: NotRequired[int | None]
    outputs: NotRequired[int]
    ahead: NotRequired[int]
    zero_start: NotRequired[bool]
    normalise: NotRequired[bool]


class Network(nn.Module):
    """Input (batch, window, variates) and ahead (batch, horizon, `ahead`) where `ahead` is not 0; output raw numbers
    (batch, targets, horizon, outputs) for a head: the first `targets` variates, every variate where it is None.

    With `zero_start` the untrained answer is 0 everywhere: for scaled cumulative returns that is the random walk.
    With `normalise` each variate is standardised over its window and the answer put back, as published for levels
    (needs `outputs` 1). Raises `ValueError` for sizes that do not fit together, and for inputs of another shape.
    """

    def __init__(
        self,
        *,
        window: int,
        horizon: int,
        variates: int | None = None,
        targets: int | None = 1,
        outputs: int = 1,
        ahead: int = 0,
        zero_start: bool = True,
        normalise: bool = False,
    ) -> None:
        super().__init__()
        if targets is not None and variates is not None and targets > variates:
            raise ValueError(f"{targets} targets cannot be forecast from {variates} variates; targets come first")
        self.window = window
        self.horizon = horizon
        self.variates = variates
        self.targets = targets
        self.outputs = outputs
        self.ahead = ahead
        self.zero_start = zero_start
        self.normalise = Normalise(outputs) if normalise else None

    def forward(self, inputs: Tensor, ahead: Tensor | None = None) -> Tensor:
        """(batch, window, variates)[, (batch, horizon, ahead)] to (batch, targets, horizon, outputs)."""
        self._check(inputs, ahead)
        if self.normalise is None:
            return self._raw(inputs, ahead)
        inputs, scale = self.normalise(inputs)
        answer: Tensor = scale.back(self._raw(inputs, ahead))
        return answer

    def _raw(self, inputs: Tensor, ahead: Tensor | None) -> Tensor:
        """Hook: the answer, for inputs whose shapes are right and, where asked for, standardised."""
        raise NotImplementedError

    def _answering(self, layer: nn.Linear) -> nn.Linear:
        """A layer whose answers are added up to the output: it starts at 0 where `zero_start`."""
        if self.zero_start:
            for parameter in layer.parameters():
                nn.init.zeros_(parameter)
        return layer

    def _steps(self, answer: Tensor) -> Tensor:
        """(..., horizon * outputs), as a last layer answers, to (..., horizon, outputs)."""
        return answer.reshape(*answer.shape[:-1], self.horizon, self.outputs)

    def _count(self, inputs: Tensor) -> int:
        """How many of the variates are forecast."""
        return inputs.shape[2] if self.targets is None else self.targets

    def _check(self, inputs: Tensor, ahead: Tensor | None) -> None:
        expected = ("batch", self.window, "variates" if self.variates is None else self.variates)
        if inputs.ndim != 3 or any(
            found != size for found, size in zip(inputs.shape, expected, strict=True) if isinstance(size, int)
        ):
            raise ValueError(f"inputs: expected ({', '.join(map(str, expected))}), got {tuple(inputs.shape)}")
        if self._count(inputs) > inputs.shape[2]:
            raise ValueError(f"{self.targets} targets cannot be forecast from {inputs.shape[2]} variates")
        known = None if ahead is None else tuple(ahead.shape[1:])
        if known != ((self.horizon, self.ahead) if self.ahead else None):
            wanted = f"(batch, {self.horizon}, {self.ahead})" if self.ahead else "nothing"
            raise ValueError(f"ahead: expected {wanted}, got {'nothing' if ahead is None else tuple(ahead.shape)}")


def running_mean(horizon: int) -> Tensor:
    """(horizon, horizon): times values (horizon, columns), the mean of the values up to each step.

    A product, because a cumulated sum has no deterministic algorithm on CUDA.
    """
    return torch.ones(horizon, horizon).tril() / torch.arange(1, horizon + 1)[:, None]
