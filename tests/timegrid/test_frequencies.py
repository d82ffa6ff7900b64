"""Where bars begin and end, against a slow way by `zoneinfo`, over every change of daylight saving 1990 to 2040."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.frequencies import FREQUENCIES, end_expr, makes, name_of, seconds_of, start_expr
from fx_assets.timegrid.trading_dates import NEW_YORK, bar_end, bar_start, trading_date_of

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
HOUR, DAY, INSTANT = timedelta(hours=1), timedelta(days=1), timedelta(microseconds=1)
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2040, 12, 31), timezones=st.just(UTC))
CALENDARS: list[CalendarName] = ["fx", "24x7", "target"]


def edges(times: list[datetime], frequency: Frequency, name: CalendarName) -> list[tuple[datetime, datetime]]:
    frame = pl.DataFrame({"time": pl.Series(times, dtype=pl.Datetime("us", "UTC"))})
    frame = frame.select(start=start_expr(pl.col("time"), frequency))
    return frame.with_columns(end=end_expr(pl.col("start"), frequency, name)).rows()


def slowly(time: datetime, frequency: Frequency, name: CalendarName) -> tuple[datetime, datetime]:
    """The rule once more, said with datetimes."""
    length = timedelta(seconds=seconds_of(frequency))
    if length <= HOUR:
        start = time - (time - EPOCH) % length
        return start, start + length
    day = trading_date_of(time)
    if frequency == "1w":
        monday = day - DAY * day.weekday()
        return bar_start(monday), bar_end(monday + DAY * (6 if name == "24x7" else 4))
    if frequency == "1d":
        return bar_start(day), bar_end(day)
    start = bar_start(day)
    while start + length <= time:
        start += length
    return start, min(start + length, bar_end(day))


def around_changes() -> list[datetime]:
    found, day = [], datetime(1990, 1, 1, tzinfo=UTC)
    while day.year <= 2040:
        if day.astimezone(NEW_YORK).utcoffset() != (day + DAY).astimezone(NEW_YORK).utcoffset():
            found += [day + h * HOUR - nudge for h in range(-6, 44) for nudge in (INSTANT, timedelta())]
        day += DAY
    return found


CHANGES = around_changes()


@pytest.mark.parametrize("frequency", ["1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w"])
def test_edges_over_every_change(frequency: Frequency) -> None:
    for name in ("fx", "24x7"):
        assert edges(CHANGES, frequency, name) == [slowly(time, frequency, name) for time in CHANGES]


@settings(max_examples=60, deadline=None)
@given(st.lists(TIMES, max_size=8), st.sampled_from(FREQUENCIES), st.sampled_from(CALENDARS))
def test_edges_anywhere(times: list[datetime], frequency: Frequency, name: CalendarName) -> None:
    assert edges(times, frequency, name) == [slowly(time, frequency, name) for time in times]


@settings(max_examples=60, deadline=None)
@given(TIMES, st.sampled_from(FREQUENCIES))
def test_a_bar_holds_its_times_and_the_next_begins_at_its_end(time: datetime, frequency: Frequency) -> None:
    """On a market that never closes the bars tile the time: no instant is in none or in two of them."""
    [(start, end)] = edges([time], frequency, "24x7")
    assert start <= time < end
    assert edges([start, end - INSTANT, end], frequency, "24x7")[:2] == [(start, end)] * 2
    [(after, _)] = edges([end], frequency, "24x7")
    assert after == end


@pytest.mark.parametrize("frequency", ["1h", "4h", "12h", "1d"])
def test_finer_bars_fit_into_coarser_ones(frequency: Frequency) -> None:
    """No bar reaches over the end of its trading date, so that days and weeks can be made of any finer bars."""
    for (start, end), time in zip(edges(CHANGES, frequency, "24x7"), CHANGES, strict=True):
        assert bar_start(trading_date_of(time)) <= start
        assert end <= bar_end(trading_date_of(time))


def utc(year: int, month: int, day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(year, month, day, hour, minute, tzinfo=UTC)


@pytest.mark.parametrize(
    ("time", "frequency", "name", "start", "end"),
    [
        (utc(2019, 7, 17, 12, 34), "5min", "fx", utc(2019, 7, 17, 12, 30), utc(2019, 7, 17, 12, 35)),
        (utc(2019, 7, 17, 12, 34), "4h", "fx", utc(2019, 7, 17, 9), utc(2019, 7, 17, 13)),  # 17:00 New York is 21:00
        (utc(2019, 1, 16, 12, 34), "4h", "fx", utc(2019, 1, 16, 10), utc(2019, 1, 16, 14)),  # and 22:00 in winter
        (utc(2019, 7, 17, 21), "1d", "fx", utc(2019, 7, 17, 21), utc(2019, 7, 18, 21)),
        (utc(2019, 7, 17, 12), "1w", "fx", utc(2019, 7, 14, 21), utc(2019, 7, 19, 21)),
        (utc(2019, 7, 17, 12), "1w", "24x7", utc(2019, 7, 14, 21), utc(2019, 7, 21, 21)),
        # The Sunday of 23 hours: its last 4 hours are 3. The one of 25: a bar of an hour more.
        (utc(2019, 3, 10, 20, 30), "4h", "24x7", utc(2019, 3, 10, 18), utc(2019, 3, 10, 21)),
        (utc(2019, 11, 3, 21, 30), "4h", "24x7", utc(2019, 11, 3, 21), utc(2019, 11, 3, 22)),
        (utc(2019, 11, 3, 12), "1d", "24x7", utc(2019, 11, 2, 21), utc(2019, 11, 3, 22)),
    ],
)
def test_known_edges(time: datetime, frequency: Frequency, name: CalendarName, start: datetime, end: datetime) -> None:
    assert edges([time], frequency, name) == [(start, end)]


def test_every_bar_of_the_week_of_currencies_is_whole() -> None:
    """The changes fall on closed Sundays, so that Monday to Friday have 24 hours and their bars their length."""
    weekdays = [time for time in CHANGES if trading_date_of(time).weekday() < 5]
    for frequency in ("1min", "1h", "2h", "4h", "6h", "8h", "12h", "1d"):
        lengths = {end - start for start, end in edges(weekdays, frequency, "fx")}
        assert lengths == {timedelta(seconds=seconds_of(frequency))}
    assert {end - start for start, end in edges(weekdays, "1w", "fx")} == {5 * DAY}


def test_no_times_and_nulls() -> None:
    frame = pl.DataFrame({"time": pl.Series([None], dtype=pl.Datetime("us", "UTC"))})
    for frequency in FREQUENCIES:
        got = frame.select(start=start_expr(pl.col("time"), frequency))
        assert got.dtypes == [pl.Datetime("us", "UTC")]
        assert got.with_columns(end=end_expr(pl.col("start"), frequency, "fx")).rows() == [(None, None)]
        assert got.head(0).with_columns(end=end_expr(pl.col("start"), frequency, "fx")).rows() == []


# --- names and lengths


def test_lengths_and_names_are_one_another() -> None:
    assert [name_of(seconds_of(frequency)) for frequency in FREQUENCIES] == list(FREQUENCIES)
    assert (seconds_of("10min"), seconds_of("12h"), seconds_of("1w")) == (600, 43_200, 604_800)
    assert name_of(7) == "7 s"


def test_an_unknown_frequency_lists_the_known() -> None:
    with pytest.raises(ValueError, match=r"'3h' is unknown; expected one of 1min, 5min"):
        seconds_of("3h")


@pytest.mark.parametrize(
    ("kind", "seconds", "frequency", "can"),
    [
        ("tick", 0, "1min", True),
        ("tick", 0, "1w", True),
        ("bar", 300, "1h", True),
        ("bar", 3600, "1h", True),
        ("bar", 14_400, "1d", True),
        ("bar", 86_400, "1w", True),
        ("bar", 3600, "30min", False),
        ("bar", 600, "15min", False),
        ("bar", 28_800, "12h", False),
        ("fixing", 0, "1d", True),
        ("fixing", 0, "1w", True),
        ("fixing", 0, "12h", False),
    ],
)
def test_what_can_be_made_of_what(kind: str, seconds: int, frequency: Frequency, can: bool) -> None:
    assert makes(kind, seconds, frequency) is can
