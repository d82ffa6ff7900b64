"""A price source of the tests: one CSV file a pair, beside the configs, which a test may lengthen or correct."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import polars as pl
import pytest

from fx_assets.prices.schema import RAW_SCHEMA, REJECTS_SCHEMA, polars_schema
from fx_assets.prices.sources import base
from fx_assets.prices.sources.base import Fetched, PriceSource, kinds
from fx_assets.settings import Settings
from fx_assets.specs.schema import PairSpec
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import expected_last_date

KIND = "test_csv"
YEARS = timedelta(days=5 * 365)


@contextmanager
def csv_source() -> Iterator[None]:
    """The source is registered while this lasts."""
    kinds()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(base, "_REGISTRY", dict(base._REGISTRY))

        class CsvSource(PriceSource):
            """Fixings at 14:10 UTC, known at 16:00."""

            kind = KIND
            calendar = "target"
            kind_of_price = "fixing"

            def _fetch(
                self, pair: PairSpec, *, settings: Settings, log: Callable[[str], None], now: datetime
            ) -> Fetched:
                del log, now
                table = pl.read_csv(settings.configs / "prices" / f"{pair.pair}.csv", try_parse_dates=True)
                days = table["date"].to_list()
                schema = polars_schema(RAW_SCHEMA)
                columns = {
                    "pair": [pair.pair] * len(days),
                    "time": [datetime.combine(day, time(14, 10), UTC) for day in days],
                    "known_at": [datetime.combine(day, time(16), UTC) for day in days],
                    "trading_date": days,
                    "kind": ["fixing"] * len(days),
                    "close": table["close"],
                    "source": [KIND] * len(days),
                }
                rows = pl.DataFrame({name: columns.get(name, [None] * len(days)) for name in schema}, schema=schema)
                return Fetched(rows, pl.DataFrame(schema=polars_schema(REJECTS_SCHEMA)))

        yield


def trading_days(now: datetime) -> list[date]:
    """Five years of the calendar's open dates whose bars have ended by `now`."""
    days = calendar("target")
    last = expected_last_date(days, now)
    return days.days(last - YEARS, last)


def write_prices(settings: Settings, pair: str, days: list[date]) -> None:
    """The pair's file: a random walk that is the same for the same first day, however many follow."""
    steps = np.random.default_rng(sum(map(ord, pair))).normal(0, 0.005, len(days))
    closes = 1.1 * np.exp(np.cumsum(steps))
    folder = settings.configs / "prices"
    folder.mkdir(exist_ok=True)
    pl.DataFrame({"date": days, "close": closes}).write_csv(folder / f"{pair}.csv")
