"""Real processes that write, read and die beside each other (FAULTS 18 and 21)."""

from __future__ import annotations

import random
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fx_assets.storage.lake import Lake
from tests.storage import test_blocks as blocks
from tests.storage.helpers import child, no_guard, rows, state

TABLE = "prices/raw"

# Replaces one pair again and again with rows of one value each, and says each value it committed.
WRITER = """
import sys
from fx_assets.storage.lake import Lake
from tests.storage.helpers import no_guard, rows, state
root, pair, first, count, mode = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
lake = Lake(root)
# A first write elsewhere imports what is imported late.
Lake(root + "-warm").write("x", pair, rows(pair, 0), state=state(pair), mode="append", guard=no_guard)
print("ready", flush=True)
sys.stdin.readline()
for value in range(first, first + count):
    s = state(pair, "prices/raw", fingerprint=str(value))
    lake.write("prices/raw", pair, rows(pair, value, 2000), state=s, mode=mode, guard=no_guard)
    print(value, flush=True)
"""

# Reads for ever; each read must be wholly one version, and never an older one than the read before.
READER = """
import sys
from fx_assets.storage.lake import Lake
lake, last, reads, versions = Lake(sys.argv[1]), -1.0, 0, set()
print("ready", flush=True)
import threading
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
while not stop.is_set():
    snapshot = lake.snapshot("prices/raw")
    table, state = snapshot.read("EURUSD"), snapshot.state("EURUSD")
    values = set(table.column("close").to_pylist())
    assert len(table) == 2000, f"torn: {len(table)} rows"
    assert len(values) == 1, f"mixed: {sorted(values)}"
    assert {str(int(v)) for v in values} == {state.fingerprint}, f"data {values} with state {state.fingerprint}"
    assert min(values) >= last, f"went back from {last} to {values}"
    last = min(values)
    reads += 1
    versions.add(snapshot.version)
print(reads, len(versions), flush=True)
"""

# Replaces blocks of one pair again and again with rows of one value each, and says each value it committed.
BLOCK_WRITER = """
import sys
from fx_assets.storage.lake import Lake
from tests.storage.test_blocks import put
root, pair, first, count, names = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), sys.argv[5].split(",")
lake = Lake(root)
put(Lake(root + "-warm"), ("a", 0.0))
print("ready", flush=True)
sys.stdin.readline()
for value in range(first, first + count):
    put(lake, *((name, float(value)) for name in names), pair=pair)
    print(value, flush=True)
"""

# Reads for ever; blocks committed together must be read together, with the state that names them.
BLOCK_READER = """
import json, sys, threading
from fx_assets.storage.lake import Lake
lake, last, reads, versions = Lake(sys.argv[1]), -1.0, 0, set()
print("ready", flush=True)
stop = threading.Event()
threading.Thread(target=lambda: (sys.stdin.readline(), stop.set()), daemon=True).start()
while not stop.is_set():
    snapshot = lake.snapshot("bars/1min")
    table, state = snapshot.read("EURUSD"), snapshot.state("EURUSD")
    values = set(table.column("close").to_pylist())
    assert table.column("block").to_pylist() == ["a"] * 20 + ["b"] * 20, "torn"
    assert len(values) == 1, f"mixed: {sorted(values)}"
    assert json.loads(state.fingerprint) == snapshot.blocks("EURUSD"), "state of other blocks"
    assert min(values) >= last, f"went back from {last} to {values}"
    last = min(values)
    reads += 1
    versions.add(snapshot.version)
print(reads, len(versions), flush=True)
"""

Start = Callable[..., "subprocess.Popen[str]"]


@pytest.fixture
def start() -> Iterator[Start]:
    """Start a child and wait until it is ready; all are ended afterwards."""
    running: list[subprocess.Popen[str]] = []

    def starting(code: str, *arguments: object) -> subprocess.Popen[str]:
        process = child(code, *map(str, arguments))
        running.append(process)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n", process.communicate()[1]
        return process

    yield starting
    for process in running:
        process.kill()
        process.communicate()


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def end(process: subprocess.Popen[str]) -> str:
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return out


def first_version(lake: Lake) -> None:
    lake.write(TABLE, "EURUSD", rows("EURUSD", 0, 2000), state=state(fingerprint="0"), mode="replace", guard=no_guard)


def test_a_reader_beside_a_writer_sees_whole_versions_only(tmp_path: Path, start: Start) -> None:
    lake = Lake(tmp_path / "lake")
    first_version(lake)
    reader = start(READER, lake.root)
    writer = start(WRITER, lake.root, "EURUSD", 1, 60, "replace")
    go(writer)
    end(writer)
    out, err = reader.communicate("\n", timeout=60)
    assert reader.returncode == 0, err
    _reads, versions = map(int, out.split())
    assert versions > 1, "the reader must have seen the writer at work"
    assert set(lake.read(TABLE, "EURUSD").column("close").to_pylist()) == {60.0}


@pytest.mark.parametrize(
    "batches",
    [1, pytest.param(20, marks=[pytest.mark.soak, pytest.mark.timeout(3600)])],
    ids=["short", "soak"],
)
def test_kill_nine_of_a_writer_beside_a_reader_loses_and_tears_nothing(
    tmp_path: Path, start: Start, batches: int
) -> None:
    lake = Lake(tmp_path / "lake")
    first_version(lake)
    reader = start(READER, lake.root)
    chance = random.Random(18)
    for batch in range(batches):
        # Started ahead of their turn: importing takes longer than the writing that is killed.
        firsts = [1 + 1000 * (8 * batch + turn) for turn in range(8)]
        for writer in [start(WRITER, lake.root, "EURUSD", first, 1000, "replace") for first in firsts]:
            kill_in_a_commit(writer, lake, chance)
    out, err = reader.communicate("\n", timeout=60)
    assert reader.returncode == 0, err
    assert int(out.split()[0]) > 1
    first_version(lake)
    assert set(lake.read(TABLE, "EURUSD").column("close").to_pylist()) == {0.0}, "the next run goes on"


