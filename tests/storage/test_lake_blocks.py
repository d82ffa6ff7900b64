"""Commits of blocks that fail, race, repeat or leave something behind."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from fx_assets.storage import lake_log
from fx_assets.storage.errors import CorruptFileError
from fx_assets.storage.lake import CommitConflict, Lake
from fx_assets.storage.records import State
from tests.storage.helpers import no_guard
from tests.storage.test_blocks import TABLE, block, held, parquet_files, put, saying, stated


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    return Lake(tmp_path / "lake")


def broken(where: str) -> tuple[Iterator[tuple[str, pa.Table]], Any, Any]:
    """Blocks, state and guard of which one raises RuntimeError."""

    def making() -> Iterator[tuple[str, pa.Table]]:
        yield "2018q1", block("2018q1", 9.0)
        yield "2018q2", block("2018q2", 9.0)
        if where == "blocks":
            raise RuntimeError("source gone")

    def stating(hashes: Mapping[str, str]) -> State:
        if where == "state":
            raise RuntimeError("no state")
        return saying()(hashes)

    @contextmanager
    def refusing() -> Iterator[None]:
        if where == "guard":
            raise RuntimeError("lease lost")
        yield

    return making(), stating, refusing


@pytest.mark.parametrize("where", ["blocks", "state", "guard"])
def test_a_failure_anywhere_leaves_nothing_behind(lake: Lake, where: str) -> None:
    put(lake, ("2018q1", 1.0))
    before = parquet_files(lake)
    blocks, stating, refusing = broken(where)
    with pytest.raises(RuntimeError):
        lake.write_blocks(TABLE, "EURUSD", blocks, state=stating, guard=refusing)
    assert parquet_files(lake) == before
    assert held(lake) == {"2018q1": {1.0}}


def test_a_guard_that_fails_after_the_log_entry_takes_nothing_back(lake: Lake) -> None:
    @contextmanager
    def failing_late() -> Iterator[None]:
        yield
        raise RuntimeError("control database gone")

    with pytest.raises(RuntimeError, match="control database gone"):
        lake.write_blocks(TABLE, "EURUSD", [("a", block("a", 2.0))], state=saying(), guard=failing_late)
    assert held(lake) == {"a": {2.0}}
    assert list(stated(lake)) == ["a"]


def racing(monkeypatch: pytest.MonkeyPatch, other: Callable[[], object]) -> None:
    """Let `other` commit just before the next commit does."""
    original = lake_log.commit
    raced: list[bool] = []

    def commit(*args: Any, **kwargs: Any) -> int:
        if not raced:
            raced.append(True)
            other()
        return original(*args, **kwargs)

    monkeypatch.setattr(lake_log, "commit", commit)


def test_a_state_is_made_again_when_another_writer_changed_the_pair(
    lake: Lake, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(lake, ("2018q1", 1.0))
    racing(monkeypatch, lambda: put(lake, ("2018q2", 2.0)))
    assert put(lake, ("2018q3", 3.0)) == 3
    assert held(lake) == {"2018q1": {1.0}, "2018q2": {2.0}, "2018q3": {3.0}}
    assert stated(lake) == lake.snapshot(TABLE).blocks("EURUSD")
    assert len(parquet_files(lake)) == 3 + 3, "three blocks, three states: the one that was not true is gone"


def test_a_state_that_is_old_when_the_guard_opens_is_made_again(lake: Lake) -> None:
    """Another writer may be first between the making of the state and the guard, and Delta sees no conflict then."""
    put(lake, ("2018q1", 1.0))
    raced: list[bool] = []

    @contextmanager
    def late() -> Iterator[None]:
        if not raced:
            raced.append(True)
            put(lake, ("2018q2", 2.0))
        yield

    lake.write_blocks(TABLE, "EURUSD", [("2018q3", block("2018q3", 3.0))], state=saying(), guard=late)
    assert held(lake) == {"2018q1": {1.0}, "2018q2": {2.0}, "2018q3": {3.0}}
    assert stated(lake) == lake.snapshot(TABLE).blocks("EURUSD")


def test_a_commit_of_another_pair_does_not_make_the_state_again(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    racing(monkeypatch, lambda: put(lake, ("2018q2", 2.0), pair="USDJPY"))
    asked: list[Mapping[str, str]] = []

    def stating(hashes: Mapping[str, str]) -> State:
        asked.append(hashes)
        return saying()(hashes)

    lake.write_blocks(TABLE, "EURUSD", [("a", block("a", 1.0))], state=stating, guard=no_guard)
    assert len(asked) == 1
    assert (held(lake), held(lake, "USDJPY")) == ({"a": {1.0}}, {"2018q2": {2.0}})


def test_a_commit_whose_answer_was_lost_is_not_made_twice(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even where another writer changed the pair since: its state would be made again, its blocks stand."""
    put(lake, ("2018q1", 1.0))
    original = lake_log.commit
    heard: list[bool] = []

    def deaf(*args: Any, **kwargs: Any) -> int:
        version = original(*args, **kwargs)
        if not heard:
            heard.append(True)
            put(lake, ("2018q3", 3.0))
            raise lake_log.Contended("the entry stands, but Delta says it does not")
        return version

    monkeypatch.setattr(lake_log, "commit", deaf)
    assert put(lake, ("2018q2", 2.0)) == lake.version(TABLE) == 3
    assert held(lake) == {"2018q1": {1.0}, "2018q2": {2.0}, "2018q3": {3.0}}
    assert stated(lake) == lake.snapshot(TABLE).blocks("EURUSD")


