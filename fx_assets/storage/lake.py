"""The lake: Delta tables on disk, partitioned by pair, that are never seen half-written.

Data and the state of the asset that wrote it are one file, so they are committed by one log entry.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Literal

import pyarrow as pa

from fx_assets.storage import lake_log
from fx_assets.storage.durable import make_folders, naming, write_new
from fx_assets.storage.errors import CommitConflict, CorruptFileError, NoData, WriteFailed
from fx_assets.storage.lake_files import encode
from fx_assets.storage.lake_rows import check_pair, check_schema, check_table, own_rows, slug
from fx_assets.storage.records import State
from fx_assets.storage.snapshot import Snapshot, StoredFile

__all__ = ["CommitConflict", "CorruptFileError", "Lake", "NoData", "Snapshot", "StoredFile", "WriteFailed"]

LEFTOVER_SECONDS = 3600.0
COMMIT_ATTEMPTS = 40


class Lake:
    """Tables by name (`bars/1d`) under one folder; any number of processes may read and write."""

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def read(self, table: str, pair: str, *, columns: Sequence[str] | None = None) -> pa.Table:
        """All current rows of the pair, in order of commit; `pair` is the first column.

        Raises NoData where there are none, CorruptFileError for a file or log that is not as committed
        (before anything is decoded), ValueError for an unknown column.
        """
        check_pair(pair)
        return self.snapshot(table).read(pair, columns=columns)

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
        guard: Callable[[], AbstractContextManager[object]],
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
        rows = own_rows(table, pair, data, state, mode)
        opened = lake_log.open_table(folder)
        if opened is None:
            lake_log.create(folder, rows.schema)
        else:
            check_schema(table, rows.schema, opened.schema)
        name, content = encode(rows.drop_columns(["pair"]), state)
        relative = f"pair={pair}/{slug(state.asset)}/{name}"
        path = folder / relative
        make_folders(path.parent)
        write_new(path, content)
        note = {"asset": state.asset, "runId": state.run_id}
        try:
            for attempt in range(COMMIT_ATTEMPTS):
                if attempt:
                    time.sleep(random.uniform(0, min(0.2, 0.005 * 2**attempt)))
                try:
                    with guard():
                        current = lake_log.open_table(folder)
                        if current is None:
                            raise WriteFailed(f"{folder} was removed while it was written to; run again")
                        if any(file.path == relative for file in current.files):
                            return current.version  # the lost race was won after all, and the answer lost
                        check_schema(table, rows.schema, current.schema)
                        return lake_log.commit(current, relative, pair, len(content), len(rows), mode, note)
                except lake_log.Contended:
                    continue
            raise CommitConflict(
                f"{folder}: other writers were first {COMMIT_ATTEMPTS} times; find out which runs write {table} "
                f"all the time, then run {state.asset} again"
            )
        except BaseException as error:
            try:
                self._withdraw(folder, relative)
            except (OSError, CorruptFileError) as second:
                error.add_note(f"{path} was left behind for Lake.clean: {second}")
            raise

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

    def _withdraw(self, folder: Path, relative: str) -> None:
        """Remove a prepared file unless the log names it: an error may come after the log entry."""
        opened = lake_log.open_table(folder)
        if opened is None or all(file.path != relative for file in opened.files):
            (folder / relative).unlink(missing_ok=True)

    def _folder(self, table: str) -> Path:
        check_table(table)
        return self.root / table
