"""Windows of levels standardised one by one, and forecasts put back (Liu et al. 2022, arXiv 2205.14415)."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn

EPSILON = 1e-5


class Scale(NamedTuple):
    """Mean and deviation of each variate over its window: (batch, 1, variates), or along another dimension."""

    mean: Tensor
    deviation: Tensor

    def back(self, answer: Tensor) -> Tensor:
        """(batch, targets, horizon, 1), standardised, to the units of the window (batch, window, variates)."""
        count = answer.shape[1]
        mean, deviation = (part[:, 0, :count, None, None] for part in self)
        return answer * deviation + mean


def standardised(values: Tensor, *, dim: int) -> tuple[Tensor, Scale]:
    """Values less their mean along `dim`, over their deviation; a constant becomes 0."""
    mean = values.mean(dim, keepdim=True).detach()
    centred = values - mean
    deviation = torch.sqrt(centred.square().mean(dim, keepdim=True) + EPSILON).detach()
    return centred / deviation, Scale(mean, deviation)


class Normalise(nn.Module):
    """Standardise (batch, window, variates) over the window. Raises `ValueError` for a head that is no point."""

    def __init__(self, outputs: int) -> None:
        super().__init__()
        if outputs != 1:
            raise ValueError("normalise puts a point forecast back; widths would need another rule")

    def forward(self, inputs: Tensor) -> tuple[Tensor, Scale]:
        return standardised(inputs, dim=1)
