"""The Delta log of one table: opened, checked and committed to, one version at a time.

Delta's log has no digests of its own, and a bit flip or an emptied entry in it may read as a
table with other files. So each commit here states a digest of all files that are current after it,
and opening a table checks the files that Delta found against it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable, Schema
from deltalake.exceptions import CommitFailedError
from deltalake.transaction import AddAction, RemoveAction

from fx_assets.storage.durable import make_folders, sync_file, sync_folder
from fx_assets.storage.errors import CorruptFileError, WriteFailed
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.lake_rows import partition_columns

LOG = "_delta_log"
_DIGEST = "fxAssetsFiles"
_REMEDY = "restore the folder from a backup, or move it away and materialize the table's assets again"


class Contended(Exception):
    """Another writer committed this version first: open the table again and retry."""


@dataclass(frozen=True, order=True)
class DataFile:
    """One current file: ordered by commit, as `sequence` grows with every file committed to the table.

    `block` is None in a table that is partitioned by pair alone.
    """

    sequence: int
    path: str
    pair: str
    size: int
    block: str | None = None


@dataclass(frozen=True)
class NewFile:
    """A file on disk that is yet to be committed: its path from the table's folder, its bytes and rows."""

    path: str
    size: int
    rows: int
    block: str | None = None


@dataclass(frozen=True)
class OpenTable:
    """A table at one version: its schema and its current files, oldest first."""

    folder: Path
    version: int
    schema: pa.Schema
    files: tuple[DataFile, ...]
    delta: DeltaTable


def exists(folder: Path) -> bool:
    """Whether the folder holds a table, sound or not."""
    return any((folder / LOG).glob("0*.json")) or any((folder / LOG).glob("0*.parquet"))


def open_table(folder: Path) -> OpenTable | None:
    """The newest version of the table, or None where there is none; CorruptFileError for a damaged log."""
    if not exists(folder):
        return None
    with _log_errors(folder):
        delta = DeltaTable(folder)
        version = delta.version()
        schema = pa.schema(delta.schema().to_arrow())
        columns = ["modification_time", "path", "partition.pair", "size_bytes"]
        if "block" in schema.names:
            columns.append("partition.block")
        found = pa.table(delta.get_add_actions(flatten=True)).select(columns)
        files = tuple(sorted(DataFile(*row) for row in zip(*found.to_pydict().values(), strict=True)))
    _check_digest(folder, version, files)
    return OpenTable(folder, version, schema, files, delta)


def create(folder: Path, schema: pa.Schema) -> None:
    """Create an empty table partitioned by `pair`, and by `block` where `schema` has it.

    Harmless when another process was first.
    """
    make_folders(folder / LOG)
    with _write_errors(folder):
        try:
            DeltaTable.create(
                folder,
                Schema.from_arrow(schema),
                mode="error",
                partition_by=partition_columns(schema),
                # A retry inside Delta would put the loser's schema over the winner's, as version 1.
                commit_properties=CommitProperties(max_commit_retries=0),
            )
        except Exception:
            if not exists(folder):
                raise
        _sync(folder, 0)


