"""One linear map from the window to the horizon, as strong as most transformers on series like these.

DLinear and NLinear: Zeng et al., AAAI 2023, arXiv 2205.13504. RLinear: Li et al. 2023, arXiv 2305.10721.
"""

from __future__ import annotations

from typing import Literal, Unpack

import torch
from torch import Tensor, nn
from torch.nn import functional

from fx_assets.models.networks.base import Network, Shape, running_mean
from fx_assets.models.networks.normalise import standardised

Variant = Literal["dlinear", "nlinear", "rlinear"]


class LinearNetwork(Network):
    """Channel independent, weights shared by the variates: what is forecast of one is read from its own window.

    `variant`: dlinear maps the moving average over `kernel` rows and what it leaves by a matrix each; nlinear maps the
    window relative to its last value; rlinear the same over the window's deviation. The last two are put back on the
    last value, by the location alone (output 0), for widths have no level. (RLinear is published as put back on the
    mean, with a learned scale of its normalisation: up to that scale, the same functions, for the last
    standardised value is among the inputs; only so zero weights are the random walk.)

    Variates that are not forecast are exogenous: their last row adds by a linear map for each step. `ahead` adds by
    one map that the steps share, from the mean of each column over the bars up to that step: a
    cumulative return in units of sigma sqrt(h) has the mean variance of its bars.
    Raises `ValueError` for an even kernel, which has no middle.
    """

    average: Tensor

    def __init__(self, *, variant: Variant = "dlinear", kernel: int = 25, **shape: Unpack[Shape]) -> None:
        super().__init__(**shape)
        if kernel < 1 or kernel % 2 == 0:
            raise ValueError(f"a moving average over {kernel} rows has no middle; make kernel odd")
        if self.targets is not None and self.variates is None:
            raise ValueError("say how many variates there are: those that are not forecast get weights too")
        exogenous = 0 if self.targets is None else (self.variates or 0) - self.targets
        self.variant = variant
        self.kernel = kernel
        answers = self.horizon * self.outputs
        self.head = self._answering(nn.Linear(self.window, answers))
        self.trend = self._answering(nn.Linear(self.window, answers)) if variant == "dlinear" else None
        self.exogenous = self._answering(nn.Linear(exogenous, answers, bias=False)) if exogenous else None
        self.coming = self._answering(nn.Linear(self.ahead, self.outputs, bias=False)) if self.ahead else None
        if self.ahead:
            self.register_buffer("average", running_mean(self.horizon), persistent=False)

    def _raw(self, inputs: Tensor, ahead: Tensor | None) -> Tensor:
        count = self._count(inputs)
        answer = self._own(inputs[..., :count].transpose(1, 2))
        if self.exogenous is not None:
            answer = answer + self._steps(self.exogenous(inputs[:, -1, count:]))[:, None]
        if self.coming is not None and ahead is not None:
            answer = answer + self.coming(self.average @ ahead)[:, None]
        return answer

    def _own(self, series: Tensor) -> Tensor:
        """Series (batch, targets, window) to (batch, targets, horizon, outputs)."""
        if self.trend is not None:
            trend = moving_average(series, self.kernel)
            return self._steps(self.head(series - trend) + self.trend(trend))
        last = series[..., -1:]
        if self.variant == "nlinear":
            return self._placed(self._steps(self.head(series - last)), torch.ones_like(last), last)
        series, scale = standardised(series, dim=-1)
        return self._placed(self._steps(self.head(series)), scale.deviation, last)

    def _placed(self, answer: Tensor, unit: Tensor, last: Tensor) -> Tensor:
        """The location in units of the window on its last value; `unit` and `last` (batch, targets, 1)."""
        location = answer[..., :1] * unit[..., None] + last[..., None]
        return location if self.outputs == 1 else torch.cat([location, answer[..., 1:]], dim=-1)


def moving_average(series: Tensor, kernel: int) -> Tensor:
    """Centred mean over `kernel` rows of (batch, variates, window); beyond its ends the first and last value go on."""
    half = kernel // 2
    return functional.avg_pool1d(functional.pad(series, (half, half), mode="replicate"), kernel, stride=1)
