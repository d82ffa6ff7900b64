"""Clocks: their names, and wall-clock times in UTC against `zoneinfo`."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo, available_timezones

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.prices.clocks import clock, clock_problem, contradiction

NEW_YORK, LONDON = "America/New_York", "Europe/London"
INSTANT = timedelta(microseconds=1)


def walls(*times: datetime | None) -> pl.Series:
    return pl.Series("wall", times, dtype=pl.Datetime("us"))


def one(name: str, wall: datetime) -> tuple[datetime | None, str | None]:
    time, reason = clock(name).to_utc(walls(wall)).row(0)
    return time, reason


def slowly(zone: str, wall: datetime) -> tuple[datetime | None, str | None]:
    """The same by `zoneinfo`: an instant counts when the zone's wall clock shows `wall` at it."""
    place = ZoneInfo(zone)
    found = {wall.replace(tzinfo=place, fold=fold).astimezone(UTC) for fold in (0, 1)}
    found = {time for time in found if time.astimezone(place).replace(tzinfo=None) == wall}
    if len(found) == 1:
        return found.pop(), None
    return None, "ambiguous_time" if found else "nonexistent_time"


def changes(zone: str, first: int, last: int) -> list[datetime]:
    """The first hours, in UTC, after which the zone has another offset."""
    place, time, found = ZoneInfo(zone), datetime(first, 1, 1, tzinfo=UTC), []
    while time.year < last:
        if time.astimezone(place).utcoffset() != (time + timedelta(days=1)).astimezone(place).utcoffset():
            hour = time
            while hour.astimezone(place).utcoffset() == time.astimezone(place).utcoffset():
                hour += timedelta(minutes=15)
            found.append(hour)
        time += timedelta(days=1)
    return found


# --- names


@pytest.mark.parametrize(
    "name",
    [
        *("UTC", NEW_YORK, "Etc/GMT-3", "EET", "+02:00", "-0500", "UTC+3", "GMT-11", "+5:30", "+00:00", "+14:00"),
        *("new_york+7", "histdata"),
    ],
)
def test_names_that_exist(name: str) -> None:
    assert clock_problem(name) is None
    assert clock(name).name == name


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("Europe/Londn", "'Europe/London'"),
        ("america/new_york", "'America/New_York'"),
        ("New York", "'America/New_York'"),
        ("new_york+8", "'new_york+7'"),
        ("HistData", "'histdata'"),
        ("tokyo", "'Asia/Tokyo'"),
    ],
)
def test_an_unknown_name_gets_the_nearest(name: str, hint: str) -> None:
    problem = clock_problem(name)
    assert problem is not None
    assert f"Did you mean {hint}?" in problem
    assert "new_york+7 or histdata" in problem
    with pytest.raises(ValueError, match=r"Did you mean"):
        clock(name)


@pytest.mark.parametrize("name", ["", " ", "../../etc/passwd", "localtime", "Factory", "America", "5", "+1:7", "\0"])
def test_what_is_no_clock_is_refused(name: str) -> None:
    assert "is unknown" in str(clock_problem(name))


@pytest.mark.parametrize("name", ["+15:00", "UTC-14:30", "+99"])
def test_an_offset_further_than_any_place_is_refused(name: str) -> None:
    assert "more than 14 hours" in str(clock_problem(name))


def test_every_zone_that_is_accepted_can_be_read() -> None:
    for zone in available_timezones() - {"Factory", "localtime"}:
        assert clock_problem(zone) is None, zone
        assert walls(datetime(2019, 7, 1, 12)).dt.replace_time_zone(zone).null_count() == 0, zone


def test_names_are_checked_without_polars() -> None:
    code = "import sys, fx_assets.prices.clocks as c; c.clock_problem('x'); sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- wall to UTC


@pytest.mark.parametrize(
    ("name", "wall", "utc"),
    [
        ("+02:00", datetime(2019, 7, 1, 2), datetime(2019, 7, 1, 0)),
        ("-0530", datetime(2019, 7, 1, 2), datetime(2019, 7, 1, 7, 30)),
        ("UTC+3", datetime(2019, 7, 1, 2), datetime(2019, 6, 30, 23)),
        ("Etc/GMT+3", datetime(2019, 7, 1, 2), datetime(2019, 7, 1, 5)),  # the zone database counts westward
        ("new_york+7", datetime(2019, 7, 8, 0), datetime(2019, 7, 7, 21)),
        ("new_york+7", datetime(2019, 12, 9, 0), datetime(2019, 12, 8, 22)),
        ("histdata", datetime(2018, 3, 20, 17), datetime(2018, 3, 20, 21)),  # New York has summer time, London not yet
        ("histdata", datetime(2019, 3, 20, 16), datetime(2019, 3, 20, 21)),
        ("histdata", datetime(2018, 12, 31, 23, 59, 59), datetime(2019, 1, 1, 4, 59, 59)),
        ("histdata", datetime(2019, 1, 1), datetime(2019, 1, 1, 5)),
    ],
)
def test_known_times(name: str, wall: datetime, utc: datetime) -> None:
    assert one(name, wall) == (utc.replace(tzinfo=UTC), None)


