"""When a forecast stops being fresh: one pure function, used when it is issued and when it is served."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.targets import targets
from fx_assets.specs.schema import Frequency, PairSpec
from fx_assets.timegrid.calendars import TradingCalendar, calendar
from fx_assets.timegrid.trading_dates import missed_dates


@dataclass(frozen=True)
class Freshness:
    """`missed` counts the open trading dates that have ended since the last price."""

    missed: int
    stale: bool
    valid_until: datetime


def freshness(
    data_as_of: date,
    days: TradingCalendar,
    limit: int,
    now: datetime,
    *,
    origin: datetime | None = None,
    frequency: Frequency = "1d",
) -> Freshness:
    """Freshness at `now` (aware) of data whose newest trading date is `data_as_of`.

    Stale when more than `limit` open trading dates have ended without a price, whatever the bars' length. Valid until
    the next bar ends, since then there is a newer price to forecast from: that of the next open trading date, and of
    shorter bars the next one planned after `origin` (aware), the end of the last.
    """
    missed = missed_dates(days, data_as_of, now)
    (following,) = targets(data_as_of, 1, days, "bar", origin=origin, frequency=frequency)
    return Freshness(missed=missed, stale=missed > limit, valid_until=following.time)


def freshness_of(document: ForecastDocument, days: TradingCalendar, limit: int, now: datetime) -> Freshness:
    """Freshness at `now` (aware) of the data that `document` was made from."""
    return freshness(document.data_as_of, days, limit, now, origin=document.origin, frequency=document.frequency)


def as_served(document: ForecastDocument, days: TradingCalendar, limit: int, now: datetime) -> ForecastDocument:
    """`document` with `stale` and `valid_until` as they are at `now`; nothing else changes."""
    current = freshness_of(document, days, limit, now)
    return document.model_copy(update={"stale": current.stale, "valid_until": current.valid_until})


@dataclass(frozen=True)
class Behind:
    """Pairs without a forecast, and pairs whose forecast is from stale prices: open dates missed, by pair."""

    missing: tuple[str, ...]
    stale: Mapping[str, int]


def behind(served: Mapping[str, ForecastDocument | None], pairs: Mapping[str, PairSpec], now: datetime) -> Behind:
    """Which of `pairs` are missing or stale at `now`, by the document `served` for each by default.

    The one rule for the Dagster check and for `/readyz`.
    """
    missing, stale = [], {}
    for name, spec in pairs.items():
        document = served.get(name)
        if document is None:
            missing.append(name)
            continue
        found = freshness_of(document, calendar(spec.calendar), spec.freshness, now)
        if found.stale:
            stale[name] = found.missed
    return Behind(tuple(missing), stale)
