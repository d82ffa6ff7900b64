"""Parquet and Arrow files: any type of time column, bounded batches, and what the project itself writes."""

from __future__ import annotations

import zipfile
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from polars.testing import assert_frame_equal

from fx_assets.prices.batch import Form
from fx_assets.prices.simulation import Market, minutes, simulate_ticks
from fx_assets.prices.sources.base import Request, SourceError, source
from fx_assets.settings import Settings
from fx_assets.specs.schema import SourceSpec
from tests.prices.test_csv_source import MONDAY, NOW, read, rows_of

TIMES = [MONDAY + timedelta(minutes=i) for i in range(5)]
CLOSES = [1.1, 1.2, 1.3, 1.4, 1.5]


def put(folder: Path, name: str = "prices.parquet", **columns: Any) -> Path:
    path = folder / name
    frame = pl.DataFrame(columns)
    if name.endswith(".parquet"):
        frame.write_parquet(path)
    else:
        frame.write_ipc(path)
    return path


def found(path: Path, **keys: Any) -> list[datetime]:
    return rows_of(read(path, "parquet", **keys)[0])["time"].to_list()


@pytest.mark.parametrize("name", ["prices.parquet", "prices.arrow"])
def test_aware_times_need_no_clock(tmp_path: Path, name: str) -> None:
    for zone in ("UTC", "America/New_York"):
        for unit in ("ms", "us", "ns"):
            aware = pl.Series(TIMES).dt.convert_time_zone(zone).dt.cast_time_unit(unit)
            path = put(tmp_path, name, Time=aware, Close=CLOSES)
            collected, feed = read(path, "parquet")
            assert rows_of(collected)["time"].to_list() == TIMES
            assert collected.form == Form("bar", 60, "mid")
            assert feed.notes["columns"] == "time from Time, close from Close"


def test_naive_times_need_a_clock(tmp_path: Path) -> None:
    wall = pl.Series(TIMES).dt.replace_time_zone(None)
    path = put(tmp_path, time=wall, close=CLOSES)
    with pytest.raises(
        SourceError, match=r"times such as 2024-01-08 00:00:00 do not say their offset.* set source.clock"
    ):
        read(path, "parquet")
    assert found(path, clock="+01:00") == [moment - timedelta(hours=1) for moment in TIMES]


@pytest.mark.parametrize("odd", [[[1.0]] * 5, [{"x": 1.0}] * 5, [b"1.1"] * 5, [True] * 5, [timedelta(1)] * 5])
def test_a_column_of_no_numbers_is_named(tmp_path: Path, odd: list[Any]) -> None:
    path = put(tmp_path, time=TIMES, Last=odd)
    with pytest.raises(SourceError, match=r"prices.parquet: column 'Last', taken for close, holds .*expected numbers"):
        read(path, "parquet", columns={"time": "time", "close": "Last"})


def test_times_of_every_type(tmp_path: Path) -> None:
    seconds = [int(moment.timestamp()) for moment in TIMES]
    assert found(put(tmp_path, time=seconds, close=CLOSES)) == TIMES
    assert found(put(tmp_path, time=[float(second) for second in seconds], close=CLOSES)) == TIMES
    assert found(put(tmp_path, time=[1000 * second for second in seconds], close=CLOSES)) == TIMES
    assert (
        found(put(tmp_path, time=[f"{moment:%Y.%m.%d %H:%M}" for moment in TIMES], close=CLOSES), clock="UTC") == TIMES
    )
    odd = put(tmp_path, time=[f"{moment:%d/%m/%Y %H:%M}" for moment in TIMES], close=CLOSES)
    with pytest.raises(SourceError, match=r"say options.time_format"):
        read(odd, "parquet", clock="UTC")
    assert found(odd, clock="UTC", options={"time_format": "%d/%m/%Y %H:%M"}) == TIMES
    parts: dict[str, Any] = {"date": [date(2024, 1, 8)] * 5, "time": [time(0, i) for i in range(5)]}
    assert found(put(tmp_path, **parts, close=CLOSES), clock="UTC") == TIMES
    days = [date(2024, 1, 8) + timedelta(days=i) for i in range(5)]
    assert found(put(tmp_path, Date=days, close=CLOSES), clock="America/New_York")[0] == MONDAY + timedelta(hours=5)


