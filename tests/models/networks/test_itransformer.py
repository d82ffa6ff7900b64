"""The iTransformer is the published one: its size, its answers, and what attention between variates means."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from fx_assets.models.networks.encoder import Attention
from fx_assets.models.networks.itransformer import ITransformer
from tests.models.networks.cases import spoken
from tests.models.networks.published import Published, copy_weights

EXCHANGE: dict[str, Any] = {"window": 96, "width": 128, "feed_forward": 128, "layers": 2, "heads": 8, "dropout": 0.1}


def network(**changes: Any) -> ITransformer:
    return spoken(ITransformer(**{**EXCHANGE, "horizon": 5, **changes}))


@pytest.mark.parametrize("horizon", [1, 20, 96, 192, 336, 720])
def test_size_is_the_published_one(horizon: int) -> None:
    parameters = sum(p.numel() for p in ITransformer(**EXCHANGE, horizon=horizon).parameters())
    assert parameters == 211_840 + 129 * horizon


def published(seed: int, **sizes: int) -> Published:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return Published(**sizes)


def levels(rows: int, variates: int = 8) -> torch.Tensor:
    return torch.randn(4, rows, variates, generator=torch.Generator().manual_seed(2)).cumsum(1) + 3


@pytest.mark.parametrize("horizon", [1, 96, 192])
def test_answers_as_the_published_one_on_levels(horizon: int) -> None:
    sizes = {name: EXCHANGE[name] for name in ("window", "width", "layers", "heads", "feed_forward")}
    theirs = published(horizon, **sizes, horizon=horizon)
    ours = ITransformer(**EXCHANGE, horizon=horizon, targets=None, normalise=True).eval()
    copy_weights(theirs, ours)
    inputs = levels(96)
    with torch.no_grad():
        expected = theirs(inputs).permute(0, 2, 1)[..., None]
        torch.testing.assert_close(ours(inputs), expected, rtol=1e-5, atol=1e-5)
        assert (expected - inputs.mean(1)[:, :, None, None]).abs().max() > 0.1  # it says something


def test_time_features_are_tokens_that_are_not_standardised() -> None:
    """The published ones cover the window, ours the horizon: the same where both are equally long."""
    theirs = published(3, window=12, horizon=12, width=16, layers=2, heads=4, feed_forward=24)
    sizes: dict[str, Any] = {"width": 16, "layers": 2, "heads": 4, "feed_forward": 24, "dropout": 0.1}
    ours = ITransformer(**sizes, window=12, horizon=12, targets=None, ahead=4, normalise=True).eval()
    copy_weights(theirs, ours)
    inputs, marks = levels(12), torch.rand(4, 12, 4, generator=torch.Generator().manual_seed(8)) - 0.5
    with torch.no_grad():
        expected = theirs(inputs, marks).permute(0, 2, 1)[..., None]
        torch.testing.assert_close(ours(inputs, marks), expected, rtol=1e-5, atol=1e-5)
        assert not torch.allclose(theirs(inputs, 2 * marks).permute(0, 2, 1)[..., None], expected, atol=1e-3)


def test_the_order_of_the_features_does_not_matter() -> None:
    model = network()
    inputs = torch.randn(2, 96, 9)
    shuffled = inputs[..., [0, 5, 3, 8, 1, 2, 7, 6, 4]]
    torch.testing.assert_close(model(shuffled), model(inputs), rtol=1e-4, atol=1e-4)
    other_target = inputs[..., [1, 0, 2, 3, 4, 5, 6, 7, 8]]
    assert not torch.allclose(model(other_target), model(inputs), atol=1e-2)


def test_the_features_are_heard() -> None:
    model = network()
    inputs = torch.randn(2, 96, 9)
    changed = inputs.clone()
    changed[..., 4] += 1
    assert not torch.allclose(model(changed), model(inputs), atol=1e-2)


def test_what_is_known_ahead_is_heard_in_any_order_of_its_columns() -> None:
    model = network(ahead=3)
    inputs, ahead = torch.randn(2, 96, 2), torch.randn(2, 5, 3)
    answer = model(inputs, ahead)
    torch.testing.assert_close(model(inputs, ahead[..., [2, 0, 1]]), answer, rtol=1e-4, atol=1e-4)
    for column in range(3):
        changed = ahead.clone()
        changed[:, -1, column] += 1
        assert not torch.allclose(model(inputs, changed), answer, atol=1e-3)


def test_every_variate_on_demand() -> None:
    one, every = network(), network(targets=None)
    inputs = torch.randn(2, 96, 9)
    assert every(inputs).shape == (2, 9, 5, 1)
    torch.testing.assert_close(every(inputs)[:, :1], one(inputs), rtol=1e-4, atol=1e-4)


def test_attention_is_softmax_of_scaled_products() -> None:
    torch.manual_seed(1)
    attention = Attention(width=6, heads=2, dropout=0.0)
    tokens = torch.randn(1, 4, 6)
    query, key, value = (layer(tokens)[0] for layer in (attention.query, attention.key, attention.value))
    heads = []
    for columns in (slice(0, 3), slice(3, 6)):
        weights = torch.softmax(query[:, columns] @ key[:, columns].T / 3**0.5, dim=-1)
        heads.append(weights @ value[:, columns])
    torch.testing.assert_close(attention(tokens)[0], attention.output(torch.cat(heads, dim=-1)))
