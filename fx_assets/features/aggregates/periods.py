"""Trading days, sessions, weeks and months of a frame: which bars each holds, and when it is finished."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.frames import Frame, Times
from fx_assets.timegrid.calendars import TradingCalendar, calendar
from fx_assets.timegrid.sessions import SESSIONS
from fx_assets.timegrid.trading_dates import bar_end

GROUPS: dict[str, tuple[str, ...]] = {
    "day": ("day",),
    "session": tuple(SESSIONS),
    "week": ("week",),
    "month": ("month",),
}
"""Kinds of period of each group of the options."""

_DAY = timedelta(days=1)
_SATURDAY = 5
Rows = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Periods:
    """Periods of one kind that begin inside a frame, oldest first.

    `first` (k,): first date of each, datetime64[D]. `end` (k,): when it is finished, datetime64[us] in UTC; the last
    ones may not be so yet. `rows`: of the frame, the bars that lie whole inside each, in order; may be empty.
    """

    first: Times
    end: Times
    rows: tuple[Rows, ...]


def periods_of(frame: Frame, kind: str) -> Periods:
    """The periods of `kind` (a key of `GROUPS`' tuples) on whose dates the frame has bars.

    That of the frame's first row is left out: nobody can see here whether it began before. A period is finished with
    its last open trading date, a session with its closing hour; bars that close later are not in it.
    """
    opened = calendar(frame.calendar)
    dates: list[date] = np.unique(frame.trading_date).astype(object).tolist()
    found = list(_spans(dates, kind, opened))
    first = [begin for begin, _ in found]
    if kind in SESSIONS:
        hours = [_hours(day, kind) for day in first]
        start, end = _stamps([begin for begin, _ in hours]), _stamps([close for _, close in hours])
        low = np.searchsorted(frame.time, start, side="left")
    else:
        end = _stamps([bar_end(last) for _, last in found])
        low = np.searchsorted(frame.trading_date, np.array(first, dtype="datetime64[D]"), side="left")
    high = np.searchsorted(frame.end, end, side="right")
    rows = tuple(np.arange(a, b, dtype=np.int64) for a, b in zip(low, high, strict=True))
    return Periods(np.array(first, dtype="datetime64[D]"), end, rows)


def _spans(dates: list[date], kind: str, opened: TradingCalendar) -> Iterator[tuple[date, date]]:
    """First date and last open date of each period, but for that of the first date."""
    seen = {_first_of(dates[0], kind)} if dates else set()
    for day in dates:
        begin = _first_of(day, kind)
        if begin in seen or not opened.is_open(day) or (kind in SESSIONS and day.weekday() >= _SATURDAY):
            continue
        seen.add(begin)
        yield begin, opened.days(begin, _last_of(begin, kind))[-1]


def _first_of(day: date, kind: str) -> date:
    if kind == "week":
        return day - _DAY * day.weekday()
    return day.replace(day=1) if kind == "month" else day


def _last_of(begin: date, kind: str) -> date:
    if kind == "week":
        return begin + 6 * _DAY
    return (begin + 31 * _DAY).replace(day=1) - _DAY if kind == "month" else begin


def _hours(day: date, session: str) -> tuple[datetime, datetime]:
    """Opening and closing of the session of that date: it lies whole inside the trading date."""
    zone, opening, closing = SESSIONS[session]
    begin, close = (datetime.combine(day, time(hour), ZoneInfo(zone)) for hour in (opening, closing))
    return begin.astimezone(UTC), close.astimezone(UTC)


def _stamps(times: list[datetime]) -> Times:
    return np.array([moment.replace(tzinfo=None) for moment in times], dtype="datetime64[us]")
