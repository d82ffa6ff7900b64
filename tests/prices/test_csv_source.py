"""Delimited text of any make: what is recognised, what has to be said, and that nothing is guessed."""

from __future__ import annotations

import gzip
import lzma
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fx_assets.prices.batch import Form
from fx_assets.prices.columns import arranged, form_of, recognise, time_format
from fx_assets.prices.ingest import Collected, collect
from fx_assets.prices.sources.base import Feed, Request, SourceError, source
from fx_assets.settings import Settings
from fx_assets.specs.schema import SourceSpec

NOW = datetime(2024, 6, 1, tzinfo=UTC)
MONDAY = datetime(2024, 1, 8, tzinfo=UTC)


def read(
    files: Path, kind: str = "csv", pair: str = "EURUSD", *, fx_week: bool = True, **keys: Any
) -> tuple[Collected, Feed]:
    """The rows of files as a run would have them."""
    request = Request(
        pair=pair,
        source=SourceSpec.model_validate({"kind": kind, "files": str(files), **keys}),
        settings=Settings(home=files.parent),
        log=lambda _: None,
        now=NOW,
        history_start=date(1990, 1, 1),
        fx_week=fx_week,
    )
    feed = source(kind).open(request)
    collected = collect(feed.batches, pair=pair, source=kind, scratch=Path("unused"), now=NOW, fx_week=fx_week)
    return collected, feed


def rows_of(collected: Collected) -> pl.DataFrame:
    frame = pl.concat(collected.block(name) for name in collected.blocks)
    return frame.drop([name for name in frame.columns if frame[name].null_count() == frame.height])


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Any]:
    def put(text: str | bytes, name: str = "prices.csv") -> Path:
        path = tmp_path / name
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return path

    return put  # type: ignore[return-value]


def minutes(n: int, form: str = "%Y-%m-%dT%H:%M:%SZ") -> list[str]:
    return [f"{MONDAY + timedelta(minutes=i):{form}}" for i in range(n)]


def bars(n: int = 5, separator: str = ",", form: str = "%Y-%m-%dT%H:%M:%SZ") -> str:
    head = separator.join(["Date", "Open", "High", "Low", "Close", "Volume"])
    return "\n".join([head, *(separator.join([time, "1.1", "1.3", "1.0", "1.2", "7"]) for time in minutes(n, form))])


def test_bars_with_usual_names_need_nothing(folder: Any) -> None:
    collected, feed = read(folder(bars()))
    rows = rows_of(collected)
    assert collected.form == Form("bar", 60, "mid")
    assert rows["time"].to_list() == [MONDAY + timedelta(minutes=i) for i in range(5)]
    assert rows.select("open", "high", "low", "close", "volume").row(0) == (1.1, 1.3, 1.0, 1.2, 7.0)
    assert feed.notes["columns"] == (
        "time from Date, open from Open, high from High, low from Low, close from Close, volume from Volume"
    )
    assert "nothing says it" in str(feed.notes["side"])


@pytest.mark.parametrize(
    "pack", [gzip.compress, lzma.compress, lambda data: b"\xef\xbb\xbf" + data.replace(b"\n", b"\r\n")]
)
@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
def test_separators_packing_and_line_ends_make_no_difference(folder: Any, separator: str, pack: Any) -> None:
    plain = rows_of(read(folder(bars()))[0])
    assert rows_of(read(folder(pack(bars(separator=separator).encode()), "other.csv"))[0]).equals(plain)


@pytest.mark.parametrize(
    ("form", "clock"),
    [
        ("%Y-%m-%d %H:%M", "UTC"),
        ("%Y-%m-%d %H:%M:%S.000", "UTC"),
        ("%Y-%m-%dT%H:%M:%S+00:00", None),
        ("%s", None),
        ("%s000", None),
        ("%Y.%m.%d %H:%M", "UTC"),
        ("%Y.%m.%d %H:%M:%S", "UTC"),
        ("%Y%m%d %H%M%S", "UTC"),
        ("%Y%m%d%H%M%S", "UTC"),
    ],
)
def test_forms_of_time_that_are_known(folder: Any, form: str, clock: str | None) -> None:
    keys: dict[str, Any] = {} if clock is None else {"clock": clock}
    text = bars(form=form.replace("%s", "@"))
    if "@" in text:
        for i in range(5):
            text = text.replace("@", str(int(MONDAY.timestamp()) + 60 * i), 1)
    assert rows_of(read(folder(text), **keys)[0])["time"].to_list() == [MONDAY + timedelta(minutes=i) for i in range(5)]


