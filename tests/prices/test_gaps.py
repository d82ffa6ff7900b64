"""Gaps count open market time, so that a weekend is none."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl

from fx_assets.prices.batch import Form
from fx_assets.prices.gaps import Gap, find_gaps

FRIDAY_NOON = datetime(2024, 1, 12, 12, tzinfo=UTC)  # 07:00 New York; the week ends at 22:00 UTC
MINUTES = Form("bar", 60, "bid")


def times(*given: datetime) -> pl.Series:
    return pl.Series("time", given, dtype=pl.Datetime("us", "UTC"))


def every(step: timedelta, first: datetime, n: int) -> list[datetime]:
    return [first + i * step for i in range(n)]


def test_a_weekend_is_no_gap() -> None:
    last = datetime(2024, 1, 12, 21, 59, tzinfo=UTC)
    assert find_gaps(times(last, datetime(2024, 1, 14, 22, 0, tzinfo=UTC)), MINUTES, "fx") == []


def test_the_same_weekend_is_a_gap_of_a_market_that_never_closes() -> None:
    last, back = datetime(2024, 1, 12, 21, 59, tzinfo=UTC), datetime(2024, 1, 14, 22, 0, tzinfo=UTC)
    assert find_gaps(times(last, back), MINUTES, "24x7") == [Gap(last, back, 48 * 3600.0)]


def test_open_time_beyond_an_hour_is_a_gap_of_minutes_and_of_ticks() -> None:
    held = every(timedelta(minutes=1), FRIDAY_NOON, 5)
    late = held[-1] + timedelta(minutes=61)
    assert find_gaps(times(*held, late), MINUTES, "fx") == []  # exactly an hour is missing
    later = held[-1] + timedelta(minutes=62)
    assert find_gaps(times(*held, later), MINUTES, "fx") == [Gap(held[-1], later, 61 * 60.0)]
    assert find_gaps(times(*held, later), Form("tick"), "fx") == [Gap(held[-1], later, 62 * 60.0)]


def test_three_missing_hours_are_borne_and_four_are_not() -> None:
    form = Form("bar", 3600)
    assert find_gaps(times(FRIDAY_NOON, FRIDAY_NOON + timedelta(hours=4)), form, "fx") == []
    found = find_gaps(times(FRIDAY_NOON, FRIDAY_NOON + timedelta(hours=5)), form, "fx")
    assert [gap.open_seconds for gap in found] == [4 * 3600.0]


def test_a_missing_date_is_a_gap_of_fixings_and_a_holiday_is_not() -> None:
    # 2024-03-28 is a Thursday; Good Friday and Easter Monday are closed in TARGET, Tuesday and Wednesday are open.
    thursday = datetime(2024, 3, 28, 13, 10, tzinfo=UTC)
    tuesday, wednesday = datetime(2024, 4, 2, 12, 10, tzinfo=UTC), datetime(2024, 4, 3, 12, 10, tzinfo=UTC)
    assert find_gaps(times(thursday, tuesday), Form("fixing"), "target") == []
    assert len(find_gaps(times(thursday, wednesday), Form("fixing"), "target")) == 1


def test_few_rows_have_no_gap() -> None:
    assert find_gaps(times(), MINUTES, "fx") == []
    assert find_gaps(times(FRIDAY_NOON), MINUTES, "fx") == []
