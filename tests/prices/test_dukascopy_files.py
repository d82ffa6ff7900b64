"""The Dukascopy source: its configuration, and its files, packed or as the service answered."""

from __future__ import annotations

import gzip
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fx_assets.prices.batch import Form
from fx_assets.prices.files import FileError
from fx_assets.prices.sources.base import SourceError, source
from fx_assets.prices.sources.dukascopy import DukascopySource
from fx_assets.specs.schema import SourceSpec
from tests.prices.conftest import Given, answer_of
from tests.prices.dukascopy_service import MONDAY, NOON, QUICK, asked
from tests.support.dukascopy import (
    answer_of_candles,
    answer_of_instrument,
    answer_of_ticks,
    as_bytes,
    bi5_candles,
    bi5_ticks,
    minute_ticks,
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """The vendor's folders with two hours of ticks, one of them closed, and candles of three lengths."""
    folder = tmp_path / "EURUSD" / "2019"
    day = folder / "01" / "04"
    day.mkdir(parents=True)
    (day / "00h_ticks.bi5").write_bytes(bi5_ticks(minute_ticks(1)))
    (day / "01h_ticks.bi5").write_bytes(b"")
    candles = [(0, 5, 9, 4, 6, 1.0), (60, 6, 6, 6, 6, 0.0)]
    (day / "BID_candles_min_1.bi5").write_bytes(bi5_candles(candles))
    (day / "ASK_candles_min_1.bi5").write_bytes(bi5_candles(candles))
    (folder / "01" / "BID_candles_hour_1.bi5").write_bytes(bi5_candles([(0, 5, 9, 4, 6, 1.0)]))
    (folder / "BID_candles_day_1.bi5").write_bytes(bi5_candles([(0, 5, 9, 4, 6, 1.0)]))
    return tmp_path


def read_files(home: Path, spec: SourceSpec, **changes: Any) -> Given:
    return answer_of(DukascopySource(QUICK), asked(home, spec, **changes))


def files_of(place: Path, pattern: str = "**/*.bi5", **keys: Any) -> SourceSpec:
    return SourceSpec(kind="dukascopy", files=str(place / pattern), **keys)


@pytest.mark.parametrize(
    ("keys", "form", "rows", "other"),
    [
        ({"resolution": "tick"}, Form("tick"), 180, 4),
        ({"resolution": "1min"}, Form("bar", 60, "bid"), 1, 3),
        ({"resolution": "1min", "side": "ask"}, Form("bar", 60, "ask"), 1, 4),
        ({"resolution": "1h", "side": "bid"}, Form("bar", 3_600, "bid"), 1, 4),
        ({"resolution": "1d", "side": "bid"}, Form("bar", 86_400, "bid"), 1, 4),
    ],
)
def test_of_a_mirror_of_the_vendors_folders_the_form_that_is_asked_for(
    tree: Path, keys: dict[str, Any], form: Form, rows: int, other: int
) -> None:
    if keys == {"resolution": "1min"}:
        (tree / "EURUSD/2019/01/04/ASK_candles_min_1.bi5").unlink()
    spec = files_of(tree, **keys)
    given = read_files(tree, spec)
    assert DukascopySource().form(spec) == form
    assert {batch.form for batch in given.batches} == {form}
    assert (given.rows.height, given.notes["files_of_another_form"]) == (rows, other)
    assert given.rejects.is_empty()
    start = {0: datetime(2019, 2, 4, tzinfo=UTC), 60: datetime(2019, 2, 4, tzinfo=UTC)}
    assert given.rows["time"][0] == start.get(
        form.seconds, datetime(2019, 2 if form.seconds == 3_600 else 1, 1, tzinfo=UTC)
    )
    assert given.notes.get("closed_dropped", 0) == (1 if form.seconds == 60 else 0)
    assert read_files(tree, spec, cursor=given.cursor).batches == []


def test_without_a_resolution_a_file_says_what_it_is(tree: Path) -> None:
    for name, form in (("**/00h_ticks.bi5", Form("tick")), ("**/ASK_candles_min_1.bi5", Form("bar", 60, "ask"))):
        (batch,) = read_files(tree, files_of(tree, name)).batches
        assert batch.form == form


def test_files_that_all_are_of_another_form(tree: Path) -> None:
    with pytest.raises(SourceError, match=r"none of 1 files holds bars of 1h \(bid\); set `resolution`"):
        read_files(tree, files_of(tree, "**/*ticks.bi5", resolution="1h"))


def test_a_closed_market_alone_is_no_error(tree: Path) -> None:
    given = read_files(tree, files_of(tree, "**/01h_ticks.bi5"))
    assert (given.batches, given.notes["files_empty"]) == ([], 1)


def test_the_scale_is_that_of_the_symbol_or_of_the_configuration(tmp_path: Path) -> None:
    for pair, symbol, points, bid in (
        ("USDJPY", "USDJPY", None, 109.501),
        ("BTCUSD", "BTCUSD", None, 10_950.1),
        ("EURUSD", "EURUSD", 0.01, 1_095.01),
        ("EURUSD", "EUR-USD", None, 1.09501),
    ):
        folder = tmp_path / symbol.replace("-", "") / "2019/01/04"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "00h_ticks.bi5").write_bytes(bi5_ticks([(0, 109_503, 109_501, 1, 1)]))
        spec = files_of(folder, "*.bi5", points=points, symbol=symbol)
        assert read_files(tmp_path, spec, pair=pair).rows["bid"].to_list() == [bid]


