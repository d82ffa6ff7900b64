"""The trading week as a witness against wrong clocks, on made and on real prices."""

from __future__ import annotations

import io
import lzma
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from fx_assets.prices.clocks import clock, contradiction, thin
from fx_assets.timegrid.sessions import in_fx_week

NEW_YORK, LONDON = "America/New_York", "Europe/London"
HOUR = timedelta(hours=1)


def market(first: datetime, last: datetime, seconds: int) -> pl.Series:
    """UTC times of bars in open weeks, holidays left out."""
    every = pl.datetime_range(first, last, f"{seconds}s", time_unit="us", time_zone="UTC", closed="left", eager=True)
    return every.to_frame("time").filter(in_fx_week(pl.col("time")))["time"]


def shown(times: pl.Series, name: str) -> pl.Series:
    """What the clock `name` shows at those instants."""

    def at(zone: str) -> pl.Series:
        return times.dt.convert_time_zone(zone).dt.replace_time_zone(None)

    if name == "new_york+7":
        return at(NEW_YORK) + timedelta(hours=7)
    if name == "histdata":
        late = times >= datetime(2019, 1, 1, 5, tzinfo=UTC)
        return at(NEW_YORK).zip_with(~late, at(LONDON) - timedelta(hours=5))
    if name.startswith(("+", "-")):
        return at("UTC") + timedelta(hours=int(name[:3]))
    return at(name)


YEAR = market(datetime(2019, 1, 1), datetime(2020, 1, 1), 3600)
MINUTES = market(datetime(2019, 2, 10), datetime(2019, 4, 7), 60)  # New York changes on 10 March, Europe on the 31st
CLOCKS = ["UTC", NEW_YORK, "histdata", "new_york+7", LONDON, "Europe/Berlin", "Europe/Athens", "Asia/Tokyo"]
OTHERS = [*CLOCKS, "-05:00", "+02:00", "-12:00", "+14:00"]


@pytest.mark.parametrize("name", OTHERS)
def test_the_right_clock_is_not_contradicted(name: str) -> None:
    assert contradiction(shown(YEAR, name), clock=name, seconds=3600) is None
    assert contradiction(shown(MINUTES, name), clock=name, seconds=60) is None


WRONG = [
    ("UTC", LONDON),
    (NEW_YORK, "histdata"),
    ("histdata", NEW_YORK),
    (NEW_YORK, "-05:00"),
    ("new_york+7", "Europe/Athens"),
    ("new_york+7", "+02:00"),
    ("new_york+7", "UTC"),  # Athens would mend most weeks, and is not named beside what mends all
    ("Europe/Athens", "new_york+7"),
    ("Europe/Berlin", "UTC"),
    ("Asia/Tokyo", "UTC"),
    ("-12:00", "+14:00"),
    ("+14:00", NEW_YORK),
]


@pytest.mark.parametrize(("name", "wrong"), WRONG)
def test_a_wrong_clock_is_contradicted_and_the_right_one_proposed(name: str, wrong: str) -> None:
    """A year of hours; clocks that differ in the few weeks between the changes only are told apart too."""
    said = contradiction(shown(YEAR, name), clock=wrong, seconds=3600)
    assert said is not None
    assert said.endswith(f"set clock: {name}")
    assert f"read by the clock {wrong}" in said


def test_the_sentence_says_what_was_seen() -> None:
    said = contradiction(shown(MINUTES, "histdata"), clock=NEW_YORK, seconds=60)
    assert said == (
        "read by the clock America/New_York, 3 of 8 whole weeks open and close at the wrong hour (most often they open "
        "Sunday 16:00 New York instead of Sunday 17:00; first in the week of 2019-03-10): set clock: histdata"
    )


@pytest.mark.parametrize("seconds", [0, 60, 300, 900, 1800, 3600, 14400])
def test_bars_of_any_length_and_ticks_tell(seconds: int) -> None:
    times = market(datetime(2019, 1, 6, 22), datetime(2019, 3, 3), seconds or 40)
    assert contradiction(shown(times, "UTC"), clock="UTC", seconds=seconds) is None
    said = contradiction(shown(times, "UTC"), clock="Asia/Tokyo", seconds=seconds)
    assert "set clock: UTC" in str(said)


def test_daily_bars_show_nothing() -> None:
    days = market(datetime(2019, 1, 1), datetime(2020, 1, 1), 86_400)
    assert contradiction(shown(days, "UTC"), clock="Asia/Tokyo", seconds=86_400) is None


def test_one_winter_month_cannot_tell_a_zone_from_its_offset() -> None:
    month = shown(market(datetime(2017, 1, 2), datetime(2017, 2, 1), 60), NEW_YORK)
    assert contradiction(month, clock="-05:00", seconds=60) is None
    said = contradiction(month, clock="UTC", seconds=60)
    assert str(said).endswith("set clock: America/New_York (or histdata, -05:00: these weeks cannot tell)")


