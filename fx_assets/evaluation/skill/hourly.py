"""Hourly ranges: the market's own rhythm over the week taken out, what is left followed, and the rhythm put back.

The size of an hour's return is a factor of its hour of the week (New York) times a level that moves slowly. Both come
from past rows only: the factor is the mean size in that hour of the week over the mean of all, the level an
exponentially weighted mean of sizes over their factors. The range is a multiple of their product, one for each hour of
the day, followed by the tracker of `models.ranges`: log width += GAIN (missed - (1 - mass)). All multiples begin as the
quantile of what was seen before the first range.

The half-life of a day, factors that forget nothing, one start for all hours and the tracker's gain had the lowest
interval score of 66 settings on the OANDA files' rows before July 2017, which the benchmark does not score. (Another
start of the multiples had been seen on the rows after, before that choice was made.)
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.skill.worlds import Hours
from fx_assets.models.ranges import GAIN
from fx_assets.timegrid.trading_dates import NEW_YORK

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

HALF_LIFE = 24.0
# Weeks before any range is given, and of them those until the factors have settled.
LEAST_WEEKS, _SETTLING_WEEKS = 26, 8
_WEEK, _DAY = 168, 24
# Where an hour has hardly traded, as 17:00 on holidays: no factor is under a fiftieth of the mean.
_LEAST_FACTOR = 0.02


@dataclass(frozen=True, eq=False)
class HourlyRanges:
    """Central ranges of the return of each hour, given when the hour before ended.

    `rows` (n,): numbers of the returns; `hour` (n,): of the day in New York, in which the bar begins; `half` (n,):
    half-width; `held` (n,): whether the return lay inside.
    """

    rows: Integers
    hour: Integers
    half: Floats
    held: NDArray[np.bool_]


def hourly_ranges(hours: Hours, *, mass: float = 0.8) -> HourlyRanges:
    """Ranges of all returns after the first 26 weeks; each from the returns before it and the clock alone.

    Raises `ValueError` for a `mass` outside (0, 1), prices that never move at first, or too short a history.
    """
    if not 0 < mass < 1:
        raise ValueError(f"mass: expected a share between 0 and 1, got {mass}")
    sizes = np.abs(np.diff(np.log(hours.closes)))
    slots = hours_of_week(hours.starts[1:])
    hour, scales = slots % _DAY, _scales(sizes, slots)
    weeks = (hours.starts[1:] - hours.starts[0]) / np.timedelta64(7, "D")
    rows = np.flatnonzero(weeks >= LEAST_WEEKS)
    seen = (weeks >= _SETTLING_WEEKS) & (weeks < LEAST_WEEKS) & (scales > 0)
    if not len(rows) or not (sizes[seen] > 0).any():
        raise ValueError(
            f"{hours.pair}: its hours span under {LEAST_WEEKS} weeks, or never move; take a longer history"
        )
    width = np.full(_DAY, np.log(np.quantile(sizes[seen] / scales[seen], mass)))
    half, held = np.empty(len(rows)), np.empty(len(rows), dtype=np.bool_)
    for at, row in enumerate(rows.tolist()):
        own = int(hour[row])
        half[at] = scales[row] * np.exp(width[own])
        held[at] = sizes[row] <= half[at]
        width[own] += GAIN * (float(not held[at]) - (1 - mass))
    return HourlyRanges(rows=rows, hour=hour[rows], half=half, held=held)


def hours_of_week(starts: NDArray[np.datetime64]) -> Integers:
    """Hour of the week (n,) in New York of times in UTC: 24 times the weekday from Monday, plus the hour of the day."""
    return np.array([_hour_of_week(moment, NEW_YORK) for moment in starts.astype("datetime64[us]").tolist()])


def coverage_by_hour(ranges: HourlyRanges, kept: NDArray[np.bool_]) -> dict[int, tuple[float, int]]:
    """Share held and number of ranges by hour of the day in New York, of the ranges `kept` (n,)."""
    return {
        hour: (float(np.mean(ranges.held[own])), int(own.sum()))
        for hour in range(_DAY)
        if (own := kept & (ranges.hour == hour)).any()
    }


def _scales(sizes: Floats, slots: Integers) -> Floats:
    """Expected size (n,) of each return, from those before it."""
    decay = 0.5 ** (1 / HALF_LIFE)
    sums, counts = np.zeros(_WEEK), np.zeros(_WEEK)
    total, level = 0.0, 0.0
    scales = np.empty(len(sizes))
    for row, (size, slot) in enumerate(zip(sizes.tolist(), slots.tolist(), strict=True)):
        mean = total / row if total > 0 else size
        factor = sums[slot] / counts[slot] / mean if counts[slot] and mean > 0 else 1.0
        factor = max(factor, _LEAST_FACTOR)
        level = level if row else mean
        scales[row] = factor * level
        level = decay * level + (1 - decay) * size / factor
        sums[slot] += size
        counts[slot] += 1
        total += size
    return scales


def _hour_of_week(moment: datetime, zone: ZoneInfo) -> int:
    wall = moment.replace(tzinfo=UTC).astimezone(zone)
    return wall.weekday() * _DAY + wall.hour
