"""The lake: Delta tables on disk, partitioned by pair or by pair and block, that are never seen half-written.

Data and the state of the asset that wrote it are committed by one log entry.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection, Iterable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import pyarrow as pa

from fx_assets.storage import lake_log
from fx_assets.storage.durable import naming
from fx_assets.storage.errors import CommitConflict, CorruptFileError, NoData, WriteFailed
from fx_assets.storage.lake_blocks import BlockCommit, StateOf
from fx_assets.storage.lake_files import encode
from fx_assets.storage.lake_log import OpenTable
from fx_assets.storage.lake_prepared import Prepared
from fx_assets.storage.lake_rows import check_pair, check_schema, check_state, check_table, own_rows, slug
from fx_assets.storage.records import State
from fx_assets.storage.snapshot import Snapshot, StoredFile

__all__ = ["CommitConflict", "CorruptFileError", "Lake", "NoData", "Snapshot", "StoredFile", "WriteFailed"]

LEFTOVER_SECONDS = 3600.0
COMMIT_ATTEMPTS = 40

Guard = Callable[[], AbstractContextManager[object]]


class Lake:
    """Tables by name (`bars/1d`) under one folder; any number of processes may read and write."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def read(
        self,
        table: str,
        pair: str,
        *,
        columns: Sequence[str] | None = None,
        blocks: Collection[str] | None = None,
    ) -> pa.Table:
        """All current rows of the pair, in order of commit, or of the names of their blocks; `pair` comes first.

        `blocks` leaves the rows of these blocks; one that the pair does not have adds none. Raises NoData where
        nothing was committed, CorruptFileError for a file or log that is not as committed (before anything is
        decoded), ValueError for an unknown column, for text that names no block, and for blocks of a table that
        has none.
        """
        check_pair(pair)
        return self.snapshot(table).read(pair, columns=columns, blocks=blocks)

    def find(self, table: str, pair: str, *, columns: Sequence[str] | None = None) -> pa.Table | None:
        """As `read`, but None where nothing was committed."""
        try:
            return self.read(table, pair, columns=columns)
        except NoData:
            return None

    def state(self, table: str, pair: str, *, asset: str | None = None) -> State | None:
        """The newest committed state of that asset (of any, by default) for the pair; None without one."""
        check_pair(pair)
        opened = lake_log.open_table(self._folder(table))
        return None if opened is None else Snapshot(table, opened).state(pair, asset=asset)

    def snapshot(self, table: str) -> Snapshot:
        """The current version, pinned: later commits do not show in it. NoData where there is no table."""
        opened = lake_log.open_table(self._folder(table))
        if opened is None:
            raise NoData(table)
        return Snapshot(table, opened)

    def version(self, table: str) -> int | None:
        """Delta version of the table, None where there is no table."""
        opened = lake_log.open_table(self._folder(table))
        return None if opened is None else opened.version

    def pairs(self, table: str) -> list[str]:
        """Pairs that have files in the table, sorted; empty where there is no table."""
        opened = lake_log.open_table(self._folder(table))
        return [] if opened is None else Snapshot(table, opened).pairs()

    def files(self, table: str, pair: str) -> list[StoredFile]:
        """Current files of the pair, oldest first; empty where there are none."""
        opened = lake_log.open_table(self._folder(table))
        return [] if opened is None else Snapshot(table, opened).files(pair)

    def write(
        self,
        table: str,
        pair: str,
        data: pa.Table,
        *,
        state: State,
        mode: Literal["replace", "append"],
        guard: Guard,
    ) -> int:
        """Commit rows of one pair with their state; return the Delta version.

        `replace` takes the place of all rows of the pair, `append` adds. The file is on disk before
        `guard()` opens (the short control transaction that checks the lease); only the log entry is put
        inside it, and it may be opened again when other writers were first.
        Raises ValueError for rows, schema or state that do not belong, WriteFailed with the path when the
        disk refuses, CommitConflict after 40 lost races, and whatever the guard raises. In each of these
        cases the last version stays, and the prepared file is removed.
        """
        folder = self._folder(table)
        check_pair(pair)
        if mode not in ("replace", "append"):
            raise ValueError(f"mode {mode!r}: expected 'replace' or 'append'")
        check_state(table, pair, state)
        rows = own_rows(table, pair, data)
        opened = lake_log.open_table(folder)
        if opened is None:
            lake_log.create(folder, rows.schema)
        else:
            check_schema(table, rows.schema, opened.schema, folder)
        name, content = encode(rows.drop_columns(["pair"]), state)
        note = {"asset": state.asset, "runId": state.run_id}
        with Prepared(folder) as prepared:
            file = prepared.add(f"pair={pair}/{slug(state.asset)}/{name}", content, rows=len(rows))

            def entry(current: OpenTable) -> int:
                if any(known.path == file.path for known in current.files):
                    return current.version  # the lost race was won after all, and the answer lost
                check_schema(table, rows.schema, current.schema, folder)
                return lake_log.commit(current, pair, [file], mode, note)

            return self._publish(table, guard, entry)

    def write_blocks(
        self, table: str, pair: str, blocks: Iterable[tuple[str, pa.Table]], *, state: StateOf, guard: Guard
    ) -> int:
        """Commit blocks of one pair with the state after them, in one log entry; return the Delta version.

        `blocks` are names (`2018q1`) with all rows of the block, whose columns include `pair` and `block`. Each takes
        the place of the block of that name, one without rows removes it, other blocks stay; without any block the
        state alone is committed. They are taken one by one, each on disk before the next is asked for, so that one
        block is held in memory beside what the iterable holds.
        `state` makes the state from the content hashes of all blocks of the pair after the commit (block -> 16 hex,
        sorted); it is called again if another writer changes other blocks meanwhile.
        Raises as `write`, ValueError for a block given twice, and whatever `blocks` and `state` raise: the last
        version stays, and all prepared files are removed.
        """
        folder = self._folder(table)
        check_pair(pair)
        with Prepared(folder) as prepared:
            commit = BlockCommit(table, pair, folder, prepared, state)
            commit.take(blocks)
            return self._publish(table, guard, commit.entry, before=commit.state)

    def clean(self, table: str, pair: str) -> list[Path]:
        """Remove files of the pair that no current or recent version names; return what was removed.

        Recent is an hour: a reader may still be at a version that was replaced since.
        """
        check_pair(pair)
        folder = self._folder(table)
        opened = lake_log.open_table(folder)
        if opened is None:
            return []
        removed_since = lake_log.removals(folder, time.time() - LEFTOVER_SECONDS)
        keep = {file.path for file in opened.files} | removed_since
        removed = []
        for path in sorted((folder / f"pair={pair}").glob("*/*.parquet")):
            old = time.time() - path.stat().st_mtime > LEFTOVER_SECONDS
            if old and str(path.relative_to(folder)) not in keep:
                with naming(path, "remove the leftover"):
                    path.unlink()
                removed.append(path)
        return removed

    def _publish(
        self, table: str, guard: Guard, entry: Callable[[OpenTable], int], before: Callable[[], None] = lambda: None
    ) -> int:
        """Put the log entry inside the guard, and again while others are first; `before` runs outside of it."""
        folder = self._folder(table)
        for attempt in range(COMMIT_ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0, min(0.2, 0.005 * 2**attempt)))
            before()
            try:
                with guard():
                    current = lake_log.open_table(folder)
                    if current is None:
                        raise WriteFailed(f"{folder} was removed while it was written to; run again")
                    return entry(current)
            except lake_log.Contended:
                continue
        raise CommitConflict(
            f"{folder}: other writers were first {COMMIT_ATTEMPTS} times; find out which runs write {table} "
            f"all the time, then run again"
        )

    def _folder(self, table: str) -> Path:
        check_table(table)
        return self.root / table
