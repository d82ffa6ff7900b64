"""Each check of bars on bars that break it, and on real ones that do not."""

from __future__ import annotations

import math
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fx_assets.bars.quality import CHECKS, check_bars, longest_gap
from fx_assets.bars.versions import bar_versions
from fx_assets.prices.batch import Form
from fx_assets.specs.schema import Frequency
from fx_assets.storage.records import CheckOutcome
from fx_assets.timegrid.trading_dates import bar_end, bar_start
from tests.bars.prices import bars as raw_bars
from tests.bars.prices import ecb_fixings, fixings
from tests.prices.conftest import pair

HOUR = timedelta(hours=1)


def daily_bars(rows: pl.DataFrame, name: str = "EURUSD") -> pl.DataFrame:
    return bar_versions(rows, name, "1d", form=Form("fixing"), calendar="target")


def hours_of(day: date) -> list[datetime]:
    return [time for i in range(25) if (time := bar_start(day) + i * HOUR) < bar_end(day)]


def hourly(days: list[date], frequency: Frequency = "1h") -> pl.DataFrame:
    """Bars of a market that trades around the clock on these trading dates."""
    prices = {"open": 1.1, "high": 1.3, "low": 1.0, "close": 1.2}
    rows = raw_bars(3_600, [(time, prices) for day in days for time in hours_of(day)])
    return bar_versions(rows, "EURUSD", frequency, form=Form("bar", 3_600), calendar="fx")


GOOD = daily_bars(fixings([1.1, 1.2, 1.3], first=date(2026, 10, 28)))
HOURS = hourly([date(2026, 3, 5), date(2026, 3, 6), date(2026, 3, 9)])  # over a change of the clocks


def outcomes(bars: pl.DataFrame, **spec: Any) -> dict[str, CheckOutcome]:
    found = check_bars(bars, pair(**spec))
    assert {outcome.name: outcome.blocking for outcome in found} == CHECKS
    assert [outcome.name for outcome in found] == list(CHECKS)
    return {outcome.name: outcome for outcome in found}


def failed(bars: pl.DataFrame, **spec: Any) -> list[str]:
    return [name for name, outcome in outcomes(bars, **spec).items() if not outcome.passed]


@pytest.mark.parametrize("name", ["EURUSD", "USDJPY"])
def test_the_real_history_passes_all_and_has_no_gap(tmp_path: Path, name: str) -> None:
    found = check_bars(daily_bars(ecb_fixings(tmp_path, name), name), pair(name))
    assert [outcome.name for outcome in found if not outcome.passed] == []
    assert found[-1].metadata["longest_gap"] == 0


def test_good_bars_pass() -> None:
    assert failed(GOOD) == []
    assert failed(HOURS, calendar="fx") == []
    assert failed(hourly([date(2026, 3, 2), date(2026, 3, 9)], "1w"), calendar="fx", gap_limit=1) == []


def test_no_bars() -> None:
    assert failed(GOOD.clear()) == ["not_empty"]


def test_bars_out_of_order() -> None:
    found = outcomes(GOOD.reverse())
    assert [name for name, outcome in found.items() if not outcome.passed] == ["increasing_times"]
    assert found["increasing_times"].metadata["bad"] == 2


def test_bars_that_stand_twice() -> None:
    found = outcomes(pl.concat([GOOD, GOOD.tail(1)]))
    assert [name for name, outcome in found.items() if not outcome.passed] == ["unique_times"]
    assert found["unique_times"].metadata["bad"] == 2


def test_versions_of_a_bar_are_no_doubles() -> None:
    later = GOOD.tail(1).with_columns(pl.col("known_at") + pl.duration(days=1), close=pl.lit(1.4))
    taken_back = later.with_columns(pl.col("known_at") + pl.duration(days=1), close=pl.lit(None, pl.Float64))
    assert failed(pl.concat([GOOD, later, taken_back])) == []
    assert failed(pl.concat([GOOD, taken_back, later])) == ["increasing_times"]
    # What was wrong and is corrected no longer blocks; what is wrong now does.
    wrong = later.with_columns(close=pl.lit(math.inf))
    assert failed(pl.concat([GOOD, wrong, taken_back])) == []
    assert failed(pl.concat([GOOD, wrong])) == ["finite_closes"]


def test_ranges_that_contradict_each_other() -> None:
    for change in ({"low": 1.15}, {"high": 1.15}, {"open": 1.4}, {"close": 0.9}):
        (name, value), row = *change.items(), HOURS["time"][7]
        torn = HOURS.with_columns(pl.when(pl.col("time") == row).then(value).otherwise(pl.col(name)).alias(name))
        assert outcomes(torn)["ohlc_consistent"].metadata["bad"] == 1, change
    no_ends = HOURS.with_columns(low=pl.lit(2.0), open=pl.lit(None, pl.Float64), close=pl.lit(2.0))
    assert "ohlc_consistent" in failed(no_ends)
    no_range = HOURS.with_columns(low=pl.lit(None, pl.Float64), high=pl.lit(None, pl.Float64))
    assert failed(no_range, calendar="fx") == []