@pytest.mark.parametrize("weeks", [0, 1, 2])
def test_less_than_two_whole_weeks_say_nothing(weeks: int) -> None:
    times = shown(market(datetime(2019, 1, 6), datetime(2019, 1, 10) + weeks * timedelta(days=7), 60), "UTC")
    assert (contradiction(times, clock=NEW_YORK, seconds=60) is None) == (weeks < 2)


def edited(seconds: int, keep: pl.Expr) -> pl.Series:
    times = YEAR if seconds == 3600 else MINUTES
    return shown(times.to_frame("time").filter(keep)["time"], "new_york+7")


@pytest.mark.parametrize("seconds", [60, 3600])
@pytest.mark.parametrize("wrong", ["Europe/Athens", "UTC"])
def test_missing_hours_hide_no_error_and_make_none(seconds: int, wrong: str) -> None:
    """The first hour of every third week and the last of every fifth are missing."""
    wall = pl.col("time").dt.convert_time_zone(NEW_YORK)
    week = wall.dt.week()
    opening = (wall.dt.weekday() == 7) & (wall.dt.hour() == 17) & (week % 3 == 0)
    closing = (wall.dt.weekday() == 5) & (wall.dt.hour() == 16) & (week % 5 == 0)
    times = edited(seconds, ~opening & ~closing)
    assert contradiction(times, clock="new_york+7", seconds=seconds) is None
    assert "set clock: new_york+7" in str(contradiction(times, clock=wrong, seconds=seconds))


@pytest.mark.parametrize("seconds", [60, 3600])
def test_stray_rows_on_weekends_say_nothing_and_hide_nothing(seconds: int) -> None:
    """Every weekend holds lone rows, and among the minutes a quote every 20 minutes from Friday to Sunday."""
    times = YEAR if seconds == 3600 else MINUTES
    every = pl.datetime_range(times[0], times[-1], "5h" if seconds == 3600 else "20m", time_unit="us", eager=True)
    strays = every.to_frame("time").filter(pl.col("time").dt.weekday() >= 6)["time"]
    wall = shown(pl.concat([times, strays]), "UTC")
    assert contradiction(wall, clock="UTC", seconds=seconds) is None
    assert str(contradiction(wall, clock=LONDON, seconds=seconds)).endswith("set clock: UTC")


def test_weeks_with_a_holiday_inside_are_whole() -> None:
    """Christmas Day and New Year's Day fell on Wednesdays; no price stood from 14:00 on the eves to 02:00 after."""
    times = market(datetime(2019, 12, 8), datetime(2020, 1, 12), 300).to_frame("time")
    wall = pl.col("time").dt.convert_time_zone(NEW_YORK)
    eve = (wall.dt.hour() >= 14) & wall.dt.date().is_in([datetime(2019, 12, 24).date(), datetime(2019, 12, 31).date()])
    after = (wall.dt.hour() < 2) & wall.dt.date().is_in([datetime(2019, 12, 26).date(), datetime(2020, 1, 2).date()])
    kept = times.filter(~eve & ~after)["time"]
    assert contradiction(shown(kept, "UTC"), clock="UTC", seconds=300) is None
    said = contradiction(shown(kept, "UTC"), clock="+03:00", seconds=300)
    assert "5 of 5 whole weeks" in str(said)


def test_a_last_bar_at_the_close_says_nothing() -> None:
    """OANDA's hours hold one on some Fridays: a quote of 17:00 itself."""
    fridays = YEAR.filter((YEAR.dt.weekday() == 5) & (YEAR.dt.hour() == 20))
    wall = shown(pl.concat([YEAR, fridays + HOUR, fridays + 2 * HOUR]).unique(), "UTC")
    assert contradiction(wall, clock="UTC", seconds=3600) is None


@pytest.mark.parametrize("odd", [0, 1, 9])
def test_a_feed_that_opens_late_is_not_moved_for_a_few_odd_weeks(odd: int) -> None:
    """It opens at 18:00; some Fridays end with a bar at 17:00, so that these weeks look an hour late."""
    wall = YEAR.dt.convert_time_zone(NEW_YORK)
    late = YEAR.filter(~((wall.dt.weekday() == 7) & (wall.dt.hour() == 17)))
    fridays = YEAR.filter((wall.dt.weekday() == 5) & (wall.dt.hour() == 16)).head(odd)
    times = pl.concat([late, fridays + HOUR])
    assert contradiction(shown(times, "UTC"), clock="UTC", seconds=3600) is None


def test_order_and_repeats_do_not_matter() -> None:
    wall = shown(MINUTES, "histdata")
    mixed = pl.concat([wall, wall.tail(5000)]).shuffle(seed=1)
    for name in ("histdata", NEW_YORK):
        assert contradiction(mixed, clock=name, seconds=60) == contradiction(wall, clock=name, seconds=60)


