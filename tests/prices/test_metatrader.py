"""MetaTrader's exports: small files of our own in each of its forms, then real ones."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from fx_assets.prices import text as text_module
from fx_assets.prices.batch import Form
from fx_assets.prices.files import FileError
from fx_assets.prices.sources.base import source
from fx_assets.settings import Settings
from fx_assets.specs.schema import SourceSpec
from tests.prices.conftest import Given, answer_of, request

MT4 = "2019.07.08,06:25,1.12285,1.12288,1.12283,1.12286,80\r\n2019.12.09,06:30,1.12286,1.12295,1.12275,1.1229,189\r\n"
MT5 = (
    "<DATE>\t<TIME>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
    "2019.07.08\t06:00:00\t1.12285\t1.12288\t1.12283\t1.12286\t80\t0\t12\n"
    "2019.07.08\t07:00:00\t1.12286\t1.12295\t1.12275\t1.12290\t189\t0\t3\n"
)
DAYS = (
    "<DATE>\t<OPEN>\t<HIGH>\t<LOW>\t<CLOSE>\t<TICKVOL>\t<VOL>\t<SPREAD>\n"
    "2019.07.05\t1.1\t1.2\t1.0\t1.1\t80\t0\t12\n"
    "2019.07.08\t1.1\t1.2\t1.0\t1.1\t80\t0\t12\n"
    "2019.07.09\t1.1\t1.2\t1.0\t1.1\t80\t0\t12\n"
    "2019.07.10\t1.1\t1.2\t1.0\t1.1\t80\t0\t12\n"
)
TICKS = (
    "<DATE>\t<TIME>\t<BID>\t<ASK>\t<LAST>\t<VOLUME>\t<FLAGS>\n"
    "2019.07.08\t00:05:00.100\t1.1\t\t\t\t2\n"
    "2019.07.08\t00:05:00.200\t1.1\t1.2\t\t\t6\n"
    "2019.07.08\t00:05:00.300\t\t1.3\t\t\t4\n"
    "2019.07.08\t00:05:00.400\t1.0\t\t\t\t2\n"
    "2019.07.08\t00:05:00.500\t\t\t1.1\t1\t8\n"
)


def give(path: Path, text: str | bytes | None = None, **keys: Any) -> Given:
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    spec = SourceSpec(kind="metatrader", files=str(path), **keys)
    return answer_of(source("metatrader"), request(Settings(live=False), source=spec))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "EURUSD.csv"


def utc(*parts: int) -> datetime:
    return datetime(*parts, tzinfo=UTC)  # type: ignore[misc,arg-type]


def bars(step: int, count: int, first: datetime = datetime(2019, 7, 8, 1)) -> str:
    times = (first + timedelta(seconds=step * number) for number in range(count))
    return "".join(f"{time:%Y.%m.%d,%H:%M},1.1,1.2,1.0,1.1,5\r\n" for time in times)


def test_history_center(path: Path) -> None:
    given = give(path, MT4, resolution="5min")
    assert given.batches[0].form == Form("bar", 300, "bid")
    assert given.rows.columns == ["line", "time", "open", "high", "low", "close", "ticks"]
    # Both are 7 hours ahead of New York: summer time there, then winter.
    assert given.rows.rows() == [
        (1, utc(2019, 7, 8, 3, 25), 1.12285, 1.12288, 1.12283, 1.12286, 80),
        (2, utc(2019, 12, 9, 4, 30), 1.12286, 1.12295, 1.12275, 1.1229, 189),
    ]


def test_bars_of_metatrader_5(path: Path) -> None:
    given = give(path, MT5)
    assert given.batches[0].form == Form("bar", 3600, "bid")
    assert given.rows.rows() == [
        (2, utc(2019, 7, 8, 3), 1.12285, 1.12288, 1.12283, 1.12286, 80),
        (3, utc(2019, 7, 8, 4), 1.12286, 1.12295, 1.12275, 1.1229, 189),
    ]


def test_the_spread_gives_the_ask_at_the_close_where_its_point_is_known(path: Path) -> None:
    given = give(path, MT5, options={"spread_point": 0.00001})
    assert given.batches[0].form.side == "bid"
    assert given.rows["bid"].to_list() == given.rows["close"].to_list() == [1.12286, 1.1229]
    assert given.rows["ask"].to_list() == pytest.approx([1.12298, 1.12293], abs=1e-12)


def test_prices_in_points(path: Path) -> None:
    text = MT5.replace("1.12", "112")
    given = give(path, text, points=0.00001)
    assert given.rows["close"].to_list() == [1.12286, 1.1229]
    assert given.rows["ask"].to_list() == [1.12298, 1.12293]
    assert give(path, TICKS.replace(".1\t", "1\t"), points=0.1).rows["bid"][0] == 1.1


def test_days_have_no_time(path: Path) -> None:
    given = give(path, DAYS, resolution="1d")
    assert given.batches[0].form == Form("bar", 86_400, "bid")
    # A server's midnight is 17:00 in New York, where a trading day begins.
    assert given.rows["time"].to_list() == [utc(2019, 7, day, 21) for day in (4, 7, 8, 9)]
    assert give(path).batches[0].form.seconds == 86_400


@pytest.mark.parametrize("lines", [1, 2, 3, 1 << 17])
def test_a_blank_side_is_the_last_one_known(path: Path, lines: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "CHUNK_LINES", lines)
    given = give(path, TICKS)
    assert {batch.form for batch in given.batches} == {Form("tick")}
    assert given.rows.select("line", "bid", "ask").rows() == [
        (3, 1.1, 1.2),
        (4, 1.1, 1.3),
        (5, 1.0, 1.3),
        (6, 1.0, 1.3),
    ]
    assert given.rows["time"][0] == utc(2019, 7, 7, 21, 5, 0, 200_000)
    assert given.notes["sides_carried"] == 4
    assert given.rejects.rows() == [
        (2, "no_quote_yet: ask is blank and was never given", "2019.07.08\t00:05:00.100\t1.1\t\t\t\t2", str(path))
    ]


def test_no_side_is_carried_from_one_file_to_the_next(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(TICKS)
    given = give(tmp_path / "b.csv", TICKS.replace("07.08", "07.09"))
    assert given.notes["sides_carried"] == 4
    both = give(tmp_path / "*.csv")
    assert [reason.split(":")[0] for reason in both.rejects["reason"]] == ["no_quote_yet"] * 2
    assert both.notes["sides_carried"] == 8


@pytest.mark.parametrize(("step", "name"), [(60, "1min"), (300, "5min"), (1800, "30min"), (14_400, "4h")])
def test_the_length_of_bars_is_seen_from_their_steps(path: Path, step: int, name: str) -> None:
    text = bars(step, 12) + bars(step, 5, datetime(2019, 7, 15, 1))  # out of 16 steps one is a gap
    assert give(path, text).batches[0].form == Form("bar", step, "bid")
    other = "15min" if name != "15min" else "1h"
    with pytest.raises(FileError, match=rf"EURUSD.csv: most rows are {name} apart; source.resolution says {other}"):
        give(path, text, resolution=other)


def test_rows_out_of_order_or_twice_do_not_hide_the_length(path: Path) -> None:
    lines = bars(300, 12).splitlines(keepends=True)
    assert give(path, "".join([*reversed(lines), lines[3]])).batches[0].form.seconds == 300


def test_files_whose_bars_have_no_single_length(path: Path) -> None:
    with pytest.raises(FileError, match=r"several lengths; most rows are 5min apart, but \d+% of the steps"):
        give(path, bars(300, 30) + bars(60, 10, datetime(2019, 7, 9)))
    with pytest.raises(FileError, match=r"most rows are 7 days apart; MetaTrader's weeks begin on a Sunday"):
        give(path, bars(604_800, 12))
    with pytest.raises(FileError, match=r"most rows are 120 s apart; expected one of 1min, 5min"):
        give(path, bars(120, 12))
    with pytest.raises(FileError, match=r"too few rows to see how long its bars are; set source.resolution"):
        give(path, bars(300, 1))
    assert give(path, bars(300, 1), resolution="5min").batches[0].form.seconds == 300
    with pytest.raises(FileError, match=r"most rows are 1h apart; source.resolution says 1d"):
        give(path, bars(3600, 5), resolution="1d")


def test_bars_that_change_their_length_in_a_later_chunk(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_module, "CHUNK_LINES", 20)
    with pytest.raises(FileError, match=r"most rows are 1h apart; the rows before are 5min"):
        give(path, bars(300, 20) + bars(3600, 20, datetime(2019, 7, 9)))
    assert len(give(path, bars(300, 21)).batches) == 2


def test_ticks_and_bars_are_not_taken_for_each_other(path: Path) -> None:
    with pytest.raises(FileError, match=r"holds ticks; source.resolution says 5min"):
        give(path, TICKS, resolution="5min")
    with pytest.raises(FileError, match=r"holds bars; source.resolution says tick"):
        give(path, MT4, resolution="tick")


def test_utf_16_says_how_to_convert(path: Path) -> None:
    """MetaTrader 5 often writes it."""
    for encoding, offset in (("utf-16", 0), ("utf-16-le", 1)):
        with pytest.raises(FileError, match=rf"at byte {offset} .*UTF-16.*iconv.*Set-Content -Encoding utf8"):
            give(path, MT5.encode(encoding))
    with pytest.raises(FileError, match=r"Windows-1252; convert it, e.g. iconv -f WINDOWS-1252 -t UTF-8 OLD > NEW$"):
        give(path, MT5.encode() + b"\xe9")


def test_other_files_are_refused(path: Path) -> None:
    for text in ("<html>\n", "time,open\n1,2\n", "20180102 170000;1;1;1;1;0\n", "<DATE>\t<TIME>\t<CLOSE>\n"):
        with pytest.raises(FileError, match=r"EURUSD.csv: begins .*expected 2019.07.08,06:25,O,H,L,C,V"):
            give(path, text)


def test_what_the_configuration_may_say() -> None:
    adapter = source("metatrader")
    assert adapter.form(SourceSpec(kind="metatrader")) == Form("bar", 60, "bid")
    assert adapter.form(SourceSpec(kind="metatrader", resolution="tick")) == Form("tick")
    spec = SourceSpec(kind="metatrader", resolution="1w", side="mid", options={"spread_point": -1, "x": 1})
    assert [where for where, _ in adapter.problems(spec)] == ["side", "options.spread_point", "options.x", "resolution"]


FIRST = {"EURUSD": utc(2019, 7, 8, 3, 25), "USDJPY": utc(2019, 7, 8, 3), "USDCHF": utc(2019, 7, 7, 21, 15)}
ROWS = {"EURUSD": 48_269, "USDJPY": 48_272, "USDCHF": 48_303}


@pytest.mark.parametrize("pair", FIRST)
def test_real_history_center_files(sample_data: Path, pair: str) -> None:
    given = give(sample_data / "mt4_m5" / f"{pair}5.csv.xz")
    times = given.rows["time"]
    assert (len(times), times[0], times[-1]) == (ROWS[pair], FIRST[pair], utc(2020, 2, 28, 21, 50))
    assert (len(given.rejects), given.batches[0].form) == (0, Form("bar", 300, "bid"))
    assert given.rows["ticks"].null_count() == 0


@pytest.mark.parametrize("clock", ["UTC", "+02:00", "+03:00", "histdata"])
def test_another_clock_is_refused_with_the_right_one(sample_data: Path, clock: str) -> None:
    with pytest.raises(FileError, match=r"EURUSD5.csv.xz: read by the clock .*set clock: new_york\+7"):
        give(sample_data / "mt4_m5" / "EURUSD5.csv.xz", clock=clock)