def test_bars_of_the_weekend_warn_except_where_the_market_never_closes() -> None:
    days = [date(2026, 3, day) for day in (6, 7, 8, 9)]
    weekend = outcomes(hourly(days), calendar="fx")["no_invented_bars"]
    assert (weekend.passed, weekend.blocking, weekend.metadata["bad"]) == (False, False, 24 + 23)
    assert weekend.metadata["first"] == "2026-03-06 22:00:00+00:00"
    assert failed(hourly(days), calendar="24x7") == []
    assert failed(hourly(days, "1w"), calendar="fx") == []


def test_bars_that_end_before_they_start() -> None:
    assert failed(GOOD.with_columns(end=pl.col("time"))) == ["start_before_end"]
    assert failed(GOOD.with_columns(end=pl.lit(None, pl.Datetime("us", "UTC")))) == [
        "start_before_end",
        "known_from_its_end",
    ]


def test_bars_known_before_they_end() -> None:
    early = GOOD.with_columns(known_at=pl.col("end") - pl.duration(microseconds=1))
    found = outcomes(early)
    assert not found["known_from_its_end"].passed
    assert found["known_from_its_end"].description.startswith("3 bars are known before they end, first 2026-10-27")
    assert failed(early) == ["known_from_its_end"]


@pytest.mark.parametrize("close", [None, math.nan, math.inf, 0.0, -1.0])
def test_closes_that_are_no_prices(close: float | None) -> None:
    bars = GOOD.with_columns(close=pl.Series([1.1, close, 1.3], dtype=pl.Float64))
    assert failed(bars) == ["finite_closes"]
    assert outcomes(bars)["finite_closes"].metadata["bad"] == 1


def test_weekends_and_holidays_are_no_gap() -> None:
    """From Thursday before Easter to Tuesday after it the ECB's calendar misses nothing, the market two days."""
    easter = daily_bars(fixings([1.1, None, None, None, None, 1.2], first=date(2026, 4, 2)))
    assert outcomes(easter, gap_limit=1)["gap_within_limit"].metadata["longest_gap"] == 0
    market = outcomes(easter, gap_limit=1, calendar="fx")["gap_within_limit"]
    assert not market.passed
    assert market.metadata == {"longest_gap": 2, "limit": 1, "before": "2026-04-02", "after": "2026-04-07"}
    assert market.description == "longest gap: 2 open dates between 2026-04-02 and 2026-04-07"
    assert failed(easter, gap_limit=2, calendar="fx") == []


def test_a_long_gap_only_warns() -> None:
    gap = daily_bars(fixings([1.1, *[None] * 13, 1.2], first=date(2026, 10, 1)))
    outcome = outcomes(gap)["gap_within_limit"]
    assert (outcome.passed, outcome.blocking, outcome.metadata["longest_gap"]) == (False, False, 9)


def test_a_bar_that_was_taken_back_leaves_a_gap() -> None:
    days = daily_bars(fixings([1.1, 1.2, 1.3], first=date(2026, 10, 27)))
    taken_back = days[1].with_columns(pl.col("known_at") + pl.duration(days=9), close=pl.lit(None, pl.Float64))
    found = outcomes(pl.concat([days, taken_back]).sort("time", "known_at"))["gap_within_limit"]
    assert (found.metadata["longest_gap"], found.metadata["before"]) == (1, "2026-10-27")


def test_weeks_follow_each_other_without_a_gap() -> None:
    weeks = hourly([date(2026, 3, 4), date(2026, 3, 12), date(2026, 3, 31)], "1w")
    found = outcomes(weeks, calendar="fx")["gap_within_limit"]
    assert found.metadata == {"longest_gap": 10, "limit": 5, "before": "2026-03-13", "after": "2026-04-03"}


def test_what_lies_between_blocks_that_were_not_made_anew_is_no_gap() -> None:
    first, near, far = date(2025, 12, 31), date(2026, 1, 12), date(2026, 7, 15)
    minutes = pl.concat(
        [
            hourly([day]).with_columns(block=pl.lit(name))
            for day, name in ((first, "2025q4"), (near, "2026q1"), (far, "2026q3"))
        ]
    )
    found = outcomes(minutes, calendar="fx")["gap_within_limit"]
    assert found.metadata == {"longest_gap": 6, "limit": 5, "before": "2025-12-31", "after": "2026-01-12"}


def test_the_longest_of_several_gaps_is_named() -> None:
    days = [date(2026, 10, day) for day in (1, 2, 6, 7, 12, 13, 15)]
    assert longest_gap(days, pair()) == (2, date(2026, 10, 7), date(2026, 10, 12))
    # A later gap that is wider on the wall and shorter in open dates, for its weekend, does not take its place.
    wider = [date(2026, 10, day) for day in (1, 7, 8, 13)]
    assert longest_gap(wider, pair()) == (3, date(2026, 10, 1), date(2026, 10, 7))
    assert longest_gap(days[:2], pair()) == (0, None, None)
    assert longest_gap([], pair()) == (0, None, None)
