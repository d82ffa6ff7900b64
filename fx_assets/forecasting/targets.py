"""Which prices a forecast is of: their trading dates, and the instants at which they are set."""

from __future__ import annotations

from datetime import date, datetime
from typing import Literal, NamedTuple

from fx_assets.timegrid.calendars import TradingCalendar
from fx_assets.timegrid.trading_dates import bar_end, fixing_time

KindOfPrice = Literal["fixing", "bar"]


class Target(NamedTuple):
    """One step ahead: its trading date, and when its price is set (UTC)."""

    day: date
    time: datetime


def price_set_at(day: date, kind_of_price: KindOfPrice) -> datetime:
    """Instant at which the price of trading date `day` is set, UTC: the fixing, or the end of the bar."""
    if kind_of_price == "fixing":
        return fixing_time(day)
    if kind_of_price == "bar":
        return bar_end(day)
    raise ValueError(f"kind of price {kind_of_price!r} is unknown; expected fixing or bar")


def targets(data_as_of: date, steps: int, calendar: TradingCalendar, kind_of_price: KindOfPrice) -> list[Target]:
    """The next `steps` targets after trading date `data_as_of`."""
    return [Target(day, price_set_at(day, kind_of_price)) for day in calendar.next_days(data_as_of, steps)]
