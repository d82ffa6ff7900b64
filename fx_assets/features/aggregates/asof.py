"""Backward as of: the aggregates that were finished by the end of each bar, and how far back they may reach."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.aggregates.compute import Stretch, aggregate
from fx_assets.features.aggregates.periods import Periods, periods_of
from fx_assets.features.frames import FloatArray, Frame
from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.frequencies import seconds_of

_A_DAY = 86_400
_LONGEST_DAY = _A_DAY + 3_600
# Holidays, and dates without any bar, that a window of days may pass over: Christmas and New Year fit into one.
_SPARE_DATES = 4


def reach(group: str, window: int) -> int:
    """How many calendar dates before a bar's own the `window` newest finished periods may begin.

    Where they begin earlier, after a long gap in the prices, the aggregate is not known: else it would depend on how
    far back a frame goes.
    """
    if group == "week":
        return 7 * window + 6
    if group == "month":
        return 31 * window + 30
    weekends = math.ceil(window / 5)
    return window + 2 * weekends + _SPARE_DATES


def rows_of(dates: int, frequency: Frequency) -> int:
    """The most bars that so many dates in a row can have; where the market never closes, one may have 25 hours."""
    seconds = seconds_of(frequency)
    if seconds > _A_DAY:
        return math.ceil(dates * _A_DAY / seconds)
    return dates if seconds == _A_DAY else dates * math.ceil(_LONGEST_DAY / seconds)


def joined(
    frame: Frame,
    reaches: Mapping[str, int],
    window: int,
    values: Mapping[str, FloatArray],
    features: Sequence[Any],
    first: int,
) -> dict[str, dict[str, FloatArray]]:
    """For each kind of period in `reaches` the aggregates `features` of the `window` newest finished ones.

    `values` (n,) of the frame's bars by name, `features` from `definitions.load`. Returns (n - first,) by kind and
    featuretools' name, for the rows from `first`; only what one of them takes is computed. NaN where not all of these
    periods lie whole inside the frame and begin at most `reaches[kind]` calendar dates back, and where they hold too
    few bars.
    """
    stretches: list[Stretch] = []
    places: dict[str, NDArray[np.int64]] = {}
    for kind, dates in reaches.items():
        periods = periods_of(frame, kind)
        found = _newest(periods, frame, first, window, dates)
        used = np.unique(found[found >= 0])
        places[kind] = np.where(found >= 0, len(stretches) + np.searchsorted(used, found), -1)
        stretches += [
            Stretch(np.concatenate(periods.rows[last - window + 1 : last + 1]), periods.end[last]) for last in used
        ]
    made = aggregate(features, stretches, frame.end, values)
    # Place -1 is the NaN after the last.
    return {
        kind: {name: np.append(column, np.nan)[place] for name, column in made.items()}
        for kind, place in places.items()
    }


def _newest(periods: Periods, frame: Frame, first: int, window: int, dates: int) -> NDArray[np.int64]:
    """Number of the newest period finished by the end of each bar from `first`; -1 where its window is not known."""
    found = np.searchsorted(periods.end, frame.end[first:], side="right") - 1
    oldest = found - window + 1
    known = oldest >= 0
    known[known] = periods.first[oldest[known]] >= frame.trading_date[first:][known] - np.timedelta64(dates, "D")
    return np.asarray(np.where(known, found, -1), dtype=np.int64)
