"""One pinned version of a table, from which many pairs are read as of the same instant."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pyarrow as pa

from fx_assets.storage.errors import NoData
from fx_assets.storage.lake_files import canonical_schema, decode, decode_state, verified
from fx_assets.storage.lake_log import DataFile, OpenTable
from fx_assets.storage.lake_rows import block_hashes, check_block, holds_state, partition_columns, slug, state_block
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
        """Files of the pair, oldest first; in a table of blocks with the one that holds the state."""
        return [StoredFile(self._folder / file.path, file.size) for file in self._files if file.pair == pair]

    def blocks(self, pair: str) -> dict[str, str]:
        """Blocks of the pair by name, each with its content hash (16 hex), from the log alone.

        Equal hashes mean equal rows. Empty for a pair that is not there and for a table without blocks.
        """
        return block_hashes([(f.block, f.path) for f in self._files if f.pair == pair and f.block is not None])

    def read(
        self, pair: str, *, columns: Sequence[str] | None = None, blocks: Collection[str] | None = None
    ) -> pa.Table:
        """Rows of the pair, in order of commit or of the names of their blocks. Errors as `Lake.read`."""
        if pair not in {file.pair for file in self._files}:
            raise NoData(self.table, pair)
        files = self._row_files(pair)
        if blocks is not None:
            self._check_blocks(blocks)
            files = [file for file in files if file.block in blocks]
        return self._rows(files, columns)

    def read_each(
        self, pair: str, files: Collection[StoredFile], *, columns: Sequence[str] | None = None
    ) -> list[tuple[StoredFile, pa.Table]]:
        """Of the pair's `files` that are among these, each with its rows, in order of commit. Errors as `Lake.read`."""
        own = zip(self.files(pair), (file for file in self._files if file.pair == pair), strict=True)
        return [(stored, self._rows([file], columns)) for stored, file in own if stored in files]

    def read_all(self, *, columns: Sequence[str] | None = None) -> pa.Table:
        """Rows of all pairs, pair by pair; no rows where the table is empty."""
        return self._rows([file for pair in self.pairs() for file in self._row_files(pair)], columns)

    def newest_file(self, pair: str | None = None) -> int:
        """Number of the file that was committed last, of any pair or of one; 0 without one. They grow with commits."""
        return max((file.sequence for file in self._files if pair in (None, file.pair)), default=0)

    def committed(self, after: int, pair: str) -> list[tuple[int, pa.Table]]:
        """Number and rows of each file of the pair with a number over `after`, in order of commit."""
        found = (file for file in self._files if file.pair == pair and file.sequence > after)
        return [(file.sequence, self._rows([file], None)) for file in found]

    def state(self, pair: str, *, asset: str | None = None) -> State | None:
        """The newest state of that asset (of any, by default) for the pair; None without one."""
        for file in reversed(self._files):
            if file.pair == pair and _states(file, asset):
                path = self._folder / file.path
                return decode_state(path, verified(path, file.size))
        return None

    def _row_files(self, pair: str) -> list[DataFile]:
        files = [f for f in self._files if f.pair == pair and not (f.block is not None and holds_state(f.block))]
        return sorted(files, key=lambda file: file.block or "")

    def _check_blocks(self, blocks: Collection[str]) -> None:
        if isinstance(blocks, str):
            raise ValueError(f"blocks {blocks!r} is one text; give a list of names")
        if "block" not in self.schema.names:
            raise ValueError(f"{self.table} is not kept in blocks; leave out blocks={list(blocks)}")
        for name in blocks:
            check_block(name)

    def _rows(self, files: list[DataFile], columns: Sequence[str] | None) -> pa.Table:
        names = self.schema.names if columns is None else list(columns)
        if unknown := [name for name in names if name not in self.schema.names]:
            raise ValueError(f"{self.table} has no column {unknown}; it has {self.schema.names}")
        schema = pa.schema([self.schema.field(name) for name in names])
        apart = partition_columns(self.schema)
        stored = [name for name in names if name not in apart]
        parts = []
        for file in files:
            path = self._folder / file.path
            rows = decode(path, verified(path, file.size), stored)
            place = {"pair": file.pair, "block": file.block}
            arrays = [
                pa.repeat(pa.scalar(place[name], pa.string()), len(rows)) if name in apart else rows.column(name)
                for name in names
            ]
            parts.append(pa.table(arrays, schema=schema))
        return pa.concat_tables(parts) if parts else schema.empty_table()


def _states(file: DataFile, asset: str | None) -> bool:
    """Whether the file carries a state of that asset, or of any."""
    if file.block is not None:
        return holds_state(file.block) if asset is None else file.block == state_block(asset)
    return asset is None or PurePosixPath(file.path).parent.name == slug(asset)
