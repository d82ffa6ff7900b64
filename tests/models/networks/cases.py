"""Every network at a size that a test can afford, and what fills one with weights that say something."""

from __future__ import annotations

from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from fx_assets.models.networks.base import Network
from fx_assets.models.networks.heads import Forecaster, HeadName, make_head
from fx_assets.models.networks.itransformer import ITransformer
from fx_assets.models.networks.linear import LinearNetwork
from fx_assets.models.networks.patchtst import PatchTST

Module = TypeVar("Module", bound=nn.Module)

WINDOW, HORIZON, VARIATES, AHEAD = 40, 4, 3, 2
ENCODER: dict[str, Any] = {"width": 16, "layers": 2, "heads": 4, "feed_forward": 24, "dropout": 0.1}
NETWORKS: dict[str, tuple[type[Network], dict[str, Any]]] = {
    "itransformer": (ITransformer, ENCODER),
    "patchtst": (PatchTST, ENCODER),
    "dlinear": (LinearNetwork, {"variant": "dlinear"}),
    "nlinear": (LinearNetwork, {"variant": "nlinear"}),
    "rlinear": (LinearNetwork, {"variant": "rlinear"}),
}
HEADS: tuple[HeadName, ...] = ("point", "quantile", "student_t")


def ahead_of(name: str) -> int:
    """How many columns known ahead the network is made for."""
    return 0 if name == "patchtst" else AHEAD


def make(name: str, **changes: Any) -> Network:
    """The network with changes, untrained."""
    network, options = NETWORKS[name]
    shape = {"window": WINDOW, "horizon": HORIZON, "variates": VARIATES, "ahead": ahead_of(name)}
    return network(**{**shape, **options, **changes})


def forecaster(name: str, head: HeadName, **changes: Any) -> Forecaster:
    """The network under a head."""
    made = make_head(head)
    return Forecaster(make(name, outputs=made.outputs, **changes), made)


def examples(name: str, count: int = 3) -> tuple[Tensor, ...]:
    """Windows whose first variate ends at 0, as `anchored` makes them, and what is known ahead."""
    generator = torch.Generator().manual_seed(11)
    inputs = torch.randn(count, WINDOW, VARIATES, generator=generator)
    inputs[..., 0] -= inputs[:, -1:, 0].clone()
    ahead = torch.randn(count, HORIZON, AHEAD, generator=generator)
    return (inputs, ahead) if ahead_of(name) else (inputs,)


def spoken(network: Module, seed: int = 5) -> Module:
    """The network with random weights everywhere, its last layers too, and no dropout."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(0.3 * torch.randn(parameter.shape, generator=generator))
    return network.eval()