def test_times_that_are_none_are_rejected_with_their_row(tmp_path: Path) -> None:
    wall = [datetime(2024, 3, 10, 1, 30), None, datetime(2024, 3, 10, 2, 30), datetime(2024, 3, 10, 3, 30)]
    path = put(tmp_path, time=wall, close=[1.1, 1.2, 1.3, None])
    collected, _ = read(path, "parquet", clock="America/New_York", resolution="1h", fx_week=False)
    assert collected.rows == 1
    told = {line: (reason, raw) for _, line, reason, raw in collected.rejects.rows()}
    assert told[2] == ("bad_time: none", "1.2")
    assert told[3][0] == "nonexistent_time"
    assert told[4][0] == "missing_price"


def test_a_mapping_and_points(tmp_path: Path) -> None:
    path = put(tmp_path, when=TIMES, px=[107770, 107771, 107772, 107773, 107774], other=["x"] * 5)
    collected, feed = read(path, "parquet", columns={"time": "when", "close": "px"}, points=0.00001, side="ask")
    assert rows_of(collected)["close"].to_list() == [1.0777, 1.07771, 1.07772, 1.07773, 1.07774]
    assert collected.form.side == "ask"
    assert feed.notes["columns_ignored"] == "other"


def test_batches_are_bounded_whatever_the_row_groups(tmp_path: Path) -> None:
    ticks = simulate_ticks(Market("EURUSD", ticks_per_day=60_000), date(2000, 1, 3), date(2000, 1, 7))
    table = ticks.to_arrow().combine_chunks()
    ticks.write_parquet(tmp_path / "a.parquet", row_group_size=10**7)
    with pa.ipc.new_file(tmp_path / "b.arrow", table.schema) as writer:
        writer.write_table(table)  # one batch of all rows
    for path in (tmp_path / "a.parquet", tmp_path / "b.arrow"):
        request = Request(
            pair="EURUSD",
            source=SourceSpec(kind="parquet", files=str(path)),
            settings=Settings(home=tmp_path),
            log=lambda _: None,
            now=NOW,
            history_start=date(1999, 1, 1),
        )
        batches = list(source("parquet").open(request).batches)
        assert len(batches) > 2
        assert max(batch.rows.height for batch in batches) <= 131_072
        rows = pl.concat(batch.rows for batch in batches)
        assert rows["line"].to_list() == list(range(1, ticks.height + 1))
        assert_frame_equal(rows.drop("line"), ticks)


@pytest.mark.parametrize("form", ["tick", "bar"])
def test_what_is_written_is_read_back(tmp_path: Path, form: str) -> None:
    ticks = simulate_ticks(Market("EURUSD", ticks_per_day=3_000), date(2000, 1, 3), date(2000, 1, 4))
    frame = minutes(ticks) if form == "bar" else ticks
    path = tmp_path / "out.parquet"
    pq.write_table(frame.to_arrow(), path, row_group_size=1_000)
    collected, _ = read(path, "parquet")
    assert collected.form == (Form("bar", 60) if form == "bar" else Form("tick"))
    assert_frame_equal(rows_of(collected).select(frame.columns), frame)


def test_a_zip_of_parquet_is_read(tmp_path: Path) -> None:
    path = put(tmp_path, time=TIMES, close=CLOSES)
    with zipfile.ZipFile(tmp_path / "both.zip", "w") as archive:
        archive.write(path, "in/prices.parquet")
    assert found(tmp_path / "both.zip") == TIMES


def test_what_is_no_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "prices.parquet"
    path.write_text("time,close\n")
    with pytest.raises(SourceError, match=r"prices.parquet: neither Parquet nor an Arrow"):
        read(path, "parquet")
    put(tmp_path, time=TIMES, close=CLOSES)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(SourceError, match=r"prices.parquet: damaged .*; copy or download it again"):
        read(path, "parquet")
    put(tmp_path, a=[1], b=[2])
    with pytest.raises(SourceError, match="no column is known as time: 'a', 'b'"):
        read(path, "parquet")


def test_problems_say_where() -> None:
    spec = SourceSpec.model_validate({"kind": "parquet", "columns": {"close": "x"}, "options": {"time_format": "soon"}})
    assert {path for path, _ in source("parquet").problems(spec)} == {"columns", "options.time_format"}
    assert datetime.now(UTC) > NOW  # the fixed now of these tests is not in the future
