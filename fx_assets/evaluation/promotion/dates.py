"""The declared dates on which a champion may be replaced on the evidence since the last decision."""

from __future__ import annotations

from datetime import date, timedelta

from fx_assets.timegrid.calendars import TradingCalendar

# The first open trading date on or after this day of these months. Declared, so that nobody chooses a date by its luck.
DECISION_MONTHS = (3, 6, 9, 12)
DECISION_DAY = 15


def decision_date(year: int, month: int, calendar: TradingCalendar) -> date:
    """The decision date of a quarter. Raises `ValueError` for a month that has none."""
    if month not in DECISION_MONTHS:
        raise ValueError(f"month {month} has no decision date; those of {DECISION_MONTHS} have")
    return calendar.next_days(date(year, month, DECISION_DAY) - timedelta(days=1), 1)[0]


def newest_decision_date(today: date, calendar: TradingCalendar) -> date:
    """The newest decision date on or before `today`, a trading date."""
    dates = [decision_date(year, month, calendar) for year in (today.year - 1, today.year) for month in DECISION_MONTHS]
    return max(day for day in dates if day <= today)
