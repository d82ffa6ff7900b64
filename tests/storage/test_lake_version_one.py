"""Tables that version 0.1 wrote, before there were blocks."""

from __future__ import annotations

import json
import uuid
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.transaction import AddAction

from fx_assets.storage.hashing import fingerprint, sha256_bytes
from fx_assets.storage.lake import Lake
from fx_assets.storage.records import State
from tests.storage.helpers import no_guard, rows, state


def commit_as_version_one(folder: Path, pair: str, data: pa.Table, made: State) -> None:
    """What `Lake.write(..., mode="append")` of version 0.1 did, written out."""
    footer = {
        b"fx_assets.format": b"1",
        b"fx_assets.state": made.to_json().encode(),
        b"fx_assets.nonce": uuid.uuid4().hex.encode(),
    }
    sink = pa.BufferOutputStream()
    bare = data.drop_columns(["pair"]).replace_schema_metadata(footer)
    pq.write_table(bare, sink, compression="zstd", store_schema=True)
    content = sink.getvalue().to_pybytes()
    name = f"pair={pair}/{made.asset.replace('/', '.')}/{sha256_bytes(content)}.parquet"
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(content)
    if not (folder / "_delta_log").exists():
        DeltaTable.create(folder, Schema.from_arrow(data.schema), mode="error", partition_by=["pair"])
    delta = DeltaTable(folder)
    actions = pa.table(delta.get_add_actions(flatten=True)).to_pylist()
    files = [[r["modification_time"], r["path"], r["partition.pair"], r["size_bytes"]] for r in actions]
    sequence = max([1_790_000_000_000, *(file[0] + 1 for file in files)])
    files.append([sequence, name, pair, len(content)])
    delta.create_write_transaction(
        [AddAction(name, len(content), {"pair": pair}, sequence, True, json.dumps({"numRecords": len(data)}))],
        "append",
        delta.schema(),
        ["pair"],
        None,
        commit_properties=CommitProperties(custom_metadata={"fxAssetsFiles": fingerprint(sorted(files))}),
    )


def test_tables_of_version_one_are_read_and_written_on(tmp_path: Path) -> None:
    """Forecasts and scores are append-only history: no later version may take them for damaged."""
    lake = Lake(tmp_path / "lake")
    folder = lake.root / "forecasts"
    for pair, value in (("EURUSD", 1.0), ("USDJPY", 150.0), ("EURUSD", 2.0)):
        made = state(pair, "forecasts/har", fingerprint=str(value))
        commit_as_version_one(folder, pair, rows(pair, value), made)
    for _ in range(2):
        assert lake.read("forecasts", "EURUSD").column("close").to_pylist()[:100] == [1.0] * 50 + [2.0] * 50
        assert set(lake.read("forecasts", "USDJPY").column("close").to_pylist()) == {150.0}
        assert len(lake.files("forecasts", "USDJPY")) == 1
        found = lake.state("forecasts", "EURUSD", asset="forecasts/har")
        assert found is not None
        assert found.fingerprint == "2.0"
        later = state("EURUSD", "forecasts/new", fingerprint="3.0")
        lake.write("forecasts", "EURUSD", rows("EURUSD", 3.0), state=later, mode="append", guard=no_guard)
    assert len(lake.read("forecasts", "EURUSD")) == 200
