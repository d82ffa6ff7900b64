"""iTransformer: attention over variates instead of over time (Liu et al., ICLR 2024, arXiv 2310.06625)."""

from __future__ import annotations

from typing import Unpack

import torch
from torch import Tensor, nn

from fx_assets.models.networks.base import Network, Shape
from fx_assets.models.networks.encoder import Encoder


class ITransformer(Network):
    """Each variate's whole window is one token; the tokens attend to each other; a linear head forecasts.

    Each column of `ahead` is one more token, embedded by weights of its own, for it covers the horizon, not the window.
    One set of weights for any number of variates, in any order of those that are not forecast.
    """

    def __init__(
        self, *, width: int, layers: int, heads: int, feed_forward: int, dropout: float, **shape: Unpack[Shape]
    ) -> None:
        super().__init__(**shape)
        self.embedding = nn.Linear(self.window, width)
        self.ahead_embedding = nn.Linear(self.horizon, width) if self.ahead else None
        self.dropout = nn.Dropout(dropout)
        self.layers = Encoder(layers=layers, width=width, heads=heads, feed_forward=feed_forward, dropout=dropout)
        self.norm = nn.LayerNorm(width)
        self.head = self._answering(nn.Linear(width, self.horizon * self.outputs))

    def _raw(self, inputs: Tensor, ahead: Tensor | None) -> Tensor:
        tokens = self.embedding(inputs.transpose(1, 2))
        if self.ahead_embedding is not None and ahead is not None:
            tokens = torch.cat([tokens, self.ahead_embedding(ahead.transpose(1, 2))], dim=1)
        tokens = self.layers(self.dropout(tokens))
        # The head sees only the tokens that are asked for; the others have done their part in the attention.
        return self._steps(self.head(self.norm(tokens[:, : self._count(inputs)])))
