"""PatchTST against torch's own transformer encoder, and what its patches cover."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from fx_assets.models.networks.encoder import EncoderLayer
from fx_assets.models.networks.patchtst import PatchTST
from tests.models.networks.cases import spoken

SIZES: dict[str, Any] = {"width": 16, "layers": 2, "heads": 4, "feed_forward": 24, "dropout": 0.1}


def network(**changes: Any) -> PatchTST:
    return spoken(PatchTST(**{**SIZES, "window": 40, "horizon": 5, **changes}))


@torch.no_grad()
def torchs_own(layer: EncoderLayer) -> nn.TransformerEncoderLayer:
    own = nn.TransformerEncoderLayer(16, 4, 24, activation="gelu", batch_first=True).eval()
    attention = layer.attention
    three = (attention.query, attention.key, attention.value)
    own.self_attn.in_proj_weight.copy_(torch.cat([part.weight for part in three]))
    own.self_attn.in_proj_bias.copy_(torch.cat([part.bias for part in three]))
    for source, target in (
        (attention.output, own.self_attn.out_proj),
        (layer.widen, own.linear1),
        (layer.narrow, own.linear2),
        (layer.norm_attention, own.norm1),
        (layer.norm_feed_forward, own.norm2),
    ):
        target.load_state_dict(source.state_dict())
    return own


@pytest.mark.parametrize(("window", "patch_length", "stride"), [(40, 16, 8), (41, 16, 8), (47, 7, 3), (16, 16, 8)])
def test_answers_as_the_published_one(window: int, patch_length: int, stride: int) -> None:
    """Patches by padding and unfolding as the authors do, each series alone, encoded by torch's own layers."""
    model = network(window=window, patch_length=patch_length, stride=stride, targets=None)
    inputs = torch.randn(2, window, 3)
    answers = []
    for number in range(3):
        series = nn.ReplicationPad1d((0, stride))(inputs[..., number])
        patches = series.unfold(-1, patch_length, stride)
        assert patches.shape[1] == (window - patch_length) // stride + 2  # N of the paper's section 3.1
        tokens = model.embedding(patches) + model.positions
        for layer in model.layers:
            assert isinstance(layer, EncoderLayer)
            tokens = torchs_own(layer)(tokens)
        answers.append(model.head(tokens.flatten(1)))
    torch.testing.assert_close(model(inputs)[..., 0], torch.stack(answers, 1), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("window", [40, 41, 45, 47])
def test_every_row_of_the_window_is_heard(window: int) -> None:
    model, inputs = network(window=window), torch.randn(1, window, 1)
    changed = inputs + torch.eye(window)[..., None]  # one window for each row
    difference = (model(changed) - model(inputs)).abs().flatten(1).amax(1)
    assert (difference > 1e-3).all(), difference


def test_other_variates_are_not_heard() -> None:
    model, every, inputs = network(), network(targets=None), torch.randn(2, 40, 3)
    changed = inputs.clone()
    changed[..., 1:] += 1
    assert torch.equal(model(changed), model(inputs))
    torch.testing.assert_close(every(inputs)[:, :1], model(inputs), rtol=1e-4, atol=1e-4)


def test_a_batch_of_one_trains_as_it_forecasts() -> None:
    """What batch normalisation cannot do."""
    model, inputs = network(dropout=0.0), torch.randn(4, 40, 1)
    together = model(inputs)
    model.train()
    torch.testing.assert_close(model(inputs[:1]), together[:1], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"patch_length": 41}, "a patch of 41 rows is longer than the window of 40"),
        ({"stride": 17}, "stride 17 must be from 1 to patch_length 16"),
        ({"stride": 0}, "stride 0 must be from 1 to patch_length 16"),
        ({"ahead": 2}, "PatchTST takes nothing known ahead"),
    ],
    ids=["long_patch", "holes", "no_stride", "ahead"],
)
def test_impossible_options_are_refused(options: dict[str, int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        network(**options)
