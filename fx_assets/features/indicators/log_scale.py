"""How wide a pair and the market around it move, as logarithms of weighted means: what the kind `scale` reads.

A mean of half-life h weighs a value of k bars ago by 2^(-k / h) and ends after five half-lives, where 3 % of an endless
one would be left, so that a value depends on its window alone. Returns count by their size, in basis points: |r| is
moved less than r^2 by one wild day (Taylor 1986, "Modelling Financial Time Series", chapter 4). Returns over several
bars see what those of one bar miss, moves that go on, and coarse volatility foretells the fine one better than the
other way round (Mueller et al. 1997, "Volatilities of different time resolutions", doi 10.1016/S0927-5398(97)00007-8).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import BASIS_POINTS, STALE_ROWS, Declared, Periodic, column
from fx_assets.features.indicators.options import EACH_ONCE, Periods
from fx_assets.features.indicators.strength import MOST_TRADED, Currency
from fx_assets.features.indicators.windows import aligned, lags, log_returns
from fx_assets.features.stages.base import Column, StageOptions

HALF_LIVES = 5
# Where nothing has moved: a hundredth of a basis point, which no living market goes below in a bar.
STILLEST = 1e-2


class CoarseOptions(StageOptions):
    """Returns over `bars`, one for each bar, in a mean of `half_life` bars."""

    bars: Annotated[int, Field(ge=2, le=250)]
    half_life: Annotated[int, Field(ge=1, le=250)]


class LogScaleOptions(StageOptions):
    """`own`: half-lives for the pair's one-bar returns. `coarse`: returns over several bars. `panel`: half-lives.

    The panel has the pair itself and all pairs of two of `currencies`. What it adds is how far its short half-lives
    stand from the longest of `own`, which therefore has to be longer.
    """

    own: Annotated[Periods, Field(min_length=1)]
    coarse: Annotated[list[CoarseOptions], Field(max_length=10)] = Field(default_factory=list)
    panel: Periods = Field(default_factory=list)
    currencies: Annotated[list[Currency], Field(min_length=2, max_length=100), EACH_ONCE] = Field(
        default_factory=lambda: list(MOST_TRADED)
    )

    @model_validator(mode="after")
    def _told_apart(self) -> LogScaleOptions:
        if self.panel and max(self.panel) >= max(self.own):
            raise ValueError(f"panel: {max(self.panel)} is not shorter than the longest of own, {max(self.own)}")
        if len({(each.bars, each.half_life) for each in self.coarse}) < len(self.coarse):
            raise ValueError("coarse: each may stand once")
        return self


@dataclass(frozen=True)
class LogScale(Declared):
    """Log of the weighted mean |return| of the pair, the same of returns over several bars, and the panel's surge.

    The surge of a half-life is the mean, over the panel's pairs, of log mean |return| less that of the longest
    half-life: how much more the market moves than lately, whatever pairs there are. Pairs whose closes do not reach
    back so far are left out of the mean; where no other pair has them, or is configured, it is the pair's own.
    """

    def columns(self, value: LogScaleOptions) -> list[Column]:
        """Own, coarse, panel; none is ever missing."""
        own = [(f"{self.name}_{p}", f"log mean size of returns, half-life {p}, bp") for p in value.own]
        for each in value.coarse:
            about = f"the same of returns over {each.bars} bars, half-life {each.half_life}"
            own.append((f"{self.name}_{each.half_life}_of_{each.bars}", about))
        panel = [(f"{self.name}_panel_{p}", f"surge of the pairs' sizes, half-life {p}") for p in value.panel]
        made = [Column(name, ("close",), about, self.cost) for name, about in own]
        return made + [Column(name, ("close", "others"), about, self.cost) for name, about in panel]

    def lookback(self, value: LogScaleOptions) -> int:
        """The longest window of returns and, for a panel, how old another pair's close may be."""
        stale = STALE_ROWS if value.panel else 0
        coarse = [each.bars - 1 + _rows(each.half_life) for each in value.coarse]
        return max(_rows(max(value.own)) + stale, *coarse, 0)

    def compute(self, frame: Frame, value: LogScaleOptions) -> list[FloatArray]:
        """(n,) each."""
        close = column(frame, "close")
        found = [log_size(close, half_life) for half_life in value.own]
        found += [log_size(close, each.half_life, each.bars) for each in value.coarse]
        if not value.panel:
            return found
        others = self.others(value, frame.pair, tuple(frame.others))
        closes = [close, *(np.ascontiguousarray(frame.others[name]) for name in others)]
        level = [log_size(each, max(value.own)) for each in closes]
        return found + [_mean_surge(closes, level, half_life) for half_life in value.panel]

    def others(self, value: LogScaleOptions, pair: str, known: Sequence[str]) -> tuple[str, ...]:
        """Pairs of two of the currencies, by name, where there is a panel."""
        chosen = {name for name in known if name != pair and {name[:3], name[3:]} <= set(value.currencies)}
        return tuple(sorted(chosen)) if value.panel else ()


def log_size(close: FloatArray, half_life: int, bars: int = 1) -> FloatArray:
    """(n,): log of the weighted mean of |log return over `bars`| / sqrt(bars), basis points; NaN before the first."""
    sizes = np.abs(log_returns(close, bars)) / np.sqrt(bars)
    return np.log(np.maximum(_weighted_mean(sizes, half_life), STILLEST))


def log_realised(frame: Frame, half_life: int) -> FloatArray:
    """(n,): half the log of the weighted mean realised variance: the log of a volatility in basis points a bar.

    Andersen, Bollerslev, Diebold and Labys (2003), "Modeling and forecasting realized volatility": in logarithms it
    is near to normal.
    """
    variance = _weighted_mean(column(frame, "realised_variance") * BASIS_POINTS**2, half_life)
    return np.log(np.maximum(variance, STILLEST**2)) / 2


def _rows(half_life: int) -> int:
    """Values in a mean."""
    return HALF_LIVES * half_life


def _weighted_mean(values: FloatArray, half_life: int) -> FloatArray:
    """(n,): summed afresh for each window from its oldest value to its newest; NaN where one of them is missing."""
    rows = _rows(half_life)
    weights = 0.5 ** (np.arange(rows)[::-1] / half_life)
    summed = np.zeros(max(len(values) - rows + 1, 0))
    for weight, lag in zip((weights / weights.sum()).tolist(), lags(values, rows), strict=True):
        summed += weight * lag
    return aligned(summed, len(values))


def _mean_surge(closes: Sequence[FloatArray], level: Sequence[FloatArray], half_life: int) -> FloatArray:
    """(n,): mean over the pairs that have one; the first is the pair itself, whose own begins with the others'."""
    summed, count = np.zeros(len(closes[0])), np.zeros(len(closes[0]))
    for close, slow in zip(closes, level, strict=True):
        surge = log_size(close, half_life) - slow
        there = ~np.isnan(surge)
        summed += np.where(there, surge, 0.0)
        count += there
    return np.asarray(np.divide(summed, count, out=np.full(len(summed), np.nan), where=~np.isnan(level[0])))


DECLARED = (
    LogScale("log_scale", cost=5.0),
    Periodic(
        "log_realised",
        "log realised volatility, half-life {}, bp",
        log_realised,
        lambda half_life: _rows(half_life) - 1,
        needs=("realised_variance",),
    ),
)
