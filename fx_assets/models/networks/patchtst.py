"""PatchTST: attention over patches of one series (Nie et al., ICLR 2023, arXiv 2211.14730)."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn

from fx_assets.models.networks.base import Network, Shape
from fx_assets.models.networks.encoder import Encoder


class PatchTST(Network):
    """Channel independent: stretches of one variate's window are tokens; a linear head reads all of them.

    Patches of `patch_length` rows, `stride` apart, the window's end drawn out by `stride` rows of its last value, as
    published. Only the variates that are forecast are read: neither exogenous ones nor `ahead` are heard.

    Three departures from the authors' code. LayerNorm where it has BatchNorm: a network that goes on learning each
    night must not carry means of another year's windows, a batch of one must train, and training and forecasting must
    compute the same. No residual between the attention scores of neighbouring layers, which the paper
    does not have. Standardisation by `normalise` without a learned scale, the code's default.
    Raises `ValueError` for a patch longer than the window, or a stride that leaves rows between patches unread.
    """

    chosen: Tensor

    def __init__(
        self,
        *,
        patch_length: int = 16,
        stride: int = 8,
        width: int,
        layers: int,
        heads: int,
        feed_forward: int,
        dropout: float,
        **shape: Unpack[Shape],
    ) -> None:
        super().__init__(**shape)
        if self.ahead:
            raise ValueError("PatchTST takes nothing known ahead; leave ahead at 0")
        if patch_length > self.window:
            raise ValueError(f"a patch of {patch_length} rows is longer than the window of {self.window}; shorten it")
        if not 1 <= stride <= patch_length:
            raise ValueError(f"stride {stride} must be from 1 to patch_length {patch_length}, or rows are not read")
        starts = torch.arange(0, self.window + stride - patch_length + 1, stride)
        # Rows beyond the end are the last row again.
        chosen = (starts[:, None] + torch.arange(patch_length)).clamp(max=self.window - 1)
        self.register_buffer("chosen", chosen, persistent=False)
        self.embedding = nn.Linear(patch_length, width)
        self.positions = nn.Parameter(torch.empty(len(starts), width).uniform_(-0.02, 0.02))
        self.dropout = nn.Dropout(dropout)
        self.layers = Encoder(layers=layers, width=width, heads=heads, feed_forward=feed_forward, dropout=dropout)
        self.head = self._answering(nn.Linear(len(starts) * width, self.horizon * self.outputs))

    def _raw(self, inputs: Tensor, ahead: Tensor | None) -> Tensor:
        del ahead
        count = self._count(inputs)
        patches = inputs[..., :count].transpose(1, 2)[..., self.chosen]  # (batch, targets, patches, patch_length)
        tokens = self.dropout(self.embedding(patches) + self.positions)
        tokens = self.layers(tokens.flatten(0, 1))
        return self._steps(self.head(tokens.reshape(len(inputs), count, -1)))
