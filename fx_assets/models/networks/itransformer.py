"""iTransformer: attention over variates instead of over time (Liu et al., ICLR 2024, arXiv 2310.06625)."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class VariateAttention(nn.Module):
    """Multi-head attention between the tokens of one window.

    Shapes: (batch, tokens, width) to the same. No mask: variates have no order.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
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
    """Attention between variates, then a feed-forward over each, both residual and normalised after."""

    def __init__(self, width: int, heads: int, feed_forward: int, dropout: float) -> None:
        super().__init__()
        self.attention = VariateAttention(width, heads, dropout)
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


class ITransformer(nn.Module):
    """Each variate's whole window is one token; the tokens attend to each other; a linear head forecasts.

    Input (batch, window, variates), output (batch, targets, horizon): the first `targets` variates,
    every variate where it is None. The head starts at zero, so an untrained network forecasts 0,
    which for scaled cumulative returns is the random walk.
    """

    def __init__(
        self,
        *,
        window: int,
        horizon: int,
        width: int,
        layers: int,
        heads: int,
        feed_forward: int,
        dropout: float,
        targets: int | None = 1,
    ) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"width {width} cannot be split into {heads} heads; make it a multiple")
        self.targets = targets
        self.embedding = nn.Linear(window, width)
        self.dropout = nn.Dropout(dropout)
        self.layers = nn.ModuleList(EncoderLayer(width, heads, feed_forward, dropout) for _ in range(layers))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, horizon)
        nn.init.zeros_(self.head.weight)
        nn.init.zeros_(self.head.bias)

    def forward(self, inputs: Tensor) -> Tensor:
        """(batch, window, variates) to (batch, targets, horizon)."""
        tokens = self.dropout(self.embedding(inputs.transpose(1, 2)))
        for layer in self.layers:
            tokens = layer(tokens)
        # The head sees only the tokens that are asked for; the others have done their part in the attention.
        return self.head(self.norm(tokens[:, : self.targets]))  # type: ignore[no-any-return]
