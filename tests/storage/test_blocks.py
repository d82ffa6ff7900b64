"""Tables kept in blocks: round trips, states, what is replaced and what stays, old tables."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from fx_assets.storage.errors import CorruptFileError, NoData
from fx_assets.storage.hashing import sha256_bytes
from fx_assets.storage.lake import Lake
from fx_assets.storage.records import State
from fx_assets.storage.table_hashing import table_hash
from tests.storage.helpers import START, no_guard, rows, state

TABLE = "bars/1min"


def block(name: str, value: float, n: int = 20, pair: str = "EURUSD") -> pa.Table:
    """`n` rows of one block, all holding `value`; `block` stands where a schema has it, not first."""
    return pa.table(
        {
            "pair": pa.array([pair] * n, pa.string()),
            "time": pa.array([START + timedelta(minutes=i) for i in range(n)], pa.timestamp("us", "UTC")),
            "block": pa.array([name] * n, pa.string()),
            "close": pa.array([value] * n, pa.float64()),
        }
    )


def saying(pair: str = "EURUSD", asset: str = "bars/1min") -> Callable[[Mapping[str, str]], State]:
    """A state whose fingerprint is the mapping that it was made from."""
    return lambda hashes: state(pair, asset, fingerprint=json.dumps(dict(hashes)))


def put(lake: Lake, *blocks: tuple[str, float | None], pair: str = "EURUSD", asset: str = "bars/1min") -> int:
    """Commit blocks of one value each; None removes the block."""
    tables = [(n, block(n, 0.0 if v is None else v, 0 if v is None else 20, pair)) for n, v in blocks]
    return lake.write_blocks(TABLE, pair, iter(tables), state=saying(pair, asset), guard=no_guard)


def held(lake: Lake, pair: str = "EURUSD") -> dict[str, set[float]]:
    """Block -> its values, as read; every block must be whole."""
    table = lake.read(TABLE, pair)
    found: dict[str, list[float]] = {}
    for name, value in zip(table.column("block").to_pylist(), table.column("close").to_pylist(), strict=True):
        found.setdefault(name, []).append(value)
    assert {len(values) for values in found.values()} <= {20}
    return {name: set(values) for name, values in found.items()}


def stated(lake: Lake, pair: str = "EURUSD", asset: str | None = None) -> dict[str, str]:
    found = lake.state(TABLE, pair, asset=asset)
    assert found is not None
    mapping: dict[str, str] = json.loads(found.fingerprint)
    return mapping


def parquet_files(lake: Lake) -> list[Path]:
    return sorted(lake.root.rglob("*.parquet"))


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def test_round_trip_keeps_rows_types_and_order_of_columns(lake: Lake) -> None:
    assert put(lake, ("2019q1", 2.0), ("2018q4", 1.0)) == 1
    found = lake.read(TABLE, "EURUSD")
    assert found.column_names == ["pair", "time", "block", "close"]
    assert found.schema.field("block").type == found.schema.field("pair").type == pa.string()
    assert found.equals(pa.concat_tables([block("2018q4", 1.0), block("2019q1", 2.0)])), "by name of block"
    assert lake.read(TABLE, "EURUSD", blocks=["2019q1"]).equals(block("2019q1", 2.0))
    assert len(lake.read(TABLE, "EURUSD", blocks=["2019q2"])) == 0
    assert (
        lake.read(TABLE, "EURUSD", columns=["block", "pair"], blocks={"2019q1"}).to_pylist()
        == [{"block": "2019q1", "pair": "EURUSD"}] * 20
    )
    assert lake.pairs(TABLE) == ["EURUSD"]


def test_a_file_holds_neither_pair_nor_block_and_lies_under_both(lake: Lake) -> None:
    put(lake, ("2018q1", 1.0))
    first, last = (file.path for file in lake.files(TABLE, "EURUSD"))
    content = first.read_bytes()
    assert pq.ParquetFile(first).schema_arrow.names == ["time", "close"]
    assert first.parent == lake.root / TABLE / "pair=EURUSD/block=2018q1"
    own = table_hash(block("2018q1", 1.0).drop_columns(["pair", "block"]))
    assert first.name == f"{own[:16]}.{sha256_bytes(content)}.parquet"
    assert last.parent.name == "block=_state.bars.1min"
    assert pq.ParquetFile(last).metadata.num_rows == 0


def test_hashes_come_from_the_log_alone_and_name_the_rows(lake: Lake) -> None:
    put(lake, ("2018q1", 1.0), ("2018q2", 2.0))
    put(lake, ("2018q1", 1.0), pair="USDJPY")
    before = lake.snapshot(TABLE).blocks("EURUSD")
    for path in lake.root.rglob("*.parquet"):
        path.unlink()
    snapshot = lake.snapshot(TABLE)
    assert snapshot.blocks("EURUSD") == before
    assert list(before) == ["2018q1", "2018q2"]
    assert all(len(value) == 16 and int(value, 16) >= 0 for value in before.values())
    assert snapshot.blocks("USDJPY") == {"2018q1": before["2018q1"]}, "of the rows, whatever the pair"
    assert snapshot.blocks("GBPUSD") == {}
    lake.write("prices/raw", "EURUSD", rows("EURUSD", 1.0), state=state(), mode="replace", guard=no_guard)
    assert lake.snapshot("prices/raw").blocks("EURUSD") == {}


def test_only_the_given_blocks_of_that_pair_are_replaced(lake: Lake) -> None:
    put(lake, ("2018q1", 1.0), ("2018q2", 2.0), ("2018q3", 3.0))
    put(lake, ("2018q1", 7.0), ("2018q2", 8.0), pair="USDJPY")
    before = {file.path for file in lake.files(TABLE, "EURUSD")}
    put(lake, ("2018q2", 5.0), ("2018q4", 4.0))
    assert held(lake) == {"2018q1": {1.0}, "2018q2": {5.0}, "2018q3": {3.0}, "2018q4": {4.0}}
    assert held(lake, "USDJPY") == {"2018q1": {7.0}, "2018q2": {8.0}}
    after = {file.path for file in lake.files(TABLE, "EURUSD")}
    assert {path.parent.name for path in after - before} == {
        "block=2018q2",
        "block=2018q4",
        "block=_state.bars.1min",
    }, "the others are the files that they were"
    assert stated(lake) == lake.snapshot(TABLE).blocks("EURUSD")
    assert set(stated(lake, "USDJPY")) == {"2018q1", "2018q2"}


def test_a_block_without_rows_is_removed_and_the_state_outlives_them_all(lake: Lake) -> None:
    put(lake, ("2018q1", 1.0), ("2018q2", 2.0))
    put(lake, ("2018q1", None), ("2018q3", None))
    assert held(lake) == {"2018q2": {2.0}}
    put(lake, ("2018q2", None))
    assert (stated(lake), lake.snapshot(TABLE).blocks("EURUSD")) == ({}, {})
    assert lake.read(TABLE, "EURUSD").equals(block("", 0.0, 0)), "committed as empty, which is not: never committed"
    with pytest.raises(NoData, match="USDJPY"):
        lake.read(TABLE, "USDJPY")


def test_a_state_alone_can_be_committed(lake: Lake) -> None:
    with pytest.raises(ValueError, match="no block was given for bars/1min, which does not exist yet"):
        put(lake)
    put(lake, ("2018q1", None))
    put(lake, ("2018q1", 1.0))
    assert put(lake) == 3
    assert held(lake) == {"2018q1": {1.0}}
    assert list(stated(lake)) == ["2018q1"]


def test_each_asset_has_its_own_state(lake: Lake) -> None:
    put(lake, ("2018q1", 1.0), asset="bars/a")
    put(lake, ("2018q1", 1.5), ("2018q2", 2.0), asset="bars/b")
    assert list(stated(lake, asset="bars/a")) == ["2018q1"]
    assert list(stated(lake, asset="bars/b")) == list(stated(lake)) == ["2018q1", "2018q2"]
    put(lake, ("2018q2", None), asset="bars/a")
    newest = lake.state(TABLE, "EURUSD")
    assert newest is not None
    assert newest.asset == "bars/a"
    assert lake.state(TABLE, "EURUSD", asset="bars/c") is None


def test_the_state_is_found_by_reading_one_file(lake: Lake) -> None:
    put(lake, ("2018q1", 1.0), ("2018q2", 2.0))
    for file in lake.files(TABLE, "EURUSD")[:-1]:
        file.path.write_bytes(b"damaged")
    assert list(stated(lake)) == ["2018q1", "2018q2"]


def test_rows_are_read_without_the_file_of_the_state(lake: Lake) -> None:
    put(lake, ("2018q1", 1.0))
    lake.files(TABLE, "EURUSD")[-1].path.write_bytes(b"damaged")
    assert held(lake) == {"2018q1": {1.0}}
    assert len(lake.snapshot(TABLE).read_all()) == 20
    with pytest.raises(CorruptFileError):
        lake.state(TABLE, "EURUSD")


def test_blocks_are_on_disk_one_by_one_and_let_go(lake: Lake) -> None:
    """However many blocks there are, memory holds the one being written, and the one being made."""
    size = block("x", 1.0, 40_000).nbytes

    def making() -> Iterator[tuple[str, pa.Table]]:
        start = pa.total_allocated_bytes()
        for number in range(12):
            assert len(parquet_files(lake)) == number
            yield f"b{number}", block(f"b{number}", number, 40_000)
            assert pa.total_allocated_bytes() - start < 0.5 * size, "the block before is let go"

    lake.write_blocks(TABLE, "EURUSD", making(), state=saying(), guard=no_guard)
    assert len(lake.read(TABLE, "EURUSD")) == 12 * 40_000


def test_every_file_is_synced_before_the_guard_opens(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    original = os.fsync

    def noting(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        original(handle)

    @contextmanager
    def looking() -> Iterator[None]:
        files = parquet_files(lake)
        assert len(files) == 3
        assert {*files, *(file.parent for file in files)} <= set(synced)
        yield

    monkeypatch.setattr(os, "fsync", noting)
    tables = [(name, block(name, 1.0)) for name in ("2018q1", "2018q2")]
    lake.write_blocks(TABLE, "EURUSD", tables, state=saying(), guard=looking)
    assert lake.root / TABLE / "_delta_log" / f"{1:020d}.json" in synced


def test_long_blocks_are_cut_into_row_groups(lake: Lake) -> None:
    long = [("a", block("a", 1.0, 140_000))]
    lake.write_blocks(TABLE, "EURUSD", long, state=saying(), guard=no_guard)
    meta = pq.ParquetFile(lake.files(TABLE, "EURUSD")[0].path).metadata
    assert [meta.row_group(i).num_rows for i in range(meta.num_row_groups)] == [131_072, 140_000 - 131_072]


@pytest.mark.parametrize(
    ("blocks", "message"),
    [
        ([("2018q1", block("2018q1", 1.0)), ("2018q1", block("2018q1", 2.0))], "block 2018q1 .* given twice"),
        ([("2018q1", block("2018q2", 1.0))], "hold other blocks: \\['2018q2'\\]"),
        ([("2018q1", block("2018q1", 1.0, pair="USDJPY"))], "hold other pairs: \\['USDJPY'\\]"),
        ([("2018q1", block("2018q1", 1.0).drop_columns(["block"]))], "no column 'block'"),
        ([("2018q1", block("2018q1", 1.0).drop_columns(["close"]))], "close: double in the table, absent in the rows"),
        ([("../up", block("../up", 1.0))], "does not match"),
        ([("_state.x", block("_state.x", 1.0))], "does not match"),
        ([("", block("", 1.0))], "does not match"),
    ],
)
def test_blocks_that_do_not_belong_are_refused(lake: Lake, blocks: Any, message: str) -> None:
    put(lake, ("2018q3", 1.0))
    with pytest.raises(ValueError, match=message):
        lake.write_blocks(TABLE, "EURUSD", blocks, state=saying(), guard=no_guard)
    assert lake.version(TABLE) == 1
    assert len(parquet_files(lake)) == 2


def test_wrong_use_is_named(lake: Lake) -> None:
    put(lake, ("2018q1", 1.0))
    with pytest.raises(ValueError, match="is of USDJPY"):
        lake.write_blocks(TABLE, "EURUSD", [("a", block("a", 1.0))], state=saying("USDJPY"), guard=no_guard)
    with pytest.raises(ValueError, match=r"commit them with Lake\.write_blocks"):
        lake.write(TABLE, "EURUSD", block("a", 1.0), state=state(), mode="append", guard=no_guard)
    with pytest.raises(ValueError, match="is one text"):
        lake.read(TABLE, "EURUSD", blocks="2018q1")
    with pytest.raises(ValueError, match="does not match"):
        lake.read(TABLE, "EURUSD", blocks=["2018Q1"])
    lake.write("plain", "EURUSD", rows("EURUSD", 1.0), state=state(), mode="append", guard=no_guard)
    with pytest.raises(ValueError, match="is not kept in blocks"):
        lake.read("plain", "EURUSD", blocks=["a"])
    with pytest.raises(ValueError, match="is not kept in blocks"):
        lake.write_blocks("plain", "EURUSD", [], state=saying(), guard=no_guard)


def test_a_table_of_the_shape_before_says_which_folder_to_move(lake: Lake) -> None:
    old = block("2018q1", 1.0).drop_columns(["block"])
    lake.write(TABLE, "EURUSD", old, state=state(), mode="replace", guard=no_guard)
    with pytest.raises(ValueError, match="block: absent in the table, string in the rows") as refused:
        put(lake, ("2018q1", 1.0))
    assert f"If its rows can be computed again from their source, move the folder {lake.root / TABLE} away" in str(
        refused.value
    )
    assert lake.read(TABLE, "EURUSD").equals(old)


def test_a_pinned_snapshot_reads_the_same_for_ever(lake: Lake) -> None:
    put(lake, ("2018q1", 1.0), ("2018q2", 2.0))
    put(lake, ("2018q1", 150.0), pair="USDJPY")
    pinned = lake.snapshot(TABLE)
    before, named = pinned.read_all(), pinned.blocks("EURUSD")
    put(lake, ("2018q1", 3.0), ("2018q2", None))
    lake.clean(TABLE, "EURUSD")
    assert pinned.read_all().equals(before)
    assert before.column("pair").to_pylist() == ["EURUSD"] * 40 + ["USDJPY"] * 20
    assert pinned.blocks("EURUSD") == named
    assert set(pinned.read("EURUSD", blocks=["2018q1"]).column("close").to_pylist()) == {1.0}


def test_other_readers_of_delta_find_the_rows(lake: Lake) -> None:
    """Blocks that look like numbers stay text, and the files of states add no row."""
    put(lake, ("2018", 1.0), ("2019", 2.0))
    put(lake, ("2018", 150.0), pair="USDJPY")
    put(lake, ("2019", 3.0))
    uri = str(lake.root / TABLE)
    wanted = pl.DataFrame(lake.snapshot(TABLE).read_all())
    keys = ["pair", "block", "time"]
    assert pl.read_delta(uri).sort(keys).equals(wanted)
    assert pl.DataFrame(DeltaTable(uri).to_pyarrow_table()).sort(keys).equals(wanted)
    one = pl.scan_delta(uri).filter((pl.col("pair") == "EURUSD") & (pl.col("block") == "2019")).collect()
    assert one["close"].to_list() == [3.0] * 20


def test_a_table_is_read_on_from_a_checkpoint(lake: Lake) -> None:
    for value in range(4):
        put(lake, (f"b{value % 2}", float(value)))
    DeltaTable(lake.root / TABLE).create_checkpoint()
    for entry in range(4):
        (lake.root / TABLE / "_delta_log" / f"{entry:020d}.json").unlink()
    put(lake, ("b2", 4.0), ("b0", None))
    assert held(lake) == {"b1": {3.0}, "b2": {4.0}}
    assert stated(lake) == lake.snapshot(TABLE).blocks("EURUSD")
