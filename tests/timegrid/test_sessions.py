"""The week, its sessions and its open time, against known changes of daylight saving, slow ways, and real schedules."""

from __future__ import annotations

import json
import lzma
import subprocess
import sys
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.timegrid.calendars import CalendarName, calendar
from fx_assets.timegrid.frequencies import start_expr
from fx_assets.timegrid.sessions import (
    by_hour,
    date_end_expr,
    date_start_expr,
    in_fx_week,
    monday_expr,
    open_seconds,
    session_exprs,
    trading_date_expr,
    week_end,
    week_start,
)
from fx_assets.timegrid.trading_dates import bar_end, bar_start, trading_date_of

NEW_YORK = ZoneInfo("America/New_York")
TIMES = st.datetimes(datetime(1990, 1, 1), datetime(2040, 1, 1), timezones=st.just(UTC))
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
INSTANT = timedelta(microseconds=1)


def times(*values: datetime | None) -> pl.Series:
    return pl.Series("time", values, dtype=pl.Datetime("us", "UTC"))


def new_york(*when: int) -> datetime:
    year, month, day, hour, minute = (*when, 0)[:5]
    return datetime(year, month, day, hour, minute, tzinfo=NEW_YORK).astimezone(UTC)


def values(series: pl.Series, rule: Any) -> list[Any]:
    return series.to_frame("time").select(rule(pl.col("time"))).to_series().to_list()


def around_changes() -> list[datetime]:
    """Hours of the weekends of both changes of every year 1990 to 2040, and the instants just before them."""
    found, day = [], datetime(1990, 1, 1, tzinfo=UTC)
    while day.year <= 2040:
        if day.astimezone(NEW_YORK).utcoffset() != (day + DAY).astimezone(NEW_YORK).utcoffset():
            found += [day + h * HOUR - nudge for h in range(-48, 73) for nudge in (INSTANT, timedelta())]
        day += DAY
    return found


CHANGES = around_changes()


def test_trading_dates_are_those_of_the_slow_way_over_every_change() -> None:
    assert len(CHANGES) == 51 * 2 * 121 * 2
    assert values(times(*CHANGES), trading_date_expr) == [trading_date_of(time) for time in CHANGES]


@settings(deadline=None)
@given(st.lists(TIMES, max_size=20))
def test_trading_dates_are_those_of_the_slow_way(some: list[datetime]) -> None:
    assert values(times(*some), trading_date_expr) == [trading_date_of(time) for time in some]


def test_dates_begin_and_end_as_bars_do() -> None:
    days = [date(1990, 1, 1) + DAY * i for i in range(51 * 365)]
    frame = pl.DataFrame({"day": days})
    got = frame.select(
        start=date_start_expr(pl.col("day")), end=date_end_expr(pl.col("day")), monday=monday_expr(pl.col("day"))
    )
    assert got["start"].to_list() == [bar_start(day) for day in days]
    assert got["end"].to_list() == [bar_end(day) for day in days]
    assert got["monday"].to_list() == [day - DAY * day.weekday() for day in days]


@pytest.mark.parametrize(
    ("when", "inside"),
    [
        (new_york(2019, 3, 8, 16, 59), True),
        (new_york(2019, 3, 8, 17), False),
        (new_york(2019, 3, 10, 16, 59), False),  # New York's summer time began that Sunday
        (new_york(2019, 3, 10, 17), True),
        (new_york(2019, 12, 24, 16, 59), True),
        (new_york(2019, 12, 24, 17), False),
        (new_york(2019, 12, 25, 16, 59), False),
        (new_york(2019, 12, 25, 17), True),
        (new_york(2019, 12, 31, 17), False),
        (new_york(2020, 1, 1, 17), True),
        (new_york(2017, 1, 2, 12), True),  # the Monday after a holiday on Sunday is thin, not closed
    ],
)
def test_the_week_of_currencies(when: datetime, inside: bool) -> None:
    assert values(times(when), in_fx_week) == [inside]


