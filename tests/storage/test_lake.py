"""The lake in one process: round trips, states, refusals, snapshots."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pytest

from fx_assets.storage.errors import FormatError
from fx_assets.storage.lake import CommitConflict, CorruptFileError, Lake, NoData
from tests.storage.helpers import no_guard, rows, state


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def put(lake: Lake, pair: str, value: float, mode: Any = "replace", asset: str = "prices/raw", **kw: Any) -> int:
    return lake.write("prices/raw", pair, rows(pair, value), state=state(pair, asset, **kw), mode=mode, guard=no_guard)


def test_round_trip_keeps_rows_types_and_order(lake: Lake) -> None:
    data = rows("EURUSD", 1.5).select(["close", "time", "pair", "levels"])
    version = lake.write("bars/1d", "EURUSD", data, state=state(), mode="replace", guard=no_guard)
    found = lake.read("bars/1d", "EURUSD")
    assert found.column_names == ["pair", "close", "time", "levels"]
    assert found.column("time").type == pa.timestamp("us", "UTC")
    assert found.to_pylist() == data.select(found.column_names).to_pylist()
    assert lake.version("bars/1d") == version == 1
    assert lake.pairs("bars/1d") == ["EURUSD"]


def test_replace_leaves_other_pairs_and_append_adds(lake: Lake) -> None:
    put(lake, "EURUSD", 1.0)
    put(lake, "USDJPY", 150.0)
    put(lake, "EURUSD", 2.0)
    put(lake, "EURUSD", 3.0, "append")
    assert lake.read("prices/raw", "EURUSD").column("close").to_pylist() == [2.0] * 50 + [3.0] * 50
    assert set(lake.read("prices/raw", "USDJPY").column("close").to_pylist()) == {150.0}
    assert len(lake.files("prices/raw", "EURUSD")) == 2


def test_equal_rows_appended_twice_count_twice(lake: Lake) -> None:
    put(lake, "EURUSD", 1.0, "append")
    put(lake, "EURUSD", 1.0, "append")
    assert len(lake.read("prices/raw", "EURUSD")) == 100


def test_find_is_read_and_none_where_nothing_was_committed(lake: Lake) -> None:
    assert lake.find("prices/raw", "EURUSD") is None
    put(lake, "EURUSD", 1.0)
    assert lake.find("prices/raw", "EURUSD") == lake.read("prices/raw", "EURUSD")
    found = lake.find("prices/raw", "EURUSD", columns=["close"])
    assert found is not None
    assert found.column_names == ["close"]
    assert lake.find("prices/raw", "USDJPY") is None


def test_columns_are_selected_in_the_order_asked(lake: Lake) -> None:
    put(lake, "EURUSD", 1.0)
    assert lake.read("prices/raw", "EURUSD", columns=["close", "pair"]).column_names == ["close", "pair"]
    assert lake.read("prices/raw", "EURUSD", columns=["pair"]).column("pair").to_pylist() == ["EURUSD"] * 50
    with pytest.raises(ValueError, match="no column \\['clsoe'\\]"):
        lake.read("prices/raw", "EURUSD", columns=["clsoe"])


def test_polars_text_and_lists_are_the_same_schema(lake: Lake) -> None:
    put(lake, "EURUSD", 1.0)
    frame = pl.from_arrow(rows("EURUSD", 2.0))
    assert isinstance(frame, pl.DataFrame)
    lake.write("prices/raw", "EURUSD", frame.to_arrow(), state=state(), mode="append", guard=no_guard)
    assert len(lake.read("prices/raw", "EURUSD")) == 100


def test_no_rows_can_be_committed_and_read(lake: Lake) -> None:
    empty = rows("EURUSD", 1.0).slice(0, 0)
    lake.write("rejects", "EURUSD", empty, state=state(), mode="replace", guard=no_guard)
    assert len(lake.read("rejects", "EURUSD")) == 0
    assert lake.state("rejects", "EURUSD") == state()


def test_nothing_there_is_named(lake: Lake) -> None:
    with pytest.raises(NoData, match="prices/raw"):
        lake.read("prices/raw", "EURUSD")
    assert (lake.version("prices/raw"), lake.pairs("prices/raw")) == (None, [])
    assert lake.state("prices/raw", "EURUSD") is None
    put(lake, "EURUSD", 1.0)
    with pytest.raises(NoData, match="USDJPY"):
        lake.read("prices/raw", "USDJPY")


def test_state_travels_in_the_data_file(lake: Lake) -> None:
    put(lake, "EURUSD", 1.0)
    assert lake.state("prices/raw", "EURUSD") == state()
    (file,) = lake.files("prices/raw", "EURUSD")
    assert b"fx_assets.state" in file.path.read_bytes()
    others = [p for p in lake.root.rglob("*") if p.is_file() and "_delta_log" not in p.parts]
    assert others == [file.path]


def test_state_of_one_asset_survives_appends_of_another(lake: Lake) -> None:
    put(lake, "EURUSD", 1.0, "append", "forecasts/har", fingerprint="har-1")
    put(lake, "EURUSD", 2.0, "append", "forecasts/random_walk", fingerprint="rw-1")
    put(lake, "EURUSD", 3.0, "append", "forecasts/random_walk", fingerprint="rw-2")
    prints = {a: lake.state("prices/raw", "EURUSD", asset=a) for a in ("forecasts/har", "forecasts/random_walk")}
    assert {a: s.fingerprint for a, s in prints.items() if s} == {
        "forecasts/har": "har-1",
        "forecasts/random_walk": "rw-2",
    }
    newest = lake.state("prices/raw", "EURUSD")
    assert newest is not None
    assert newest.fingerprint == "rw-2"
    assert lake.state("prices/raw", "EURUSD", asset="forecasts/none") is None


def test_order_of_commits_survives_a_clock_that_jumps_back(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lake, "EURUSD", 1.0, "append", fingerprint="first")
    now = time.time()
    monkeypatch.setattr("fx_assets.storage.lake_log.time.time", lambda: now - 3600)
    put(lake, "EURUSD", 2.0, "append", fingerprint="second")
    newest = lake.state("prices/raw", "EURUSD")
    assert newest is not None
    assert newest.fingerprint == "second"
    assert lake.read("prices/raw", "EURUSD").column("close").to_pylist() == [1.0] * 50 + [2.0] * 50


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.append_column("extra", pa.array([1.0] * 50)), "extra: absent in the table"),
        (lambda t: t.drop_columns(["levels"]), "levels: list<element: double> in the table"),
        (lambda t: t.set_column(2, "close", t.column("close").cast(pa.float32())), "close: double in the table"),
        (lambda t: t.set_column(1, "time", t.column("time").cast(pa.timestamp("ns", "UTC"))), "'time' is timestamp"),
        (lambda t: t.set_column(1, "time", t.column("time").cast(pa.timestamp("us"))), "'time' is timestamp"),
        (lambda t: t.drop_columns(["pair"]), "no column 'pair'"),
        (lambda t: pa.concat_tables([t, rows("USDJPY", 1.0)]), "other pairs: \\['USDJPY'\\]"),
    ],
)
def test_rows_that_do_not_belong_are_refused(lake: Lake, change: Any, message: str) -> None:
    put(lake, "EURUSD", 1.0)
    with pytest.raises(ValueError, match=message):
        lake.write("prices/raw", "EURUSD", change(rows("EURUSD", 2.0)), state=state(), mode="replace", guard=no_guard)
    assert lake.version("prices/raw") == 1
    assert len(list(lake.root.rglob("*.parquet"))) == 1


@pytest.mark.parametrize("name", ["../x", "prices/../x", "/etc", "Prices", "a//b", "_delta_log", "a\n", "", "a/.b"])
def test_no_path_is_built_from_an_odd_name(lake: Lake, name: str) -> None:
    with pytest.raises(ValueError, match="does not match"):
        lake.read(name, "EURUSD")
    with pytest.raises(ValueError, match="does not match"):
        lake.write("x", "EURUSD", rows("EURUSD", 1), state=state(asset=name), mode="append", guard=no_guard)
    with pytest.raises(ValueError, match="does not match"):
        lake.read("x", name)
    assert not lake.root.exists()


@pytest.mark.parametrize("pair", ["X", "CNN-2", "cnn", "2CNN", "_CNN", "CNN.", "A" * 17])
def test_a_pair_or_series_is_short_and_in_capitals(lake: Lake, pair: str) -> None:
    put(lake, "CRYPTO_2", 1.0)
    assert lake.read("prices/raw", "CRYPTO_2").num_rows == 50
    with pytest.raises(ValueError, match="does not match"):
        lake.read("prices/raw", pair)


def test_a_state_of_another_pair_is_refused(lake: Lake) -> None:
    with pytest.raises(ValueError, match="is of USDJPY"):
        lake.write("x", "EURUSD", rows("EURUSD", 1), state=state("USDJPY"), mode="append", guard=no_guard)


def test_a_refused_guard_leaves_nothing_behind(lake: Lake) -> None:
    put(lake, "EURUSD", 1.0)

    @contextmanager
    def refusing() -> Iterator[None]:
        raise PermissionError("lease lost")
        yield

    with pytest.raises(PermissionError, match="lease lost"):
        lake.write("prices/raw", "EURUSD", rows("EURUSD", 2), state=state(), mode="replace", guard=refusing)
    assert set(lake.read("prices/raw", "EURUSD").column("close").to_pylist()) == {1.0}
    assert len(list(lake.root.rglob("*.parquet"))) == 1


def test_a_guard_that_fails_after_the_log_entry_takes_nothing_back(lake: Lake) -> None:
    """The log is the truth: once it names the file, the file stays, whatever the control database says."""

    @contextmanager
    def failing_late() -> Iterator[None]:
        yield
        raise RuntimeError("control database gone")

    with pytest.raises(RuntimeError, match="control database gone"):
        lake.write("prices/raw", "EURUSD", rows("EURUSD", 2), state=state(), mode="replace", guard=failing_late)
    assert set(lake.read("prices/raw", "EURUSD").column("close").to_pylist()) == {2.0}


def test_data_is_on_disk_before_the_guard_opens(lake: Lake) -> None:
    seen = []

    @contextmanager
    def looking() -> Iterator[None]:
        seen.append([p.stat().st_size for p in lake.root.rglob("*.parquet")])
        yield

    lake.write("prices/raw", "EURUSD", rows("EURUSD", 2), state=state(), mode="replace", guard=looking)
    assert seen == [[lake.files("prices/raw", "EURUSD")[0].size]]


def test_every_file_and_folder_of_a_commit_is_synced(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Delta syncs nothing by itself: after a power cut its newest entry could be empty."""
    synced: list[Path] = []
    original = os.fsync

    def noting(handle: int) -> None:
        synced.append(Path(f"/proc/self/fd/{handle}").readlink())
        original(handle)

    monkeypatch.setattr(os, "fsync", noting)
    put(lake, "EURUSD", 1.0)
    (file,) = lake.files("prices/raw", "EURUSD")
    log = lake.root / "prices/raw/_delta_log"
    assert {file.path, file.path.parent, log / f"{1:020d}.json", log, lake.root, lake.root.parent} <= set(synced)
    assert synced.index(file.path) < synced.index(log / f"{1:020d}.json")


