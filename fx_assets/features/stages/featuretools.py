"""Aggregates of the newest finished trading days, sessions, weeks or months, by featuretools' saved definitions.

`mean_returns_tokyo_5` is the mean return of the bars of the five newest Tokyo sessions that had closed by the end of
the bar. Returns, ranges, spreads and distances in basis points of price; a trend in those a day (24 hours). An
aggregate of the close itself that is a price (mean, min, max, median, first, last) stands as the distance of the bar's
own close from it, so that columns of different pairs are of one size. Sessions: `timegrid.sessions`.
"""

from __future__ import annotations

from itertools import product
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator

from fx_assets.features.aggregates.asof import joined, reach, rows_of
from fx_assets.features.aggregates.definitions import feature_name, load
from fx_assets.features.aggregates.periods import GROUPS
from fx_assets.features.aggregates.values import VALUES
from fx_assets.features.frames import Frame
from fx_assets.features.stages.base import Column, Columns, StageOptions, StatelessStage
from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.frequencies import seconds_of
from fx_assets.timegrid.sessions import SESSIONS

Group = Literal["day", "session", "week", "month"]
Primitive = Literal["mean", "std", "min", "max", "median", "skew", "first", "last", "trend"]
Value = Literal["close", "returns", "range", "spread", "ticks", "volume"]

# Primitives that give a price where the value is one.
_PRICES = frozenset({"mean", "min", "max", "median", "first", "last"})
_OF_THREE_BARS = frozenset({"skew", "trend"})
_A_DAY = 86_400
# Longer bars leave fewer than four that lie whole inside a session of nine hours.
_LONGEST_IN_SESSION = 7_200
# Measured in multiples of a mean's: a trend is a least-squares fit, and those over 1 run in Python period by period.
_COSTS = {
    "mean": 1.0,
    "std": 1.0,
    "min": 1.0,
    "max": 1.0,
    "median": 10.0,
    "skew": 10.0,
    "first": 3.0,
    "last": 3.0,
    "trend": 150.0,
}


class FeaturetoolsOptions(StageOptions):
    """Every primitive of every column, for each group and window.

    `columns`: what is taken of each bar. `windows`: how many of the newest finished days, sessions, weeks or months an
    aggregate spans; there is one for each number.
    """

    groups: Annotated[list[Group], Field(min_length=1)] = Field(default=["day"])
    primitives: Annotated[list[Primitive], Field(min_length=1)] = Field(
        default=["mean", "std", "min", "max", "skew", "last"]
    )
    columns: Annotated[list[Value], Field(min_length=1)] = Field(default=["returns"])
    windows: Annotated[list[Annotated[int, Field(ge=1, le=20)]], Field(min_length=1, max_length=4)] = Field(
        default=[1, 5]
    )

    @field_validator("groups", "primitives", "columns", "windows")
    @classmethod
    def _each_once(cls, value: list[Any]) -> list[Any]:
        if len(set(value)) != len(value):
            raise ValueError("each may stand once")
        return value


class Featuretools(StatelessStage):
    """Mean, deviation, extremes, skewness, trend and the like of whole days and sessions, joined backward as of."""

    name = "featuretools"
    priority = 30
    Options = FeaturetoolsOptions

    def lookback(self, options: FeaturetoolsOptions, frequency: Frequency) -> int:
        """The most bars that the dates of the longest window, and the bar's own, can have."""
        dates = max(reach(group, window) for group in options.groups for window in options.windows)
        return rows_of(dates + 1, frequency)

    def columns(self, options: FeaturetoolsOptions) -> list[Column]:
        """`<primitive>_<column>_<period>_<window>`, each of which may be missing.

        It is where its periods hold too few bars: none at all, one for a deviation, under three for a skewness or a
        trend; and where, after a long gap, they begin farther back than the look-back.
        """
        return [
            Column(
                name=_name(primitive, value, kind, window),
                sources=VALUES[value].needs,
                about=_about(primitive, value, kind, window),
                cost=_COSTS[primitive],
                missing=True,
            )
            for window in options.windows
            for kind in _kinds(options)
            for value, primitive in product(options.columns, options.primitives)
        ]

    def needs(self, options: FeaturetoolsOptions) -> frozenset[str]:
        """The bar columns that the chosen values are made of."""
        return frozenset(name for value in options.columns for name in VALUES[value].needs)

    def online(self, options: FeaturetoolsOptions) -> bool:
        """Never: importing the library alone takes seconds."""
        del options
        return False

    def problems(self, options: FeaturetoolsOptions, frequency: Frequency) -> list[tuple[str, str]]:
        """Groups that do not fit the length of the bars, and primitives of more bars than a period has."""
        seconds = seconds_of(frequency)
        found = [("groups", message) for group in options.groups if (message := _misfit(group, seconds, frequency))]
        bars = _A_DAY // seconds * min(options.windows)
        thin = [primitive for primitive in options.primitives if primitive in _OF_THREE_BARS]
        if thin and "day" in options.groups and seconds < _A_DAY and bars < 3:
            message = f"a day of {frequency} bars has {bars}, too few for {' and '.join(thin)}; take windows from 2"
            found.append(("primitives", message))
        return found

    def _compute(self, frame: Frame, options: FeaturetoolsOptions, first: int) -> Columns:
        values: Columns = {value: VALUES[value].of(frame.columns) for value in options.columns}
        asked = list(product(options.columns, options.primitives))
        features = load([feature_name(primitive, value) for value, primitive in asked])
        made: Columns = {}
        for window in options.windows:
            reaches = {kind: reach(group, window) for kind, group in _kinds(options).items()}
            found = joined(frame, reaches, window, values, features, first)
            for kind, (value, primitive) in product(reaches, asked):
                column = found[kind][feature_name(primitive, value)]
                if primitive == "trend":
                    column = column * _A_DAY
                elif value == "close" and primitive in _PRICES:
                    column = values["close"][first:] - column
                made[_name(primitive, value, kind, window)] = np.concatenate([np.full(first, np.nan), column])
        return made


def _kinds(options: FeaturetoolsOptions) -> dict[str, str]:
    """Kinds of period of the chosen groups, and the group of each."""
    return {kind: group for group in options.groups for kind in GROUPS[group]}


def _name(primitive: str, value: str, kind: str, window: int) -> str:
    return f"{primitive}_{value}_{kind}_{window}"


def _about(primitive: str, value: str, kind: str, window: int) -> str:
    noun = f"{kind} session" if kind in SESSIONS else kind
    over = f"the newest finished {noun}" if window == 1 else f"the {window} newest finished {noun}s"
    if primitive == "trend":
        return f"slope over {over}, a day: {VALUES[value].about}"
    if value == "close" and primitive in _PRICES:
        return f"distance of the close from its {primitive} over {over}, bp"
    return f"{primitive} over {over}: {VALUES[value].about}"


def _misfit(group: str, seconds: int, frequency: str) -> str:
    """Why the group does not fit bars of that length; empty where it does."""
    if group in ("day", "session") and seconds >= _A_DAY:
        return f"{group} needs bars shorter than a day, these are {frequency}; take week or month"
    if group == "session" and seconds > _LONGEST_IN_SESSION:
        return f"session needs bars of at most 2h, these are {frequency}, of which few lie whole inside one; take day"
    if group in ("week", "month") and seconds < _A_DAY:
        return f"{group} needs bars of a day or longer, these are {frequency}; take day with a longer window"
    if group == "week" and seconds > _A_DAY:
        return f"week needs bars shorter than a week, these are {frequency}; take month"
    return ""
