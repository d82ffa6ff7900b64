"""The back-test itself: signals through fills, sizes and costs into an account, bar by bar.

Each bar goes like this: what was held is financed over the rolls since the bar before and moves to the price at which
orders are filled; the newest signal that was known by then is traded at the bid or the ask; what is held after that
moves to the price at the end of the bar. All prices that profit is made of are mids, and what a fill is worse than the
mid is a cost: so the change of equity is price profit less costs plus financing, and nothing else.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.evaluation.backtest.account import Terms, commission
from fx_assets.evaluation.backtest.fills import Bars, Quotes
from fx_assets.evaluation.backtest.sizing import Signals, Sizing
from fx_assets.evaluation.backtest.summary import Summary, assumptions, summarise

Floats = NDArray[np.float64]
_UTC, _NUMBER = pa.timestamp("us", tz="UTC"), pa.float64()
# One row for each order that was filled. units: bought, below 0 sold, of the base currency; position: after it. price
# and mid in quote currency; value (at mid) and costs in account currency. known_at: since when the signal was known,
# null where it is the lack of one that closes the position.
TRADES_SCHEMA = pa.schema(
    [
        pa.field("known_at", _UTC),
        pa.field("filled_at", _UTC),
        pa.field("signal", _NUMBER),
        pa.field("units", _NUMBER),
        pa.field("position", _NUMBER),
        pa.field("price", _NUMBER),
        pa.field("mid", _NUMBER),
        pa.field("value", _NUMBER),
        pa.field("assumed_spread", pa.bool_()),
        pa.field("spread_cost", _NUMBER),
        pa.field("commission", _NUMBER),
    ]
)
# One row for each bar, at its end. All money in account currency: price_profit, spread_cost, commission and financing
# are of the bar, financing below 0 is paid. cash: equity less what the open position has made so far.
EQUITY_SCHEMA = pa.schema(
    [
        pa.field("time", _UTC),
        pa.field("trading_date", pa.date32()),
        pa.field("position", _NUMBER),
        pa.field("mark", _NUMBER),
        pa.field("price_profit", _NUMBER),
        pa.field("spread_cost", _NUMBER),
        pa.field("commission", _NUMBER),
        pa.field("financing", _NUMBER),
        pa.field("cash", _NUMBER),
        pa.field("equity", _NUMBER),
        pa.field("drawdown", _NUMBER),
    ]
)


@dataclass(frozen=True)
class BacktestResult:
    """What a back-test comes to: `trades` (TRADES_SCHEMA), `equity` (EQUITY_SCHEMA), figures, and what was assumed.

    `equity` begins with the bar before the first order, where nothing is held yet, and ends with the last one.
    """

    pair: str
    currency: str
    trades: pa.Table
    equity: pa.Table
    summary: Summary
    assumptions: tuple[str, ...]

    @property
    def returns(self) -> Floats:
        """Change of the equity over each bar, as a share of it: (bars - 1,)."""
        equity = np.asarray(self.equity.column("equity").to_numpy(), dtype=np.float64)
        changes: Floats = np.diff(equity) / equity[:-1]
        return changes


class _Fill(NamedTuple):
    """One order that was filled: in which bar, by which signal (-1 by none), and the columns of TRADES_SCHEMA."""

    bar: int
    order: int
    signal: float
    units: float
    position: float
    price: float
    mid: float
    value: float
    spread_cost: float
    commission: float


class _Bar(NamedTuple):
    """What one bar did to the account."""

    position: float
    price_profit: float
    spread_cost: float
    commission: float
    financing: float
    cash: float
    equity: float


def run(
    bars: Bars,
    quotes: Quotes,
    signals: Signals,
    sizing: Sizing,
    terms: Terms,
    *,
    bars_a_year: float,
    horizon: int = 1,
) -> BacktestResult:
    """Trade `signals` (m,) on `bars` (n,) and their `quotes` (n,), by the account's `terms` (n,).

    An order is sized by what was known at the end of the bar before, and filled in the first bar whose quotes are not
    older than its signal. A bar for which there is no new signal closes the position. `horizon`: how many bars ahead
    the signals look, which says how many bars of the result are independent. Raises `ValueError` for arrays of other
    lengths, and where no signal can be filled.
    """
    if not len(bars) == len(quotes.times) == len(terms.rates):
        raise ValueError(f"{len(bars)} bars, {len(quotes.times)} quotes and {len(terms.rates)} rates: expected as many")
    orders = orders_of(quotes.times, signals.known_at)
    placed = np.flatnonzero(orders >= 0)
    if not len(placed):
        raise ValueError(
            f"{bars.pair}: no bar comes after any of the {len(signals.known_at)} signals; materialize newer bars"
        )
    span = slice(int(placed[0]), int(placed[-1]) + 1)
    rows, fills = _trade(quotes, signals, sizing, terms, orders, span)
    equity = _equity_table(bars, quotes, rows, slice(span.start - 1, span.stop))
    trades = _trades_table(quotes, signals, fills)
    summary = summarise(
        equity, trades, terms, span, bars_a_year=bars_a_year, horizon=horizon, silent=int((orders[span] < 0).sum())
    )
    said = assumptions(bars, quotes, sizing, terms, summary, span)
    return BacktestResult(bars.pair, terms.currency, trades, equity, summary, said)


def orders_of(fill_times: NDArray[np.datetime64], known_at: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """For each bar (n,) the newest signal (m,) that is filled in it, -1 without one.

    A signal is filled in the first bar that is quoted when it is known or later, but never in the first bar of all:
    there is no price before it to size the order by.
    """
    orders = np.full(len(fill_times), -1, dtype=np.int64)
    places = np.searchsorted(fill_times, known_at, side="left")
    fits = (places > 0) & (places < len(fill_times))
    # Of several that wait for one bar, assignment keeps the last.
    orders[places[fits]] = np.flatnonzero(fits)
    return orders


def _trade(
    quotes: Quotes, signals: Signals, sizing: Sizing, terms: Terms, orders: NDArray[np.int64], span: slice
) -> tuple[list[_Bar], list[_Fill]]:
    """The account after each bar of `span`, after a first row in which nothing is held; and the orders filled."""
    bid, ask, mid, marks = (array.tolist() for array in (quotes.bid, quotes.ask, quotes.mid, quotes.marks))
    rates = terms.rates.tolist()
    carry = terms.carry
    long, short = ([0.0] * len(bid),) * 2 if carry is None else (carry.long.tolist(), carry.short.tolist())
    held, open_profit, equity = 0.0, 0.0, terms.capital
    rows = [_Bar(0.0, 0.0, 0.0, 0.0, 0.0, equity, equity)]
    fills: list[_Fill] = []
    for i in range(span.start, span.stop):
        rate, order = rates[i], int(orders[i])
        signal = float(signals.values[order]) if order >= 0 else 0.0
        wanted = 0.0
        if signal:
            wanted = sizing.units(
                signal,
                held=held,
                worth=marks[i - 1] * rates[i - 1],
                equity=equity,
                volatility=float(signals.volatility[order]),
            )
        to_fill = held * (mid[i] - marks[i - 1]) * rate
        financing = (held * long[i] if held > 0 else -held * short[i]) * rate
        change = wanted - held
        spread_cost = fee = 0.0
        if change:
            price = ask[i] if change > 0 else bid[i]
            spread_cost = change * (price - mid[i]) * rate
            fee = commission(change, terms.commission_per_million) * rate
            value = abs(change) * mid[i] * rate
            fills.append(_Fill(i, order, signal, change, wanted, price, mid[i], value, spread_cost, fee))
        from_fill = wanted * (marks[i] - mid[i]) * rate
        open_profit = (open_profit + to_fill) * _kept(held, wanted) + from_fill
        equity += to_fill + from_fill - spread_cost - fee + financing
        held = wanted
        rows.append(_Bar(held, to_fill + from_fill, spread_cost, fee, financing, equity - open_profit, equity))
    return rows, fills


def _kept(held: float, wanted: float) -> float:
    """Share of a position that is still open after a trade: what its profit is not yet taken on."""
    if held * wanted <= 0:
        return 0.0
    return min(1.0, wanted / held)


def _trades_table(quotes: Quotes, signals: Signals, fills: list[_Fill]) -> pa.Table:
    numbers = np.array(fills, dtype=np.float64).reshape(-1, len(_Fill._fields)).T
    bars, orders = (row.astype(np.int64) for row in numbers[:2])
    arrays = {
        "known_at": pa.array(signals.known_at[orders].astype("datetime64[us]"), mask=orders < 0).cast(_UTC),
        "filled_at": pa.array(quotes.times[bars]).cast(_UTC),
        "assumed_spread": pa.array(quotes.assumed[bars]),
        **dict(zip(_Fill._fields, map(pa.array, numbers), strict=True)),
    }
    return pa.table([arrays[name] for name in TRADES_SCHEMA.names], schema=TRADES_SCHEMA)


def _equity_table(bars: Bars, quotes: Quotes, rows: list[_Bar], span: slice) -> pa.Table:
    columns = dict(zip(_Bar._fields, np.array(rows, dtype=np.float64).T, strict=True))
    peak = np.maximum.accumulate(columns["equity"])
    arrays = {
        "time": pa.array(bars.ends[span]).cast(_UTC),
        "trading_date": pa.array(bars.dates[span]).cast(pa.date32()),
        "mark": pa.array(quotes.marks[span]),
        "drawdown": pa.array(columns["equity"] / peak - 1),
        **{name: pa.array(values) for name, values in columns.items()},
    }
    return pa.table([arrays[name] for name in EQUITY_SCHEMA.names], schema=EQUITY_SCHEMA)
