"""One pinned version of a table, from which many pairs are read as of the same instant."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from fx_assets.storage.errors import NoData
from fx_assets.storage.lake_files import canonical_schema, decode, decode_state, verified
from fx_assets.storage.lake_log import DataFile, OpenTable
from fx_assets.storage.lake_rows import slug
from fx_assets.storage.records import State


@dataclass(frozen=True)
class StoredFile:
    """Where a data file lies, and its size in bytes."""

    path: Path
    size: int


class Snapshot:
    """The files of one Delta version; reading it never looks at the log again."""

    def __init__(self, table: str, opened: OpenTable) -> None:
        self.table = table
        self.version: int = opened.version
        self.schema: pa.Schema = canonical_schema(opened.schema, table)
        self._folder = opened.folder
        self._files: tuple[DataFile, ...] = opened.files

    def pairs(self) -> list[str]:
        """Pairs that have files, sorted."""
        return sorted({file.pair for file in self._files})

    def files(self, pair: str) -> list[StoredFile]:
        """Files of the pair, oldest first."""
        return [StoredFile(self._folder / file.path, file.size) for file in self._files if file.pair == pair]

    def read(self, pair: str, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of the pair in order of commit; NoData where it has no file. Errors as `Lake.read`."""
        files = self.files(pair)
        if not files:
            raise NoData(self.table, pair)
        return self._rows([(file, pair) for file in files], columns)

    def read_all(self, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of all pairs, pair by pair; no rows where the table is empty."""
        return self._rows([(file, pair) for pair in self.pairs() for file in self.files(pair)], columns)

    def state(self, pair: str, *, asset: str | None = None) -> State | None:
        """The newest state of that asset (of any, by default) for the pair; None without one."""
        folder = None if asset is None else slug(asset)
        for file in reversed(self.files(pair)):
            if folder is None or file.path.parent.name == folder:
                return decode_state(file.path, verified(file.path, file.size))
        return None

    def _rows(self, files: list[tuple[StoredFile, str]], columns: Sequence[str] | None) -> pa.Table:
        names = self.schema.names if columns is None else list(columns)
        if unknown := [name for name in names if name not in self.schema.names]:
            raise ValueError(f"{self.table} has no column {unknown}; it has {self.schema.names}")
        schema = pa.schema([self.schema.field(name) for name in names])
        stored = [name for name in names if name != "pair"]
        parts = []
        for file, pair in files:
            rows = decode(file.path, verified(file.path, file.size), stored)
            label = pa.repeat(pa.scalar(pair, pa.string()), len(rows))
            arrays = [label if name == "pair" else rows.column(name) for name in names]
            parts.append(pa.table(arrays, schema=schema))
        return pa.concat_tables(parts) if parts else schema.empty_table()