def commit(
    table: OpenTable,
    pair: str,
    files: Sequence[NewFile],
    mode: Literal["replace", "append"],
    note: dict[str, str],
    blocks: Collection[str] | None = None,
) -> int:
    """Put one log entry that adds `files`, in that order; return its version.

    `replace` also removes every other file of the pair, or those of its `blocks` where these are given.
    Raises Contended when the table is no longer at `table.version`, WriteFailed when the disk refuses.
    """
    kept = [f for f in table.files if mode == "append" or f.pair != pair or not (blocks is None or f.block in blocks)]
    # The clock may jump; the order of commits may not.
    first = max([int(time.time() * 1000), *(file.sequence + 1 for file in table.files)])
    added = [DataFile(first + i, f.path, pair, f.size, f.block) for i, f in enumerate(files)]
    actions: list[AddAction | RemoveAction] = [
        AddAction(
            file.path,
            file.size,
            {"pair": pair} if file.block is None else {"pair": pair, "block": file.block},
            first + number,
            True,
            json.dumps({"numRecords": file.rows}),
        )
        for number, file in enumerate(files)
    ]
    replaced = [("pair", "=", pair), *([] if blocks is None else [("block", "in", sorted(blocks))])]
    # No retries inside Delta: two first writes of one pair do not conflict there, and both would stand.
    properties = CommitProperties(custom_metadata={_DIGEST: _digest([*kept, *added]), **note}, max_commit_retries=0)
    version = table.version + 1
    with _write_errors(table.folder):
        try:
            table.delta.create_write_transaction(
                actions,
                "append" if mode == "append" else "overwrite",
                table.delta.schema(),
                partition_columns(table.schema),
                replaced if mode == "replace" else None,
                commit_properties=properties,
            )
        except CommitFailedError as error:
            if _entry(table.folder, version).exists():
                raise Contended(str(error)) from error
            raise
        _sync(table.folder, version)
    return version


def removals(folder: Path, since: float) -> set[str]:
    """Paths that log entries written after `since` (seconds of the epoch) removed from the table."""
    paths = set()
    with _log_errors(folder):
        for entry in (folder / LOG).glob("0*.json"):
            if entry.stat().st_mtime >= since:
                actions = [json.loads(line) for line in entry.read_text().splitlines()]
                paths |= {action["remove"]["path"] for action in actions if "remove" in action}
    return paths


def _digest(files: Sequence[DataFile]) -> str:
    # Without blocks these are the four values of version 0.1, whose tables stay readable.
    own = [[f.sequence, f.path, f.pair, f.size, *([] if f.block is None else [f.block])] for f in sorted(files)]
    return fingerprint(own)


def _entry(folder: Path, version: int) -> Path:
    return folder / LOG / f"{version:020d}.json"


def _check_digest(folder: Path, version: int, files: Sequence[DataFile]) -> None:
    if version == 0:
        stated = _digest([])
    else:
        entry = _entry(folder, version)
        with _log_errors(folder):
            actions = [json.loads(line) for line in entry.read_text().splitlines()]
            stated = next((a["commitInfo"].get(_DIGEST, "") for a in actions if "commitInfo" in a), "")
    if stated != _digest(files):
        raise CorruptFileError(
            f"the log of {folder} is damaged: the files it lists are not those that version {version} committed "
            f"(or another program wrote to the table). Nothing was read; {_REMEDY}"
        )


def _sync(folder: Path, version: int) -> None:
    """fsync what a commit put into the log; Delta itself does not."""
    log = folder / LOG
    sync_file(_entry(folder, version))
    if (log / "_last_checkpoint").exists() and any(checkpoints := list(log.glob(f"{version:020d}.checkpoint*"))):
        for path in [*checkpoints, log / "_last_checkpoint"]:
            sync_file(path)
    sync_folder(log)


def is_panic(error: BaseException) -> bool:
    """Whether Rust code panicked: pyo3's PanicException is a BaseException that cannot be imported."""
    return type(error).__name__ == "PanicException"


@contextmanager
def _log_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, SystemExit, GeneratorExit):
        raise
    except BaseException as error:
        if isinstance(error, PermissionError) or not (isinstance(error, Exception) or is_panic(error)):
            raise
        text = str(error).split("\n")[0][:300]
        raise CorruptFileError(
            f"the log of {folder} cannot be read: {type(error).__name__}: {text}. Nothing was read; {_REMEDY}"
        ) from error


@contextmanager
def _write_errors(folder: Path) -> Iterator[None]:
    try:
        yield
    except (Contended, WriteFailed):
        raise
    except BaseException as error:
        if not (isinstance(error, Exception) or is_panic(error)):
            raise
        text = str(error).split("\n")[0][:300]
        raise WriteFailed(
            f"cannot commit to {folder / LOG}: {type(error).__name__}: {text}. The last version stays readable; "
            f"free the disk or the permissions there and run again"
        ) from error
