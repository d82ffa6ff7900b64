"""What a damaged, full or forbidden disk does to the lake (FAULTS 19 and 20)."""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fx_assets.storage.lake import CorruptFileError, Lake
from tests.storage import test_blocks as blocks
from tests.storage.helpers import child, no_guard, rows, state

TABLE = "prices/raw"


def put(lake: Lake, value: float, pair: str = "EURUSD") -> None:
    lake.write(TABLE, pair, rows(pair, value), state=state(pair), mode="replace", guard=no_guard)


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    lake = Lake(tmp_path / "lake")
    put(lake, 1.0)
    put(lake, 150.0, "USDJPY")
    put(lake, 2.0)
    return lake


def last_entry(lake: Lake) -> Path:
    return sorted((lake.root / TABLE / "_delta_log").glob("*.json"))[-1]


@pytest.mark.parametrize("damage", ["flip", "truncate", "zero", "grow", "swap", "missing"])
def test_a_damaged_data_file_is_refused_by_name_before_decoding(
    lake: Lake, damage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = lake.files(TABLE, "EURUSD")[0].path
    content = path.read_bytes()
    middle = len(content) // 2
    if damage == "missing":
        path.unlink()
    else:
        path.write_bytes(
            {
                "flip": content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :],
                "truncate": content[:middle],
                "zero": b"",
                "grow": content + b"\0",
                "swap": lake.files(TABLE, "USDJPY")[0].path.read_bytes(),
            }[damage]
        )

    def decoded(*_: object, **__: object) -> None:
        raise AssertionError("decoded before the digest was checked")

    monkeypatch.setattr("fx_assets.storage.lake_files.pq.ParquetFile", decoded)
    for read in (lake.read, lake.state):
        with pytest.raises(CorruptFileError, match=path.name) as refused:
            read(TABLE, "EURUSD")
        assert "materialize" in str(refused.value)
    monkeypatch.undo()
    assert len(lake.read(TABLE, "USDJPY")) == 50, "one pair's file does not take the others down"
    put(lake, 3.0)
    assert set(lake.read(TABLE, "EURUSD").column("close").to_pylist()) == {3.0}, "recomputed from upstream"


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.floats(0, 0.999999), bit=st.integers(0, 7))
def test_no_bit_flip_of_a_data_file_is_read(lake: Lake, place: float, bit: int) -> None:
    path = lake.files(TABLE, "EURUSD")[0].path
    content = path.read_bytes()
    index = int(place * len(content))
    path.write_bytes(content[:index] + bytes([content[index] ^ (1 << bit)]) + content[index + 1 :])
    try:
        with pytest.raises(CorruptFileError, match=path.name):
            lake.read(TABLE, "EURUSD")
    finally:
        path.write_bytes(content)


@pytest.mark.parametrize("text", ["", "{", "garbage\n", "\0\0\0\0", '{"add": {}}\n', "null\n", "\xff\xfe"])
@pytest.mark.parametrize("which", ["first", "middle", "last"])
def test_a_damaged_log_gives_a_clear_error(lake: Lake, text: str, which: str) -> None:
    entries = sorted(last_entry(lake).parent.glob("*.json"))
    {"first": entries[0], "middle": entries[2], "last": entries[-1]}[which].write_bytes(text.encode("latin-1"))
    for read in (lake.read, lake.state):
        with pytest.raises(CorruptFileError, match=r"the log of .*prices/raw") as refused:
            read(TABLE, "EURUSD")
        assert "restore the folder" in str(refused.value)
    with pytest.raises(CorruptFileError):
        put(lake, 3.0)


def test_bit_flips_of_the_log_never_change_what_is_read(lake: Lake) -> None:
    """A flip either changes nothing that matters or is refused: never other rows."""
    wanted = lake.read(TABLE, "EURUSD")
    chance = random.Random(7)
    refused = 0
    for entry in sorted(last_entry(lake).parent.glob("*.json")):
        content = entry.read_bytes()
        for _ in range(40):
            index = chance.randrange(len(content))
            entry.write_bytes(
                content[:index] + bytes([content[index] ^ (1 << chance.randrange(8))]) + content[index + 1 :]
            )
            try:
                assert lake.read(TABLE, "EURUSD").equals(wanted)
            except CorruptFileError:
                refused += 1
        entry.write_bytes(content)
    assert refused > 10


@pytest.mark.parametrize("action", ["add", "remove"])
def test_a_lost_action_in_the_log_is_no_mixed_read(lake: Lake, action: str) -> None:
    """Without its `remove`, Delta would show the replaced rows beside the new ones."""
    entry = last_entry(lake)
    kept = [line for line in entry.read_text().splitlines() if not line.startswith(f'{{"{action}"')]
    entry.write_text("\n".join(kept) + "\n")
    with pytest.raises(CorruptFileError, match="damaged"):
        lake.read(TABLE, "EURUSD")