def damage(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("name", "data", "message"),
    [
        (
            "EURUSD/2019/01/04/02h_ticks.bi5",
            bi5_ticks(minute_ticks(1))[:-40],
            "02h_ticks.bi5: the LZMA data ends early",
        ),
        ("EURUSD/2019/01/04/02h_ticks.bi5", b"<html>", "the LZMA data is damaged"),
        ("EURUSD/2019/12/04/02h_ticks.bi5", b"x", r"names no date: .* months count from 0"),
        ("a.bi5", b"x", "a.bi5: its path does not say which time it is of"),
        ("USDJPY/2019/01/04/02h_ticks.bi5", b"x", "lies in a folder of USDJPY, expected EURUSD"),
        ("a.json", b'{"error": 1}', "a.json: neither ticks nor candles of Dukascopy; its keys are 'error'"),
        ("a.json", b"nothing", "a.json: no JSON"),
        ("a.json", as_bytes(answer_of_ticks(NOON, minute_ticks(1)) | {"asks": []}), "lists of different lengths"),
    ],
    ids=["cut", "html", "month 12", "no time", "other symbol", "no prices", "no json", "lengths"],
)
def test_a_file_that_cannot_be_trusted(tmp_path: Path, name: str, data: bytes, message: str) -> None:
    damage(tmp_path / name, data)
    with pytest.raises(FileError, match=message):
        read_files(tmp_path, files_of(tmp_path, "**/*.*"))


def test_saved_answers_are_read_by_content_and_name(tmp_path: Path) -> None:
    ticks, candles = minute_ticks(1), [(0, 5, 9, 4, 6, 1.0), (60, 6, 6, 6, 6, 0.0)]
    damage(tmp_path / "ticks-EUR-USD-2026-7-13-12.json", as_bytes(answer_of_ticks(NOON, ticks)))
    damage(tmp_path / "instrument-EUR-USD.json", as_bytes(answer_of_instrument(first=MONDAY)))
    packed = gzip.compress(as_bytes(answer_of_candles(MONDAY, candles)))
    damage(tmp_path / "candles-minute-EUR-USD-ASK-2026-7-13.json.gz", packed)
    rows = read_files(tmp_path, files_of(tmp_path, "*", resolution="tick")).rows
    assert (rows.height, rows["time"][0]) == (180, NOON)
    given = read_files(tmp_path, files_of(tmp_path, "*", resolution="1min", side="ask"))
    assert [batch.form for batch in given.batches] == [Form("bar", 60, "ask")]
    assert (given.rows.height, given.notes["closed_dropped"], given.notes["files_of_another_form"]) == (1, 1, 2)


@pytest.mark.parametrize(
    ("keys", "problem"),
    [
        ({"resolution": "5min"}, ("resolution", "Dukascopy has tick, 1min, 1h, 1d")),
        ({"side": "mid", "resolution": "1h"}, ("side", "bid or ask")),
        ({"side": "bid"}, ("side", "ticks have both sides")),
        ({"clock": "UTC"}, ("clock", "no such key")),
        ({"options": {"first": "2019-02-30"}}, ("options.first", "is no date")),
        ({"options": {"first": "soon"}}, ("options.first", "match pattern")),
        ({"options": {"base_url": "ftp://x"}}, ("options.base_url", "match pattern")),
        ({"options": {"code": "../x"}}, ("options.code", "match pattern")),
        ({"options": {"paus": 1}}, ("options.paus", "unknown option. Did you mean 'pause'?")),
    ],
)
def test_what_is_wrong_with_a_configuration(keys: dict[str, Any], problem: tuple[str, str]) -> None:
    ((where, message),) = DukascopySource().problems(SourceSpec(kind="dukascopy", **keys))
    assert where == problem[0]
    assert problem[1] in message


def test_a_good_configuration() -> None:
    assert isinstance(source("dukascopy"), DukascopySource)
    for keys in ({}, {"resolution": "tick"}, {"resolution": "1min", "side": "ask", "points": 0.001, "files": "x/*"}):
        assert list(DukascopySource().problems(SourceSpec(kind="dukascopy", **keys))) == []


def test_the_vendors_own_tree(sample_data: Path, tmp_path: Path) -> None:
    spec = files_of(sample_data / "dukascopy" / "bi5", resolution="tick")
    given = read_files(tmp_path, spec)
    assert given.rows.height == 136_741
    assert given.notes["files"] == 29
    assert (given.notes["files_empty"], given.notes["files_of_another_form"]) == (1, 4)
    hours = read_files(tmp_path, files_of(sample_data / "dukascopy" / "bi5", resolution="1h"))
    assert (hours.rows.height, hours.notes["closed_dropped"]) == (1_010, 406)
