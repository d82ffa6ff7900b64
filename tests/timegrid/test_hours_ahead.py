"""Bars within a day: which the calendar plans, and the hour of the week that they are in."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import numpy as np
import polars as pl
import pytest

from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.ahead import dates_ahead, ends_ahead, ends_of, ends_until, hours_of_week
from fx_assets.timegrid.calendars import CalendarName, calendar
from fx_assets.timegrid.frequencies import end_expr, start_expr
from fx_assets.timegrid.trading_dates import bar_end, bar_start

FX = calendar("fx")
Times = np.ndarray[tuple[int], np.dtype[np.datetime64]]


def times(*said: str) -> Times:
    return np.array(said, dtype="datetime64[us]")


def days(*said: str) -> Times:
    return np.array(said, dtype="datetime64[D]")


@pytest.mark.parametrize("frequency", ["15min", "1h", "4h", "12h", "1d"])
@pytest.mark.parametrize(
    ("day", "name"),
    [
        (date(2019, 7, 17), "fx"),
        (date(2019, 3, 10), "24x7"),  # 23 hours
        (date(2019, 11, 3), "24x7"),  # 25 hours
    ],
)
def test_a_date_is_cut_as_prices_are(frequency: Frequency, day: date, name: CalendarName) -> None:
    """The same ends as those of the bars that prices of every quarter of an hour are put into."""
    moments = pl.datetime_range(
        bar_start(day), bar_end(day), "15m", closed="left", time_unit="us", time_zone="UTC", eager=True
    ).to_frame("time")
    made = moments.select(start_expr(pl.col("time"), frequency).alias("start")).unique(maintain_order=True)
    ends = made.select(end_expr(pl.col("start"), frequency, name))["start"].dt.replace_time_zone(None).to_list()
    assert ends_of(day, frequency).tolist() == ends


def test_weeks_are_longer_than_a_date() -> None:
    with pytest.raises(ValueError, match="1w are longer than a trading date"):
        ends_of(date(2019, 7, 17), "1w")


def test_hours_go_over_the_weekend_holidays_and_changes_of_the_clock() -> None:
    ends, dates = ends_ahead(times("2019-03-08T21:00"), days("2019-03-08"), 3, FX, "1h")
    # Friday 16:00 to 17:00 New York in winter, then Sunday 17:00 in summer.
    assert ends.astype("datetime64[h]").astype(str).tolist() == [["2019-03-08T22", "2019-03-10T22", "2019-03-10T23"]]
    assert dates.astype(str).tolist() == [["2019-03-08", "2019-03-11", "2019-03-11"]]
    ends, dates = ends_ahead(
        times("2019-12-24T22:00", "2019-12-26T03:00"), days("2019-12-24", "2019-12-26"), 1, FX, "1h"
    )
    assert ends.astype("datetime64[h]").astype(str).tolist() == [["2019-12-25T23"], ["2019-12-26T04"]]
    always = calendar("24x7")
    ends, _ = ends_ahead(times("2019-11-02T21:00"), days("2019-11-02"), 50, always, "1h")
    assert np.unique(np.diff(ends[0])).tolist() == [timedelta(hours=1)]
    assert ends_ahead(times(), days(), 2, FX, "1h")[0].shape == (0, 2)


def test_daily_bars_are_those_of_the_dates() -> None:
    dates_given = [date(2019, 12, 23), date(2019, 3, 8), date(2019, 7, 3)]
    some, given = days(*map(str, dates_given)), times(*(f"{bar_end(day):%Y-%m-%dT%H:%M}" for day in dates_given))
    ends, dates = ends_ahead(given, some, 7, FX, "1d")
    assert np.array_equal(dates, dates_ahead(some, 7, "fx"))
    assert ends[0, 0] == np.datetime64("2019-12-24T22:00")


@pytest.mark.parametrize("horizon", [1, 23, 24, 25, 200])
def test_any_horizon_is_the_begin_of_a_longer_one(horizon: int) -> None:
    at, on = times("2019-12-20T21:00", "2019-12-31T22:00"), days("2019-12-20", "2019-12-31")
    longer = ends_ahead(at, on, 400, FX, "1h")
    for short, whole in zip(ends_ahead(at, on, horizon, FX, "1h"), longer, strict=True):
        assert np.array_equal(short, whole[:, :horizon])
    assert (np.diff(longer[0], axis=1) > np.timedelta64(0)).all()


def test_the_newest_hours_that_have_ended() -> None:
    ends, dates = ends_until(datetime(2019, 12, 26, 0, 30, tzinfo=UTC), 4, FX, "1h")
    # Sunset of Christmas: two hours of the 26th's date have begun and ended, before them those of Christmas Eve.
    assert ends.astype("datetime64[h]").astype(str).tolist() == [
        "2019-12-24T21",
        "2019-12-24T22",
        "2019-12-25T23",
        "2019-12-26T00",
    ]
    assert dates.astype(str).tolist() == ["2019-12-24", "2019-12-24", "2019-12-26", "2019-12-26"]
    exactly, _ = ends_until(datetime(2019, 12, 26, 1, tzinfo=UTC), 1, FX, "1h")
    assert exactly[0] == np.datetime64("2019-12-26T01")
    ahead, _ = ends_ahead(ends[:1], dates[:1], 3, FX, "1h")
    assert np.array_equal(ahead[0], ends[1:])


def test_hours_are_new_yorks_whatever_the_season() -> None:
    ends = times("2019-01-07T14:00", "2019-07-08T14:00", "2019-01-06T23:00", "2019-07-08T14:15", "2019-01-07T22:00")
    # Mondays 8:00 in winter and 9:00 in summer, Sunday 17:00, Monday 10:00; a daily bar ends in the hour from 16:00.
    assert hours_of_week(ends).tolist() == [8, 9, 6 * 24 + 17, 10, 16]
    assert hours_of_week(ends.reshape(5, 1)).shape == (5, 1)