def kill_in_a_commit(writer: subprocess.Popen[str], lake: Lake, chance: random.Random) -> None:
    """Let the writer commit a few times, kill it somewhere in the next one, and look at what is left."""
    go(writer)
    assert writer.stdout is not None
    said = [writer.stdout.readline() for _ in range(chance.randint(1, 3))]
    time.sleep(chance.uniform(0, 0.08))
    writer.kill()
    rest, err = writer.communicate()
    said += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
    assert all(said), err
    (value,) = set(lake.read(TABLE, "EURUSD").column("close").to_pylist())
    assert value >= int(said[-1]), "what the writer said it committed is there"
    assert len(lake.files(TABLE, "EURUSD")) == 1


@pytest.mark.parametrize("fresh", [True, False], ids=["fresh table", "existing table"])
def test_two_writers_on_one_pair_leave_one_head(tmp_path: Path, start: Start, fresh: bool) -> None:
    lake = Lake(tmp_path / "lake")
    if not fresh:
        first_version(lake)
    writers = [start(WRITER, lake.root, "EURUSD", first, 15, "replace") for first in (1, 101)]
    for writer in writers:
        go(writer)
    for writer in writers:
        end(writer)
    assert len(lake.files(TABLE, "EURUSD")) == 1
    table = lake.read(TABLE, "EURUSD")
    assert len(table) == 2000
    assert set(table.column("close").to_pylist()) <= {15.0, 115.0}
    assert lake.version(TABLE) == 30 + (not fresh)
    assert len(list(lake.root.rglob("*.parquet"))) == 30 + (not fresh), "each commit kept its file, none left over"


def test_writers_on_other_pairs_lose_nothing(tmp_path: Path, start: Start) -> None:
    lake = Lake(tmp_path / "lake")
    pairs = ["EURUSD", "USDJPY", "GBPUSD"]
    writers = [start(WRITER, lake.root, pair, 1, 10, "append") for pair in pairs]
    for writer in writers:
        go(writer)
    for writer in writers:
        end(writer)
    assert lake.pairs(TABLE) == sorted(pairs)
    for pair in pairs:
        expected = [float(v) for v in range(1, 11) for _ in range(2000)]
        assert lake.read(TABLE, pair).column("close").to_pylist() == expected


@pytest.mark.slow
def test_two_writers_on_other_blocks_of_one_pair_lose_nothing(tmp_path: Path, start: Start) -> None:
    lake = Lake(tmp_path / "lake")
    writers = [start(BLOCK_WRITER, lake.root, "EURUSD", 1, 12, name) for name in ("a", "b")]
    for writer in writers:
        go(writer)
    for writer in writers:
        end(writer)
    assert blocks.held(lake) == {"a": {12.0}, "b": {12.0}}
    assert blocks.stated(lake) == lake.snapshot(blocks.TABLE).blocks("EURUSD")
    assert lake.version(blocks.TABLE) == 24
    assert len(list(lake.root.rglob("*.parquet"))) == 2 * 24, "a block and a state each commit, none left over"


@pytest.mark.slow
def test_writers_of_blocks_of_other_pairs_lose_nothing(tmp_path: Path, start: Start) -> None:
    lake = Lake(tmp_path / "lake")
    pairs = ["EURUSD", "USDJPY"]
    writers = [start(BLOCK_WRITER, lake.root, pair, 1, 10, "a,b") for pair in pairs]
    for writer in writers:
        go(writer)
    for writer in writers:
        end(writer)
    for pair in pairs:
        assert blocks.held(lake, pair) == {"a": {10.0}, "b": {10.0}}
        assert blocks.stated(lake, pair) == lake.snapshot(blocks.TABLE).blocks(pair)
    assert lake.version(blocks.TABLE) == 20


def test_kill_nine_of_a_writer_of_blocks_beside_a_reader_tears_nothing(tmp_path: Path, start: Start) -> None:
    lake = Lake(tmp_path / "lake")
    blocks.put(lake, ("a", 0.0), ("b", 0.0))
    reader = start(BLOCK_READER, lake.root)
    chance = random.Random(19)
    for writer in [start(BLOCK_WRITER, lake.root, "EURUSD", 1 + 1000 * turn, 1000, "a,b") for turn in range(4)]:
        go(writer)
        assert writer.stdout is not None
        said = [writer.stdout.readline() for _ in range(chance.randint(1, 3))]
        time.sleep(chance.uniform(0, 0.1))
        writer.kill()
        rest, err = writer.communicate()
        said += [line for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        assert all(said), err
        assert max(blocks.held(lake)["b"]) >= int(said[-1]), "what the writer said it committed is there"
        assert len(lake.files(blocks.TABLE, "EURUSD")) == 3
    out, err = reader.communicate("\n", timeout=60)
    assert reader.returncode == 0, err
    assert int(out.split()[1]) > 1, "the reader must have seen the writers at work"
    blocks.put(lake, ("a", 0.0), ("b", None))
    assert blocks.held(lake) == {"a": {0.0}}, "the next run goes on"