def test_a_time_without_offset_needs_a_clock(folder: Any) -> None:
    path = folder(bars(form="%Y-%m-%d %H:%M"))
    with pytest.raises(
        SourceError, match=r"times such as 2024-01-08 00:00:00 do not say .* set source.clock .* UTC, America"
    ):
        read(path)
    new_york = rows_of(read(path, clock="America/New_York")[0])
    assert new_york["time"][0] == MONDAY + timedelta(hours=5)


@pytest.mark.parametrize("form", ["%m/%d/%Y %H:%M", "%d.%m.%Y %H:%M:%S"])
def test_a_day_that_may_be_the_month_is_refused_until_said(folder: Any, form: str) -> None:
    path = folder(bars(form=form))
    with pytest.raises(SourceError, match=r"the day may stand first or the month; say options.time_format"):
        read(path, clock="UTC")
    rows = rows_of(read(path, clock="UTC", options={"time_format": form})[0])
    assert rows["time"][0] == MONDAY


def test_an_unknown_form_of_time_is_shown(folder: Any) -> None:
    with pytest.raises(SourceError, match=r"'8 Jan 2024 00:00' is no known form of time; say options.time_format"):
        read(folder("time,close\n8 Jan 2024 00:00,1.1\n"), clock="UTC")


def test_a_mapping_takes_what_it_says_and_nothing_else(folder: Any) -> None:
    text = "Day,Clock,Price,Close,Open\n" + "\n".join(f"2024-01-08,00:0{i},1.{i}5,9,9" for i in range(5))
    collected, feed = read(
        folder(text), columns={"date": "Day", "time": "Clock", "close": "Price"}, clock="UTC", side="bid"
    )
    rows = rows_of(collected)
    assert collected.form == Form("bar", 60, "bid")
    assert rows["close"].to_list() == [1.05, 1.15, 1.25, 1.35, 1.45]
    assert "open" not in rows.columns
    assert feed.notes["columns_ignored"] == "Close, Open"
    assert "side" not in feed.notes


def test_without_a_header_columns_are_numbers(folder: Any) -> None:
    text = "\n".join(f"2024.01.08,00:0{i},1.1,1.3,1.0,1.2,9" for i in range(5))
    path = folder(text)
    with pytest.raises(
        SourceError, match=r"no header in its first line '2024.01.08,00:00.*say the columns by number, from 1"
    ):
        read(path, clock="UTC")
    numbers = {"date": "1", "time": "2", "open": "3", "high": "4", "low": "5", "close": "6"}
    for options in ({}, {"header": False}):
        assert rows_of(read(path, columns=numbers, clock="new_york+7", options=options)[0])["close"].len() == 5
    with pytest.raises(SourceError, match=r"columns.close: there is no column '8'; the columns are '1', '2'"):
        read(path, columns={"date": "1", "close": "8"}, clock="UTC")


def test_a_decimal_comma_is_an_option(folder: Any) -> None:
    path = folder("time;close\n" + "\n".join(f"{time};1,2{i}" for i, time in enumerate(minutes(5))))
    with pytest.raises(SourceError, match=r"close is '1,20'; set options.decimal_comma: true"):
        read(path)
    assert rows_of(read(path, options={"decimal_comma": True})[0])["close"].to_list() == [1.20, 1.21, 1.22, 1.23, 1.24]


