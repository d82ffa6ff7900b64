"""Rows of delimited text: what is off is rejected with its reason, and nothing but that changes."""

from __future__ import annotations

import csv
import io

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from fx_assets.prices import delimited
from fx_assets.prices.batch import no_rejects
from fx_assets.prices.clocks import clock
from fx_assets.prices.delimited import Layout, read_delimited, scaled
from fx_assets.prices.text import TextChunk, text_chunks

MINUTES = Layout(";", ("time", "open", "high", "low", "close", None), "%Y%m%d %H%M%S")
CLOSES = Layout(",", ("time", "close"))
HISTDATA = clock("histdata")


def chunk(text: str, first_line: int = 1) -> TextChunk:
    [found] = text_chunks("a.csv", [text.encode()])
    return TextChunk(first_line, found.data, found.long_lines)


def closes(text: str, layout: Layout = CLOSES) -> tuple[list[tuple[int, float]], list[tuple[int, str, str]]]:
    rows, rejects = read_delimited(chunk(text), layout, clock("UTC"))
    return rows.select("line", "close").rows(), rejects.rows()


def test_a_clean_chunk() -> None:
    rows, rejects = read_delimited(
        chunk("20180101 170000;1.20037;1.201;1.20037;1.201;0\n20180101 170100;1;2;;4;0\n", 10), MINUTES, HISTDATA
    )
    assert rejects.is_empty()
    assert rejects.schema == no_rejects().schema
    assert rows.schema == {
        "line": pl.Int64,
        "time": pl.Datetime("us", "UTC"),
        "wall": pl.Datetime("us"),
        **dict.fromkeys(("open", "high", "low", "close"), pl.Float64),
    }
    assert rows["line"].to_list() == [10, 11]
    assert rows.row(0)[3:] == (1.20037, 1.201, 1.20037, 1.201)
    assert rows["low"].to_list() == [1.20037, None]


def test_each_fault_has_its_line_reason_and_text() -> None:
    text = (
        "20180102 170000;1;2;1;2;0\n"
        "\n"
        "20180102 1701;1;2;1;2;0\n"
        "20180102 170200;1;2;abc;x;0\n"
        "20180102 170300;1;2;1;2\n"
        "20180102 170400;1;2;1;2;0;9\n"
        "20180311 020000;1;2;1;2;0\n"
        "20180102 170600; 1;2 ;1;2;0\n"
    )
    rows, rejects = read_delimited(chunk(text, 10), MINUTES, HISTDATA)
    assert rows["line"].to_list() == [10, 17]
    assert rows["open"].to_list() == [1.0, 1.0]
    assert rejects.rows() == [
        (12, "bad_time: '20180102 1701', expected %Y%m%d %H%M%S", "20180102 1701;1;2;1;2;0"),
        (13, "bad_number: low 'abc'", "20180102 170200;1;2;abc;x;0"),
        (14, "column_count: expected 6, got 5", "20180102 170300;1;2;1;2"),
        (15, "column_count: expected 6, got 7", "20180102 170400;1;2;1;2;0;9"),
        (16, "nonexistent_time: '20180311 020000' on the clock histdata", "20180311 020000;1;2;1;2;0"),
    ]


def test_a_short_line_and_a_long_one_do_not_make_up_for_each_other() -> None:
    good = "2018-01-01,1\n"
    for text in (good + "2018-01-02\n2018-01-03,3,\n", "2018-01-02\n2018-01-03,3,\n" + good, "\n,,\n" + good):
        rows, rejects = closes(text)
        assert [close for _, close in rows] == [1.0]
        assert [reason.split(":")[0] for _, reason, _ in rejects] == ["column_count"] * len(rejects)


def test_what_is_kept_of_a_rejected_line() -> None:
    _, [(line, reason, raw)] = closes("2018-01-01," + "x" * 5_000 + "\n")
    assert (line, len(raw)) == (1, 200)
    assert reason == f"bad_number: close '{'x' * 60}'"


def test_a_line_that_is_too_long_is_among_the_rejects() -> None:
    rows, rejects = closes("2018-01-01,1\n" + "x" * 100_000 + "\n2018-01-03,z\n2018-01-04,4\n")
    assert rows == [(1, 1.0), (4, 4.0)]
    assert [(line, reason) for line, reason, _ in rejects] == [
        (2, "line_too_long: over 65,536 bytes"),
        (3, "bad_number: close 'z'"),
    ]


@pytest.mark.parametrize("text", ["\n", "\n\n\n", "x\n", "2018-01-01\n", "2018-01-01,x\n"])
def test_chunks_without_a_row(text: str) -> None:
    rows, rejects = read_delimited(chunk(text), CLOSES, clock("UTC"))
    assert rows.is_empty()
    assert len(rejects) == ("x" in text or "2018" in text)
    empty, none = read_delimited(TextChunk(5, b"", no_rejects()), CLOSES, clock("UTC"))
    assert (empty.schema, len(empty), len(none)) == (rows.schema, 0, 0)


