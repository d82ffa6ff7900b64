"""Series from outside the market of currencies, such as Fear & Greed: level, change and place in its window."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field, model_validator

from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import Declared
from fx_assets.features.indicators.options import EACH_ONCE, LongPeriods, Periods
from fx_assets.features.indicators.windows import above_mean, before, deviation, ratio
from fx_assets.features.stages.base import Column, StageOptions

SeriesPath = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}/[A-Z][A-Z0-9_]{1,15}$")]


class ExogOptions(StageOptions):
    """`series` as `group/SERIES`; `changes` and `zscores` in bars of the pair, whatever the series' own step."""

    series: Annotated[list[SeriesPath], Field(min_length=1, max_length=20), EACH_ONCE]
    changes: Periods = Field(default_factory=list)
    zscores: LongPeriods = Field(default_factory=list)

    @model_validator(mode="after")
    def _told_apart(self) -> ExogOptions:
        names = [made.name for made in DECLARED[0].columns(self)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"two of these series would have a column {twice[0]!r} each; leave one of them out")
        return self


@dataclass(frozen=True)
class Exogenous(Declared):
    """Newest known value, its change over so many bars, and its distance from its window's mean in deviations.

    In the series' own units. Missing before the first value; a window in which nothing changed has a distance of 0.
    """

    def columns(self, value: ExogOptions) -> list[Column]:
        """By series: level, changes, distances."""
        made = []
        for series in value.series:
            stem = f"{self.name}_{_stem(series)}"
            named = [
                (stem, f"newest value of {series}"),
                *((f"{stem}_change_{p}", f"change of {series} over {p} bars") for p in value.changes),
                *((f"{stem}_zscore_{p}", f"deviations of {series} from its mean of {p} bars") for p in value.zscores),
            ]
            made += [Column(name, (f"exog/{series}",), about, self.cost, missing=True) for name, about in named]
        return made

    def lookback(self, value: ExogOptions) -> int:
        """The longest period."""
        return max([*value.changes, *(period - 1 for period in value.zscores)], default=0)

    def compute(self, frame: Frame, value: ExogOptions) -> list[FloatArray]:
        """(n,) each. Raises `FeatureError` where a series is not beside the bars."""
        found = []
        for series in value.series:
            if series not in frame.exog:
                raise FeatureError(f"exog.series: {series!r} is not beside the bars, only {sorted(frame.exog)} are")
            level = np.ascontiguousarray(frame.exog[series])
            found.append(level.copy())
            found += [level - before(level, period) for period in value.changes]
            for period in value.zscores:
                found.append(ratio(above_mean(level, period), deviation(level, period), otherwise=0.0))
        return found

    def exog(self, value: ExogOptions) -> tuple[str, ...]:
        """The series."""
        return tuple(value.series)


def _stem(series: str) -> str:
    return series.replace("/", "_").lower()


DECLARED = (Exogenous("exog", needs=()),)
