"""`fx-assets convert` as a new user meets it: their files become one clean frame, or one sentence says why not."""

from __future__ import annotations

import json
import lzma
import os
import subprocess
import sys
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from typer.testing import CliRunner, Result

from fx_assets.cli import app

# What the report is asked for comes first, under these names.
REPORTED = ["pair", "form", "files", "rows", "first", "last", "rejects", "duplicates", "gaps"]
MINUTE = "20240110 {at:%H%M}00;1.10000;1.10020;1.09990;1.10010;0"


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of the user's own, outside the project, to work in; the project's configs."""
    for name in [name for name in os.environ if name.startswith("FX_") and name != "FX_SAMPLE_DATA"]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("FX_HOME", str(tmp_path / "home"))
    folder = tmp_path / "mine"
    folder.mkdir()
    monkeypatch.chdir(folder)
    return folder


def convert(*words: str, source: str = "histdata", pair: str = "EURUSD", out: str = "bars.parquet") -> Result:
    return CliRunner().invoke(app, ["convert", *words, "--source", source, "--pair", pair, "--out", out])


def reported(*words: str, **more: str) -> dict[str, Any]:
    done = convert(*words, "--json", **more)
    assert done.exit_code == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert list(document)[: len(REPORTED)] == REPORTED
    return document


def plain(text: str) -> str:
    """Text without the frame and the line breaks that a narrow terminal gets."""
    return " ".join("".join(" " if char in "│╭╮╰╯─" else char for char in text).split())


def refused(done: Result, said: str, *, code: int = 1) -> None:
    """It failed with that code, said so without a trace on standard error only, and left nothing."""
    assert (done.exit_code, done.stdout) == (code, "")
    assert isinstance(done.exception, SystemExit)
    assert said in plain(done.stderr)
    assert not list(Path().rglob("*.parquet"))
    assert not list(Path().rglob(".fx-assets*"))


def minutes(first: str, count: int) -> str:
    """Lines of a HistData file, from `first` (HH:MM, New York) on."""
    start = datetime.strptime(first, "%H:%M")
    return "".join(MINUTE.format(at=start + timedelta(minutes=at)) + "\n" for at in range(count))


def test_the_report_and_the_frame(here: Path) -> None:
    lines = minutes("09:00", 10) + minutes("09:09", 1) + minutes("12:30", 5)
    lines += "20240110 130000;1.1;1.2;1.0;nonsense;0\n20240110 130100;1.1;1.0;1.2;1.1;0\n"
    (here / "a.csv").write_text(lines)
    found = reported("a.csv")
    assert found["form"] == "bars of 1min (bid)"
    assert (found["files"], found["rows"], found["duplicates"]) == (1, 15, 1)
    assert (found["first"], found["last"]) == ("2024-01-10T14:00:00+00:00", "2024-01-10T17:34:00+00:00")
    assert found["rejects"] == {"bad_number": 1, "ohlc_inconsistent": 1}
    assert "a.csv, line 17: " in found["examples"]["bad_number"]
    gap = {"from": "2024-01-10T14:09:00+00:00", "to": "2024-01-10T17:30:00+00:00", "open_minutes": 200}
    assert found["gaps"] == {"count": 1, "longest": [gap]}
    assert found["out"] == "bars.parquet"
    frame = pl.read_parquet("bars.parquet")
    assert frame.columns == ["time", "open", "high", "low", "close"]
    assert frame.schema["time"] == pl.Datetime("us", "UTC")
    assert (frame.height, frame["time"].is_sorted()) == (15, True)


def test_people_read_the_same_in_words(here: Path) -> None:
    (here / "a.csv").write_text(minutes("09:00", 3) + "20240110 090300;[/red];1;1;1;0\n")
    done = convert("a.csv", out="new/folder/[x].parquet")
    assert done.exit_code == 0
    assert "3 rows of EURUSD, bars of 1min (bid), in new/folder/[x].parquet" in done.stdout
    assert "from 2024-01-10 14:00:00 to 2024-01-10 14:02:00 UTC" in done.stdout
    assert "rejected: 1 of 4, 25 %" in done.stdout
    assert f"first {here}/a.csv, line 4: bad_number: open '[/red]'" in done.stdout
    assert "gaps in open market time: 0" in done.stdout
    assert (here / "new" / "folder" / "[x].parquet").is_file()


def test_ticks_have_bid_and_ask_first(here: Path) -> None:
    (here / "t.csv").write_text("volume,Ask,Bid,Timestamp\n3,1.1002,1.1000,2024-01-10T00:00:00.250+02:00\n")
    assert reported("t.csv", source="csv")["form"] == "ticks"
    frame = pl.read_parquet("bars.parquet")
    assert frame.columns == ["time", "bid", "ask", "volume"]
    assert frame["time"].to_list() == [datetime(2024, 1, 9, 22, 0, 0, 250_000, tzinfo=UTC)]


def test_a_quoted_glob_a_folder_and_a_list_are_the_same(here: Path) -> None:
    (here / "in").mkdir()
    for name, first in (("a", "09:00"), ("b", "09:30")):
        with zipfile.ZipFile(here / "in" / f"{name}.zip", "w") as archive:
            archive.writestr(f"{name}.csv", minutes(first, 30))
    frames = []
    for words in (["in/*.zip"], ["in"], ["in/b.zip", "./in/../in/a.zip"], [str(here / "in" / "?.zip")]):
        found = reported(*words)
        assert (found["files"], found["rows"]) == (2, 60)
        frames.append(Path("bars.parquet").read_bytes())
    assert len(set(frames)) == 1


def test_a_gap_between_two_quarters_is_one(here: Path) -> None:
    """Rows are kept by quarters on the way."""
    times = [f"{day} 10{minute}00" for day in ("20240328", "20240402") for minute in ("00", "01")]
    (here / "a.csv").write_text("".join(f"{time};1.1;1.1;1.1;1.1;0\n" for time in times))
    [gap] = reported("a.csv")["gaps"]["longest"]
    assert (gap["from"], gap["to"]) == ("2024-03-28T15:01:00+00:00", "2024-04-02T14:00:00+00:00")


def test_what_it_wrote_it_reads_again(here: Path) -> None:
    (here / "a.csv").write_text(minutes("09:00", 20))
    reported("a.csv")
    found = reported("bars.parquet", "--set", "side=bid", source="parquet", pair="eurusd", out="again.parquet")
    assert (found["pair"], found["form"], found["rows"]) == ("EURUSD", "bars of 1min (bid)", 20)
    assert pl.read_parquet("again.parquet").equals(pl.read_parquet("bars.parquet"))


def test_a_csv_of_any_make(here: Path) -> None:
    (here / "a.csv").write_text("Date;Price\n" + "".join(f"{day:02}/01/2024;1,1{day}\n" for day in range(15, 20)))
    said = "set options.decimal_comma: true if the comma is decimal (on the command line: --set options.decimal_comma="
    refused(convert("a.csv", source="csv"), said)
    words = ["a.csv", "--set", "options.decimal_comma=true"]
    refused(convert(*words, source="csv"), "the day may stand first or the month")
    words += ["--set", "options.time_format=%d/%m/%Y"]
    refused(convert(*words, source="csv"), "(on the command line: --clock CLOCK)")
    words += ["--columns", "time=Date,close=Price", "--clock", "Europe/Berlin", "--set", "side=mid"]
    assert reported(*words, source="csv")["form"] == "bars of 1d (mid)"
    assert pl.read_parquet("bars.parquet")["close"].to_list() == [1.115, 1.116, 1.117, 1.118, 1.119]


def test_another_pair_and_points_are_seen_by_the_plausible_range(here: Path) -> None:
    (here / "a.csv").write_text(minutes("09:00", 20))
    assert reported("a.csv")["implausible"] == 0
    assert reported("a.csv", pair="USDJPY")["implausible"] == 20
    assert "outside the plausible range of configs/pairs/USDJPY.yaml" in convert("a.csv", pair="USDJPY").stdout
    assert reported("a.csv", pair="XAUEUR")["implausible"] is None


def test_a_market_that_never_closes(here: Path) -> None:
    """The weekend's hole is one where the pair's file, or the command line, says so."""
    friday = datetime(2024, 1, 12, tzinfo=UTC)
    hours = [friday + timedelta(hours=at) for at in (*range(12), *range(72, 84))]
    (here / "a.csv").write_text("time,close\n" + "".join(f"{hour:%FT%T}Z,40000\n" for hour in hours))
    assert reported("a.csv", source="csv", pair="BTCUSD")["gaps"]["longest"][0]["open_minutes"] == 60 * 60
    for words, length in (((), 12), (("--calendar", "24x7"), 60)):
        [gap] = reported("a.csv", *words, source="csv", pair="SOLUSD")["gaps"]["longest"]
        assert gap["open_minutes"] == pytest.approx(60 * length, abs=60)
    refused_here = convert("a.csv", "--calendar", "24/7", source="csv", out="b.parquet")
    assert (refused_here.exit_code, "unknown calendar '24/7'" in plain(refused_here.stderr)) == (2, True)


def test_nothing_needs_to_be_configured(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FX_CONFIGS", str(here))
    (here / "a.csv").write_text(minutes("09:00", 20))
    assert reported("a.csv")["rows"] == 20


BROKEN: dict[str, tuple[bytes, str]] = {
    "empty.csv": (b"", "nothing but empty files: "),
    "junk.csv": (bytes(range(256)) * 4, "not UTF-8 text at byte 0 (0x00); it looks like binary data"),
    "utf16.csv": ("20240110 090000;1;1;1;1;0\n".encode("utf-16"), "it looks like UTF-16; convert it"),
    "cut.zip": (b"PK\x03\x04" + bytes(100), "a zip without its table of contents"),
    "cut.xz": (lzma.compress(minutes("09:00", 600).encode())[:-40], "the compressed data ends early"),
    "other.csv": (b"2024.01.10,09:00,1,1,1,1,1\n", "kind: csv (on the command line: --source metatrader"),
    "rejected.csv": (b"20240110 090000;1;1;1;x;0\n", "no usable row; rejected: 1 bad_number; for example "),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_file_that_cannot_be_used(here: Path, name: str) -> None:
    content, said = BROKEN[name]
    (here / name).write_bytes(content)
    done = convert(name, out="new/folder/bars.parquet")
    refused(done, said)
    assert str(here / name) in plain(done.stderr)
    assert not (here / "new").exists()


def test_an_empty_hour_of_a_closed_market(here: Path) -> None:
    (here / "00h_ticks.bi5").touch()
    refused(convert("00h_ticks.bi5", source="dukascopy"), "no usable row; the files hold none, as those of hours")


def test_two_forms_are_refused_by_name(here: Path) -> None:
    (here / "a.csv").write_text(minutes("09:00", 20))
    (here / "b.csv").write_text("20240110 100000123,1.1,1.2,0\n")
    said = f"{here}/a.csv holds bars of 1min (bid), {here}/b.csv holds ticks"
    refused(convert("a.csv", "b.csv"), said)


def test_a_wrong_clock_is_refused_with_the_one_that_fits(here: Path) -> None:
    lines = []
    for at in range(4 * 7 * 24 * 12):
        time = datetime(2024, 1, 7, 17) + timedelta(minutes=5 * at)
        if time < datetime(2024, 1, 7, 17) + timedelta(weeks=at // (7 * 24 * 12), days=5):
            lines.append(f"{time:%Y.%m.%d,%H:%M},1.1,1.1,1.1,1.1,7\r\n")
    (here / "a.csv").write_text("".join(lines))
    refused(convert("a.csv", source="metatrader"), "(on the command line: --clock America/New_York)")
    assert reported("a.csv", "--clock", "America/New_York", source="metatrader")["rows"] == len(lines)


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("nosuch.csv",), 1, "mine/nosuch.csv does not exist"),
        (("a.csv", "nosuch.csv"), 1, "mine/nosuch.csv does not exist"),
        (("*.zip",), 1, "no file matches "),
        (("a.csv", "*.zip"), 1, "no file matches "),
        (("x" * 300,), 1, "File name too long"),
        ((), 2, "Missing argument"),
        (("a.csv", "--source", "histdat"), 2, "unknown source 'histdat'. Did you mean 'histdata'?"),
        (("a.csv", "--source", "simulated"), 2, "the source 'simulated' reads no files; those that do: csv, dukascopy"),
        (("a.csv", "--pair", "EUR/USD"), 2, "'EUR/USD': expected two currencies such as EURUSD"),
        (("a.csv", "--clock", "Mars/Base"), 2, "clock 'Mars/Base' is unknown"),
        (
            ("a.csv", "--source", "ecb", "--clock", "UTC"),
            2,
            "Invalid value for --clock: the source 'ecb' has no such key",
        ),
        (("a.csv", "--points", "-1"), 2, "Invalid value for --points: Input should be greater than 0, found -1.0"),
        (("a.csv", "--columns", "time"), 2, "'time': expected ours=theirs, e.g. time=Date"),
        (("a.csv", "--source", "csv", "--columns", "tme=1"), 2, "tme: unknown column. Did you mean 'time'?"),
        (("a.csv", "--set", "resolution=3min"), 2, "Invalid value for --set: Input should be '1min', '5min'"),
        (("a.csv", "--set", "kind=csv"), 2, "unknown key 'kind'; this sets symbol, resolution, side and options.NAME"),
        (("a.csv", "--source", "csv", "--set", "options.seperator=;"), 2, "seperator: unknown option. Did you mean"),
        (("a.csv", "--out", "bars.csv"), 2, "bars.csv: convert writes Parquet; name it bars.parquet"),
        (("a.csv", "--out", "."), 2, ". is a folder; name a file in it"),
        (("a.csv", "--out", "/dev/null"), 2, "/dev/null is no ordinary file"),
        (("a.csv", "--out", "a.csv"), 2, "a.csv is one of the files to read"),
        (("a.csv", "--out", "a.csv/bars.parquet"), 1, "a.csv/bars.parquet cannot be written: "),
        (("a.csv", "--out", "/proc/bars.parquet"), 1, "/proc/bars.parquet cannot be written: "),
    ],
    ids=lambda value: " ".join(value)[:60] if isinstance(value, tuple) else "",
)
def test_each_misuse_has_its_sentence(here: Path, words: tuple[str, ...], code: int, said: str) -> None:
    (here / "a.csv").write_text(minutes("09:00", 20))
    refused(
        CliRunner().invoke(app, ["convert", "--source", "histdata", "--pair", "EURUSD", "--out", "b.parquet", *words]),
        said,
        code=code,
    )
    assert (here / "a.csv").stat().st_size
    assert [path.name for path in here.iterdir()] == ["a.csv"]


def test_the_last_result_stays_where_a_conversion_fails(here: Path) -> None:
    (here / "bars.parquet").write_bytes(b"the last one")
    (here / "cut.xz").write_bytes(BROKEN["cut.xz"][0])
    assert convert("cut.xz").exit_code == 1
    assert sorted(path.name for path in here.iterdir()) == ["bars.parquet", "cut.xz"]
    assert (here / "bars.parquet").read_bytes() == b"the last one"


def test_as_it_is_typed(here: Path) -> None:
    """In a process of its own: nothing but the document on standard output."""
    (here / "a.csv").write_text(minutes("09:00", 20))
    script = str(Path(sys.executable).with_name("fx-assets"))
    words = [script, "convert", "*.csv", "--source", "histdata", "--pair", "EURUSD", "--out", "b.parquet", "--json"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    assert (done.returncode, json.loads(done.stdout)["rows"]) == (0, 20)
    assert done.stderr == f"EURUSD: reading {here}/a.csv\n"


# kind, files, pair, more words: rows, form
REAL: dict[str, tuple[str, str, str, tuple[str, ...], int, str]] = {
    "zip": ("histdata", "histdata/*202203.zip", "EURUSD", (), 32_974, "bars of 1min (bid)"),
    "xz": ("histdata", "histdata/*_M1_2017*.csv.xz", "EURUSD", (), 64_160, "bars of 1min (bid)"),
    "ticks": ("histdata", "histdata/*_T_*.csv.xz", "EURUSD", (), 9_500, "ticks"),
    "mt4": ("metatrader", "mt4_m5/USDJPY5.csv.xz", "USDJPY", (), 48_272, "bars of 5min (bid)"),
    "bi5": ("dukascopy", "dukascopy/bi5/EURUSD/2019/01/04/*_ticks.bi5", "EURUSD", (), 136_741, "ticks"),
    "candles": ("dukascopy", "dukascopy/bi5/EURUSD/2019/01/04/BID*.bi5", "EURUSD", (), 1_440, "bars of 1min (bid)"),
    "json": ("dukascopy", "dukascopy/json_api_v1/candles*.json", "EURUSD", (), 1_258, "bars of 1min (bid)"),
    "json ticks": ("dukascopy", "dukascopy/json_api_v1/ticks*.json", "EURUSD", (), 3_551, "ticks"),
    "oanda": ("oanda", "oanda_v20/*.json", "EURUSD", ("--set", "symbol=DE30_EUR"), 5, "bars of 5min (mid)"),
    "csv": ("csv", "oanda_h1/EUR_USD_H1.csv.xz", "EURUSD", (), 24_764, "bars of 1h (mid)"),
    "crypto": ("csv", "crypto/ETHUSDT*", "ETHUSD", ("--clock", "UTC"), 53_058, "bars of 1h (mid)"),
    "ecb": ("ecb", "ecb/eurofxref.csv", "GBPJPY", (), 1, "fixings"),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files(sample_data: Path, name: str) -> None:
    kind, files, pair, words, rows, form = REAL[name]
    found = reported(str(sample_data / files), *words, source=kind, pair=pair)
    frame = pl.read_parquet("bars.parquet")
    assert (found["rows"], found["form"], frame.height) == (rows, form, rows)
    assert frame["time"].is_sorted()
    assert frame["time"][0].isoformat() == found["first"]
    first = {"ticks": ["bid", "ask"], "fixings": ["close"]}.get(form, ["open", "high", "low", "close"])
    if name != "csv":  # the mid close alone, with bid and ask bars beside it
        assert frame.select(first).null_count().sum_horizontal().item() == 0
    assert frame.columns[: 1 + len(first)] == ["time", *first]


@pytest.mark.parametrize(
    ("kind", "files", "words", "said"),
    [
        ("csv", "crypto/BTCUSD*", (), "do not say their offset from UTC"),
        (
            "oanda",
            "oanda_v20/*",
            (),
            "holds DE30_EUR, expected EUR_USD; move it, or set `symbol` (on the command line: --set",
        ),
        ("histdata", "mt4_m5/EURUSD5.csv.xz", (), "for HistData's MetaTrader files set kind: metatrader"),
        ("metatrader", "mt4_m5/EURUSD5.csv.xz", ("--clock", "UTC"), "(on the command line: --clock new_york+7)"),
        ("histdata", "histdata/*_M1_201703*", ("--clock", "UTC"), "(on the command line: --clock America/New_York)"),
        ("histdata", "histdata/*20[12][70][03]*xz", (), "holds ticks; prices of one pair have one form"),
        ("dukascopy", "dukascopy/bi5/empty.bi5", (), "no usable row"),
        ("csv", "exchange_rate/*", (), "no header in its first line"),
    ],
)
def test_real_files_that_do_not_fit(
    sample_data: Path, kind: str, files: str, words: tuple[str, ...], said: str
) -> None:
    refused(convert(str(sample_data / files), *words, source=kind), said)
