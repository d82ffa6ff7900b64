"""Keeps rows by block, in memory while they are few and on disk beyond that, so that any history fits."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from fx_assets.storage.durable import naming

IN_MEMORY = 1_000_000
"""Rows that are held in memory before they go to disk."""


class Spool:
    """Frames by block, in the order in which they came. Not safe for several threads.

    Up to `limit` rows stay in memory; once there are more, all of them go to Arrow files in a new folder inside
    `folder`, which is made then and left for the caller to remove. A disk that refuses raises `WriteFailed` with the
    path.
    """

    def __init__(self, folder: Path, limit: int = IN_MEMORY) -> None:
        self._parent, self._limit = folder, limit
        self._folder: Path | None = None
        self._held: dict[str, list[pl.DataFrame]] = {}
        self._files: dict[str, list[Path]] = {}
        self._rows = self._written = 0

    @property
    def on_disk(self) -> bool:
        """Whether there were too many rows for memory."""
        return self._folder is not None

    def blocks(self) -> list[str]:
        """The blocks that have rows, sorted, and so by time."""
        return sorted(self._held.keys() | self._files.keys())

    def add(self, block: str, rows: pl.DataFrame) -> None:
        """Put `rows` behind those of the block. Frames of one block may lack columns that others have."""
        if rows.is_empty():
            return
        self._held.setdefault(block, []).append(rows)
        self._rows += rows.height
        if self._rows > self._limit:
            self._flush()

    def load(self, block: str) -> pl.DataFrame:
        """All rows of the block, in the order in which they came; a column that a frame lacked is null there."""
        parts = [pl.read_ipc(path) for path in self._files.get(block, ())]
        return together([*parts, *self._held.get(block, ())])

    def settle(self, block: str, rows: pl.DataFrame) -> None:
        """Put `rows` in place of all that the block has: in memory if all else is, else on disk."""
        for path in self._files.pop(block, ()):
            path.unlink()
        self._rows -= sum(part.height for part in self._held.pop(block, ()))
        if self.on_disk:
            self._files[block] = [self._write(block, rows)]
        else:
            self._held[block] = [rows]
            self._rows += rows.height

    def _flush(self) -> None:
        for block, parts in self._held.items():
            self._files.setdefault(block, []).append(self._write(block, together(parts)))
        self._held.clear()
        self._rows = 0

    def _write(self, block: str, rows: pl.DataFrame) -> Path:
        if self._folder is None:
            with naming(self._parent, "create a folder for rows in"):
                self._parent.mkdir(parents=True, exist_ok=True)
                self._folder = Path(tempfile.mkdtemp(prefix="rows-", dir=self._parent))
        self._written += 1
        path = self._folder / f"{block}-{self._written:06}.arrow"
        # Through Python's file, whose refusals are OSErrors with a number; those of Polars are texts.
        with naming(path, "write"), path.open("wb") as file:
            rows.write_ipc(file, compression="lz4")
        return path


def together(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """The frames one below the other; a column that one lacks is null there."""
    return pl.concat(frames, how="diagonal")
