"""Times as files write them, on clocks and with offsets of their own."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.prices.clocks import clock
from fx_assets.prices.time_formats import EPOCHS, format_problem
from fx_assets.prices.times import read_times

BERLIN = clock("Europe/Berlin")
MOMENTS = st.datetimes(datetime(1971, 1, 1), datetime(2099, 1, 1))


def read(text: str | None, form: str) -> tuple[datetime | None, str | None]:
    times = read_times(pl.Series("text", [text], dtype=pl.String), form, BERLIN)
    return times.time[0], None if times.reason is None else times.reason[0]


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


@pytest.mark.parametrize(
    ("form", "text", "expected"),
    [
        ("%Y%m%d %H%M%S", "20180702 170001", utc(2018, 7, 2, 15, 0, 1)),
        ("%Y%m%d %H%M%S%3f", "20200101 170000065", utc(2020, 1, 1, 16, 0, 0, 65_000)),
        ("%Y.%m.%d %H:%M", "2019.07.08 06:25", utc(2019, 7, 8, 4, 25)),
        ("%Y.%m.%d %H:%M:%S.%3f", "2019.07.08 06:25:01.250", utc(2019, 7, 8, 4, 25, 1, 250_000)),
        ("%Y.%m.%d", "2019.07.08", utc(2019, 7, 7, 22)),
        ("%d/%m/%Y %H:%M:%S.%f", "08/07/2019 06:25:01.065", utc(2019, 7, 8, 4, 25, 1, 65_000)),
        ("%m/%d/%y %I:%M %p", "07/08/19 06:25 PM", utc(2019, 7, 8, 16, 25)),
        ("%d-%b-%Y", "08-Jul-2019", utc(2019, 7, 7, 22)),
        ("%d %B %Y", "8 July 2019", utc(2019, 7, 7, 22)),
        ("%Y-%m-%d %H:%M:%S%z", "2019-07-08 06:25:00+0300", utc(2019, 7, 8, 3, 25)),
        ("iso", "2016-01-07T01:02:03Z", utc(2016, 1, 7, 1, 2, 3)),
        ("iso", "2016-01-07 01:02:03.123456789+02:00", utc(2016, 1, 6, 23, 2, 3, 123_456)),
        ("iso", "2016-01-07T01:02:03,5-0530", utc(2016, 1, 7, 6, 32, 3, 500_000)),
        ("iso", "2016-01-07 12:00 +01", utc(2016, 1, 7, 11)),
        ("iso", "2016-01-07T01:02", utc(2016, 1, 7, 0, 2)),
        ("iso", "2016-01-07", utc(2016, 1, 6, 23)),
        ("iso", "20160107T010203Z", utc(2016, 1, 7, 1, 2, 3)),
        ("iso", "20160107", utc(2016, 1, 6, 23)),
        ("epoch_s", "1577836800", utc(2020, 1, 1)),
        ("epoch_s", "1577836800.25", utc(2020, 1, 1, 0, 0, 0, 250_000)),
        ("epoch_ms", "1577836800065", utc(2020, 1, 1, 0, 0, 0, 65_000)),
        ("epoch_us", "1577836800123456", utc(2020, 1, 1, 0, 0, 0, 123_456)),
    ],
)
def test_forms(form: str, text: str, expected: datetime) -> None:
    assert format_problem(form) is None
    assert read(text, form) == (expected, None)


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%Y%m%d %H%M%S", "2018022 170000"),  # chrono alone would read the 2nd of February
        ("%Y%m%d %H%M%S", "20180230 170000"),
        ("%Y%m%d %H%M%S", "20180702 170000x"),
        ("%Y%m%d %H%M%S", "20180702 17000"),
        ("%Y%m%d %H%M%S", "18500101 170000"),
        ("%Y%m%d %H%M%S", "22000101 170000"),
        ("%Y%m%d %H%M%S", ""),
        ("iso", "2016-13-07"),
        ("iso", "2016-01-07T25:00Z"),
        ("iso", "2016-01-07 12:00+15:00"),
        ("iso", "2016-01-07 12:00:00 UTC"),
        ("iso", "07/01/2016"),
        ("iso", "yesterday"),
        ("epoch_s", "1577836800065"),  # milliseconds
        ("epoch_us", "99999999999999999999"),
        ("epoch_s", "1e300"),
        ("epoch_ms", "nan"),
        ("epoch_ms", "x"),
    ],
)
def test_what_is_no_time_says_what_was_expected(form: str, text: str) -> None:
    assert read(text, form) == (None, f"bad_time: '{text}', expected {form}")


def test_a_missing_time_is_none() -> None:
    assert read(None, "iso") == (None, "bad_time: '', expected iso")


def test_hours_that_a_clock_repeats_or_leaves_out() -> None:
    text = pl.Series(["2018-03-25 02:30", "2018-10-28 02:30", "2018-10-28 02:30Z", "2018-10-28 04:30"])
    times = read_times(text, "iso", BERLIN)
    assert times.time.to_list() == [None, None, utc(2018, 10, 28, 2, 30), utc(2018, 10, 28, 3, 30)]
    assert times.reason is not None
    assert times.reason.to_list() == [
        "nonexistent_time: '2018-03-25 02:30' on the clock Europe/Berlin",
        "ambiguous_time: '2018-10-28 02:30' on the clock Europe/Berlin",
        None,
        None,
    ]


def test_the_wall_is_given_where_the_clock_matters() -> None:
    assert read_times(pl.Series(["2018-01-01Z", "2018-01-01T00:00Z"]), "epoch_s", BERLIN).wall is None
    assert read_times(pl.Series(["2018-01-01T00:00Z"]), "iso", BERLIN).wall is None
    assert read_times(pl.Series(["2018-01-01 00:00+0000"]), "%Y-%m-%d %H:%M%z", BERLIN).wall is None
    mixed = read_times(pl.Series(["2018-01-01T00:00Z", "2018-01-01T00:00"]), "iso", BERLIN).wall
    assert mixed is not None
    assert mixed.to_list() == [None, datetime(2018, 1, 1)]


@pytest.mark.parametrize(
    ("form", "problem"),
    [
        ("isoo", "expected iso, epoch_s, epoch_ms, epoch_us or a pattern"),
        ("%H:%M", "without a year"),
        ("%Y-%m-%d %H%M%S%f", "write the fraction of a second as .%f, %3f"),
    ],
)
def test_a_format_that_cannot_be(form: str, problem: str) -> None:
    assert problem in (format_problem(form) or "")
    with pytest.raises(ValueError, match="time format"):
        read_times(pl.Series(["x"]), form, BERLIN)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(MOMENTS, st.integers(-14 * 60, 14 * 60)), min_size=1, max_size=8))
def test_iso_agrees_with_python(given: list[tuple[datetime, int]]) -> None:
    moments = [moment.replace(tzinfo=timezone(timedelta(minutes=minutes))) for moment, minutes in given]
    for separator in "T ":
        times = read_times(pl.Series([moment.isoformat(separator) for moment in moments]), "iso", BERLIN)
        assert times.time.to_list() == moments
        assert times.reason is None


@settings(max_examples=40, deadline=None)
@given(st.lists(MOMENTS, min_size=1, max_size=8), st.sampled_from(sorted(EPOCHS)))
def test_epochs_agree_with_python(moments: list[datetime], form: str) -> None:
    unit = EPOCHS[form]
    whole = [(moment.replace(tzinfo=UTC) - utc(1970, 1, 1)) // timedelta(microseconds=unit) for moment in moments]
    times = read_times(pl.Series([str(number) for number in whole]), form, BERLIN)
    assert times.time.to_list() == [utc(1970, 1, 1) + number * timedelta(microseconds=unit) for number in whole]
