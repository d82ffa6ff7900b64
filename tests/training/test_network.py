"""The iTransformer's size, its start at the random walk, and what attention between variates means."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fx_assets.models.networks.itransformer import ITransformer, VariateAttention

EXCHANGE: dict[str, Any] = {"window": 96, "width": 128, "feed_forward": 128, "layers": 2, "heads": 8, "dropout": 0.1}


def network(**changes: Any) -> ITransformer:
    torch.manual_seed(0)
    return ITransformer(**{**EXCHANGE, "horizon": 5, "dropout": 0.0, **changes})


@pytest.mark.parametrize("horizon", [1, 20, 96, 192, 336, 720])
def test_size_is_the_published_one(horizon: int) -> None:
    parameters = sum(p.numel() for p in ITransformer(**EXCHANGE, horizon=horizon).parameters())
    assert parameters == 211_840 + 129 * horizon


def test_starts_at_the_random_walk() -> None:
    answer = network()(torch.randn(3, 96, 9))
    assert answer.shape == (3, 1, 5)
    assert torch.equal(answer, torch.zeros(3, 1, 5))


def test_the_order_of_the_features_does_not_matter() -> None:
    model = network()
    torch.nn.init.normal_(model.head.weight)
    inputs = torch.randn(2, 96, 9)
    shuffled = inputs[..., [0, 5, 3, 8, 1, 2, 7, 6, 4]]
    torch.testing.assert_close(model(shuffled), model(inputs))
    other_target = inputs[..., [1, 0, 2, 3, 4, 5, 6, 7, 8]]
    assert not torch.allclose(model(other_target), model(inputs))


def test_the_features_are_heard() -> None:
    model = network()
    torch.nn.init.normal_(model.head.weight)
    inputs = torch.randn(2, 96, 9)
    changed = inputs.clone()
    changed[..., 4] += 1
    assert not torch.allclose(model(changed), model(inputs))


def test_every_variate_on_demand() -> None:
    one, every = network(), network(targets=None)
    torch.nn.init.normal_(one.head.weight)
    every.load_state_dict(one.state_dict())
    inputs = torch.randn(2, 96, 9)
    assert every(inputs).shape == (2, 9, 5)
    torch.testing.assert_close(every(inputs)[:, :1], one(inputs))


def test_attention_is_softmax_of_scaled_products() -> None:
    torch.manual_seed(1)
    attention = VariateAttention(width=6, heads=2, dropout=0.0)
    tokens = torch.randn(1, 4, 6)
    query, key, value = (layer(tokens)[0] for layer in (attention.query, attention.key, attention.value))
    heads = []
    for columns in (slice(0, 3), slice(3, 6)):
        weights = torch.softmax(query[:, columns] @ key[:, columns].T / 3**0.5, dim=-1)
        heads.append(weights @ value[:, columns])
    torch.testing.assert_close(attention(tokens)[0], attention.output(torch.cat(heads, dim=-1)))


def test_width_that_heads_cannot_share_is_refused() -> None:
    with pytest.raises(ValueError, match="width 128 cannot be split into 7 heads"):
        network(heads=7)
