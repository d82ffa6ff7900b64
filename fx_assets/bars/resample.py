"""Ticks to minutes, and finer bars to coarser ones. Bars are labelled by their start; empty bars are not invented.

Frames in Polars, the arithmetic in numpy on blocks of rows, so that memory holds the work on a block for each thread.
The result does not depend on where blocks are cut (`bars.runs` says why).

Realised variance is the sum of squared log returns inside the bar. A minute sums over its ticks. Whatever is longer
sums over the closes c of the finest bars inside, from the first one's open o:
log(c_1 / o_1)^2 + log(c_2 / c_1)^2 + ... Ticks jump between bid and ask and are rounded, which adds the same again
with each tick, so that a sum over the ticks of a day measures mostly how often it was quoted (Zhang, Mykland and
Ait-Sahalia 2005, "A Tale of Two Time Scales", JASA 100, section 2); a minute is long enough for that to fade.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import TypeVar

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fx_assets.bars.grid import placed
from fx_assets.bars.runs import Floats, Runs, microseconds, runs_of, squared_returns, variance
from fx_assets.prices.schema import PRICE_COLUMNS
from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.calendars import CalendarName

VALUES = (*PRICE_COLUMNS, "spread", "ticks", "realised_variance", "volume")
# Arrays of half a megabyte stay in the cache and are handed out again by the allocator; of twice that they come fresh
# from the system each time, which cost a third more.
BLOCK_ROWS = 65_536
_MINUTE = 60_000_000
_TIME = pl.Datetime("us", "UTC")
VALUE_SCHEMA = pl.Schema({name: pl.Int64() if name == "ticks" else pl.Float64() for name in VALUES})

T = TypeVar("T")
R = TypeVar("R")
Columns = dict[str, Floats]
Kernel = Callable[[pl.DataFrame, Runs], Columns]


def minutes(ticks: pl.DataFrame) -> pl.DataFrame:
    """One-minute bars of `ticks` (time, bid, ask, volume; by time): `time` (start, UTC) and `VALUES`.

    Open to close are of the mid. One side that a tick does not quote stands as it was quoted last in that minute; where
    a minute never knows both, the side there is takes the mid's place (bid, if there are either). `spread`: mean of ask
    less bid. `volume`: sum, null where none is given. Raises `ValueError` for ticks out of order or without a price.
    """
    made = _each(_of_minutes, _whole_minutes(ticks.select("time", "bid", "ask", "volume")))
    return _frame([columns for _, columns in made]).insert_column(0, _times([starts for starts, _ in made]))


def compose(bars: pl.DataFrame, frequency: Frequency, *, calendar: CalendarName) -> pl.DataFrame:
    """Coarser bars of finer ones (`time` and `VALUES`; by time): `time` (start, UTC) and `VALUES`.

    `bars` should be the finest there are, since the realised variance is that of their closes. Up to an hour a bar
    begins on the UTC clock; from two to twelve hours are counted from 17:00 New York, a day is a trading date and a
    week runs Sunday 17:00 to Friday 17:00. What a finer bar does not know is not made up: a high, low or quote is
    null unless each finer bar (open: the first, close: the last) has it. Spreads are weighted by ticks, or plainly
    averaged where a finer bar has no count. Raises `ValueError` for bars out of order.
    """
    if not bars["time"].is_sorted():
        raise ValueError("bars are out of order; sort them by time")
    rows = placed(bars.select("time", *VALUES), frequency, calendar)
    if rows.is_empty():
        return _frame([]).insert_column(0, _times([]))
    starts = microseconds(rows["start"])
    runs = runs_of(starts)
    return in_blocks(rows, runs, of_bars).insert_column(0, _times([starts[runs.starts]]))


def in_blocks(rows: pl.DataFrame, runs: Runs, kernel: Kernel) -> pl.DataFrame:
    """`kernel` of all runs, called for about `BLOCK_ROWS` rows at a time and never for part of a run."""
    pieces = []
    first = 0
    while first < len(runs.starts):
        begin = int(runs.starts[first])
        after = int(np.searchsorted(runs.starts, begin + BLOCK_ROWS, side="right"))
        after = max(after - 1, first + 1) if begin + BLOCK_ROWS < runs.rows else len(runs.starts)
        end = int(runs.starts[after]) if after < len(runs.starts) else runs.rows
        pieces.append((rows.slice(begin, end - begin), Runs(runs.starts[first:after] - begin, end - begin)))
        first = after
    return _frame(_each(lambda piece: kernel(*piece), pieces))


def of_quotes(ticks: pl.DataFrame, runs: Runs) -> Columns:
    """`VALUES` of each run of ticks: what `minutes` says of a minute."""
    bid, ask = ticks["bid"].to_numpy(), ticks["ask"].to_numpy()
    if ticks["bid"].null_count() or ticks["ask"].null_count():
        made = _of_one_sided_quotes(bid, ask, runs)
    else:
        mid = bid + ask
        mid *= 0.5
        made = _of_prices(mid, runs) | _of_side("bid", bid, runs) | _of_side("ask", ask, runs)
        made["spread"] = runs.sum(ask - bid) / runs.counts
    volume = ticks["volume"]
    made["volume"] = (runs.sum_of_known if volume.null_count() else runs.sum)(volume.to_numpy())
    return made | {"ticks": runs.counts.astype(np.float64)}


def of_bars(bars: pl.DataFrame, runs: Runs) -> Columns:
    """`VALUES` of each run of finer bars: what `compose` says of a coarser bar."""
    columns = {name: bars[name].to_numpy() for name in (*PRICE_COLUMNS, "spread", "volume")}
    close, first = columns["close"], columns["open"][runs.starts]
    made = {name: columns[name][runs.ends] for name in ("close", "bid", "ask")}
    made |= {name: columns[name][runs.starts] for name in ("open", "bid_open", "ask_open")}
    made |= {name: runs.max(columns[name]) for name in ("high", "bid_high", "ask_high")}
    made |= {name: runs.min(columns[name]) for name in ("low", "bid_low", "ask_low")}
    counts = bars["ticks"].cast(pl.Float64).to_numpy()
    made["realised_variance"] = variance(close, runs, first)
    made["spread"] = _mean_spread(columns["spread"], counts, runs)
    made["volume"] = runs.sum_of_known(columns["volume"])
    return made | {"ticks": runs.sum_of_known(counts)}


def as_they_are(bars: pl.DataFrame, runs: Runs) -> Columns:
    """`VALUES` of bars that have the wanted length already. Raises `ValueError` where two of them are one bar."""
    if len(runs.starts) < runs.rows:
        twice = bars["time"][int(runs.starts[runs.counts > 1][0])]
        raise ValueError(f"the bar with the price of {twice} has more than one price; expected one")
    made = {name: bars[name].cast(pl.Float64).to_numpy() for name in VALUES if name != "realised_variance"}
    return made | {"realised_variance": squared_returns(made["open"], made["close"])}


def _each(work: Callable[[T], R], pieces: Iterable[T]) -> list[R]:
    """`work` of each piece, in their order, on the threads that Polars may use: numpy lets go of the interpreter."""
    with ThreadPoolExecutor(pl.thread_pool_size()) as threads:
        return list(threads.map(work, pieces))


def _of_minutes(ticks: pl.DataFrame) -> tuple[NDArray[np.int64], Columns]:
    starts = microseconds(ticks["time"]) // _MINUTE
    runs = runs_of(starts)
    return starts[runs.starts] * _MINUTE, of_quotes(ticks, runs)


def _whole_minutes(ticks: pl.DataFrame) -> Iterator[pl.DataFrame]:
    begin, rows = 0, BLOCK_ROWS
    while begin < ticks.height:
        part = ticks.slice(begin, rows + 1)
        times = microseconds(part["time"])
        if not (times[1:] >= times[:-1]).all():
            raise ValueError(f"ticks after {part['time'][0]} are out of order; sort them by time")
        # The minute of the last tick may go on in the next part.
        cut = int(np.searchsorted(times, times[-1] // _MINUTE * _MINUTE)) if part.height > rows else part.height
        if cut:
            yield part.head(cut)
        begin, rows = begin + cut, BLOCK_ROWS if cut else 2 * rows


def _of_one_sided_quotes(bid: Floats, ask: Floats, runs: Runs) -> Columns:
    if (np.isnan(bid) & np.isnan(ask)).any():
        raise ValueError("a tick has neither bid nor ask; drop what was taken back before making bars")
    bid, ask = runs.fill_forward(bid), runs.fill_forward(ask)
    mid = (bid + ask) * 0.5
    has_mid, has_bid = runs.any(~np.isnan(mid)), runs.any(~np.isnan(bid))
    price = np.where(runs.spread(has_mid), mid, np.where(runs.spread(has_bid), bid, ask))
    return {
        **_of_known(price, runs, _of_prices),
        **_of_known(bid, runs, partial(_of_side, "bid")),
        **_of_known(ask, runs, partial(_of_side, "ask")),
        **_of_known(ask - bid, runs, lambda spread, among: {"spread": among.sum(spread) / among.counts}),
    }


def _of_known(values: Floats, runs: Runs, make: Callable[[Floats, Runs], Columns]) -> Columns:
    """`make` of what is not NaN; NaN for runs that are nothing else."""
    known = ~np.isnan(values)
    has = runs.any(known)
    made = make(values[known], runs.among(known)) if has.any() else make(np.zeros(1), runs_of(np.zeros(1, np.int64)))
    found = {name: np.full(len(has), np.nan) for name in made}
    for name, column in made.items() if has.any() else ():
        found[name][has] = column
    return found


def _of_prices(prices: Floats, runs: Runs) -> Columns:
    return {
        "open": prices[runs.starts],
        "high": runs.max(prices),
        "low": runs.min(prices),
        "close": prices[runs.ends],
        "realised_variance": variance(prices, runs),
    }


def _of_side(side: str, quotes: Floats, runs: Runs) -> Columns:
    return {
        side: quotes[runs.ends],
        f"{side}_open": quotes[runs.starts],
        f"{side}_high": runs.max(quotes),
        f"{side}_low": runs.min(quotes),
    }


def _mean_spread(spread: Floats, ticks: Floats, runs: Runs) -> Floats:
    known = ~np.isnan(spread)
    uncounted = runs.any(known & ~(ticks > 0))
    weights = np.where(known, np.where(runs.spread(uncounted), 1.0, ticks), 0.0)
    total = runs.sum(weights)
    weighted = runs.sum(np.where(known, spread, 0.0) * weights)
    return np.divide(weighted, total, out=np.full_like(total, np.nan), where=total > 0)


def _frame(made: list[Columns]) -> pl.DataFrame:
    """`VALUES` of one piece after the other. Numpy's NaN is what is not known: null."""
    if not made:
        return pl.DataFrame(schema=VALUE_SCHEMA)
    columns = [pl.Series(name, np.concatenate([part[name] for part in made]), nan_to_null=True) for name in VALUES]
    return pl.DataFrame(columns).with_columns(pl.col("ticks").cast(pl.Int64))


def _times(starts: list[NDArray[np.int64]]) -> pl.Series:
    return pl.Series("time", np.concatenate([np.empty(0, np.int64), *starts])).cast(_TIME)
