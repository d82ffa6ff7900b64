"""What the calendar says of bars to come: known at any origin, whatever the market does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.calendars import CalendarName, TradingCalendar, calendar
from fx_assets.timegrid.frequencies import seconds_of
from fx_assets.timegrid.trading_dates import NEW_YORK, bar_end, bar_start, trading_date_of

FloatArray = NDArray[np.float64]
Dates = NDArray[np.datetime64]  # datetime64[D]
Instants = NDArray[np.datetime64]  # datetime64[us] without a zone, meaning UTC
_FRIDAY = 4
HOURS_A_WEEK = 168
_INSTANT = np.timedelta64(1, "us")


def dates_ahead(dates: Dates, horizon: int, name: CalendarName) -> Dates:
    """The `horizon` open trading dates after each of `dates` (n,): (n, horizon), as the calendar planned them."""
    if not len(dates):
        return np.empty((0, horizon), dtype="datetime64[D]")
    last: date = dates.max().astype("datetime64[D]").item()
    first: date = dates.min().astype("datetime64[D]").item()
    days = calendar(name)
    open_dates = np.array([*days.days(first, last), *days.next_days(last, horizon)], dtype="datetime64[D]")
    at = np.searchsorted(open_dates, dates.astype("datetime64[D]"), side="right")
    ahead: Dates = open_dates[at[:, None] + np.arange(horizon)]
    return ahead


def ends_of(day: date, frequency: Frequency) -> Instants:
    """Ends of the bars that trading date `day` is cut into, oldest first, as `timegrid.frequencies` cuts them.

    Raises `ValueError` for weekly bars, which are longer than a date.
    """
    start, end = (_naive(bar(day)) for bar in (bar_start, bar_end))
    if frequency == "1d":
        return np.array([end])
    if frequency == "1w":
        raise ValueError("bars of 1w are longer than a trading date; take the dates of their weeks")
    cut = np.arange(start, end, np.timedelta64(seconds_of(frequency), "s")).astype("datetime64[us]")
    ends: Instants = np.append(cut[1:], end)
    return ends


def ends_ahead(
    ends: Instants, dates: Dates, horizon: int, days: TradingCalendar, frequency: Frequency
) -> tuple[Instants, Dates]:
    """Ends and trading dates of the `horizon` bars after those that ended at `ends` (n,): (n, horizon) each.

    `dates` (n,): trading dates of those bars. The bars to come are all that the calendar plans, also in hours in which
    nothing may trade. Raises `ValueError` as `ends_of` does.
    """
    if not len(ends):
        return np.empty((0, horizon), dtype="datetime64[us]"), np.empty((0, horizon), dtype="datetime64[D]")
    first, last = (bound.astype("datetime64[D]").item() for bound in (dates.min(), dates.max()))
    # An open date has at least one bar; of those after the last one no more than this are needed.
    after = days.next_days(last, -(-horizon // max(1, len(ends_of(last, frequency)) - 1)) + 1)
    planned = [*days.days(first, last), *after]
    cut = [ends_of(day, frequency) for day in planned]
    grid = np.concatenate(cut)
    days_of = np.repeat(np.array(planned, dtype="datetime64[D]"), [len(part) for part in cut])
    at = np.searchsorted(grid, ends.astype("datetime64[us]"), side="right")[:, None] + np.arange(horizon)
    return grid[at], days_of[at]


def ends_until(now: datetime, count: int, days: TradingCalendar, frequency: Frequency) -> tuple[Instants, Dates]:
    """Ends and trading dates (count,) of the newest bars that the calendar planned to end by `now` (aware)."""
    limit, day, found = _naive(now), trading_date_of(now), 0
    cut: list[tuple[date, Instants]] = []
    while found < count:
        if days.is_open(day):
            ends = ends_of(day, frequency)
            cut.append((day, ends[ends <= limit]))
            found += len(cut[-1][1])
        day -= timedelta(days=1)
    dates = np.repeat(np.array([day for day, _ in cut], dtype="datetime64[D]"), [len(ends) for _, ends in cut])
    ends = np.concatenate([ends[::-1] for _, ends in cut])
    return ends[:count][::-1], dates[:count][::-1]


def hours_of_week(ends: Instants) -> NDArray[np.int64]:
    """Hour of the week on New York's clock, from Monday 0:00 (0) to Sunday 23:00 (167), in which bars end: as `ends`.

    An hourly bar is in the hour that it covers, a daily one in the last of its date, 16:00. `ends`, of any shape:
    datetime64[us] in UTC; an end at a full hour belongs to the hour before.
    """
    hours, inverse = np.unique((ends - _INSTANT).astype("datetime64[h]"), return_inverse=True)
    walls = [hour.replace(tzinfo=UTC).astimezone(NEW_YORK) for hour in hours.astype("datetime64[us]").tolist()]
    slots = np.array([wall.weekday() * 24 + wall.hour for wall in walls], dtype=np.int64)
    return slots[inverse].reshape(ends.shape)


def known_ahead(dates: Dates, horizon: int, name: CalendarName, columns: Sequence[str]) -> FloatArray:
    """Values of `columns` for the `horizon` bars after each of `dates` (n,): (n, horizon, columns), within [-1, 1].

    weekday: Monday -1 to Friday 1 (weekend days 1); gap: closed days before the bar, two of them are 1; month_end,
    year_end: the last open date of month or year; payroll: the first Friday of a month (US employment report);
    after_payroll: the bar after that one, where a rate of 14:10 in Frankfurt first shows what came 20 minutes later.
    Raises `ValueError` for a column that is none of these.
    """
    if unknown := [column for column in columns if column not in _COLUMNS]:
        raise ValueError(f"known_ahead: {unknown[0]!r} is none of {', '.join(_COLUMNS)}")
    # One date more than asked for: whether a date is the last of its month shows in the one after it.
    steps = dates_ahead(dates, horizon + 1, name)
    before = np.column_stack([dates.astype("datetime64[D]"), steps[:, :-2]]) if horizon > 1 else dates[:, None]
    values = np.empty((len(dates), horizon, len(columns)))
    for at, column in enumerate(columns):
        values[..., at] = _COLUMNS[column](before.astype("datetime64[D]"), steps[:, :-1], steps[:, 1:])
    return values


def _naive(moment: datetime) -> np.datetime64:
    return np.datetime64(moment.astimezone(UTC).replace(tzinfo=None), "us")


def _weekday(_: Dates, day: Dates, __: Dates) -> FloatArray:
    return np.asarray((np.minimum(_weekday_number(day), _FRIDAY) - 2) / 2)


def _gap(before: Dates, day: Dates, _: Dates) -> FloatArray:
    closed = (day - before).astype(np.int64) - 1
    return np.asarray(np.minimum(closed / 2, 1.0))


def _month_end(_: Dates, day: Dates, after: Dates) -> FloatArray:
    return np.asarray((day.astype("datetime64[M]") != after.astype("datetime64[M]")).astype(np.float64))


def _year_end(_: Dates, day: Dates, after: Dates) -> FloatArray:
    return np.asarray((day.astype("datetime64[Y]") != after.astype("datetime64[Y]")).astype(np.float64))


def _payroll(_: Dates, day: Dates, __: Dates) -> FloatArray:
    of_month = (day - day.astype("datetime64[M]").astype("datetime64[D]")).astype(np.int64)
    return np.asarray(((_weekday_number(day) == _FRIDAY) & (of_month < 7)).astype(np.float64))


def _after_payroll(before: Dates, day: Dates, _: Dates) -> FloatArray:
    return _payroll(before, before, day)


def _weekday_number(day: Dates) -> NDArray[np.int64]:
    numbers: NDArray[np.int64] = (day.astype(np.int64) + 3) % 7  # 1970-01-01 was a Thursday
    return numbers


_COLUMNS: Mapping[str, Callable[[Dates, Dates, Dates], FloatArray]] = {
    "weekday": _weekday,
    "gap": _gap,
    "month_end": _month_end,
    "payroll": _payroll,
    "after_payroll": _after_payroll,
    "year_end": _year_end,
}
