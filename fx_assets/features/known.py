"""Rows in two times as arrays, and what was known of them at a moment."""

from __future__ import annotations

from bisect import bisect_right, insort
from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import fixing_time

Micros = NDArray[np.int64]
_UTC = pa.timestamp("us", tz="UTC")


@dataclass(frozen=True, eq=False)
class Versions:
    """Every version of every row of one series, by `time` and `known_at`; arrays (n,), times in microseconds UTC.

    `end`: when what the row describes was over; `observed`: the moment of the market that its price is of, the same but
    for a fixing, whose bar ends hours later; `dates`: its trading date (datetime64[D], NaT where it has none);
    `said`: False where the version takes the row back. Of versions known at once only the last is here.
    """

    time: Micros
    end: Micros
    observed: Micros
    known_at: Micros
    dates: NDArray[np.datetime64]
    said: NDArray[np.bool_]
    columns: dict[str, FloatArray]

    def __len__(self) -> int:
        return len(self.time)

    @property
    def first(self) -> NDArray[np.bool_]:
        """(n,): the first version of each time."""
        return np.append(True, self.time[1:] != self.time[:-1])[: len(self)]

    def take(self, rows: slice | NDArray[np.bool_] | NDArray[np.int64]) -> Versions:
        """Some of the versions, in order."""
        columns = {name: values[rows] for name, values in self.columns.items()}
        return Versions(
            self.time[rows],
            self.end[rows],
            self.observed[rows],
            self.known_at[rows],
            self.dates[rows],
            self.said[rows],
            columns,
        )


def versions_of(table: pa.Table, columns: tuple[str, ...], *, value: str = "close", end: str = "end") -> Versions:
    """The versions of one series: `table` has `time`, `known_at`, `end` (or what takes its place) and `columns`.

    A null `value` takes a row back. Rows may be in any order; of equal `time` and `known_at` the last counts. Raises
    `FeatureError` for a missing column and for a row known before it was over.
    """
    lacking = [name for name in ("time", "known_at", end, value) if name not in table.column_names]
    if lacking:
        raise FeatureError(f"rows have no column {', '.join(lacking)}; they have {', '.join(table.column_names)}")
    time, known, ends = (_micros(table, name) for name in ("time", "known_at", end))
    found = Versions(
        time,
        ends,
        observed(table, ends),
        known,
        _dates(table),
        np.asarray(table.column(value).is_valid().to_numpy(zero_copy_only=False), dtype=np.bool_),
        {name: _floats(table, name) for name in columns},
    )
    steps = np.diff(time)
    if not ((steps > 0) | ((steps == 0) & (np.diff(known) > 0))).all():
        order = np.lexsort((known, time))
        twice = np.append((np.diff(time[order]) == 0) & (np.diff(known[order]) == 0), False)
        found = found.take(order[~twice])
    early = np.flatnonzero(found.known_at < found.end)
    if len(early) and end == "end":
        at = found.time[early[0]].astype("datetime64[us]")
        raise FeatureError(f"the bar of {at} UTC is said to be known before its end; materialize its bars again")
    return found


def newest_known(rows: Versions, until: Micros, when: Micros) -> NDArray[np.int64]:
    """(m,): number of the newest row that observed the market at `until` at the latest, known at `when`; else -1."""
    if rows.said.all() and rows.first.all() and (rows.known_at <= rows.end).all():
        return np.asarray(np.searchsorted(rows.observed, until, side="right") - 1, dtype=np.int64)
    # Versions enter one by one as they become known; `held` are the moments of the rows that stand then, in order.
    result = np.full(len(until), -1, dtype=np.int64)
    entering = np.argsort(rows.known_at, kind="stable")
    held: list[int] = []
    current: dict[int, int] = {}
    position = 0
    for query in np.argsort(when, kind="stable"):
        while position < len(entering) and rows.known_at[entering[position]] <= when[query]:
            row = int(entering[position])
            moment = int(rows.observed[row])
            if not rows.said[row]:
                if current.pop(moment, None) is not None:
                    held.remove(moment)
            else:
                if moment not in current:
                    insort(held, moment)
                current[moment] = row
            position += 1
        place = bisect_right(held, int(until[query]))
        if place:
            result[query] = current[held[place - 1]]
    return result


def _micros(table: pa.Table, name: str) -> Micros:
    column = table.column(name)
    if column.null_count:
        raise FeatureError(f"{column.null_count} of {len(column)} rows have no {name!r}: materialize them again")
    return np.asarray(column.cast(_UTC).cast(pa.int64()).to_numpy(), dtype=np.int64)


def observed(table: pa.Table, ends: Micros) -> Micros:
    """`ends` (n,) of the rows of `table`, and of fixings the moment that they are of."""
    if "kind" not in table.column_names:
        return ends
    fixing = pc.equal(table.column("kind"), "fixing").to_numpy()
    if not fixing.any():
        return ends
    days = table.column("trading_date").to_pylist()
    return np.array(
        [_fixing(day) if fixed else end for day, fixed, end in zip(days, fixing, ends.tolist(), strict=True)],
        dtype=np.int64,
    )


@lru_cache(maxsize=20_000)
def _fixing(day: date) -> int:
    # A week is named after its Friday, also where its last rate is of the day before: Good Friday has none.
    target = calendar("target")
    while not target.is_open(day):
        day -= timedelta(days=1)
    return round(fixing_time(day).timestamp() * 1e6)


def _dates(table: pa.Table) -> NDArray[np.datetime64]:
    if "trading_date" not in table.column_names:
        return np.full(table.num_rows, np.datetime64("NaT", "D"))
    return np.asarray(table.column("trading_date").to_numpy(), dtype="datetime64[D]")


def _floats(table: pa.Table, name: str) -> FloatArray:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)
