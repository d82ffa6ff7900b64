"""The encoder of a transformer: attention and a feed-forward, normalised after each (Vaswani et al. 2017, 1706.03762).

iTransformer attends between variates with it, PatchTST between the patches of one.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Attention(nn.Module):
    """Multi-head attention between the tokens of one sequence: (batch, tokens, width) to the same. No mask.

    Raises `ValueError` where the heads cannot share the width evenly.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} cannot be split into {heads} heads; make it a multiple")
        self.heads = heads
        self.dropout = dropout
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        """Mix the tokens."""
        query, key, value = (self._split(layer(tokens)) for layer in (self.query, self.key, self.value))
        mixed = functional.scaled_dot_product_attention(
            query, key, value, dropout_p=self.dropout if self.training else 0.0
        )
        return self.output(mixed.transpose(1, 2).flatten(2))  # type: ignore[no-any-return]

    def _split(self, tokens: Tensor) -> Tensor:
        batch, count, width = tokens.shape
        return tokens.reshape(batch, count, self.heads, width // self.heads).transpose(1, 2)


class EncoderLayer(nn.Module):
    """Attention between tokens, then a feed-forward over each, both residual and normalised after."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.attention = Attention(width, heads, dropout)
        self.widen = nn.Linear(width, feed_forward)
        self.narrow = nn.Linear(feed_forward, width)
        self.norm_attention = nn.LayerNorm(width)
        self.norm_feed_forward = nn.LayerNorm(width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        """(batch, tokens, width) to the same."""
        tokens = self.norm_attention(tokens + self.dropout(self.attention(tokens)))
        hidden = self.dropout(functional.gelu(self.widen(tokens)))
        return self.norm_feed_forward(tokens + self.dropout(self.narrow(hidden)))  # type: ignore[no-any-return]


class Encoder(nn.Sequential):
    """`layers` encoder layers, one after the other."""

    def __init__(self, *, layers: int, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__(*(EncoderLayer(width, heads, feed_forward, dropout) for _ in range(layers)))