def test_quotes_ticks_and_a_lone_price(folder: Any) -> None:
    uneven = [f"{MONDAY + timedelta(seconds=s):%Y-%m-%dT%H:%M:%SZ}" for s in (0, 1, 5, 6, 20, 33)]
    both, _ = read(folder("Gmt time,Bid,Ask\n" + "\n".join(f"{time},1.1,1.2" for time in uneven)))
    assert (both.form, rows_of(both).select("bid", "ask").row(0)) == (Form("tick"), (1.1, 1.2))
    lone = folder("timestamp,price\n" + "\n".join(f"{time},1.1" for time in uneven))
    for side, names in ((None, ["bid", "ask"]), ("trade", ["bid", "ask"]), ("bid", ["bid"]), ("ask", ["ask"])):
        collected, _ = read(lone, side=side)
        assert collected.form == Form("tick", 0, side or "mid")  # type: ignore[arg-type]
        assert [name for name in rows_of(collected).columns if name in ("bid", "ask")] == names
    regular = folder("time,price\n" + "\n".join(f"{time},1.1" for time in minutes(9)))
    assert read(regular)[0].form == Form("bar", 60, "mid")
    assert read(regular, resolution="tick")[0].form == Form("tick")


def test_bars_of_one_side_become_open_to_close_of_that_side(folder: Any) -> None:
    text = "time,ask_o,ask_h,ask_l,ask_c,spread\n" + "\n".join(f"{time},1.1,1.3,1.0,1.2,5" for time in minutes(5))
    collected, feed = read(folder(text))
    assert collected.form == Form("bar", 60, "ask")
    rows = rows_of(collected)
    assert rows.select("open", "high", "low", "close").row(0) == (1.1, 1.3, 1.0, 1.2)
    assert "ask" not in rows.columns
    assert feed.notes["columns_ignored"] == "spread"
    with pytest.raises(SourceError, match="side: bid, but the columns are ask"):
        read(folder(text), side="bid")


def test_points_are_divided_out(folder: Any) -> None:
    text = "time,close\n" + "\n".join(f"{time},107770" for time in minutes(5))
    assert rows_of(read(folder(text), points=0.00001)[0])["close"][0] == 1.0777


def test_bad_rows_are_rejected_with_their_line_and_the_rest_is_read(folder: Any) -> None:
    good = minutes(6)
    lines = [
        "time,close",
        f"{good[0]},1.1",
        f"{good[1]},abc",
        f"{good[2]},1.1,9",
        "yesterday,1.1",
        "",
        f'"{good[3]}","1.2"',
    ]
    collected, _ = read(folder("\n".join([*lines, f"{good[4]},1.1", f"{good[5]},1.1"])), resolution="1min")
    assert rows_of(collected)["close"].to_list() == [1.1, 1.2, 1.1, 1.1]
    assert [(line, reason.split(":")[0]) for _, line, reason, _ in collected.rejects.rows()] == [
        (3, "bad_number"),
        (4, "column_count"),
        (5, "bad_time"),
    ]


def test_files_that_say_nothing_are_refused(folder: Any) -> None:
    for text, message in (
        ("\n\n\n", "empty lines"),
        ("a,b\n2024-01-08T00:00:00Z,1\n", r"no column is known as time: 'a', 'b'; say which"),
        ("time,b\n2024-01-08T00:00:00Z,1\n", "no column is known as price"),
        ("time,open\n2024-01-08T00:00:00Z,1\n2024-01-08T00:01:00Z,1\n", "no closing price"),
        (
            "time,open,close\n2024-01-08T00:00:00Z,1,1\n",
            "the length of the bars cannot be told from 1 times; say resolution",
        ),
        ("time,close\n2024-01-08T00:00:00Z,x\n", "not one of the first 1 rows is one; line 2: bad_number"),
    ):
        with pytest.raises(SourceError, match=message):
            read(folder(text))


def test_lines_of_an_old_mac_are_refused(folder: Any) -> None:
    with pytest.raises(SourceError, match=r"lines must end with LF or CRLF"):
        read(folder(bars().replace("\n", "\r")))


def test_a_header_alone_is_no_row_and_no_error(folder: Any) -> None:
    collected, _ = read(folder("time,close\n"))
    assert collected.rows == 0


def test_the_clock_is_checked_against_the_week(folder: Any) -> None:
    """Three months of hours from Sunday 17:00 to Friday 17:00 in New York, read by another clock."""
    hours = pl.datetime_range(datetime(2024, 1, 1), datetime(2024, 4, 1), "1h", eager=True)
    wall = hours.filter(hours.dt.offset_by("7h").dt.weekday() <= 5)
    path = folder("time,close\n" + "\n".join(f"{time:%Y-%m-%d %H:%M},1.1" for time in wall))
    assert read(path, clock="America/New_York")[0].rows == wall.len()
    with pytest.raises(SourceError, match="set clock: America/New_York"):
        read(path, clock="Europe/London")