@settings(deadline=None)
@given(st.lists(TIMES, max_size=20))
def test_the_week_is_that_of_the_calendar(some: list[datetime]) -> None:
    fx = calendar("fx")
    assert values(times(*some), in_fx_week) == [fx.is_open(trading_date_of(time)) for time in some]


@pytest.mark.parametrize("day", [date(2019, 3, 11) + DAY * i for i in range(7)])
def test_weeks_begin_and_end(day: date) -> None:
    assert week_start(day) == new_york(2019, 3, 10, 17) == datetime(2019, 3, 10, 21, tzinfo=UTC)
    assert week_end(day) == week_end(day, "target") == new_york(2019, 3, 15, 17)
    assert week_end(day, "24x7") == new_york(2019, 3, 17, 17)


def test_the_weeks_around_the_changes() -> None:
    assert week_end(date(2019, 3, 8), "24x7") - week_start(date(2019, 3, 8)) == 7 * DAY - HOUR
    assert week_end(date(2019, 11, 1), "24x7") - week_start(date(2019, 11, 1)) == 7 * DAY + HOUR
    assert week_end(date(2019, 11, 1)) - week_start(date(2019, 11, 1)) == 5 * DAY


# --- sessions


def labels(series: pl.Series, name: CalendarName = "fx") -> list[str]:
    return series.to_frame("time").select(session_exprs(pl.col("time"), name))["session"].to_list()


@pytest.mark.parametrize(
    ("when", "label"),
    [
        # A Wednesday in winter: Tokyo 0-9, London 8-17, New York 13-22 in UTC.
        (datetime(2019, 1, 16, 0), "tokyo"),
        (datetime(2019, 1, 16, 7, 59), "tokyo"),
        (datetime(2019, 1, 16, 8), "tokyo+london"),
        (datetime(2019, 1, 16, 9), "london"),
        (datetime(2019, 1, 16, 13), "london+new_york"),
        (datetime(2019, 1, 16, 17), "new_york"),
        (datetime(2019, 1, 16, 22), "off_hours"),
        # In summer London and New York are an hour earlier in UTC; Tokyo is not.
        (datetime(2019, 7, 17, 7), "tokyo+london"),
        (datetime(2019, 7, 17, 12), "london+new_york"),
        (datetime(2019, 7, 17, 16), "new_york"),
        (datetime(2019, 7, 17, 21), "off_hours"),
        # Between the changes of New York (10 March) and Europe (31 March) the overlap is an hour longer.
        (datetime(2019, 3, 20, 12), "london+new_york"),
        (datetime(2019, 3, 20, 16, 59), "london+new_york"),
        (datetime(2019, 1, 18, 22), "closed"),  # Friday after the close
        (datetime(2019, 1, 19, 12), "closed"),
        (datetime(2019, 1, 20, 22), "off_hours"),  # Sunday, before Tokyo
        (datetime(2019, 12, 25, 14), "closed"),
    ],
)
def test_sessions_by_their_own_clocks(when: datetime, label: str) -> None:
    assert labels(times(when.replace(tzinfo=UTC))) == [label]


def test_a_market_that_never_closes_has_sessions_on_weekdays_only() -> None:
    saturday, christmas = datetime(2019, 1, 19, 12, tzinfo=UTC), datetime(2019, 12, 25, 14, tzinfo=UTC)
    assert labels(times(saturday, christmas), "24x7") == ["off_hours", "london+new_york"]


def test_labels_and_columns_agree() -> None:
    week = pl.datetime_range(datetime(2019, 3, 8), datetime(2019, 4, 5), "15m", time_zone="UTC", eager=True)
    frame = week.to_frame("time").select(session_exprs(pl.col("time")))
    assert frame.columns == ["tokyo", "london", "new_york", "session"]
    for row in frame.iter_rows(named=True):
        on = [name for name in ("tokyo", "london", "new_york") if row[name]]
        assert row["session"] == "+".join(on) or (not on and row["session"] in {"off_hours", "closed"})
    assert set(frame["session"]) == {
        "tokyo", "tokyo+london", "london", "london+new_york", "new_york", "off_hours", "closed"
    }  # fmt: skip


