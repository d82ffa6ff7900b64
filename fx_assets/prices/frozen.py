"""Frozen quotes: a feed that hangs, and goes on repeating its last price."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl

from fx_assets.prices.batch import Form
from fx_assets.prices.schema import OHLC
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.sessions import open_seconds

_HOUR, _DAY = 3_600.0, 86_400.0
_RUNS = pl.Schema({"first": pl.Datetime("us", "UTC"), "last": pl.Datetime("us", "UTC"), "rows": pl.Int64()})
_LEAST_ROWS = 4  # two rows on both sides of a hole are a gap, not a frozen feed


@dataclass(frozen=True)
class Run:
    """`rows` rows from `first` to `last` (UTC), all with the same prices, over `open_seconds` of open market time."""

    first: datetime
    last: datetime
    rows: int
    open_seconds: float


def limit(form: Form, *, whole: bool) -> float:
    """Seconds of open market time over which no living market repeats itself; `whole`: open to close are all known.

    Ticks 1 h (bid and ask; the longest on the real files is 72 s), bars under an hour 2 h (25 min), bars within the day
    12 h (3 h), days of open to close 3 trading dates, days and fixings of a close alone 10 (2; of currencies held by
    their central bank 7: EURDKK in 2021). Every price of a row must repeat: equal closes alone are common (50 min).
    """
    if form.kind == "fixing" or form.seconds >= _DAY:
        return (3 if whole else 10) * _DAY
    if form.kind == "tick":
        return _HOUR
    return 2 * _HOUR if form.seconds < _HOUR else 12 * _HOUR


class Frozen:
    """Finds stretches of at least 4 rows that repeat all their prices for longer than `limit`, block by block.

    `count`: how many; `longest`: of those, or None.
    """

    def __init__(self, form: Form, calendar: CalendarName) -> None:
        self.form, self.calendar = form, calendar
        self.count = 0
        self.longest: Run | None = None
        self.limit = limit(form, whole=False)
        self._open: tuple[datetime, datetime, int, tuple[float | None, ...]] | None = None

    def add(self, view: pl.DataFrame, *, follows: bool) -> None:
        """The next block (time and prices, by time). `follows`: nothing lies between it and the block before."""
        if view.is_empty():
            return
        names = ("bid", "ask") if self.form.kind == "tick" else OHLC
        given = [name for name in names if view[name].null_count() < view.height]
        self.limit = limit(self.form, whole={*OHLC} <= {*given})
        differs = [pl.col(name).ne_missing(pl.col(name).shift(1)) for name in given]
        begins = pl.any_horizontal(differs) | (pl.int_range(pl.len()) == 0)
        starts = view.select(pl.arg_where(begins).cast(pl.Int64)).to_series()
        rows = (starts.shift(-1, fill_value=view.height) - starts).alias("rows")
        times = view["time"]
        runs = pl.DataFrame({"first": times.gather(starts), "last": times.gather(starts + rows - 1), "rows": rows})
        prices = tuple(view[name][0] for name in names)
        if follows and self._open is not None and self._open[3] == prices:
            first, _, before, _ = self._open
            longer = pl.DataFrame([(first, runs[0, "last"], before + runs[0, "rows"])], schema=_RUNS, orient="row")
            runs = pl.concat([longer, runs.slice(1)])
            self._open = None
        self._close()
        # What stands last may go on in the next block.
        last = runs.row(-1)
        self._open = (last[0], last[1], last[2], tuple(view[name][-1] for name in names))
        self._judge(runs.head(runs.height - 1))

    def finish(self) -> None:
        """After the last block."""
        self._close()

    def _close(self) -> None:
        if self._open is None:
            return
        first, last, rows, _ = self._open
        self._open = None
        self._judge(pl.DataFrame([(first, last, rows)], schema=_RUNS, orient="row"))

    def _judge(self, runs: pl.DataFrame) -> None:
        apart = (runs["last"] - runs["first"]).dt.total_microseconds() / 1e6
        runs = runs.filter((apart > self.limit) & (runs["rows"] >= _LEAST_ROWS))
        if runs.is_empty():
            return
        # What is long by the clock may be a weekend; counting open time is dear, so only for the few.
        opened = open_seconds(runs["first"], runs["last"], self.calendar)
        found = runs.with_columns(opened).filter(pl.col("open_seconds") > self.limit).sort("open_seconds")
        self.count += found.height
        if found.height and (self.longest is None or found[-1, "open_seconds"] > self.longest.open_seconds):
            self.longest = Run(*found.row(-1))