@pytest.mark.parametrize(
    ("name", "wall", "reason"),
    [
        (NEW_YORK, datetime(2019, 3, 10, 2, 30), "nonexistent_time"),
        (NEW_YORK, datetime(2019, 11, 3, 1, 0), "ambiguous_time"),
        # MetaTrader's wall is 7 hours ahead, so New York's lost hour is 9 o'clock there, and its double one 8.
        ("new_york+7", datetime(2019, 3, 10, 9, 30), "nonexistent_time"),
        ("new_york+7", datetime(2019, 11, 3, 8, 30), "ambiguous_time"),
        ("histdata", datetime(2018, 11, 4, 1, 30), "ambiguous_time"),
        ("histdata", datetime(2018, 3, 11, 2, 30), "nonexistent_time"),
        # London's are Saturday evening on HistData's wall.
        ("histdata", datetime(2019, 10, 26, 20, 30), "ambiguous_time"),
        ("histdata", datetime(2019, 3, 30, 20, 30), "nonexistent_time"),
    ],
)
def test_times_that_are_no_single_instant_say_why(name: str, wall: datetime, reason: str) -> None:
    assert one(name, wall) == (None, reason)


@pytest.mark.parametrize("wall", [datetime(2019, 3, 10, 2, 30), datetime(2019, 11, 3, 1, 30)])
def test_new_yorks_own_bad_hours_are_fine_by_the_metatrader_clock(wall: datetime) -> None:
    assert one("new_york+7", wall)[1] is None


ODD_ZONES = ["Australia/Lord_Howe", "America/St_Johns", "Pacific/Apia", "Asia/Kathmandu", "Europe/Dublin"]


@pytest.mark.parametrize("zone", [NEW_YORK, LONDON, *ODD_ZONES])
def test_every_change_since_1990_is_that_of_zoneinfo(zone: str) -> None:
    """Around both changes of every year, whole days skipped and changes of half an hour or at 00:01 included."""
    steps = [timedelta(minutes=m) for m in range(-150, 151, 15)]
    place = ZoneInfo(zone)
    around = [
        (change.astimezone(place).replace(tzinfo=None) + step + nudge)
        for change in changes(zone, 1990, 2040)
        for step in steps
        for nudge in (-INSTANT, timedelta(), INSTANT, timedelta(minutes=1))
    ]
    assert clock(zone).to_utc(walls(*around)).rows() == [slowly(zone, wall) for wall in around]


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from([NEW_YORK, LONDON, "Europe/Berlin", "Asia/Tokyo", *ODD_ZONES]),
    st.lists(st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1)), max_size=5),
)
def test_any_time_is_that_of_zoneinfo(zone: str, times: list[datetime]) -> None:
    assert clock(zone).to_utc(walls(*times)).rows() == [slowly(zone, wall) for wall in times]


@pytest.mark.parametrize("name", ["UTC", "+02:00", NEW_YORK, "new_york+7", "histdata"])
def test_far_years_nulls_and_nothing(name: str) -> None:
    none = clock(name).to_utc(walls())
    assert none.dtypes == [pl.Datetime("us", "UTC"), pl.String]
    assert none.height == 0
    far = clock(name).to_utc(walls(datetime(1, 7, 1), None, datetime(9999, 7, 1), datetime(2262, 4, 12)))
    assert far["reason"].null_count() == 4
    assert far["time"].is_null().to_list() == [False, True, False, False]
    beyond = pl.Series([-(2**63) + 1, 2**63 - 1, -(2**62), 2**62]).cast(pl.Datetime("us"))
    assert clock(name).to_utc(beyond).rows() == [(None, "nonexistent_time")] * 4


def test_order_length_and_repeats_are_kept() -> None:
    lost, fine = datetime(2019, 3, 10, 2, 30), datetime(2019, 7, 1, 12, 0, 0, 1)
    rows = clock(NEW_YORK).to_utc(walls(fine, lost, None, fine, lost, fine)).rows()
    good, bad = (datetime(2019, 7, 1, 16, 0, 0, 1, UTC), None), (None, "nonexistent_time")
    assert rows == [good, bad, (None, None), good, bad, good]


def test_other_units_are_taken_and_zones_refused() -> None:
    times = walls(datetime(2019, 7, 1, 12)).cast(pl.Datetime("ms"))
    assert clock("UTC").to_utc(times)["time"].dtype == pl.Datetime("us", "UTC")
    aware = times.dt.replace_time_zone("UTC")
    with pytest.raises(ValueError, match=r"a zone already \(UTC\)"):
        clock("UTC").to_utc(aware)
    with pytest.raises(ValueError, match="a zone already"):
        contradiction(aware, clock="UTC", seconds=60)