def test_a_panic_in_rust_becomes_an_error(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    """pyo3's PanicException is a BaseException: `except Exception` would let it end the process."""
    panic = type("PanicException", (BaseException,), {})

    def panicking(*_: object) -> None:
        raise panic("called `Option::unwrap()` on a `None` value")

    monkeypatch.setattr("fx_assets.storage.lake_log.DeltaTable", panicking)
    with pytest.raises(CorruptFileError, match="PanicException: called"):
        lake.read(TABLE, "EURUSD")


def test_an_interrupt_is_not_taken_for_damage(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("fx_assets.storage.lake_log.DeltaTable", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lake.read(TABLE, "EURUSD")


def test_leftovers_of_a_killed_writer_do_not_disturb(lake: Lake) -> None:
    log = last_entry(lake).parent
    (log / f"{4:020d}.json#1").write_bytes(b"{half")
    (log / "_commit_0.json.tmp").write_bytes(b"{half")
    lake.files(TABLE, "EURUSD")[0].path.with_name("half.parquet").write_bytes(b"PAR1")
    assert set(lake.read(TABLE, "EURUSD").column("close").to_pylist()) == {2.0}
    put(lake, 3.0)
    assert set(lake.read(TABLE, "EURUSD").column("close").to_pylist()) == {3.0}


WRITE_AS_NOBODY = """
import os, resource, signal, sys
from fx_assets.storage.lake import Lake, WriteFailed
from tests.storage.helpers import no_guard, rows, state
root, limit = sys.argv[1], int(sys.argv[2])
def write(root):
    Lake(root).write("prices/raw", "EURUSD", rows("EURUSD", 9.0), state=state(), mode="replace", guard=no_guard)
write(root + "-warm")  # imports what is needed while it can still be read
if limit:
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
if os.geteuid() == 0:
    os.seteuid(65534)  # root may write anywhere; the rule must hold for the user it is meant for
try:
    write(root)
except WriteFailed as error:
    print(error)
"""


@pytest.fixture
def shared() -> Iterator[Lake]:
    """A lake that another user may reach, which pytest's own folders do not allow."""
    with tempfile.TemporaryDirectory() as folder:
        lake = Lake(Path(folder) / "lake")
        put(lake, 1.0)
        for path in (Path(folder), *Path(folder).rglob("*")):
            path.chmod(0o777 if path.is_dir() else 0o666)
        yield lake
        for path in Path(folder).rglob("*"):
            path.chmod(0o777)


def refusal(lake: Lake, limit: int = 0) -> str:
    run = child(WRITE_AS_NOBODY, str(lake.root), str(limit))
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    return out


@pytest.mark.parametrize("forbidden", ["pair=EURUSD/prices.raw", "_delta_log"])
def test_a_read_only_folder_is_named_and_the_last_version_stays(shared: Lake, forbidden: str) -> None:
    folder = shared.root / TABLE / forbidden
    folder.chmod(0o555)
    said = refusal(shared)
    assert str(folder) in said
    assert "last version stays readable" in said
    assert set(shared.read(TABLE, "EURUSD").column("close").to_pylist()) == {1.0}
    assert len(list(shared.root.rglob("*.parquet"))) == 1, "the prepared file is gone"


@pytest.mark.parametrize("limit", [1, 200, 1500])
def test_a_full_disk_is_named_and_the_last_version_stays(shared: Lake, limit: int) -> None:
    """The kernel refuses every file past `limit` bytes, as a full disk does."""
    said = refusal(shared, limit)
    assert "cannot write" in said
    assert str(shared.root / TABLE) in said
    assert set(shared.read(TABLE, "EURUSD").column("close").to_pylist()) == {1.0}
    assert len(list(shared.root.rglob("*.parquet"))) == 1, "the prepared file is gone"
    put(shared, 2.0)
    assert set(shared.read(TABLE, "EURUSD").column("close").to_pylist()) == {2.0}


def test_the_size_limit_is_what_refuses(shared: Lake) -> None:
    """Without a limit the same child writes, so the tests above test the limit."""
    assert refusal(shared) == ""
    assert set(shared.read(TABLE, "EURUSD").column("close").to_pylist()) == {9.0}


BLOCKS_ON_A_FULL_DISK = """
import resource, signal, sys
from fx_assets.storage.lake import Lake, WriteFailed
from tests.storage.helpers import no_guard
from tests.storage.test_blocks import TABLE, block, saying
root, limit = sys.argv[1], int(sys.argv[2])
def write(root):
    tables = ((name, block(name, 9.0, n)) for name, n in (("a", 20), ("b", 400_000)))
    Lake(root).write_blocks(TABLE, "EURUSD", tables, state=saying(), guard=no_guard)
write(root + "-warm")
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
try:
    write(root)
except WriteFailed as error:
    print(error)
"""


@pytest.mark.parametrize(("limit", "refused"), [(1000, "block=a"), (3000, "block=b"), (10**9, "")])
def test_a_disk_that_is_full_after_some_blocks_leaves_none(tmp_path: Path, limit: int, refused: str) -> None:
    lake = Lake(tmp_path / "lake")
    blocks.put(lake, ("a", 1.0), ("b", 2.0))
    run = child(BLOCKS_ON_A_FULL_DISK, str(lake.root), str(limit))
    out, err = run.communicate(timeout=60)
    assert run.returncode == 0, err
    if refused:
        assert "cannot write" in out
        assert f"{refused}/" in out
        assert blocks.held(lake) == {"a": {1.0}, "b": {2.0}}
        assert len(blocks.parquet_files(lake)) == 3, "the files of blocks that were written are gone"
    assert len(lake.read(blocks.TABLE, "EURUSD")) == (40 if refused else 400_020)


@pytest.mark.parametrize("damage", [b"", b"PAR1", None])
def test_a_damaged_block_is_refused_by_name_and_healed_by_writing_it_again(
    tmp_path: Path, damage: bytes | None
) -> None:
    lake = Lake(tmp_path / "lake")
    blocks.put(lake, ("a", 1.0), ("b", 2.0))
    path = lake.files(blocks.TABLE, "EURUSD")[0].path
    content = path.read_bytes()
    flipped = content[:100] + bytes([content[100] ^ 1]) + content[101:]
    path.write_bytes(flipped if damage is None else damage)
    with pytest.raises(CorruptFileError, match=path.name):
        lake.read(blocks.TABLE, "EURUSD")
    assert len(lake.read(blocks.TABLE, "EURUSD", blocks=["b"])) == 20, "one block does not take the others down"
    blocks.put(lake, ("a", 1.0))
    assert blocks.held(lake) == {"a": {1.0}, "b": {2.0}}
