"""Stretches of open market time without a price."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from fx_assets.prices.batch import Form
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.sessions import open_seconds

_MINUTE, _HOUR, _DAY, _WEEK = 60.0, 3_600.0, 86_400.0, 604_800.0
# A tick a minute is nothing to count on in the quiet hours, and minutes without ticks are absent from files.
_QUIET = 60 * _MINUTE


@dataclass(frozen=True)
class Gap:
    """Between the rows at `before` and `after` (UTC) the market was open for `open_seconds` without a row."""

    before: datetime
    after: datetime
    open_seconds: float


def find_gaps(times: pl.Series, form: Form, calendar: CalendarName) -> list[Gap]:
    """Gaps between neighbours of `times` (Datetime[us, UTC], increasing), in that order.

    Counted is open market time beyond the row that stands before the gap: more than an hour of it for ticks and bars
    under an hour, more than three missing bars for those of hours, a missing open trading date for days and fixings.
    """
    if len(times) < 2:
        return []
    begin, end = times.head(len(times) - 1), times.tail(len(times) - 1)
    length = _DAY if form.kind == "fixing" else float(form.seconds)
    limit = _limit(length)
    # Only what is long by the clock can be long in open time; counting that is dear.
    apart = (end - begin).dt.total_microseconds() / 1e6 - length > limit
    begin, end = begin.filter(apart), end.filter(apart)
    if begin.is_empty():
        return []
    missing = open_seconds(begin, end, calendar) - length
    rows = zip(begin, end, missing, strict=True)
    return [Gap(before, after, float(seconds)) for before, after, seconds in rows if seconds > limit]


def _limit(length: float) -> float:
    if length >= _DAY:
        return length / 2
    return max(_QUIET, 3 * length)