def test_the_form_is_told_by_the_configuration_alone() -> None:
    csv = source("csv")
    assert csv.form(SourceSpec(kind="csv", resolution="tick")) == Form("tick")
    assert csv.form(SourceSpec(kind="csv", resolution="4h", side="bid")) == Form("bar", 14_400, "bid")
    assert csv.form(SourceSpec(kind="csv")) == Form("bar", 60)


def test_problems_say_where() -> None:
    spec = SourceSpec.model_validate(
        {
            "kind": "csv",
            "clock": "Nowhere",
            "columns": {"tme": "Date", "close": "x", "bid": "x"},
            "options": {"separator": "::", "time_format": "%d.%m"},
        }
    )
    found = list(source("csv").problems(spec))
    assert {path for path, _ in found} == {
        "clock", "columns", "columns.tme", "options.separator", "options.time_format"
    }  # fmt: skip
    messages = " ".join(message for _, message in found)
    assert "Did you mean 'time'" in messages
    assert "no time: add" in messages
    assert "close and bid are taken from one column 'x'" in messages
    assert list(source("csv").problems(SourceSpec(kind="csv"))) == []


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        ("<DATE> <TIME> <OPEN> <HIGH> <LOW> <CLOSE> <TICKVOL> <VOL>", "date time open high low close ticks volume"),
        ("DateTime Time Date Close", "time close"),
        ("ts bid_close ask_close bid_open ask_high", "time bid ask bid_open ask_high"),
        ("Date O H L C V", "time open high low close volume"),
        ("time mid_o mid_h mid_l mid_c close", "time open high low close"),
        ("Timestamp AskPrice BidPrice", "time bid ask"),
    ],
)
def test_usual_names(names: str, taken: str) -> None:
    assert set(recognise(names.split(), {}).taken) == set(taken.split())


def test_mid_is_said_by_the_names() -> None:
    named = recognise(["time", "mid_c"], {})
    times = pl.Series(minutes(9)).str.to_datetime(time_zone="UTC")
    assert form_of(named, SourceSpec(kind="csv"), times).side == "mid"
    with pytest.raises(ValueError, match="side: bid, but the columns are mid"):
        form_of(named, SourceSpec(kind="csv", side="bid"), times)
    with pytest.raises(ValueError, match="resolution: tick, but the columns bid_open"):
        form_of(recognise(["time", "bid", "bid_open"], {}), SourceSpec(kind="csv", resolution="tick"), times)
    half = pl.DataFrame({"line": [1], "close": [1.0], "bid": [1.0]})
    assert arranged(half, Form("bar", 60)).columns == ["line", "close"]
    assert time_format(["x", "2024-01-08", "2024-01-09"]) == "iso"


def test_the_real_hourly_file_reads_by_itself(sample_data: Path) -> None:
    collected, feed = read(sample_data / "oanda_h1" / "EUR_USD_H1.csv.xz")
    assert (collected.form, collected.rows, collected.rejects.height) == (Form("bar", 3600, "mid"), 24_764, 0)
    first = rows_of(collected).row(0, named=True)
    assert (first["time"], first["bid"], first["ask"], first["close"]) == (
        datetime(2016, 1, 7, tzinfo=UTC),
        1.0777,
        1.07787,
        1.07778,
    )
    assert (first["bid_open"], first["ask_low"], first["volume"]) == (1.07757, 1.07752, 542.0)
    assert "close from mid_c" in str(feed.notes["columns"])


def test_the_real_crypto_file_needs_its_clock(sample_data: Path) -> None:
    path = sample_data / "crypto" / "BTCUSD_H1.csv.xz"
    with pytest.raises(SourceError, match=r"set source.clock"):
        read(path, pair="BTCUSD", fx_week=False)
    collected, _ = read(path, pair="BTCUSD", fx_week=False, clock="UTC")
    assert (collected.form, collected.rows) == (Form("bar", 3600, "mid"), 39_214)
    assert collected.first == datetime(2017, 5, 23, tzinfo=UTC)