def test_what_counts_as_a_number() -> None:
    given = ["1.5", " 1.5 ", "+1.5", "1e-3", "nan", "inf", "", " ", "1_0", "0x1", "1,5", "abc", "-", "N/A", "1.5.1"]
    layout = Layout(";", ("time", "close"))
    rows, rejects = closes("".join(f"2018-01-01;{text}\n" for text in given), layout)
    assert [str(close) for _, close in rows] == ["1.5", "1.5", "1.5", "0.001", "nan", "inf", "None", "None"]
    assert [reason for _, reason, _ in rejects] == [f"bad_number: close '{text}'" for text in given[8:]]


def test_a_decimal_comma_leaves_no_place_for_a_point() -> None:
    layout = Layout(";", ("time", "close"), decimal_comma=True)
    rows, rejects = closes("2018-01-01;1,5\n2018-01-02;1.234\n2018-01-03;1.234,5\n2018-01-04;7\n", layout)
    assert rows == [(1, 1.5), (4, 7.0)]
    assert [reason for _, reason, _ in rejects] == ["bad_number: close '1.234'", "bad_number: close '1.234,5'"]


def test_quotes_where_they_are_meant() -> None:
    text = '"2018-01-01","1,5"\n2018-01-02,7\n"2018-01-03",7,8\n"2018-01-04,7\n"2018-01-05",""\n"2018-01-06,1\n'
    rows, rejects = closes(text, Layout(",", ("time", "close"), decimal_comma=True, quotes=True))
    assert rows == [(1, 1.5), (2, 7.0), (5, None)]
    assert [(line, reason.split(":")[0]) for line, reason, _ in rejects] == [
        (3, "column_count"),
        (4, "column_count"),
        (6, "column_count"),
    ]
    assert closes('"2018-01-01",1\n')[0] == []


def test_ticks_are_whole_and_dates_may_stand_apart() -> None:
    layout = Layout(",", ("date", "time", "close", "ticks"), "%Y.%m.%d %H:%M")
    rows, rejects = read_delimited(
        chunk("2019.07.08,06:25,1.1,80\n2019.07.08,06:30,1.1,80.0\n2019.07.08,06:35,1.1,8.5\n2019.07.08,,1.1,\n"),
        layout,
        clock("UTC"),
    )
    assert rows["ticks"].to_list() == [80, 80]
    assert rows.schema["ticks"] == pl.Int64
    assert [reason for _, reason, _ in rejects.rows()] == [
        "bad_number: ticks '8.5'",
        "bad_time: '', expected %Y.%m.%d %H:%M",
    ]


def test_points_give_the_decimal_price_itself() -> None:
    rows = pl.DataFrame({"close": [112345.0, 119999.0, None], "ticks": [3, 4, 5], "volume": [1.0, 2.0, 3.0]})
    assert scaled(rows, 0.00001).to_dict(as_series=False) == {
        "close": [1.12345, 1.19999, None],
        "ticks": [3, 4, 5],
        "volume": [1.0, 2.0, 3.0],
    }
    assert scaled(rows, 25.0)["close"].to_list() == [112345.0 * 25, 119999.0 * 25, None]
    assert scaled(rows, None) is rows


NUMBERS = st.one_of(
    st.floats(allow_nan=False).map(repr),
    st.decimals(-1000, 1000, places=5).map(str),
    st.sampled_from(["", "nan", "inf", "-inf", "1e400", "1e-400", "0", "-0", "007", "1.", ".5"]),
)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 86_399), NUMBERS, NUMBERS), min_size=1, max_size=20), st.integers(0, 20))
def test_both_paths_agree_to_the_bit(given: list[tuple[int, str, str]], place: int) -> None:
    layout = Layout(",", ("time", "open", "close"), "epoch_s")
    lines = [",".join(map(str, row)) for row in given]
    clean = chunk("\n".join(lines) + "\n")
    quick, none = read_delimited(clean, layout, clock("UTC"))
    assert none.is_empty()
    # One faulty line sends the whole chunk the other way.
    faulty = [*lines[:place], "fault", *lines[place:]]
    precise, rejects = read_delimited(chunk("\n".join(faulty) + "\n"), layout, clock("UTC"))
    assert rejects.rows() == [(min(place, len(lines)) + 1, "column_count: expected 3, got 1", "fault")]
    assert_frame_equal(quick.drop("line"), precise.drop("line"), check_exact=True)
    # As text, so that NaN equals NaN and 0 does not equal -0.
    expected = [repr(float(text) if text else None) for _, text, _ in given]
    assert list(map(repr, quick["open"].to_list())) == expected
    quoted = Layout(",", layout.columns, "epoch_s", quotes=True)
    written = io.StringIO()
    csv.writer(written, quoting=csv.QUOTE_ALL, lineterminator="\n").writerows(given)
    assert_frame_equal(read_delimited(chunk(written.getvalue()), quoted, clock("UTC"))[0], quick, check_exact=True)


def test_a_clean_chunk_takes_the_fast_path(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "rejected", None)
    text = "20180102 170000;1;2;1;2;0\n"
    assert len(read_delimited(chunk(text * 3), MINUTES, HISTDATA)[0]) == 3
    with pytest.raises(TypeError, match="not callable"):
        read_delimited(chunk(text + "\n" + text + "x\n"), MINUTES, HISTDATA)