def test_each_session_lasts_nine_hours_a_weekday() -> None:
    year = pl.datetime_range(datetime(2019, 1, 6), datetime(2019, 12, 22), "1h", time_zone="UTC", eager=True)
    frame = year.to_frame("time").select(session_exprs(pl.col("time")))
    assert [frame[name].sum() for name in ("tokyo", "london", "new_york")] == [50 * 5 * 9] * 3


# --- by_hour


@settings(max_examples=30, deadline=None)
@given(st.lists(TIMES | st.none(), max_size=30), st.booleans())
def test_by_hour_is_the_rule_itself(some: list[datetime | None], ordered: bool) -> None:
    series = times(*some).sort() if ordered else times(*some)
    for rule in (trading_date_expr, in_fx_week, lambda t: start_expr(t, "4h"), lambda t: session_exprs(t)[-1]):
        assert by_hour(series, rule).to_list() == values(series, rule)


def test_by_hour_over_every_change() -> None:
    series = times(*CHANGES)
    assert by_hour(series, trading_date_expr).to_list() == values(series, trading_date_expr)
    assert by_hour(series, trading_date_expr).name == "time"
    assert by_hour(series.head(0), trading_date_expr).dtype == pl.Date


# --- open time


@pytest.mark.parametrize(
    ("begin", "end", "hours"),
    [
        (new_york(2019, 1, 16, 10), new_york(2019, 1, 16, 11), 1),
        (new_york(2019, 1, 18, 16), new_york(2019, 1, 20, 18), 2),  # over a weekend
        (new_york(2019, 3, 8, 16), new_york(2019, 3, 10, 18), 2),  # a weekend of 47 hours
        (new_york(2019, 1, 18, 17), new_york(2019, 1, 20, 17), 0),
        (new_york(2019, 12, 24, 16), new_york(2019, 12, 25, 18), 2),  # over Christmas
        (new_york(2019, 1, 4, 12), new_york(2019, 1, 11, 12), 120),
        (new_york(2019, 1, 20, 18), new_york(2019, 1, 18, 16), -2),
        (new_york(2019, 1, 19, 3), new_york(2019, 1, 19, 3), 0),
    ],
)
def test_open_time_of_the_week_of_currencies(begin: datetime, end: datetime, hours: float) -> None:
    assert open_seconds(times(begin), times(end), "fx").to_list() == [hours * 3600]


def test_open_time_elsewhere() -> None:
    begin, end = times(new_york(2019, 3, 8, 16)), times(new_york(2019, 3, 10, 18))
    assert open_seconds(begin, end, "24x7").to_list() == [49 * 3600]
    easter = times(new_york(2019, 4, 18, 16)), times(new_york(2019, 4, 22, 18))
    assert open_seconds(*easter, "fx").to_list() == [50 * 3600]  # Thursday to Monday, less the weekend
    assert open_seconds(*easter, "target").to_list() == [2 * 3600]  # Good Friday and Easter Monday are closed too


def slow_open(begin: datetime, end: datetime) -> float:
    """Trading date by trading date."""
    if end < begin:
        return -slow_open(end, begin)
    total, day = 0.0, trading_date_of(begin)
    while bar_start(day) < end:
        if calendar("fx").is_open(day):
            total += max((min(end, bar_end(day)) - max(begin, bar_start(day))).total_seconds(), 0)
        day += DAY
    return total


@settings(max_examples=60, deadline=None)
@given(TIMES, st.timedeltas(timedelta(days=-40), timedelta(days=40)))
def test_open_time_is_that_of_the_slow_way(begin: datetime, span: timedelta) -> None:
    got = open_seconds(times(begin), times(begin + span), "fx").item()
    assert got == pytest.approx(slow_open(begin, begin + span), abs=1e-5)


@pytest.mark.parametrize("name", ["fx", "24x7"])
def test_open_time_of_nulls_and_nothing(name: CalendarName) -> None:
    when = datetime(2019, 1, 16, tzinfo=UTC)
    assert open_seconds(times(None, when, None), times(when, None, None), name).to_list() == [None] * 3
    assert open_seconds(times(), times(), name).to_list() == []
    assert open_seconds(times(when), times(when + HOUR), name).dtype == pl.Float64


