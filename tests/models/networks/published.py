"""iTransformer's published forward pass, written out with explicit attention and convolutions: an oracle for tests.

Source: Liu et al. 2024 (arXiv 2310.06625), figure 2 and section 3, and the sizes and norms of the authors' code.
"""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from fx_assets.models.networks.encoder import EncoderLayer
from fx_assets.models.networks.itransformer import ITransformer


class PublishedLayer(nn.Module):
    """softmax(QK^T / sqrt(d)) V, then a feed-forward of convolutions with kernel 1, each added and normalised after."""

    def __init__(self, width: int, heads: int, feed_forward: int) -> None:
        super().__init__()
        self.heads = heads
        self.q, self.k, self.v, self.out = (nn.Linear(width, width) for _ in range(4))
        self.conv1 = nn.Conv1d(width, feed_forward, kernel_size=1)
        self.conv2 = nn.Conv1d(feed_forward, width, kernel_size=1)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)

    def forward(self, x: Tensor) -> Tensor:
        batch, tokens, width = x.shape
        d = width // self.heads
        q, k, v = (layer(x).view(batch, tokens, self.heads, d) for layer in (self.q, self.k, self.v))
        weights = torch.softmax(torch.einsum("blhe,bshe->bhls", q, k) / math.sqrt(d), dim=-1)
        x = self.norm1(x + self.out(torch.einsum("bhls,bshd->blhd", weights, v).reshape(batch, tokens, width)))
        y = self.conv2(functional.gelu(self.conv1(x.transpose(1, 2)))).transpose(1, 2)
        return self.norm2(x + y)  # type: ignore[no-any-return]


class Published(nn.Module):
    """Levels (batch, window, N) and time features (batch, window, M) to levels (batch, horizon, N)."""

    def __init__(self, window: int, horizon: int, width: int, layers: int, heads: int, feed_forward: int) -> None:
        super().__init__()
        self.value_embedding = nn.Linear(window, width)
        self.layers = nn.ModuleList(PublishedLayer(width, heads, feed_forward) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.projector = nn.Linear(width, horizon)

    def forward(self, x: Tensor, marks: Tensor | None = None) -> Tensor:
        means = x.mean(1, keepdim=True)
        x = x - means
        stdev = torch.sqrt(torch.var(x, dim=1, keepdim=True, unbiased=False) + 1e-5)
        x = x / stdev
        variates = x.shape[2]
        tokens = self.value_embedding(
            x.permute(0, 2, 1) if marks is None else torch.cat([x, marks], 2).permute(0, 2, 1)
        )
        for layer in self.layers:
            tokens = layer(tokens)
        answer = self.projector(self.norm(tokens)).permute(0, 2, 1)[:, :, :variates]
        return answer * stdev + means  # type: ignore[no-any-return]


@torch.no_grad()
def copy_weights(published: Published, ours: ITransformer) -> None:
    """Give ours the published network's weights; what is known ahead is embedded as the variates are."""
    pairs: list[tuple[Any, Any]] = [
        (published.value_embedding, ours.embedding),
        (published.norm, ours.norm),
        (published.projector, ours.head),
    ]
    if ours.ahead_embedding is not None:
        pairs.append((published.value_embedding, ours.ahead_embedding))
    for theirs, layer in zip(published.layers, ours.layers, strict=True):
        assert isinstance(theirs, PublishedLayer)
        assert isinstance(layer, EncoderLayer)
        attention = layer.attention
        pairs += [
            (theirs.q, attention.query),
            (theirs.k, attention.key),
            (theirs.v, attention.value),
            (theirs.out, attention.output),
            (theirs.norm1, layer.norm_attention),
            (theirs.norm2, layer.norm_feed_forward),
            (theirs.conv1, layer.widen),
            (theirs.conv2, layer.narrow),
        ]
    for source, target in pairs:
        target.weight.copy_(source.weight.reshape(target.weight.shape))
        target.bias.copy_(source.bias)
