"""What a network's last numbers mean: a point, quantiles, or a Student t; each starts at the random walk.

A network answers (batch, targets, horizon, outputs) raw numbers. A head turns them into a location and a
standard deviation in units of the scaled target, and knows the loss they are trained by. Raw zeros are
location 0 and deviation 1: the random walk with the window's own volatility.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

HeadName = Literal["point", "quantile", "student_t"]

# Targets have a deviation near 1: within 2 of them the loss is the squared error, beyond it grows only linearly,
# so that a day such as 2015-01-15 in CHF (over 20 of them) does not decide the weights.
HUBER_DELTA = 2.0
LEVELS = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)
# Widths are exponentials of raw numbers; under 1/55 and over 55 = e^4 times the random walk's none is believed.
_EXPONENT = 4.0
# Degrees of freedom: over the first, so that the variance exists well; raw 0 adds the second, daily returns' own.
_FREEDOM = 2.5, 3.0


class Head(nn.Module):
    """Shapes: raw (batch, targets, horizon, outputs); targets y (batch, targets, horizon).

    `centred`: the location is held at 0, and only the width is learned (target `volatility`).
    """

    outputs: ClassVar[int]

    def __init__(self, *, centred: bool = False) -> None:
        super().__init__()
        self.centred = centred

    def forward(self, raw: Tensor) -> Tensor:
        """Location and standard deviation: (batch, targets, horizon, 2)."""
        raise NotImplementedError

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Mean loss over everything: a scalar."""
        raise NotImplementedError

    def _location(self, raw: Tensor) -> Tensor:
        location = raw[..., 0]
        return torch.zeros_like(location) if self.centred else location


class PointHead(Head):
    """One number, the location; the width stays the random walk's. Huber's loss, or the squared error."""

    outputs = 1

    def __init__(self, *, centred: bool = False, squared: bool = False) -> None:
        if centred:
            raise ValueError("a point head has no width to learn; choose quantile or student_t")
        super().__init__()
        self.squared = squared

    def forward(self, raw: Tensor) -> Tensor:
        """The location, and deviation 1."""
        location = self._location(raw)
        return torch.stack([location, torch.ones_like(location)], dim=-1)

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Mean squared error, or Huber's."""
        location = self._location(raw)
        if self.squared:
            return functional.mse_loss(location, y)
        return functional.huber_loss(location, y, delta=HUBER_DELTA)


class QuantileHead(Head):
    """Quantiles at `LEVELS` that cannot cross: the median, and positive steps away from it. Pinball loss."""

    outputs = len(LEVELS)
    steps: Tensor
    levels: Tensor
    signs: Tensor

    def __init__(self, *, centred: bool = False) -> None:
        super().__init__(centred=centred)
        normal = [NormalDist().inv_cdf(level) for level in LEVELS]
        half = len(LEVELS) // 2
        # Which steps lie between the median and a quantile, (steps, levels): added above it, taken away below. A
        # product, because a cumulated sum has no deterministic algorithm on CUDA.
        step, level = torch.meshgrid(torch.arange(len(LEVELS) - 1), torch.arange(len(LEVELS)), indexing="ij")
        signs = ((half <= step) & (step < level)).float() - ((level <= step) & (step < half)).float()
        self.register_buffer("steps", torch.diff(torch.tensor(normal)), persistent=False)
        self.register_buffer("levels", torch.tensor(LEVELS), persistent=False)
        self.register_buffer("signs", signs, persistent=False)

    def quantiles(self, raw: Tensor) -> Tensor:
        """(batch, targets, horizon, levels), rising."""
        return self._location(raw)[..., None] + self._offsets(raw)

    def forward(self, raw: Tensor) -> Tensor:
        """The median, and the deviation of a normal whose 80 % range is as wide."""
        offsets = self._offsets(raw)
        low, high = LEVELS.index(0.1), LEVELS.index(0.9)
        width = (offsets[..., high] - offsets[..., low]) / (2 * NormalDist().inv_cdf(0.9))
        return torch.stack([self._location(raw), width], dim=-1)

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Twice the pinball loss, which over ever more levels becomes the CRPS."""
        error = y[..., None] - self.quantiles(raw)
        return 2 * torch.maximum(self.levels * error, (self.levels - 1) * error).mean()

    def _offsets(self, raw: Tensor) -> Tensor:
        steps = self.steps * _factor(raw[..., 1:])
        return (steps[..., None] * self.signs).sum(-2)


class StudentTHead(Head):
    """Location, standard deviation and degrees of freedom of a Student t. Negative log likelihood."""

    outputs = 3

    def forward(self, raw: Tensor) -> Tensor:
        """Location and standard deviation."""
        return torch.stack([self._location(raw), _factor(raw[..., 1])], dim=-1)

    def freedom(self, raw: Tensor) -> Tensor:
        """Degrees of freedom, (batch, targets, horizon): 5.5 at raw 0."""
        least, more = _FREEDOM
        return least + more * _factor(raw[..., 2])

    def loss(self, raw: Tensor, y: Tensor) -> Tensor:
        """Mean negative logarithm of the density at y."""
        freedom = self.freedom(raw)
        scale = _factor(raw[..., 1]) * torch.sqrt((freedom - 2) / freedom)
        z = (y - self._location(raw)) / scale
        density = (
            torch.lgamma((freedom + 1) / 2)
            - torch.lgamma(freedom / 2)
            - 0.5 * torch.log(freedom * math.pi)
            - torch.log(scale)
            - (freedom + 1) / 2 * torch.log1p(z * z / freedom)
        )
        return -density.mean()


def _factor(raw: Tensor) -> Tensor:
    """A positive factor, 1 at raw 0. Bounded smoothly: a raw number that was cut off could never come back."""
    return torch.exp(_EXPONENT * torch.tanh(raw / _EXPONENT))


def make_head(name: HeadName, *, centred: bool = False) -> Head:
    """The head called `name`."""
    heads: dict[HeadName, type[Head]] = {"point": PointHead, "quantile": QuantileHead, "student_t": StudentTHead}
    return heads[name](centred=centred)


class Forecaster(nn.Module):
    """A network and its head: what is trained, exported and asked.

    Input (batch, window, variates) and, where the network takes it, ahead (batch, horizon, known_ahead);
    output (batch, targets, horizon, 2): location and standard deviation.
    """

    def __init__(self, network: nn.Module, head: Head) -> None:
        super().__init__()
        self.network = network
        self.head = head

    def forward(self, inputs: Tensor, ahead: Tensor | None = None) -> Tensor:
        return self.head(self.raw(inputs, ahead))  # type: ignore[no-any-return]

    def raw(self, inputs: Tensor, ahead: Tensor | None = None) -> Tensor:
        """(batch, targets, horizon, outputs): what the head's loss takes.

        Raises `ValueError` where the network's answer has another form, which a head would misread in silence.
        """
        answer: Tensor = self.network(inputs) if ahead is None else self.network(inputs, ahead)
        if answer.ndim != 4 or answer.shape[-1] != self.head.outputs:
            raise ValueError(
                f"{type(self.network).__name__} answers {tuple(answer.shape)}; {type(self.head).__name__} needs "
                f"(batch, targets, horizon, {self.head.outputs}): make the network with outputs={self.head.outputs}"
            )
        return answer.float()  # networks may compute in bfloat16, losses and widths never
