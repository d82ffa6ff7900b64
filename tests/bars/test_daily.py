"""Daily bars of fixings by hand, over changes of daylight saving, and of prices that cannot be bars."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fx_assets.bars.resample import VALUES
from fx_assets.bars.schema import BAR_SCHEMA
from fx_assets.bars.versions import bar_versions
from fx_assets.prices.batch import Form
from fx_assets.prices.schema import polars_schema
from fx_assets.timegrid.trading_dates import bar_end, bar_start
from tests.bars.prices import bars, ecb_fixings, fixings

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FIXINGS, DAYS = Form("fixing"), Form("bar", 86_400, "bid")


def daily_bars(rows: pl.DataFrame, form: Form = FIXINGS, *, now: datetime | None = None) -> pl.DataFrame:
    return bar_versions(rows, "EURUSD", "1d", form=form, calendar="target", now=now)


def whole_bars(days: list[date]) -> pl.DataFrame:
    """Daily bars as a source may give them ready-made."""
    values = {"open": 1.1, "high": 1.3, "low": 1.0, "close": 1.2, "bid": 1.19, "ask": 1.21}
    return bars(86_400, [(bar_start(day), {**values, "trading_date": day, "known_at": bar_end(day)}) for day in days])


def test_a_fixing_is_a_bar_with_a_close_only() -> None:
    found = daily_bars(fixings([1.1172], first=date(2026, 10, 30)))
    assert found.schema == polars_schema(BAR_SCHEMA)
    assert found.rows(named=True) == [
        {
            "pair": "EURUSD",
            "block": "all",
            "time": datetime(2026, 10, 29, 21, tzinfo=UTC),
            "end": datetime(2026, 10, 30, 21, tzinfo=UTC),
            "known_at": datetime(2026, 10, 30, 21, tzinfo=UTC),  # not 15:00, when the ECB publishes
            "trading_date": date(2026, 10, 30),
            "kind": "fixing",
            "side": "mid",
            **dict.fromkeys(VALUES),
            "close": 1.1172,
        }
    ]


def test_the_roll_follows_new_york_and_not_berlin() -> None:
    """Between Europe's change (25 October) and New York's (1 November) nothing moves."""
    found = daily_bars(fixings([1.1] * 12, first=date(2026, 10, 23)))
    assert found["time"].dt.hour().to_list() == [21] * 10 + [22] * 2
    assert (found["end"][:-1] == found["time"][1:]).all()


def test_a_correction_is_known_when_it_was_made() -> None:
    first = fixings([1.1, 1.2])
    corrected = fixings([1.1, 1.25]).tail(1).with_columns(known_at=pl.lit(NOW).cast(pl.Datetime("us", "UTC")))
    found = daily_bars(pl.concat([corrected, first]))
    assert found["close"].to_list() == [1.1, 1.2, 1.25]
    assert found["known_at"].to_list() == [bar_end(date(2026, 10, 1)), bar_end(date(2026, 10, 2)), NOW]
    assert found.head(2).equals(daily_bars(first))


def test_no_bar_is_invented_and_order_does_not_matter() -> None:
    rows = fixings([1.1, None, None, 1.2])
    found = daily_bars(rows.reverse())
    assert found["trading_date"].to_list() == [date(2026, 10, 1), date(2026, 10, 4)]
    assert found.equals(daily_bars(rows))


def test_a_bar_that_has_not_ended_is_left_out() -> None:
    rows = fixings([1.1, 1.2], first=date(2026, 10, 29))
    assert daily_bars(rows, now=bar_end(date(2026, 10, 30)))["close"].to_list() == [1.1, 1.2]
    early = bar_end(date(2026, 10, 30)) - timedelta(microseconds=1)
    assert daily_bars(rows, now=early)["close"].to_list() == [1.1]


def test_nothing_gives_no_bars() -> None:
    found = daily_bars(fixings([]))
    assert found.is_empty()
    assert found.schema == polars_schema(BAR_SCHEMA)


def test_ready_made_daily_bars_stay_what_they_are() -> None:
    found = daily_bars(whole_bars([date(2026, 10, 29), date(2026, 10, 30)]), DAYS)
    assert found["trading_date"].to_list() == [date(2026, 10, 29), date(2026, 10, 30)]
    assert found.select("open", "high", "low", "close", "bid", "ask").row(0) == (1.1, 1.3, 1.0, 1.2, 1.19, 1.21)
    assert found["side"].to_list() == ["bid", "bid"]
    assert (found["known_at"] == found["end"]).all()


def test_a_daily_bar_of_another_clock_goes_by_its_trading_date() -> None:
    """A source whose days begin at midnight UTC says which trading date it means."""
    day = date(2026, 10, 30)
    given = whole_bars([day]).with_columns(
        time=pl.lit(datetime(2026, 10, 30, tzinfo=UTC)).cast(pl.Datetime("us", "UTC"))
    )
    assert daily_bars(given, DAYS).select("time", "end", "trading_date").row(0) == (bar_start(day), bar_end(day), day)


def test_prices_that_cannot_be_daily_bars_are_refused() -> None:
    good = fixings([1.1, 1.2])
    with pytest.raises(ValueError, match=r"USDJPY: price of .* has pair 'EURUSD'; expected 'USDJPY'"):
        bar_versions(good, "USDJPY", "1d", form=FIXINGS, calendar="target")
    with pytest.raises(ValueError, match="has kind 'bar'; expected 'fixing'"):
        daily_bars(pl.concat([good, whole_bars([date(2026, 10, 30)])]))
    with pytest.raises(ValueError, match="has kind 'tick'; expected 'fixing'"):
        daily_bars(good.with_columns(kind=pl.lit("tick")))
    with pytest.raises(ValueError, match=r"2026-10-02 12:10:00.* has more than one price known at 2026-10-02 14:00:00"):
        daily_bars(pl.concat([good, good.tail(1)]))
    with pytest.raises(ValueError, match=r"price of 2026-10-02 12:10:00\+00:00 has more than one price; expected one"):
        daily_bars(pl.concat([good, good.tail(1).with_columns(pl.col("time") + pl.duration(hours=1))]))
    with pytest.raises(ValueError, match=r"EURUSD: columns missing: \['known_at'\]"):
        daily_bars(good.drop("known_at"))


def test_every_fixing_of_the_real_history_is_a_bar(tmp_path: Path) -> None:
    given = ecb_fixings(tmp_path)
    found = daily_bars(given)
    assert found.height > 6_000
    assert found["trading_date"].equals(given["trading_date"])
    assert found["close"].equals(given["close"])
    assert (found["known_at"] == found["end"]).all()
    # The price was fixed inside its bar.
    assert ((found["time"] < given["time"]) & (given["time"] < found["end"])).all()