@pytest.mark.parametrize("mode", ["replace", "append"])
def test_a_commit_between_opening_and_committing_is_retried(lake: Lake, mode: str) -> None:
    """First writes of one pair do not conflict inside Delta: without the check both would stand."""
    from fx_assets.storage import lake_log

    put(lake, "USDJPY", 1.0)
    original = lake_log.commit
    raced: list[bool] = []

    def racing(*args: Any, **kwargs: Any) -> int:
        if not raced:
            raced.append(True)
            put(lake, "EURUSD", 1.0)
        return original(*args, **kwargs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(lake_log, "commit", racing)
        put(lake, "EURUSD", 2.0, mode)
    expected = [2.0] * 50 if mode == "replace" else [1.0] * 50 + [2.0] * 50
    assert lake.read("prices/raw", "EURUSD").column("close").to_pylist() == expected
    assert lake.version("prices/raw") == 3


def test_a_commit_whose_answer_was_lost_is_not_made_twice(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from fx_assets.storage import lake_log

    put(lake, "EURUSD", 1.0)
    original = lake_log.commit

    def deaf(*args: Any, **kwargs: Any) -> int:
        original(*args, **kwargs)
        raise lake_log.Contended("the entry stands, but Delta says it does not")

    monkeypatch.setattr(lake_log, "commit", deaf)
    assert put(lake, "EURUSD", 2.0, "append") == lake.version("prices/raw") == 2
    assert lake.read("prices/raw", "EURUSD").column("close").to_pylist() == [1.0] * 50 + [2.0] * 50


def test_a_table_created_by_many_at_once_has_one_schema(tmp_path: Path) -> None:
    """Left to itself, Delta retries a lost creation as version 1, with the loser's schema."""
    from concurrent.futures import ThreadPoolExecutor
    from threading import Barrier

    from fx_assets.storage import lake_log

    schema, barrier = rows("EURUSD", 1.0).schema, Barrier(4)

    def creating(folder: Path) -> None:
        barrier.wait()
        lake_log.create(folder, schema)

    with ThreadPoolExecutor(4) as pool:
        for number in range(25):
            list(pool.map(creating, [tmp_path / str(number)] * 4))
            assert [p.name for p in (tmp_path / str(number) / "_delta_log").iterdir()] == [f"{0:020d}.json"]


def test_endless_conflicts_end_with_an_error_and_no_leftover(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    from fx_assets.storage import lake_log

    put(lake, "EURUSD", 1.0)

    def contended(*_: Any) -> int:
        raise lake_log.Contended("always")

    monkeypatch.setattr(lake_log, "commit", contended)
    monkeypatch.setattr("fx_assets.storage.lake.COMMIT_ATTEMPTS", 3)
    with pytest.raises(CommitConflict, match="3 times"):
        put(lake, "EURUSD", 2.0)
    assert len(list(lake.root.rglob("*.parquet"))) == 1


def test_a_pinned_snapshot_reads_the_same_for_ever(lake: Lake) -> None:
    put(lake, "EURUSD", 1.0)
    put(lake, "USDJPY", 150.0)
    pinned = lake.snapshot("prices/raw")
    before = pinned.read_all()
    put(lake, "EURUSD", 2.0)
    put(lake, "GBPUSD", 1.2)
    lake.clean("prices/raw", "EURUSD")
    assert pinned.version == 2
    assert pinned.pairs() == ["EURUSD", "USDJPY"]
    assert pinned.read_all().equals(before)
    assert set(pinned.read("EURUSD").column("close").to_pylist()) == {1.0}
    assert lake.snapshot("prices/raw").pairs() == ["EURUSD", "GBPUSD", "USDJPY"]


def test_clean_removes_old_leftovers_only(lake: Lake) -> None:
    put(lake, "EURUSD", 1.0)
    (replaced,) = lake.files("prices/raw", "EURUSD")
    put(lake, "EURUSD", 2.0)
    (current,) = lake.files("prices/raw", "EURUSD")
    old, fresh = current.path.with_name("0" * 64 + ".parquet"), current.path.with_name("1" * 64 + ".parquet")
    for path in (old, fresh):
        path.write_bytes(b"half")
    hours_ago = time.time() - 7200
    for path in (old, replaced.path, current.path):
        os.utime(path, (hours_ago, hours_ago))
    assert lake.clean("prices/raw", "EURUSD") == [old]
    assert replaced.path.exists(), "a reader may still be at the version of a moment ago"
    for entry in lake.root.rglob("*.json"):
        os.utime(entry, (hours_ago, hours_ago))
    assert lake.clean("prices/raw", "EURUSD") == [replaced.path]
    assert len(lake.read("prices/raw", "EURUSD")) == 50


def test_many_commits_pass_checkpoints(lake: Lake) -> None:
    for value in range(105):
        put(lake, "EURUSD", float(value))
    put(lake, "EURUSD", 999.0, "append")
    assert list(lake.root.rglob("*.checkpoint.parquet")), "the test should cross a checkpoint"
    assert lake.read("prices/raw", "EURUSD").column("close").to_pylist() == [104.0] * 50 + [999.0] * 50


def test_a_file_of_another_format_is_refused_by_name(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fx_assets.storage.lake_files.FILE_FORMAT", b"0")
    put(lake, "EURUSD", 1.0)
    monkeypatch.undo()
    (file,) = lake.files("prices/raw", "EURUSD")
    for read in (lake.read, lake.state):
        with pytest.raises(FormatError, match=file.path.name) as refused:
            read("prices/raw", "EURUSD")
        assert "has format 0, this version reads 1" in str(refused.value)


def test_a_state_of_another_format_is_refused_by_name(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fx_assets.storage.records.STATE_FORMAT", 0)
    put(lake, "EURUSD", 1.0)
    monkeypatch.undo()
    with pytest.raises(FormatError, match=lake.files("prices/raw", "EURUSD")[0].path.name):
        lake.state("prices/raw", "EURUSD")


def test_other_readers_of_delta_find_the_rows(lake: Lake) -> None:
    """The tables are plain Delta: polars, DuckDB and Spark read them without this project."""
    put(lake, "EURUSD", 1.0)
    put(lake, "USDJPY", 150.0)
    frame = pl.read_delta(str(lake.root / "prices/raw"))
    assert sorted(frame["pair"].unique()) == ["EURUSD", "USDJPY"]
    assert frame.filter(pl.col("pair") == "USDJPY")["close"].to_list() == [150.0] * 50


def test_the_log_says_who_committed(lake: Lake) -> None:
    put(lake, "EURUSD", 1.0)
    text = (lake.root / "prices/raw/_delta_log" / f"{1:020d}.json").read_text()
    commit = next(json.loads(line)["commitInfo"] for line in text.splitlines() if "commitInfo" in line)
    assert (commit["asset"], commit["runId"]) == ("prices/raw", "run-1")


def test_another_program_that_writes_is_noticed(lake: Lake) -> None:
    put(lake, "EURUSD", 1.0)
    pl.from_arrow(rows("EURUSD", 2.0)).write_delta(str(lake.root / "prices/raw"), mode="append")  # type: ignore[union-attr]
    with pytest.raises(CorruptFileError, match="another program"):
        lake.read("prices/raw", "EURUSD")
