"""Coverage: hours with and without rows, weeks as they are, missing dates, spreads by hour; and the tables."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.prices.batch import Form
from fx_assets.prices.coverage import NEWEST_DATES, Coverage
from fx_assets.timegrid.calendars import CalendarName
from tests.prices.audits import HOURS, MINUTES, MONDAY, TICKS, audited, collected, open_times, rows, walk

FIXING = Form("fixing")
HOUR, MINUTE = timedelta(hours=1), timedelta(minutes=1)


def covered(frame: pl.DataFrame, form: Form, calendar: CalendarName = "fx", *, cuts: tuple[int, ...] = ()) -> Coverage:
    """The coverage of `frame`, given in parts that follow each other."""
    found = Coverage(form, calendar)
    ends = [0, *sorted(cuts), frame.height]
    for number, (begin, end) in enumerate(pairwise(ends)):
        part = frame[begin:end]
        days = part["time"].dt.convert_time_zone("America/New_York").dt.offset_by("7h").dt.date()
        found.add(part, days, follows=number > 0)
    return found


def test_every_hour_of_the_open_week_is_there_with_its_rows() -> None:
    times = open_times(MONDAY, MINUTE, 60 * 24 * 10)  # two weeks
    hole = [
        time for time in times if not datetime(2024, 1, 9, 3, tzinfo=UTC) <= time < datetime(2024, 1, 9, 5, tzinfo=UTC)
    ]
    grid = covered(rows(hole, MINUTES, walk(len(hole))), MINUTES).grid()
    assert grid.height == 12 * 24
    assert grid.filter("open").height == 10 * 24
    assert grid.filter(pl.col("open") & (pl.col("rows") == 0))["hour"].to_list() == [
        datetime(2024, 1, 9, 3, tzinfo=UTC),
        datetime(2024, 1, 9, 4, tzinfo=UTC),
    ]
    assert grid.filter("open")["rows"].max() == 60
    assert grid.row(0, named=True)["day"] == date(2024, 1, 8)
    assert grid.row(0, named=True)["local"] == 17


@given(st.sets(st.integers(1, 499), max_size=4))
@settings(max_examples=20, deadline=None)
def test_cut_anywhere_the_coverage_is_the_same(cuts: set[int]) -> None:
    times = open_times(datetime(2024, 3, 8, 10, 7, tzinfo=UTC), timedelta(minutes=13), 500)  # over the change of clocks
    frame = rows(times, TICKS, walk(500))
    whole, parts = covered(frame, TICKS), covered(frame, TICKS, cuts=tuple(cuts))
    assert parts.grid().equals(whole.grid())
    assert parts.sessions().equals(whole.sessions())
    assert parts.week() == whole.week()
    assert int(parts.grid()["rows"].sum()) == 500


def test_what_lies_between_parts_that_do_not_follow_was_not_looked_at() -> None:
    frame = rows([MONDAY, MONDAY + HOUR, MONDAY + 100 * HOUR], HOURS, walk(3))
    found = Coverage(HOURS, "fx")
    for part in (frame[:2], frame[2:]):
        found.add(part, part["trading_date"], follows=False)
    assert found.grid().height == 3


def test_only_the_newest_dates_are_kept_for_the_picture() -> None:
    grid = covered(rows(open_times(MONDAY, HOUR, 24 * 200), HOURS, walk(24 * 200)), HOURS).grid()
    assert grid.filter(pl.col("rows") > 0)["day"].n_unique() == NEWEST_DATES


def test_sessions_count_the_hours_that_are_open() -> None:
    times = [time for time in open_times(MONDAY, HOUR, 24 * 5) if time.hour != 9]
    sessions = covered(rows(times, HOURS, walk(len(times))), HOURS).sessions()
    share = {name: (hours, held) for name, hours, held, _ in sessions.iter_rows()}
    assert share["london"] == (20, 15)  # 9 to 13 UTC, before New York
    assert share["tokyo+london"] == (5, 5)
    assert sum(hours for hours, _ in share.values()) == 24 * 5


def test_missing_dates_of_fixings_by_month() -> None:
    days = [date(2024, 3, 25) + timedelta(days=i) for i in range(21)]
    fixed = [
        day for day in days if day.weekday() < 5 and day not in {date(2024, 3, 29), date(2024, 4, 1), date(2024, 4, 9)}
    ]
    times = [datetime(day.year, day.month, day.day, 13, tzinfo=UTC) for day in fixed]
    coverage = covered(rows(times, FIXING, walk(len(times))), FIXING, "target")
    assert coverage.missing().rows() == [(2024, 3, 4, 0), (2024, 4, 9, 1)]  # Easter is no hole
    assert coverage.table().splitlines()[-1] == "| 2024 | 13 | 1 |"


def test_the_spread_by_hour_is_median_and_ninety_per_cent() -> None:
    times = open_times(MONDAY, MINUTE, 60 * 48)
    ticks = rows(times, TICKS, walk(len(times)))
    roll = pl.col("time").dt.hour() == 22
    ticks = ticks.with_columns(ask=pl.col("bid") + pl.when(roll).then(5e-4).otherwise(2e-5))
    spread = covered(ticks, TICKS).spread_by_hour()
    assert spread["local"].to_list() == list(range(24))
    assert spread.filter(pl.col("local") == 17)["median"].item() == pytest.approx(5e-4)
    assert spread.filter(pl.col("local") == 18)["wide"].item() == pytest.approx(2e-5)
    assert covered(ticks.with_columns(ask=pl.lit(None, dtype=pl.Float64)), TICKS).spread_by_hour().is_empty()
    assert covered(rows(times[:9], MINUTES, walk(9)), MINUTES).spread_by_hour().is_empty()


def test_nothing_seen_is_nothing_covered() -> None:
    for form in (TICKS, HOURS, FIXING):
        empty = Coverage(form, "fx")
        assert empty.week().odd == ""
        assert empty.grid().is_empty()
        assert empty.missing().is_empty()
    assert audited(rows([], HOURS, []), HOURS).tables(collected()) == {}


def test_tables_name_gaps_and_an_example_of_each_reason() -> None:
    times = open_times(MONDAY, HOUR, 48)
    fetched = collected(rows=40, reject_counts={"not_a_number": 2, "crossed_quote": 9})
    told = [
        ("a.csv", 7, "not_a_number: close", "2024|x`y\n" + "z" * 200),
        ("a.csv", 8, "not_a_number: open", "later"),
        ("b.csv", None, "crossed_quote", "bid=2.0, ask=1.0"),
    ]
    fetched.rejects = pl.DataFrame(told, schema=fetched.rejects.schema, orient="row")
    tables = audited(rows([*times[:20], *times[30:]], HOURS, walk(38)), HOURS).tables(fetched)
    assert list(tables) == ["coverage", "gaps", "rejects"]
    assert tables["gaps"].splitlines()[2:] == ["| 2024-01-08 17:00 | 2024-01-09 04:00 | 600 |"]
    first, second = tables["rejects"].splitlines()[2:]
    assert first == "| crossed_quote | 9 | b.csv | bid=2.0, ask=1.0 |"
    assert second.startswith("| not_a_number | 2 | a.csv, line 7 | 2024\\|x'y zzz")
    assert len(second) < 200
