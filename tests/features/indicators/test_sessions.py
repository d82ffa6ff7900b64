"""Clock features against the rules of `timegrid.sessions`, and around changes of daylight saving by hand."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from zoneinfo import ZoneInfo

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.features.frames import Frame
from fx_assets.features.indicators.sessions import wall_clock, weekday
from fx_assets.features.stages.indicators import Indicators
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.sessions import SESSIONS, session_exprs, week_end
from fx_assets.timegrid.trading_dates import trading_date_of
from tests.features.indicators.support import bars, computed, parsed, times

CLOCK = ("sessions", "session_minutes", "weekly_close", "hour_of_week")
ALL = dict.fromkeys(CLOCK, True)


def hours(rows: int = 1200, calendar: CalendarName = "fx") -> Frame:
    """Hours from 6 March 2023, over both changes of clocks, without any price."""
    time, end, day = times(rows, "1h", calendar)
    return replace(bars(1), calendar=calendar, time=time, end=end, trading_date=day, columns={}, others={}, exog={})


def at(*moments: str) -> Frame:
    """Bars of a minute that end at these moments, UTC."""
    end = np.array(moments, dtype="datetime64[us]")
    minute = np.timedelta64(1, "m")
    days = [trading_date_of(t.replace(tzinfo=UTC)) for t in (end - minute).tolist()]
    return replace(hours(1), time=np.asarray(end - minute), end=end, trading_date=np.array(days, dtype="datetime64[D]"))


@pytest.mark.parametrize("calendar", ["fx", "24x7"])
def test_sessions_are_those_of_the_time_grid(calendar: CalendarName) -> None:
    frame = hours(calendar=calendar)
    ends = pl.DataFrame({"end": frame.end}).with_columns(pl.col("end").dt.replace_time_zone("UTC"))
    expected = ends.select(*session_exprs(pl.col("end"), calendar))
    found = computed(frame, sessions=True)
    for name in SESSIONS:
        assert np.array_equal(found[f"session_{name}"], expected[name].to_numpy().astype(float)), name
        assert 0.2 < found[f"session_{name}"].mean() < 0.5
    both = expected["session"].to_numpy()
    assert np.array_equal(found["session_london_new_york"], (both == "london+new_york").astype(float))
    assert np.array_equal(found["session_tokyo_london"], (both == "tokyo+london").astype(float))


def test_minutes_count_from_the_opening_on_the_sessions_own_clock() -> None:
    # New York opens at 8: 13:00 UTC before 12 March 2023, 12:00 after; London at 8:00 UTC before 26 March, 7:00 after.
    frame = at("2023-03-10T13:30", "2023-03-13T12:30", "2023-03-24T08:10", "2023-03-27T07:10", "2023-03-27T16:00")
    found = computed(frame, session_minutes=True)
    assert found["minutes_new_york"].tolist() == [30, 30, 0, 0, 240]
    assert found["minutes_london"].tolist() == [330, 270, 10, 10, 0]
    assert found["minutes_tokyo"].tolist() == [0, 0, 490, 430, 0]


def test_sessions_are_off_when_the_market_is_closed() -> None:
    # Saturday morning in Tokyo is Friday night in New York; Christmas Day is a closed Monday.
    frame = at("2023-03-11T01:00", "2023-12-25T14:00", "2023-12-26T14:00")
    found = computed(frame, sessions=True)
    assert found["session_tokyo"].tolist() == [0, 0, 0]
    assert found["session_new_york"].tolist() == [0, 0, 1]
    coin = computed(replace(frame, calendar="24x7"), sessions=True)
    assert coin["session_new_york"].tolist() == [0, 1, 1]


def test_hours_to_the_weekly_close_are_real_ones() -> None:
    frame = at("2023-03-10T21:30", "2023-03-10T22:00", "2023-03-12T21:01", "2023-03-17T20:45")
    found = computed(frame, weekly_close=True)["hours_to_weekly_close"]
    assert found.tolist() == pytest.approx([0.5, 0, 120 - 1 / 60, 0.25])
    sunday = computed(replace(frame, calendar="24x7"), weekly_close=True)["hours_to_weekly_close"]
    assert sunday.tolist() == pytest.approx([47.5, 47, 168 - 1 / 60, 48.25])


def test_the_last_bar_of_a_week_ends_with_it() -> None:
    frame = hours()
    found = computed(frame, weekly_close=True)["hours_to_weekly_close"]
    assert found.min() == 0
    closes = {week_end(day, "fx").replace(tzinfo=None) for day in frame.trading_date.tolist()}
    assert set(frame.end[found == 0].tolist()) == {close for close in closes if close <= frame.end[-1].item()}
    assert len(closes) == 11


def test_the_hour_of_the_week_goes_round_once_a_week_on_new_yorks_clock() -> None:
    # Wednesday noon is half way from Monday midnight; 17:00 Friday in New York the same in winter and in summer.
    frame = at("2023-03-16T16:00", "2023-03-10T22:00", "2023-03-17T21:00", "2023-03-13T04:00")
    found = computed(frame, hour_of_week=True)
    angle = np.arctan2(found["hour_of_week_sin"], found["hour_of_week_cos"]) % (2 * np.pi) / (2 * np.pi) * 168
    assert angle.tolist() == pytest.approx([84, 113, 113, 0], abs=1e-9)


@settings(max_examples=60, deadline=None)
@given(
    moments=st.lists(st.datetimes(datetime(1971, 1, 1), datetime(2037, 12, 31)), min_size=1, max_size=20),
    zone=st.sampled_from(["Europe/London", "America/New_York", "Asia/Tokyo"]),
)
def test_clocks_on_the_wall_are_those_of_the_zone_database(moments: list[datetime], zone: str) -> None:
    found = wall_clock(np.array(moments, dtype="datetime64[us]"), ZoneInfo(zone))
    shown = [m.replace(tzinfo=UTC).astimezone(ZoneInfo(zone)).replace(tzinfo=None) for m in moments]
    assert found.tolist() == shown


def test_every_hour_of_the_days_on_which_clocks_change() -> None:
    for day in (date(2023, 3, 12), date(2023, 11, 5), date(2023, 3, 26), date(2023, 10, 29)):
        hourly = np.array([datetime(day.year, day.month, day.day, hour) for hour in range(24)], dtype="datetime64[us]")
        for zone in (ZoneInfo("Europe/London"), ZoneInfo("America/New_York")):
            shown = [m.replace(tzinfo=UTC).astimezone(zone).replace(tzinfo=None) for m in hourly.tolist()]
            assert wall_clock(hourly, zone).tolist() == shown


def test_weekdays_count_from_monday() -> None:
    days = [date(1969, 12, 29), date(1970, 1, 1), date(2023, 3, 6), date(2024, 2, 29)]
    assert weekday(np.array(days, dtype="datetime64[D]")).tolist() == [day.weekday() for day in days]


@pytest.mark.parametrize("name", CLOCK)
def test_bars_of_a_day_or_longer_have_no_hour(name: str) -> None:
    options = parsed(**{name: True})
    assert Indicators().problems(options, "12h") == []
    for frequency in ("1d", "1w"):
        ((where, message),) = Indicators().problems(options, frequency)
        assert where == name
        assert f"bars of {frequency} all end at one hour" in message


def test_clock_features_need_no_price_at_all() -> None:
    assert Indicators().needs(parsed(**ALL)) == frozenset()
    assert len(computed(hours(50), **ALL)) == 11
