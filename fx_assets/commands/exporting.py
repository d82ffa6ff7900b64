"""Writes the rows of one pair of a table to a file for other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv as pa_csv
import pyarrow.feather as pa_feather
import pyarrow.parquet as pq

from fx_assets.prices.convert import scratch_beside
from fx_assets.storage.lake import Lake
from fx_assets.storage.two_times import current_rows

_TWO_TIMES = {"time", "known_at"}
# The column of a table whose rows may be said again later; that of exogenous series is called as a price is.
_SAID_BY = {"close": "close", "bid": "bid", "value": "close"}


def write(lake: Lake, table: str, pair: str, path: Path, file_format: str, *, versions: bool = False) -> int:
    """Write the pair's rows to `path`, whole or not at all; return how many.

    Of prices, bars and exogenous series the last known version of each time, by increasing time; with `versions` all of
    them. Times are UTC. A list is JSON in `csv`; in `npz` it is a row of a matrix where all are numbers of one length,
    else JSON. There times are datetime64[us], text has a fixed width and is empty where there is none.
    Raises `NoData` where the table has none, `ValueError` for a bad name and for a column that a format has no form
    for, `OSError` where `path` cannot be written, and `CorruptFileError` for a damaged table.
    """
    rows = lake.read(table, pair)
    if not versions:
        rows = _current(rows)
    if "block" in rows.column_names:
        rows = rows.drop_columns(["block"])
    with scratch_beside(path) as scratch:
        draft = scratch / "rows"
        FORMATS[file_format](rows, draft)
        draft.replace(path)
    return len(rows)


def _current(rows: pa.Table) -> pa.Table:
    said_by = next((name for name in _SAID_BY if name in rows.column_names), None)
    if said_by is None or not set(rows.column_names) >= _TWO_TIMES:
        return rows
    names = rows.column_names
    renamed = [_SAID_BY[said_by] if name == said_by else name for name in names]
    return current_rows(rows.rename_columns(renamed)).rename_columns(names)


def _csv(rows: pa.Table, path: Path) -> None:
    for at, column in enumerate(rows.schema):
        if pa.types.is_list(column.type):
            rows = rows.set_column(at, column.name, pa.array(_json(rows.column(at)), pa.string()))
    pa_csv.write_csv(rows, path, pa_csv.WriteOptions(quoting_style="needed"))


def _npz(rows: pa.Table, path: Path) -> None:
    arrays = {name: _array(name, rows.column(name)) for name in rows.column_names}
    with path.open("wb") as handle:  # by handle: by name numpy would add a suffix
        np.savez_compressed(handle, allow_pickle=False, **arrays)


def _array(name: str, column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    if pa.types.is_list(column.type):
        matrix = _matrix(column)
        return np.array(_json(column), dtype=np.str_) if matrix is None else matrix
    if pa.types.is_string(column.type):
        return np.array(["" if text is None else text for text in column.to_pylist()], dtype=np.str_)
    values: np.ndarray[Any, Any] = column.to_numpy()
    if values.dtype == object:
        raise ValueError(f"the column {name!r}, {column.type}, has no form in npz: use parquet or arrow")
    return values


def _matrix(column: pa.ChunkedArray) -> np.ndarray[Any, Any] | None:
    """One row for each list, where these are numbers of one length."""
    lists = column.to_pylist()
    if not pa.types.is_floating(column.type.value_type) or None in lists or len({len(row) for row in lists}) != 1:
        return None
    return np.array(lists, dtype=np.float64)


def _json(column: pa.ChunkedArray) -> list[str]:
    return ["" if row is None else json.dumps(row) for row in column.to_pylist()]


def _parquet(rows: pa.Table, path: Path) -> None:
    pq.write_table(rows, path, compression="zstd")


def _arrow(rows: pa.Table, path: Path) -> None:
    pa_feather.write_feather(rows, path, compression="uncompressed")


FORMATS: dict[str, Callable[[pa.Table, Path], None]] = {
    "csv": _csv,
    "npz": _npz,
    "parquet": _parquet,
    "arrow": _arrow,
}
