"""The level of prices: in points, off by a power of ten, inverted; and what would put it right."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import date

import polars as pl

from fx_assets.specs.schema import PairSpec

_NEAR = 0.1  # of a power of ten, in decades: a factor of 10 is seen from 7.9 to 12.6
_INVERSE_NEAR, _INVERSE_AWAY = 0.03, 0.08  # natural logs: after * before near 1, and yet a jump
_MOST_DECADES = 3  # jumps by 10, 100 and 1000 are looked for
_FIX_POWERS = (-1, 1, -2, 2, -3, 3, -4, 4, -5, 5, -6, 6)
_NEIGHBOURS = 31  # days; over a longer hole a price may really have moved


@dataclass(frozen=True)
class Misfit:
    """What is wrong with the level from `day` on, in words with the remedy; `factor` would put it right, if one can.

    `inverted`: one over the price fits, times `factor`.
    """

    day: date
    said: str
    factor: float | None
    inverted: bool


class Levels:
    """Medians by trading date, block by block."""

    def __init__(self) -> None:
        self._parts: list[pl.DataFrame] = []

    def add(self, days: pl.Series, prices: pl.Series) -> None:
        """Trading dates and prices (n,) of a block, by time."""
        rows = pl.DataFrame({"day": days, "level": prices}).filter(pl.col("level").is_finite() & (pl.col("level") > 0))
        self._parts.append(rows.group_by("day", maintain_order=True).agg(pl.col("level").median()))

    def misfit(self, spec: PairSpec) -> Misfit | None:
        """The first of: a level outside the pair's range, a jump from one date to the next by 10, 100, 1000 or to the
        inverse (a real day is far from that: EURISK of 2008-11-06 moved by 33 %). None where all is well.
        """
        if not self._parts:
            return None
        levels = pl.concat(self._parts).sort("day")
        low, high = spec.plausible_range
        outside = levels.filter(~pl.col("level").is_between(low, high))
        if outside.height:
            day, level = outside.row(0)
            return _outside(day, level, outside.height, levels.height, spec)
        near = pl.col("day").diff().dt.total_days() <= _NEIGHBOURS
        steps = levels.with_columns(before=pl.col("level").shift(1)).filter(near)
        ratio = (pl.col("level") / pl.col("before")).log10()
        decades = ratio.abs().round()
        tens = decades.is_between(1, _MOST_DECADES) & ((ratio.abs() - decades).abs() < _NEAR)
        product, step = (pl.col("level").log() + pl.col("before").log()).abs(), ratio.abs() * math.log(10)
        inverse = (product < _INVERSE_NEAR) & (step > _INVERSE_AWAY)
        jumps = steps.with_columns(inverse=inverse).filter(tens | inverse)
        if jumps.is_empty():
            return None
        day, level, before, inverted = jumps.row(0)
        return _jumped(day, level, before, inverted, spec)


def _outside(day: date, level: float, bad: int, days: int, spec: PairSpec) -> Misfit:
    low, high = spec.plausible_range
    where = f"the level is {level:.6g} on {day}, outside [{low:g}, {high:g}] (so on {bad} of {days} dates)"
    if low <= 1 / level <= high:  # looked at first: an inverted yen also fits times 10,000, which nobody quotes
        return Misfit(day, f"{where}: {_invert(level, 0, spec)}", 1.0, inverted=True)
    for power in _FIX_POWERS:
        if low <= level * 10.0**power <= high:
            return Misfit(day, f"{where}: {_rescale(power, spec)}", 10.0**power, inverted=False)
    for power in _FIX_POWERS:
        if low <= 10.0**power / level <= high:
            return Misfit(day, f"{where}: {_invert(level, power, spec)}", 10.0**power, inverted=True)
    said = f"{where}, and no power of ten and no inversion fits: another pair? check source.symbol and source.files of"
    return Misfit(day, f"{said} {_config(spec)}, or widen plausible_range there", None, inverted=False)


def _jumped(day: date, level: float, before: float, inverse: bool, spec: PairSpec) -> Misfit:
    where = f"the level jumps from {before:.6g} to {level:.6g} on {day}"
    if inverse:
        return Misfit(day, f"{where}, its inverse: {_invert(level, 0, spec)}", 1.0, inverted=True)
    power = round(math.log10(before / level))
    said = f"{where}, by a factor near {10.0**-power:g}: files of two scales? {_rescale(power, spec)}"
    return Misfit(day, said, 10.0**power, inverted=False)


def _rescale(power: int, spec: PairSpec) -> str:
    times = f"divided by {10**-power:,}" if power < 0 else f"times {10**power:,}"
    points = 10.0**power * (spec.source.points or 1.0)
    return (
        f"prices in points? {times} they fit: set source.points: {points:g} in {_config(spec)} where the source knows "
        "points, or convert the files that differ"
    )


def _invert(level: float, power: int, spec: PairSpec) -> str:
    other = spec.pair[3:] + spec.pair[:3]
    times = "" if power == 0 else f" times {10.0**power:,.9g}"
    return (
        f"inverted? 1/{level:.6g}{times} = {10.0**power / level:.6g} fits: this is {other}, and {spec.pair} is wanted; "
        f"name a source of {spec.pair} in {_config(spec)}, or rename the pair"
    )


def _config(spec: PairSpec) -> str:
    return f"configs/pairs/{spec.pair}.yaml"
