"""Trading dates and the bars they name. Every trading date begins and ends at 17:00 in New York.

Wall-clock arithmetic, never a fixed number of hours: the trading date over a change of daylight saving has 23 or 25.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from fx_assets.timegrid.calendars import TradingCalendar

NEW_YORK = ZoneInfo("America/New_York")
FRANKFURT = ZoneInfo("Europe/Berlin")
ROLL = time(17)
_FIXING = time(14, 10)
_TO_MIDNIGHT = timedelta(hours=7)
_DAY = timedelta(days=1)


def bar_start(trading_date: date) -> datetime:
    """When the daily bar of `trading_date` begins: 17:00 New York of the day before, as UTC."""
    return bar_end(trading_date - _DAY)


def bar_end(trading_date: date) -> datetime:
    """When the daily bar of `trading_date` ends: 17:00 New York of that date, as UTC."""
    return datetime.combine(trading_date, ROLL, NEW_YORK).astimezone(UTC)


def bar_starts(dates: Sequence[date]) -> list[datetime]:
    """`bar_start` of each of `dates`, in their order."""
    return [bar_start(day) for day in dates]


def bar_ends(dates: Sequence[date]) -> list[datetime]:
    """`bar_end` of each of `dates`, in their order."""
    return [bar_end(day) for day in dates]


def fixing_time(trading_date: date) -> datetime:
    """What a reference rate describes: the market at 14:10 in Frankfurt, as UTC (14:15 until 2016-06).

    Source: www.ecb.europa.eu, "Euro foreign exchange reference rates".
    """
    return datetime.combine(trading_date, _FIXING, FRANKFURT).astimezone(UTC)


def trading_date_of(t: datetime) -> date:
    """The trading date that `t` belongs to; 17:00 New York itself belongs to the next one.

    Raises `ValueError` for a time without a zone.
    """
    if t.tzinfo is None:
        raise ValueError(f"time {t.isoformat()} has no time zone; give it in UTC")
    # Only the wall clock counts, so the zone is taken off before adding the seven hours.
    return (t.astimezone(NEW_YORK).replace(tzinfo=None) + _TO_MIDNIGHT).date()


def expected_last_date(calendar: TradingCalendar, now: datetime) -> date:
    """The newest open trading date of `calendar` whose bar has ended at `now` (aware)."""
    day = trading_date_of(now) - _DAY
    while not calendar.is_open(day):
        day -= _DAY
    return day


def missed_dates(calendar: TradingCalendar, last: date, now: datetime) -> int:
    """How many open trading dates after `last` have ended at `now` (aware): 0 is fresh."""
    return len(calendar.days(last + _DAY, trading_date_of(now) - _DAY))