def test_the_room_is_imported_without_polars() -> None:
    code = "import sys, fx_assets.timegrid.frequencies; sys.exit('polars' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# --- published schedules


def schedule(sample_data: Path, name: str) -> Any:
    return json.loads((sample_data / "calendar" / "market-hours-forex-extract.json").read_text())[name]


def day_of(text: str) -> date:
    month, day, year = (int(part) for part in text.split("/"))
    return date(year, month, day)


def test_the_week_is_the_one_that_brokers_publish(sample_data: Path) -> None:
    """Lean: Interactive Brokers and FXCM open Sunday 17:00 and close Friday 17:00 New York; OANDA is 3 minutes late."""
    for name in ("Forex-interactivebrokers-[*]", "Forex-fxcm-[*]"):
        week = schedule(sample_data, name)
        assert week["exchangeTimeZone"] == "America/New_York"
        assert [span["start"] for span in week["sunday"]] == ["17:00:00"]
        assert [span["end"] for span in week["friday"]] == ["17:00:00"]
        assert week["saturday"] == []
    assert schedule(sample_data, "Forex-oanda-[*]")["sunday"][0]["start"] == "17:03:00"
    assert schedule(sample_data, "Forex-oanda-[*]")["friday"][-1]["end"] == "16:58:00"


@pytest.mark.parametrize("broker", ["Forex-fxcm-[*]", "Forex-oanda-[*]"])
def test_holidays_of_brokers_are_ours_but_for_their_thin_neighbours(sample_data: Path, broker: str) -> None:
    """Days that a broker keeps and this calendar does not are 2 January and 26 December, or eves on a Sunday.

    FXCM kept second days to 2018; OANDA kept 26 December 2022 and 2 January 2023, the Mondays after Sunday holidays, on
    which others traded. They count as open here: missing bars on them are gaps of that broker, not of the market.
    """
    fx = calendar("fx")
    weekdays = [day for day in map(day_of, schedule(sample_data, broker)["holidays"]) if day.weekday() < 5]
    extra = [day for day in weekdays if fx.is_open(day)]
    assert len(weekdays) > len(extra)
    assert {(day.month, day.day) for day in extra} <= {(1, 2), (12, 26)}
    eves = map(day_of, schedule(sample_data, broker)["earlyCloses"])
    assert all(fx.is_open(day) for day in eves if day.weekday() < 5)  # thin, not closed


def test_dukascopys_holidays_lie_where_the_market_is_closed(sample_data: Path) -> None:
    """All 25 spans since 2008. It trades on to 03:00 New York on 25 December, in a trading date that is closed here."""
    spans = json.loads((sample_data / "dukascopy/json_api_v1/instrument-EUR-USD.json").read_text())["holidays"]
    begin, end = (
        pl.Series([span[key] for span in spans]).cast(pl.Datetime("ms", "UTC")).cast(pl.Datetime("us", "UTC"))
        for key in ("from", "till")
    )
    assert len(spans) == 25
    assert open_seconds(begin, end, "fx").to_list() == [0.0] * 25


def test_oandas_hours_lie_in_the_week(sample_data: Path) -> None:
    """Of 24,764 hours of EURUSD, 3 lie outside: last quotes at Friday 17:00. Two open Mondays are missing."""
    text = lzma.decompress((sample_data / "oanda_h1" / "EUR_USD_H1.csv.xz").read_bytes())
    column = pl.read_csv(text, columns=["time"], infer_schema=False)["time"]
    series = column.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
    outside = series.filter(~by_hour(series, in_fx_week)).dt.convert_time_zone("America/New_York")
    assert outside.dt.strftime("%a %H:%M").to_list() == ["Fri 17:00"] * 3
    # Open time without an hour of prices: the longest are the Mondays after the Sunday holidays of 2016 and 2017.
    gaps = open_seconds(series.head(-1), series.tail(-1), "fx")
    longest = series.tail(-1).filter(gaps > 5 * 3600).dt.date().to_list()
    assert longest == [date(2016, 12, 26), date(2017, 1, 2)]
