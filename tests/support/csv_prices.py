"""A price source of the tests: one CSV file a pair, beside the configs, which a test may lengthen or correct."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time, timedelta

import numpy as np
import polars as pl
import pytest

from fx_assets.prices.batch import Batch, Form, no_rejects
from fx_assets.prices.sources import base
from fx_assets.prices.sources.base import Feed, PriceSource, Request, kinds
from fx_assets.settings import Settings
from fx_assets.specs.schema import SourceSpec
from fx_assets.storage.hashing import sha256_bytes
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

            def form(self, source: SourceSpec) -> Form:
                del source
                return Form("fixing")

            def _batches(self, request: Request, feed: Feed) -> Iterator[Batch]:
                file = request.settings.configs / "prices" / f"{request.pair}.csv"
                table = pl.read_csv(file, try_parse_dates=True)
                days = table["date"].to_list()
                utc = pl.Datetime("us", "UTC")
                rows = pl.DataFrame(
                    {
                        "line": pl.Series(range(2, len(days) + 2), dtype=pl.Int64),
                        "time": pl.Series([datetime.combine(day, time(14, 10), UTC) for day in days], dtype=utc),
                        "known_at": pl.Series([datetime.combine(day, time(16), UTC) for day in days], dtype=utc),
                        "trading_date": days,
                        "close": table["close"],
                    }
                )
                feed.cursor = {"sha256": sha256_bytes(file.read_bytes())}
                yield Batch(file.name, Form("fixing"), rows, no_rejects())

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
