"""`patchtst`: attention over patches of the close's window (Nie et al. 2023, arXiv 2211.14730)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from pydantic import BaseModel, Field

from fx_assets.models.network import NetworkHyperparameters, NetworkPredictor
from fx_assets.specs.schema import ModelSpec


class PatchTSTHyperparameters(NetworkHyperparameters):
    """Size of the network; the defaults are the paper's for its smallest data sets (appendix A.1.4)."""

    patch_length: int = Field(default=16, ge=1, le=10_000, description="Rows of one token")
    stride: int = Field(default=8, ge=1, le=10_000, description="Rows between the starts of neighbouring patches")
    width: int = Field(default=16, ge=1, le=4096, description="Length of a token")
    layers: int = Field(default=3, ge=1, le=32)
    heads: int = Field(default=4, ge=1, le=64)
    feed_forward: int = Field(default=128, ge=1, le=16384)
    dropout: float = Field(default=0.3, ge=0, lt=1)


class PatchTSTPredictor(NetworkPredictor):
    """Channel independent: each series is forecast from itself, so the close alone is read."""

    kind = "patchtst"
    Hyperparameters: ClassVar[type[BaseModel]] = PatchTSTHyperparameters
    uses_features = False
    network = "fx_assets.models.networks.patchtst:PatchTST"

    @classmethod
    def check_spec(cls, spec: ModelSpec) -> Iterable[tuple[str, str]]:
        """Patches fit into the window and leave no row out; the width is shared out evenly between the heads."""
        yield from super().check_spec(spec)
        options = PatchTSTHyperparameters.model_validate(spec.hyperparameters)
        if options.patch_length > spec.window:
            yield (
                "hyperparameters.patch_length",
                f"{options.patch_length} rows are over the window of {spec.window}; shorten it, or lengthen the window",
            )
        if options.stride > options.patch_length:
            yield (
                "hyperparameters.stride",
                f"{options.stride} skips rows between patches of {options.patch_length}; write that or less",
            )
        if options.width % options.heads:
            yield "hyperparameters.width", f"{options.width} is not a multiple of {options.heads} heads"