def test_thin_chunks_are_worth_the_whole() -> None:
    wall = shown(MINUTES, "histdata")
    parts = pl.concat([thin(wall.slice(start, 7_001)) for start in range(0, len(wall), 7_001)])
    assert thin(parts).equals(thin(wall))
    assert len(thin(wall)) < len(wall) / 2
    assert contradiction(thin(parts), clock=NEW_YORK, seconds=60) == contradiction(wall, clock=NEW_YORK, seconds=60)


def test_a_file_that_no_clock_mends_says_so() -> None:
    half = datetime(2019, 6, 30, tzinfo=UTC)
    before = half > YEAR
    both = pl.concat([shown(YEAR.filter(before), "UTC"), shown(YEAR.filter(~before), "Asia/Tokyo")])
    said = contradiction(both, clock="UTC", seconds=3600)
    assert str(said).endswith("no clock known here would mend that: see whether the file changes its clock midway")


def test_a_market_that_never_closes_has_no_week() -> None:
    always = pl.datetime_range(datetime(2019, 1, 1), datetime(2019, 6, 1), "1h", time_unit="us", eager=True)
    assert contradiction(always, clock=NEW_YORK, seconds=3600) is None


@pytest.mark.parametrize("seconds", [0, 60, 3600])
def test_no_times_say_nothing(seconds: int) -> None:
    assert contradiction(pl.Series([], dtype=pl.Datetime("us")), clock="UTC", seconds=seconds) is None
    assert contradiction(pl.Series([None, None], dtype=pl.Datetime("us")), clock="UTC", seconds=seconds) is None


def test_an_unknown_clock_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'Europe/Londn' is unknown"):
        contradiction(pl.Series([], dtype=pl.Datetime("us")), clock="Europe/Londn", seconds=60)


# --- real files


def read(path: Path, separator: str = ",") -> pl.DataFrame:
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as opened:
            content = opened.read(next(name for name in opened.namelist() if name.endswith(".csv")))
    else:
        content = lzma.decompress(path.read_bytes())
    frame = pl.read_csv(io.BytesIO(content), separator=separator, has_header=False, infer_schema=False)
    return frame.rename({name: str(i) for i, name in enumerate(frame.columns)})


HISTDATA = {
    "DAT_ASCII_EURUSD_M1_201701.csv.xz": (["UTC", LONDON], NEW_YORK),
    "DAT_ASCII_EURUSD_M1_201703.csv.xz": (["UTC", LONDON, "-05:00"], NEW_YORK),
    "DAT_ASCII_EURUSD_M1_2018.zip": (["UTC", LONDON, "-05:00"], NEW_YORK),
    "DAT_ASCII_EURUSD_M1_202203.zip": (["UTC", LONDON, NEW_YORK], "histdata"),
}


@pytest.mark.parametrize("name", HISTDATA)
def test_histdata_files(sample_data: Path, name: str) -> None:
    """Winter 2017 cannot tell -05:00 from New York, nor can the whole weeks of March 2022 from London less 5 hours."""
    column = read(sample_data / "histdata" / name, ";")["0"]
    wall = column.str.to_datetime("%Y%m%d %H%M%S", time_unit="us")
    assert contradiction(wall, clock="histdata", seconds=60) is None
    assert clock("histdata").to_utc(wall)["reason"].null_count() == len(wall)
    wrong, fit = HISTDATA[name]
    for other in wrong:
        said = contradiction(wall, clock=other, seconds=60)
        assert f"set clock: {fit}" in str(said), other
        assert "histdata" in str(said), other


@pytest.mark.parametrize("pair", ["EURUSD", "USDJPY", "AUDJPY"])
def test_metatrader_files(sample_data: Path, pair: str) -> None:
    """Athens differs in one week of the file: Europe left summer time on 27 October 2019, New York on 3 November."""
    frame = read(sample_data / "mt4_m5" / f"{pair}5.csv.xz")
    wall = (frame["0"] + " " + frame["1"]).str.to_datetime("%Y.%m.%d %H:%M", time_unit="us")
    assert contradiction(wall, clock="new_york+7", seconds=300) is None
    for other in ("UTC", "+02:00", "+03:00"):
        assert str(contradiction(wall, clock=other, seconds=300)).endswith("set clock: new_york+7")
    said = contradiction(wall, clock="Europe/Athens", seconds=300)
    assert "1 of 33 whole weeks" in str(said)
    assert "week of 2019-10-27): set clock: new_york+7" in str(said)


@pytest.mark.parametrize("pair", ["EUR_USD", "USD_JPY"])
def test_oanda_files(sample_data: Path, pair: str) -> None:
    column = read(sample_data / "oanda_h1" / f"{pair}_H1.csv.xz")["0"].slice(1)
    wall = column.str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us")
    assert contradiction(wall, clock="UTC", seconds=3600) is None
    for other in (LONDON, NEW_YORK, "new_york+7", "histdata"):
        assert str(contradiction(wall, clock=other, seconds=3600)).endswith("set clock: UTC"), other
