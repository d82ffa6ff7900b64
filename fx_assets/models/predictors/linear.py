"""`linear`: DLinear, NLinear (Zeng et al. 2023, arXiv 2205.13504) and RLinear (Li et al. 2023, arXiv 2305.10721)."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import BaseModel, Field, field_validator

from fx_assets.models.network import NetworkHyperparameters, NetworkPredictor


class LinearHyperparameters(NetworkHyperparameters):
    """Which linear map. The papers' kernel is 25."""

    variant: Literal["dlinear", "nlinear", "rlinear"] = Field(
        default="dlinear",
        description="dlinear: of the moving average and of the rest; nlinear: of the window relative to its last; "
        "rlinear: of the standardised window",
    )
    kernel: int = Field(default=25, ge=1, le=9_999, description="Rows of dlinear's moving average, an odd number")

    @field_validator("kernel")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError(f"a moving average over an even number of rows has no middle; write {value + 1}")
        return value


class LinearPredictor(NetworkPredictor):
    """The close's window, the newest row of features and the calendar of the bars to come, each by a linear map."""

    kind = "linear"
    Hyperparameters: ClassVar[type[BaseModel]] = LinearHyperparameters
    uses_ahead = True
    network = "fx_assets.models.networks.linear:LinearNetwork"
