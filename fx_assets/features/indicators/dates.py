"""The date: the week, the end of month, quarter and year, the US payroll report, and gaps of the calendar.

All of it is known in advance, from the bar's trading date and the rules of its calendar; no later bar is looked at.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import numpy as np

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import Periodic, Switch
from fx_assets.features.indicators.sessions import weekday
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end

_FRIDAY = 4


def day_of_week(frame: Frame) -> list[FloatArray]:
    """Weekday of the trading date, Monday 0."""
    return [weekday(frame.trading_date).astype(np.float64)]


def day_of_month(frame: Frame) -> list[FloatArray]:
    """Day of the month, and open trading dates left in the month after this one, 0 on the last."""
    month = frame.trading_date.astype("datetime64[M]")
    day = (frame.trading_date - month.astype("datetime64[D]")).astype(np.float64) + 1
    return [day, _left(frame, 1)]


def month_end(frame: Frame, days: int) -> FloatArray:
    """1 on the last `days` open trading dates of the month, else 0."""
    return (_left(frame, 1) < days).astype(np.float64)


def quarter_end(frame: Frame, days: int) -> FloatArray:
    """1 on the last `days` open trading dates of the quarter, else 0."""
    return (_left(frame, 3) < days).astype(np.float64)


def year_end(frame: Frame, days: int) -> FloatArray:
    """1 on the last `days` open trading dates of the year, else 0."""
    return (_left(frame, 12) < days).astype(np.float64)


def payrolls(frame: Frame) -> list[FloatArray]:
    """1 where the trading date, or the open one after it, is a first Friday of a month, else 0.

    The US employment report comes on most first Fridays (www.bls.gov, release schedule); where that is New Year's Day,
    on the Friday after. Its few other dates follow no rule that is known years ahead.
    """
    market = calendar(frame.calendar)
    today = _of_dates(frame, lambda day: float(_is_payroll(day)))
    return [today, _of_dates(frame, lambda day: float(_is_payroll(market.next_days(day, 1)[0])))]


def gap_ahead(frame: Frame) -> list[FloatArray]:
    """Closed dates between this bar and the next: those after the trading date where the bar is the date's last."""
    market = calendar(frame.calendar)
    closed = _of_dates(frame, lambda day: float((market.next_days(day, 1)[0] - day).days - 1))
    days, place = np.unique(frame.trading_date, return_inverse=True)
    ends = np.array([bar_end(day).replace(tzinfo=None) for day in days.tolist()], dtype="datetime64[us]")
    return [np.where(frame.end >= ends[place], closed, 0.0)]


def _is_payroll(day: date) -> bool:
    if day.month == 1 and day.day <= 8:
        return day.weekday() == _FRIDAY and day.day > 1
    return day.weekday() == _FRIDAY and day.day <= 7


def _left(frame: Frame, months: int) -> FloatArray:
    """(n,): open trading dates after each one until the end of its stretch of so many months."""
    if not len(frame):
        return np.zeros(0)
    month = frame.trading_date.astype("datetime64[M]")
    first = month - month.astype(np.int64) % months
    last = (first + months).astype("datetime64[D]") - 1
    days = calendar(frame.calendar).days(frame.trading_date[0].item(), last[-1].item())
    opened = np.array(days, dtype="datetime64[D]")
    left = np.searchsorted(opened, last, side="right") - np.searchsorted(opened, frame.trading_date, side="right")
    return left.astype(np.float64)


def _of_dates(frame: Frame, rule: Callable[[date], float]) -> FloatArray:
    days, place = np.unique(frame.trading_date, return_inverse=True)
    return np.array([rule(day) for day in days.tolist()], dtype=np.float64)[place]


DECLARED = (
    Switch("day_of_week", {"day_of_week": "weekday, Monday 0"}, day_of_week, needs=(), dated=True),
    Switch(
        "day_of_month",
        {"day_of_month": "day of the month", "days_to_month_end": "open trading dates left in the month"},
        day_of_month,
        needs=(),
        dated=True,
    ),
    Periodic("month_end", "1 on the last {} trading dates of a month", month_end, lambda _: 0, needs=(), dated=True),
    Periodic(
        "quarter_end", "1 on the last {} trading dates of a quarter", quarter_end, lambda _: 0, needs=(), dated=True
    ),
    Periodic("year_end", "1 on the last {} trading dates of a year", year_end, lambda _: 0, needs=(), dated=True),
    Switch(
        "payrolls",
        {"payrolls": "1 on a US payroll date", "payrolls_next": "1 on the trading date before one"},
        payrolls,
        needs=(),
        dated=True,
    ),
    Switch("gap_ahead", {"gap_days_ahead": "closed dates before the next bar"}, gap_ahead, needs=(), dated=True),
)
