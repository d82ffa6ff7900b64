"""Daily bars of fixings by hand, over changes of daylight saving, and of prices that cannot be bars."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fx_assets.bars.daily import daily_bars
from fx_assets.bars.schema import BAR_SCHEMA
from fx_assets.prices.history import current_view, merge, view_at
from fx_assets.prices.schema import RAW_SCHEMA, polars_schema
from fx_assets.prices.sources.base import source
from fx_assets.settings import Settings
from fx_assets.timegrid.trading_dates import bar_end, bar_start
from tests.prices.conftest import pair
from tests.prices.test_history import NOW, fixings


def whole_bars(days: list[date]) -> pl.DataFrame:
    """Daily bars as a source may give them ready-made."""
    rows = [
        {
            "pair": "EURUSD",
            "time": bar_start(day),
            "known_at": bar_end(day),
            "trading_date": day,
            "kind": "bar",
            **{"open": 1.1, "high": 1.3, "low": 1.0, "close": 1.2, "bid": 1.19, "ask": 1.21},
            "source": "x",
        }
        for day in days
    ]
    return pl.DataFrame(rows, schema=polars_schema(RAW_SCHEMA))


def test_a_fixing_is_a_bar_with_a_close_only() -> None:
    bars = daily_bars(fixings([1.1172], first=date(2026, 10, 30)), "EURUSD")
    assert bars.schema == polars_schema(BAR_SCHEMA)
    assert bars.rows(named=True) == [
        {
            "pair": "EURUSD",
            "time": datetime(2026, 10, 29, 21, tzinfo=UTC),
            "end": datetime(2026, 10, 30, 21, tzinfo=UTC),
            "known_at": datetime(2026, 10, 30, 21, tzinfo=UTC),  # not 15:00, when the ECB publishes
            "trading_date": date(2026, 10, 30),
            "kind": "fixing",
            "close": 1.1172,
            **dict.fromkeys(("open", "high", "low", "bid", "ask")),
        }
    ]


def test_the_roll_follows_new_york_and_not_berlin() -> None:
    """Between Europe's change (25 October) and New York's (1 November) nothing moves."""
    bars = daily_bars(fixings([1.1] * 12, first=date(2026, 10, 23)), "EURUSD")
    assert bars["time"].dt.hour().to_list() == [21] * 10 + [22] * 2
    assert (bars["end"][:-1] == bars["time"][1:]).all()


def test_a_correction_is_known_when_it_was_made() -> None:
    raw = merge(fixings([1.1, 1.2]), fixings([1.1, 1.25]), now=NOW).rows
    before = daily_bars(view_at(raw, NOW - timedelta(seconds=1)), "EURUSD")
    after = daily_bars(current_view(raw), "EURUSD")
    assert before["close"].to_list() == [1.1, 1.2]
    assert (before["known_at"] == before["end"]).all()
    assert after["close"].to_list() == [1.1, 1.25]
    assert after["known_at"].to_list() == [bar_end(date(2026, 10, 1)), NOW]


def test_no_bar_is_invented_and_order_does_not_matter() -> None:
    view = fixings([1.1, None, None, 1.2])
    bars = daily_bars(view.reverse(), "EURUSD")
    assert bars["trading_date"].to_list() == [date(2026, 10, 1), date(2026, 10, 4)]
    assert bars.equals(daily_bars(view, "EURUSD"))


def test_a_bar_that_has_not_ended_is_left_out() -> None:
    view = fixings([1.1, 1.2], first=date(2026, 10, 29))
    assert daily_bars(view, "EURUSD", now=bar_end(date(2026, 10, 30)))["close"].to_list() == [1.1, 1.2]
    early = bar_end(date(2026, 10, 30)) - timedelta(microseconds=1)
    assert daily_bars(view, "EURUSD", now=early)["close"].to_list() == [1.1]


def test_nothing_gives_no_bars() -> None:
    bars = daily_bars(fixings([]), "EURUSD")
    assert bars.is_empty()
    assert bars.schema == polars_schema(BAR_SCHEMA)


def test_ready_made_daily_bars_stay_what_they_are() -> None:
    bars = daily_bars(whole_bars([date(2026, 10, 29), date(2026, 10, 30)]), "EURUSD")
    assert bars["trading_date"].to_list() == [date(2026, 10, 29), date(2026, 10, 30)]
    assert bars.select("open", "high", "low", "close", "bid", "ask").row(0) == (1.1, 1.3, 1.0, 1.2, 1.19, 1.21)


def test_prices_that_cannot_be_daily_bars_are_refused() -> None:
    good = fixings([1.1, 1.2])
    hourly = whole_bars([date(2026, 10, 30)]).with_columns(pl.col("time") + pl.duration(hours=1))
    with pytest.raises(ValueError, match=r"bar at 2026-10-29 22:00:00\+00:00 is finer than a day; .* step 2"):
        daily_bars(hourly, "EURUSD")
    with pytest.raises(ValueError, match=r"USDJPY: got prices of \['EURUSD'\]"):
        daily_bars(good, "USDJPY")
    with pytest.raises(ValueError, match=r"kinds \['bar', 'fixing'\]"):
        daily_bars(pl.concat([good, whole_bars([date(2026, 10, 30)])]), "EURUSD")
    with pytest.raises(ValueError, match=r"kinds \['tick'\]"):
        daily_bars(good.with_columns(kind=pl.lit("tick")), "EURUSD")
    with pytest.raises(ValueError, match="2026-10-02 has more than one price"):
        daily_bars(pl.concat([good, good.tail(1)]), "EURUSD")
    with pytest.raises(ValueError, match=r"columns missing: \['known_at'\]"):
        daily_bars(good.drop("known_at"), "EURUSD")


def test_every_fixing_of_the_real_history_is_a_bar(tmp_path: Path) -> None:
    fetched = source("ecb").fetch(pair(), settings=Settings(home=tmp_path, live=False), log=lambda _: None)
    bars = daily_bars(current_view(fetched.rows), "EURUSD")
    assert bars["trading_date"].equals(fetched.rows["trading_date"])
    assert bars["close"].equals(fetched.rows["close"])
    assert (bars["known_at"] == bars["end"]).all()
    # The price was fixed inside its bar.
    assert ((bars["time"] < fetched.rows["time"]) & (fetched.rows["time"] < bars["end"])).all()
