"""Trading dates against the known changes of daylight saving in New York and in Europe."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import (
    bar_end,
    bar_ends,
    bar_start,
    bar_starts,
    expected_last_date,
    missed_dates,
    trading_date_of,
)

TARGET = calendar("target")
DATES = st.dates(date(1999, 2, 1), date(2060, 1, 1))


@pytest.mark.parametrize(
    ("day", "end"),
    [
        # US summer time 2026: 8 March to 1 November. Europe: 29 March to 25 October.
        (date(2026, 3, 6), datetime(2026, 3, 6, 22, tzinfo=UTC)),
        (date(2026, 3, 9), datetime(2026, 3, 9, 21, tzinfo=UTC)),
        (date(2026, 3, 27), datetime(2026, 3, 27, 21, tzinfo=UTC)),  # Europe changes later: nothing moves
        (date(2026, 3, 30), datetime(2026, 3, 30, 21, tzinfo=UTC)),
        (date(2026, 10, 23), datetime(2026, 10, 23, 21, tzinfo=UTC)),
        (date(2026, 10, 26), datetime(2026, 10, 26, 21, tzinfo=UTC)),  # Europe changed first
        (date(2026, 10, 30), datetime(2026, 10, 30, 21, tzinfo=UTC)),
        (date(2026, 11, 2), datetime(2026, 11, 2, 22, tzinfo=UTC)),
        # Before 2007 the US changed in April and October.
        (date(2006, 3, 15), datetime(2006, 3, 15, 22, tzinfo=UTC)),
        (date(2006, 4, 3), datetime(2006, 4, 3, 21, tzinfo=UTC)),
    ],
)
def test_bars_end_at_five_in_new_york(day: date, end: datetime) -> None:
    assert bar_end(day) == end
    assert bar_end(day).tzinfo is UTC


def test_the_days_of_the_change_have_23_and_25_hours() -> None:
    def length(day: date) -> timedelta:
        return bar_end(day) - bar_start(day)

    assert length(date(2026, 3, 8)) == timedelta(hours=23)
    assert length(date(2026, 11, 1)) == timedelta(hours=25)
    assert length(date(2026, 10, 25)) == timedelta(hours=24)  # Europe's change is none of New York's


def test_monday_starts_on_sunday() -> None:
    assert bar_start(date(2026, 11, 2)) == datetime(2026, 11, 1, 22, tzinfo=UTC)
    assert bar_start(date(2026, 10, 26)) == datetime(2026, 10, 25, 21, tzinfo=UTC)


@given(DATES)
def test_a_bar_holds_its_start_and_not_its_end(day: date) -> None:
    assert trading_date_of(bar_start(day)) == day
    assert trading_date_of(bar_end(day) - timedelta(microseconds=1)) == day
    assert trading_date_of(bar_end(day)) == day + timedelta(days=1)


@given(st.lists(DATES, max_size=4))
def test_lists_are_the_single_ones_in_order(days: list[date]) -> None:
    assert bar_starts(days) == [bar_start(day) for day in days]
    assert bar_ends(days) == [bar_end(day) for day in days]


def test_any_zone_will_do_but_one_is_needed() -> None:
    tokyo = timezone(timedelta(hours=9))
    assert trading_date_of(datetime(2026, 11, 3, 6, 59, tzinfo=tokyo)) == date(2026, 11, 2)
    assert trading_date_of(datetime(2026, 11, 3, 7, 0, tzinfo=tokyo)) == date(2026, 11, 3)
    with pytest.raises(ValueError, match="no time zone"):
        trading_date_of(datetime(2026, 11, 3, 7, 0))


def test_the_expected_last_date_turns_at_the_roll() -> None:
    assert expected_last_date(TARGET, datetime(2026, 11, 2, 21, 59, 59, tzinfo=UTC)) == date(2026, 10, 30)
    assert expected_last_date(TARGET, datetime(2026, 11, 2, 22, tzinfo=UTC)) == date(2026, 11, 2)


def test_the_expected_last_date_over_easter() -> None:
    assert expected_last_date(TARGET, datetime(2026, 4, 7, 20, 59, tzinfo=UTC)) == date(2026, 4, 2)
    assert expected_last_date(TARGET, datetime(2026, 4, 7, 21, tzinfo=UTC)) == date(2026, 4, 7)
    assert expected_last_date(calendar("fx"), datetime(2026, 4, 6, 20, tzinfo=UTC)) == date(2026, 4, 3)


def test_missed_dates_are_ended_open_dates_after_the_last() -> None:
    friday = date(2026, 10, 30)
    assert missed_dates(TARGET, friday, datetime(2026, 11, 1, 12, tzinfo=UTC)) == 0
    assert missed_dates(TARGET, friday, datetime(2026, 11, 2, 21, 59, tzinfo=UTC)) == 0
    assert missed_dates(TARGET, friday, datetime(2026, 11, 2, 22, tzinfo=UTC)) == 1
    assert missed_dates(TARGET, friday, datetime(2026, 11, 21, 12, tzinfo=UTC)) == 15
    assert missed_dates(TARGET, date(2026, 11, 23), datetime(2026, 11, 21, 12, tzinfo=UTC)) == 0


@given(DATES, st.integers(0, 24 * 60))
def test_nothing_is_missed_of_what_is_expected(day: date, minutes: int) -> None:
    now = bar_start(day) + timedelta(minutes=minutes)
    last = expected_last_date(TARGET, now)
    assert TARGET.is_open(last)
    assert bar_end(last) <= now
    assert missed_dates(TARGET, last, now) == 0
    assert missed_dates(TARGET, last - timedelta(days=1), now) == 1