def test_endless_conflicts_end_with_an_error_and_no_leftover(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lake, ("2018q1", 1.0))

    def contended(*_: Any, **__: Any) -> int:
        raise lake_log.Contended("always")

    monkeypatch.setattr(lake_log, "commit", contended)
    monkeypatch.setattr("fx_assets.storage.lake.COMMIT_ATTEMPTS", 3)
    with pytest.raises(CommitConflict, match="3 times"):
        put(lake, ("2018q1", 2.0), ("2018q2", 2.0))
    assert len(parquet_files(lake)) == 2


def test_clean_removes_old_leftovers_only(lake: Lake) -> None:
    put(lake, ("2018q1", 1.0))
    replaced = [file.path for file in lake.files(TABLE, "EURUSD")]
    put(lake, ("2018q1", 2.0))
    current = [file.path for file in lake.files(TABLE, "EURUSD")]
    name = f"{'a' * 16}.{'0' * 64}.parquet"
    half, fresh = current[0].with_name(name), current[0].with_name(name.replace("a", "b"))
    half.write_bytes(b"half")
    fresh.write_bytes(b"half")
    hours_ago = time.time() - 7200
    for path in (half, *replaced, *current):
        os.utime(path, (hours_ago, hours_ago))
    assert lake.clean(TABLE, "EURUSD") == [half]
    for entry in lake.root.rglob("*.json"):
        os.utime(entry, (hours_ago, hours_ago))
    assert lake.clean(TABLE, "EURUSD") == sorted(replaced)
    assert held(lake) == {"2018q1": {2.0}}


def test_sequence_numbers_grow_with_every_file_of_a_commit(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    put(lake, ("2018q1", 1.0), ("2018q2", 1.0))
    now = time.time()
    monkeypatch.setattr("fx_assets.storage.lake_log.time.time", lambda: now - 3600)
    put(lake, ("2018q3", 1.0), ("2018q4", 1.0))
    opened = lake_log.open_table(lake.root / TABLE)
    assert opened is not None
    assert [file.block for file in opened.files] == ["2018q1", "2018q2", "2018q3", "2018q4", "_state.bars.1min"]
    assert len({file.sequence for file in opened.files}) == 5


@pytest.mark.parametrize("change", ["block", "both blocks"])
def test_a_block_renamed_in_the_log_is_noticed(lake: Lake, change: str) -> None:
    """Delta takes the block from the log, not from the path: the digest must name it."""
    put(lake, ("2018q1", 1.0), ("2018q2", 2.0))
    entry = lake.root / TABLE / "_delta_log" / f"{1:020d}.json"
    text = entry.read_text().replace('"block":"2018q1"', '"block":"2018qX"')
    if change == "both blocks":
        text = text.replace('"block":"2018q2"', '"block":"2018q1"').replace('"block":"2018qX"', '"block":"2018q2"')
    entry.write_text(text)
    with pytest.raises(CorruptFileError, match="damaged"):
        lake.read(TABLE, "EURUSD")
