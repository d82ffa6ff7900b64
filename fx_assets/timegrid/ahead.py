"""What the calendar says of bars to come: known at any origin, whatever the market does."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date

import numpy as np
from numpy.typing import NDArray

from fx_assets.timegrid.calendars import CalendarName, calendar

FloatArray = NDArray[np.float64]
Dates = NDArray[np.datetime64]  # datetime64[D]
_FRIDAY = 4


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
