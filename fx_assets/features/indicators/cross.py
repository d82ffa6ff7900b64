"""What chosen other pairs did, and how the pair moves with them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import STALE_ROWS, Declared, column
from fx_assets.features.indicators.options import EACH_ONCE, Periods, SamplePeriods
from fx_assets.features.indicators.statistics import beta, correlation
from fx_assets.features.indicators.windows import log_returns
from fx_assets.features.stages.base import Column, StageOptions
from fx_assets.specs.schema import PairName


class CrossOptions(StageOptions):
    """`returns`: periods of the pairs' log returns. `correlations`: one-bar returns in windows of correlation, beta."""

    pairs: Annotated[list[PairName], Field(min_length=1, max_length=50), EACH_ONCE]
    returns: Periods = Field(default_factory=list)
    correlations: SamplePeriods = Field(default_factory=list)

    @model_validator(mode="after")
    def _some_columns(self) -> CrossOptions:
        if not self.returns and not self.correlations:
            raise ValueError("expected periods under returns or correlations")
        return self


@dataclass(frozen=True)
class Cross(Declared):
    """Log returns of chosen pairs, and the pair's correlation with them and its beta on them.

    Missing until the other pair has a close for every bar of the window. A set is computed for many pairs, so the pair
    itself may be among the chosen: its returns then are its own, and its correlation and beta 1.
    """

    def columns(self, value: CrossOptions) -> list[Column]:
        """By pair: its returns, then correlation and beta of each window."""
        made = []
        for pair in value.pairs:
            stem = f"{self.name}_{pair.lower()}"
            named = [(f"return_{p}", f"log return of {pair} over {p} bars, bp") for p in value.returns]
            for p in value.correlations:
                named.append((f"correlation_{p}", f"correlation with {pair} over {p} returns"))
                named.append((f"beta_{p}", f"beta on {pair} over {p} returns"))
            made += [
                Column(f"{stem}_{end}", ("close", "others"), about, self.cost, missing=True) for end, about in named
            ]
        return made

    def lookback(self, value: CrossOptions) -> int:
        """The longest period, and how old another pair's close may be."""
        return max([*value.returns, *value.correlations]) + STALE_ROWS

    def compute(self, frame: Frame, value: CrossOptions) -> list[FloatArray]:
        """(n,) each. Raises `FeatureError` where a chosen pair is not beside the bars."""
        own = log_returns(column(frame, "close"))
        found = []
        for pair in value.pairs:
            close = _close_of(frame, pair)
            other = log_returns(close)
            found += [log_returns(close, period) for period in value.returns]
            for period in value.correlations:
                found += [correlation(own, other, period), beta(own, other, period)]
        return found

    def others(self, value: CrossOptions, pair: str, known: Sequence[str]) -> tuple[str, ...]:
        """The chosen pairs but itself."""
        return tuple(name for name in value.pairs if name != pair and name in known)


def _close_of(frame: Frame, pair: str) -> FloatArray:
    if pair == frame.pair:
        return column(frame, "close")
    if pair not in frame.others:
        raise FeatureError(
            f"cross.pairs: {pair} has no closes beside the bars of {frame.pair}, only {sorted(frame.others)} have; "
            f"configure and enable {pair}, or leave it out"
        )
    return np.ascontiguousarray(frame.others[pair])


DECLARED = (Cross("cross", cost=5.0),)
