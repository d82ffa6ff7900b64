"""At which quotes an order is filled, and at which price a position is valued.

An order that waits at the end of a bar is filled in the next bar: at its opening bid or ask, else at those of its end.
Where a bar quotes no sides, they are assumed: the pair's configured spread around its open (else its close). A fixing
has one price and nobody trades at it; filling at it, half a spread worse, is an approximation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.timegrid.trading_dates import bar_end, fixing_time

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]
# An assumed spread is this much wider at 17:00 New York, when the market is thinnest: on OANDA's hourly quotes of six
# pairs, 2016 to 2019, the spread there is 4.0 to 5.6 times that of 8:00, 4.7 on average.
AT_THE_ROLL = 4.7
_PRICES = ("open", "close", "bid_open", "ask_open", "bid", "ask")


@dataclass(frozen=True)
class Bars:
    """Bars of one pair as a back-test reads them, oldest first; arrays (n,), NaN where a price is not known.

    `starts`, `ends`: datetime64[us] in UTC; `dates`: trading dates, datetime64[D]. `open`, `close` are of the side that
    `sides` names (mid, bid, ask or trade); the others are the quotes at the bar's beginning and end. `fixing`: the
    prices are reference rates, set at 14:10 Frankfurt of their trading date.
    """

    pair: str
    fixing: bool
    starts: Times
    ends: Times
    dates: Times
    sides: NDArray[np.str_]
    open: Floats
    close: Floats
    bid_open: Floats
    ask_open: Floats
    bid: Floats
    ask: Floats

    def __post_init__(self) -> None:
        shapes = {name: getattr(self, name).shape for name in ("starts", "ends", "dates", "sides", *_PRICES)}
        if len(set(shapes.values())) != 1 or self.starts.ndim != 1:
            raise ValueError(f"{self.pair}: expected bars of one shape (n,), got {shapes}")
        if (self.starts >= self.ends).any() or (self.starts[1:] < self.ends[:-1]).any():
            raise ValueError(f"{self.pair}: bars overlap or are out of order; sort them by time, each once")
        unknown = np.isnan(self.close)
        if unknown.any():
            raise ValueError(f"{self.pair}: {int(unknown.sum())} bars have no close, first {self.ends[unknown][0]}")

    def __len__(self) -> int:
        return len(self.ends)


@dataclass(frozen=True)
class Quotes:
    """What orders are filled at, for each bar (n,).

    `times`: when, datetime64[us] in UTC; `bid`, `ask`, `mid`: then; `marks`: mid at the end of the bar, at which
    positions are valued; `spreads`: the spread that is known at the end of the bar. `assumed`: a side was not quoted.
    All in quote currency.
    """

    times: Times
    bid: Floats
    ask: Floats
    mid: Floats
    marks: Floats
    spreads: Floats
    assumed: NDArray[np.bool_]


def bars_from(table: pa.Table, pair: str) -> Bars:
    """The current rows of one pair (`bars.schema.BAR_SCHEMA`, by time; quotes and `side` may be missing) as arrays.

    Raises `ValueError` for a table without rows, rows of other pairs, and fixings mixed with bars.
    """
    if not table.num_rows:
        raise ValueError(f"{pair}: there are no bars; materialize them first")
    kinds = set(table.column("kind").unique().to_pylist())
    pairs = set(table.column("pair").unique().to_pylist())
    if len(kinds) != 1 or pairs != {pair}:
        raise ValueError(f"expected bars of {pair} of one kind, got {sorted(pairs)}, {sorted(kinds)}")
    known = table.column("side").to_pylist() if "side" in table.column_names else [None] * table.num_rows
    return Bars(
        pair=pair,
        fixing=kinds == {"fixing"},
        starts=_times(table, "time"),
        ends=_times(table, "end"),
        dates=table.column("trading_date").to_numpy().astype("datetime64[D]"),
        sides=np.array([side or "mid" for side in known], dtype=np.str_),
        **{name: _floats(table, name) for name in _PRICES},
    )


def quotes(bars: Bars, *, spread: float, at_the_roll: float = AT_THE_ROLL) -> Quotes:
    """Quotes at which orders that wait for each of `bars` (n,) are filled.

    `spread`: of the pair in quote currency, assumed where no sides are quoted, and `at_the_roll` times that at 17:00
    New York. A bid above its ask is no quote. Raises `ValueError` for a negative spread.
    """
    if spread < 0 or at_the_roll < 1:
        raise ValueError(f"expected a spread of 0 or more and at_the_roll of 1 or more, got {spread}, {at_the_roll}")

    def width(times: Times) -> Floats:
        wide: Floats = np.where(_rolls(times), spread * at_the_roll, spread)
        return wide

    at = _fixed(bars.dates) if bars.fixing else bars.ends
    bid, ask, assumed = _sides(bars.bid_open, bars.ask_open, bars.open, bars.sides, width(bars.starts))
    end_bid, end_ask, end_assumed = _sides(bars.bid, bars.ask, bars.close, bars.sides, width(at))
    late = np.isnan(bid)
    bid, ask, assumed = (
        np.where(late, ending, opening) for ending, opening in ((end_bid, bid), (end_ask, ask), (end_assumed, assumed))
    )
    return Quotes(
        times=np.where(late, at, bars.starts),
        bid=bid,
        ask=ask,
        mid=(bid + ask) / 2,
        marks=(end_bid + end_ask) / 2,
        spreads=end_ask - end_bid,
        assumed=assumed,
    )


def _sides(
    bid: Floats, ask: Floats, price: Floats, sides: NDArray[np.str_], width: Floats
) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """Bid, ask, and whether a side of them is assumed; NaN where neither a side nor `price` is known."""
    quoted = bid <= ask
    crossed = bid > ask
    own_bid = np.where(crossed | np.isnan(bid), np.where(sides == "bid", price, np.nan), bid)
    own_ask = np.where(crossed | np.isnan(ask), np.where(sides == "ask", price, np.nan), ask)
    low = np.where(np.isnan(own_bid), np.where(np.isnan(own_ask), price - width / 2, own_ask - width), own_bid)
    high = np.where(np.isnan(own_ask), np.where(np.isnan(own_bid), price + width / 2, own_bid + width), own_ask)
    return low, high, ~quoted


def _rolls(times: Times) -> NDArray[np.bool_]:
    """Which of `times` (n,) are 17:00 New York, whose date in UTC is the same."""
    days, place = np.unique(times.astype("datetime64[D]"), return_inverse=True)
    at: NDArray[np.bool_] = times == _instants([bar_end(day) for day in days.tolist()])[place]
    return at


def _fixed(dates: Times) -> Times:
    return _instants([fixing_time(day) for day in dates.tolist()])


def _instants(moments: list[Any]) -> Times:
    return np.array([moment.replace(tzinfo=None) for moment in moments], dtype="datetime64[us]")


def _times(table: pa.Table, name: str) -> Times:
    return np.asarray(table.column(name).to_numpy()).astype("datetime64[us]")


def _floats(table: pa.Table, name: str) -> Floats:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    # Null becomes NaN.
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)
