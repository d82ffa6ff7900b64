"""Tables that keep two times: what a row describes (`time`), and since when that was known (`known_at`)."""

from __future__ import annotations

from datetime import UTC, datetime

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

# A row takes back what was said of its time when all of these that its table has are null.
_SAID_BY = (("close",), ("bid", "ask"))


def current_rows(table: pa.Table, *, when: datetime | None = None) -> pa.Table:
    """The last version of each `time` that was known at `when` (inclusive; by default of all), by increasing time.

    Of two versions known at once the later row of `table` wins. A version whose `close` is null (in a table of ticks:
    whose `bid` and `ask` are null) takes the time back, and no row of it is left. All columns are kept; a table in
    which every time stands once, in order and with a price, is returned as it is.
    Raises ValueError where a column is missing, where a `time` or `known_at` is null, and for a `when` without time
    zone.
    """
    said_by = _price_columns(table)
    for name in ("time", "known_at"):
        if name not in table.column_names:
            raise ValueError(f"rows have no column {name!r}; found {table.column_names}")
        if empty := table.column(name).null_count:
            raise ValueError(f"{empty} of {len(table)} rows have no {name!r}: every row has both times")
    if when is not None:
        table = _known(table, when)
    time = _numbers(table.column("time"))
    steps = np.diff(time)
    if (steps > 0).all():
        chosen = None
    else:
        known_at = _numbers(table.column("known_at"))
        if ((steps > 0) | ((steps == 0) & (np.diff(known_at) >= 0))).all():
            order = np.arange(len(time))  # sorted already, as versions are stored
        else:
            order = np.lexsort((known_at, time))  # stable: equal keys keep the order of the table
        last = np.append(np.diff(time[order]) != 0, True)
        chosen = order[last]
    said = _said(table, said_by)
    if said is not None:
        chosen = np.flatnonzero(said) if chosen is None else chosen[said[chosen]]
    return table if chosen is None else table.take(pa.array(chosen))


def _price_columns(table: pa.Table) -> tuple[str, ...]:
    for names in _SAID_BY:
        if set(names) <= set(table.column_names):
            return names
    raise ValueError(
        f"rows have neither 'close' nor 'bid' and 'ask', so that it cannot be known which take a time back; "
        f"read these columns too; found {table.column_names}"
    )


def _known(table: pa.Table, when: datetime) -> pa.Table:
    if when.tzinfo is None:
        raise ValueError(f"when {when.isoformat()} has no time zone; give it in UTC")
    limit = pa.scalar(when.astimezone(UTC), pa.timestamp("us", "UTC"))
    known = pc.less_equal(table.column("known_at"), limit)
    return table if pc.all(known, min_count=0).as_py() else table.filter(known)


def _numbers(column: pa.ChunkedArray) -> npt.NDArray[np.int64]:
    return np.asarray(column.cast(pa.int64()).to_numpy(), dtype=np.int64)


def _said(table: pa.Table, names: tuple[str, ...]) -> npt.NDArray[np.bool_] | None:
    """Which rows have a price; None where all of them have one."""
    if any(table.column(name).null_count == 0 for name in names):
        return None
    valid = [np.asarray(table.column(name).is_valid().to_numpy(), dtype=np.bool_) for name in names]
    return np.asarray(np.any(valid, axis=0))
