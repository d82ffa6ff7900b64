"""Which prices a forecast is of: their trading dates, and the instants at which they are set."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Literal, NamedTuple

import numpy as np

from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.ahead import ends_ahead
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


def targets(
    data_as_of: date,
    steps: int,
    calendar: TradingCalendar,
    kind_of_price: KindOfPrice,
    *,
    origin: datetime | None = None,
    frequency: Frequency = "1d",
) -> list[Target]:
    """The next `steps` targets after trading date `data_as_of`.

    Within a day they are the ends of the bars that the calendar plans after `origin` (aware), the end of the last bar;
    `data_as_of` is the date of that bar. Raises `ValueError` where bars within a day come without an origin, or of
    fixings, which have none.
    """
    if frequency == "1d":
        return [Target(day, price_set_at(day, kind_of_price)) for day in calendar.next_days(data_as_of, steps)]
    if origin is None or kind_of_price == "fixing":
        raise ValueError(f"bars of {frequency} are counted from the end of a bar; give origin, and no fixings")
    end = np.array([origin.astimezone(UTC).replace(tzinfo=None)], dtype="datetime64[us]")
    ends, days = ends_ahead(end, np.array([data_as_of], dtype="datetime64[D]"), steps, calendar, frequency)
    times: list[datetime] = ends[0].tolist()
    return [Target(day, at.replace(tzinfo=UTC)) for day, at in zip(days[0].tolist(), times, strict=True)]
