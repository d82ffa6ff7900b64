"""What was ever published of a pair, found by keys: a file of the lake never changes, so those are read once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.table import ISSUE_KEY, documents, issue_keys, newest, rows_of
from fx_assets.storage.snapshot import Snapshot, StoredFile

Key = dict[str, Any]


@dataclass(frozen=True, eq=False)
class Entry:
    """One document: what tells it apart, and the file that has it."""

    key: Key
    file: StoredFile


class Archive:
    """The keys of every file that was ever asked for. Thread safe."""

    def __init__(self) -> None:
        self._keys: dict[Path, tuple[Key, ...]] = {}

    def of(self, forecasts: Snapshot | None, pair: str) -> Past:
        """All of a pair, as of one version of the table; None where there is no table yet."""
        return Past(self, forecasts, pair)

    def entries(self, forecasts: Snapshot, pair: str) -> list[Entry]:
        """Every document of the pair, in order of commit. Raises `UNREADABLE`."""
        files = forecasts.files(pair)
        unknown = {file for file in files if file.path not in self._keys}
        if unknown:
            for file, rows in forecasts.read_each(pair, unknown, columns=ISSUE_KEY):
                self._keys[file.path] = tuple(issue_keys(rows))
        return [Entry(key, file) for file in files for key in self._keys[file.path]]


@dataclass(frozen=True)
class Past:
    """What was published of one pair. Its methods read files and raise `UNREADABLE`."""

    archive: Archive
    forecasts: Snapshot | None
    pair: str

    def entries(self, *, model_id: str | None = None, frequency: str | None = None) -> list[Entry]:
        """Every document, of a model and a frequency where given, in order of commit."""
        if self.forecasts is None:
            return []
        asked = (("model_id", model_id), ("frequency", frequency))
        wanted = {name: value for name, value in asked if value is not None}
        found = self.archive.entries(self.forecasts, self.pair)
        return [entry for entry in found if all(entry.key[name] == value for name, value in wanted.items())]

    def heads(self, *, frequency: str | None = None, as_of: datetime | None = None) -> list[ForecastDocument]:
        """As `forecasting.table.latest`: only the documents that it gives are read whole."""
        found = self.entries(frequency=frequency)
        if as_of is not None:
            found = [entry for entry in found if entry.key["issued_at"] <= as_of]
        heads = newest(found, lambda entry: entry.key, lambda key: (key["model_id"], key["frequency"]))
        return self.documents([heads[name] for name in sorted(heads)])

    def documents(self, entries: Sequence[Entry]) -> list[ForecastDocument]:
        """The documents themselves, in that order."""
        if not entries:
            return []
        rows = self.rows(entries)
        return [documents(rows_of(rows, entry.key))[0] for entry in entries]

    def rows(self, entries: Iterable[Entry], columns: Sequence[str] | None = None) -> pa.Table:
        """All rows of the files that these documents are in."""
        assert self.forecasts is not None, "an entry came from somewhere"
        files = {entry.file for entry in entries}
        return pa.concat_tables(rows for _, rows in self.forecasts.read_each(self.pair, files, columns=columns))
