"""`itransformer`: attention over the close and its features (Liu et al. 2024, arXiv 2310.06625)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from pydantic import BaseModel, Field

from fx_assets.models.network import NetworkHyperparameters, NetworkPredictor
from fx_assets.specs.schema import ModelSpec


class ITransformerHyperparameters(NetworkHyperparameters):
    """Size of the network. The paper's for the Exchange data: width and feed_forward 128, 8 heads."""

    width: int = Field(default=64, ge=1, le=4096, description="Length of a token")
    layers: int = Field(default=2, ge=1, le=32)
    heads: int = Field(default=4, ge=1, le=64)
    feed_forward: int = Field(default=128, ge=1, le=16384)
    dropout: float = Field(default=0.1, ge=0, lt=1)


class ITransformerPredictor(NetworkPredictor):
    """One token for the close and one for each feature; the close's token gives the forecast."""

    kind = "itransformer"
    Hyperparameters: ClassVar[type[BaseModel]] = ITransformerHyperparameters
    uses_ahead = True
    network = "fx_assets.models.networks.itransformer:ITransformer"

    @classmethod
    def check_spec(cls, spec: ModelSpec) -> Iterable[tuple[str, str]]:
        """The width is shared out evenly between the heads."""
        yield from super().check_spec(spec)
        options = ITransformerHyperparameters.model_validate(spec.hyperparameters)
        if options.width % options.heads:
            yield "hyperparameters.width", f"{options.width} is not a multiple of {options.heads} heads"
