"""Each check of bars on bars that break it, and on real ones that do not."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fx_assets.bars.daily import daily_bars
from fx_assets.bars.quality import CHECKS, check_bars, longest_gap
from fx_assets.prices.history import current_view
from fx_assets.prices.sources.base import source
from fx_assets.settings import Settings
from fx_assets.storage.records import CheckOutcome
from tests.prices.conftest import pair
from tests.prices.test_history import fixings

GOOD = daily_bars(fixings([1.1, 1.2, 1.3], first=date(2026, 10, 28)), "EURUSD")


def outcomes(bars: pl.DataFrame, **spec: Any) -> dict[str, CheckOutcome]:
    found = check_bars(bars, pair(**spec))
    assert {outcome.name: outcome.blocking for outcome in found} == CHECKS
    assert [outcome.name for outcome in found] == list(CHECKS)
    return {outcome.name: outcome for outcome in found}


def failed(bars: pl.DataFrame, **spec: Any) -> list[str]:
    return [name for name, outcome in outcomes(bars, **spec).items() if not outcome.passed]


@pytest.mark.parametrize("name", ["EURUSD", "USDJPY"])
def test_the_real_history_passes_all_and_has_no_gap(tmp_path: Path, name: str) -> None:
    fetched = source("ecb").fetch(pair(name), settings=Settings(home=tmp_path, live=False), log=lambda _: None)
    found = check_bars(daily_bars(current_view(fetched.rows), name), pair(name))
    assert [outcome.name for outcome in found if not outcome.passed] == []
    assert found[-1].metadata["longest_gap"] == 0


def test_good_bars_pass() -> None:
    assert failed(GOOD) == []


def test_no_bars() -> None:
    assert failed(GOOD.clear()) == ["not_empty"]


def test_bars_out_of_order() -> None:
    found = outcomes(GOOD.reverse())
    assert [name for name, outcome in found.items() if not outcome.passed] == ["increasing_times"]
    assert found["increasing_times"].metadata["bad"] == 2


def test_bars_that_stand_twice() -> None:
    assert failed(pl.concat([GOOD, GOOD.tail(1)])) == ["unique_times"]


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
    easter = daily_bars(fixings([1.1, None, None, None, None, 1.2], first=date(2026, 4, 2)), "EURUSD")
    assert outcomes(easter, gap_limit=1)["gap_within_limit"].metadata["longest_gap"] == 0
    market = outcomes(easter, gap_limit=1, calendar="fx")["gap_within_limit"]
    assert not market.passed
    assert market.metadata == {"longest_gap": 2, "limit": 1, "before": "2026-04-02", "after": "2026-04-07"}
    assert market.description == "longest gap: 2 open dates between 2026-04-02 and 2026-04-07"
    assert failed(easter, gap_limit=2, calendar="fx") == []


def test_a_long_gap_only_warns() -> None:
    gap = daily_bars(fixings([1.1, *[None] * 13, 1.2], first=date(2026, 10, 1)), "EURUSD")
    outcome = outcomes(gap)["gap_within_limit"]
    assert (outcome.passed, outcome.blocking, outcome.metadata["longest_gap"]) == (False, False, 9)


def test_the_longest_of_several_gaps_is_named() -> None:
    days = [date(2026, 10, day) for day in (1, 2, 6, 7, 12, 13, 15)]
    assert longest_gap(days, pair()) == (2, date(2026, 10, 7), date(2026, 10, 12))
    # A later gap that is wider on the wall and shorter in open dates, for its weekend, does not take its place.
    wider = [date(2026, 10, day) for day in (1, 7, 8, 13)]
    assert longest_gap(wider, pair()) == (3, date(2026, 10, 1), date(2026, 10, 7))
    assert longest_gap(days[:2], pair()) == (0, None, None)
    assert longest_gap([], pair()) == (0, None, None)
