"""What was ever published of a pair, found by keys: a file of the lake never changes, so those are read once."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.table import ISSUE_KEY, documents, issue_keys, rank, rows_of
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

    def entries(
        self, forecasts: Snapshot, pair: str, *, model_id: str | None = None, frequency: str | None = None
    ) -> list[Entry]:
        """Every document of the pair, of a model and a frequency where given, in order of commit.

        Reads what was added since the last time; raises `UNREADABLE`.
        """
        wanted = {name: value for name, value in (("model_id", model_id), ("frequency", frequency)) if value is not None}
        found = []
        for file in forecasts.files(pair):
            keys = self._keys.get(file.path)
            if keys is None:
                rows = forecasts.read(pair, columns=ISSUE_KEY, files=[file])
                keys = self._keys[file.path] = tuple(issue_keys(rows))
            found += [Entry(key, file) for key in keys if all(key[name] == value for name, value in wanted.items())]
        return found

    def heads(
        self, forecasts: Snapshot, pair: str, *, frequency: str | None = None, as_of: datetime | None = None
    ) -> list[ForecastDocument]:
        """As `forecasting.table.latest`, of one pair: only the documents it gives are read whole. `UNREADABLE`."""
        heads: dict[tuple[str, str], Entry] = {}
        for entry in self.entries(forecasts, pair, frequency=frequency):
            name = (entry.key["model_id"], entry.key["frequency"])
            if as_of is not None and entry.key["issued_at"] > as_of:
                continue
            if name not in heads or rank(entry.key) > rank(heads[name].key):
                heads[name] = entry
        return whole(forecasts, pair, [heads[name] for name in sorted(heads)])


def whole(forecasts: Snapshot, pair: str, entries: Sequence[Entry]) -> list[ForecastDocument]:
    """The documents themselves, in that order. Reads their files; raises `UNREADABLE`."""
    if not entries:
        return []
    rows = rows_in(forecasts, pair, entries)
    return [documents(rows_of(rows, entry.key))[0] for entry in entries]


def rows_in(
    forecasts: Snapshot, pair: str, entries: Iterable[Entry], columns: Collection[str] | None = None
) -> pa.Table:
    """All rows of the files that these documents are in. Raises `UNREADABLE`."""
    files = list(dict.fromkeys(entry.file for entry in entries))
    return forecasts.read(pair, columns=None if columns is None else list(columns), files=files)
