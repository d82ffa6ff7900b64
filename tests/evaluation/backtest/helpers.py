"""Bars, quotes and accounts small enough to reckon by hand, and one reckoning in fractions."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from fractions import Fraction
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.bars.schema import BAR_SCHEMA
from fx_assets.evaluation.backtest.account import Terms
from fx_assets.evaluation.backtest.engine import BacktestResult, run
from fx_assets.evaluation.backtest.fills import Bars, Quotes, quotes
from fx_assets.evaluation.backtest.sizing import FixedNotional, Signals, Sizing
from fx_assets.forecasting.scores import SCORES_SCHEMA
from fx_assets.storage.control import ModelVersion
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_end, bar_start, trading_date_of

Floats = NDArray[np.float64]
STAMP = pa.timestamp("us", tz="UTC")
FIRST = date(2019, 1, 2)


def instants(moments: list[Any]) -> NDArray[np.datetime64]:
    return np.array([moment.replace(tzinfo=None) for moment in moments], dtype="datetime64[us]")


def daily(opens: Any, closes: Any, *, spread: float | None = None, pair: str = "EURUSD", fixing: bool = False) -> Bars:
    """Daily bars from `FIRST` on; their quotes lie `spread` apart around open and close, or are not known."""
    days = calendar("fx").days(FIRST, date(2035, 1, 1))[: len(closes)]
    opens, closes = np.array(opens, dtype=np.float64), np.array(closes, dtype=np.float64)
    half = np.full(len(closes), np.nan if spread is None else spread / 2)
    return Bars(
        pair=pair,
        fixing=fixing,
        starts=instants([bar_start(day) for day in days]),
        ends=instants([bar_end(day) for day in days]),
        dates=np.array(days, dtype="datetime64[D]"),
        sides=np.array(["mid"] * len(days), dtype=np.str_),
        open=opens,
        close=closes,
        bid_open=opens - half,
        ask_open=opens + half,
        bid=closes - half,
        ask=closes + half,
    )


def walk(n: int, *, seed: int = 3, spread: float | None = 2**-12, pair: str = "EURUSD") -> Bars:
    """Bars of a random walk in steps of 2**-14, so that sums of their differences are exact."""
    steps = np.random.default_rng(seed).integers(-60, 61, 2 * n) / 2**14
    path = 1 + np.cumsum(steps)
    return daily(path[::2], path[1::2], spread=spread, pair=pair)


def signals_at(bars: Bars, values: Any, volatility: float = 0.005) -> Signals:
    """One signal at the end of each of the first bars."""
    values = np.array(values, dtype=np.float64)
    return Signals(bars.ends[: len(values)], values, np.full(len(values), volatility))


def plain(notional: float = 1000.0, **changes: Any) -> Sizing:
    """A fixed notional without a band of tolerance."""
    return Sizing(FixedNotional(notional), **{"tolerance": 0.0, "leverage": 1e9, **changes})


def terms(n: int, **changes: Any) -> Terms:
    return Terms(**{"currency": "USD", "capital": 1024.0, "rates": np.ones(n), **changes})


def traded(bars: Bars, values: Any, sizing: Sizing | None = None, **changes: Any) -> BacktestResult:
    """The back-test of one signal a bar."""
    quoted: Quotes = changes.pop("quoted", None) or quotes(bars, spread=2**-12)
    volatility = changes.pop("volatility", 0.005)
    account = changes.pop("account", None) or terms(len(bars))
    signals = signals_at(bars, values, volatility)
    return run(bars, quoted, signals, sizing or plain(), account, bars_a_year=256.0, **changes)


def lake_rows(bars: Bars, **changes: Any) -> pa.Table:
    """`bars` as rows of the lake."""
    count = len(bars)
    known = {name: pa.array(getattr(bars, name), from_pandas=True) for name in ("open", "close", "bid", "ask")}
    given = {
        "pair": [bars.pair] * count,
        "block": ["all"] * count,
        "time": pa.array(bars.starts).cast(STAMP),
        "end": pa.array(bars.ends).cast(STAMP),
        "known_at": pa.array(bars.ends).cast(STAMP),
        "trading_date": pa.array(bars.dates),
        "kind": ["bar"] * count,
        "side": ["mid"] * count,
        **known,
        **{name: pa.array(getattr(bars, name), from_pandas=True) for name in ("bid_open", "ask_open")},
        **changes,
    }
    columns = [given.get(field.name, pa.nulls(count, field.type)) for field in BAR_SCHEMA]
    arrays = [
        column.cast(field.type) if isinstance(column, pa.Array) else pa.array(column, field.type)
        for column, field in zip(columns, BAR_SCHEMA, strict=True)
    ]
    return pa.table(arrays, schema=BAR_SCHEMA)


def column(table: pa.Table, name: str) -> Floats:
    return np.asarray(table.column(name).to_numpy(), dtype=np.float64)


def reckoned(result: BacktestResult, bars: Bars, quoted: Quotes, account: Terms) -> Fraction:
    """Final equity in fractions, from cash paid and received for each trade: no mid, no profit of a bar in it.

    Each bar's change of what base and quote currency together are worth is turned into account currency at its rate.
    """
    trades = {row["filled_at"].replace(tzinfo=None): row for row in result.trades.to_pylist()}
    equity, position, before = Fraction(account.capital), Fraction(0), Fraction(0)
    for i, fill in enumerate(quoted.times.tolist()):
        if bars.ends[i] < result.equity.column("time").to_numpy()[0]:
            continue
        quote = Fraction(0)
        if account.carry is not None:
            side = account.carry.long if position > 0 else account.carry.short
            quote += abs(position) * Fraction(side[i])
        if fill in trades and bars.ends[i] > result.equity.column("time").to_numpy()[0]:
            units, price = Fraction(trades[fill]["units"]), Fraction(trades[fill]["price"])
            quote -= units * price + abs(units) / 1_000_000 * Fraction(account.commission_per_million)
            position += units
        worth = position * Fraction(quoted.marks[i])
        equity += (quote + worth - before) * Fraction(account.rates[i])
        before = worth
    return equity


def version(name: str = "v2", *, until: datetime = datetime(2019, 1, 1, tzinfo=UTC), **changes: Any) -> ModelVersion:
    """A registered version that learned until then."""
    given = {"model_id": "solo", "scope": "EURUSD", "version": name, "pairs": ("EURUSD",), "manifest_sha256": "0" * 64}
    rest = {"created_at": until, "trained_until": until, "kind": "random_walk", "config_hash": "0", "run_id": "r"}
    return ModelVersion(**{**given, **rest, "fingerprint": "f", **changes})


def _next_end(end: datetime) -> datetime:
    day = trading_date_of(end.replace(tzinfo=UTC) - timedelta(seconds=1))
    return bar_end(calendar("fx").next_days(day, 1)[0])


def score_rows(origins: Any, location: Any, *, fold: str = "live", of: str = "v2", **changes: Any) -> pa.Table:
    """Rows of the scores table at horizon 1, with the columns that a back-test reads; the others are null."""
    count = len(origins)
    given = {
        "pair": ["EURUSD"] * count,
        "model_id": ["solo"] * count,
        "model_version": [of] * count,
        "fold": [fold] * count,
        "horizon": [1] * count,
        "origin": np.asarray(origins),
        "target_time": instants([_next_end(end) for end in np.asarray(origins).tolist()]),
        "observed_until": np.asarray(origins),
        "location": np.asarray(location, dtype=np.float64),
        "volatility": np.full(count, 0.005),
        **changes,
    }
    columns = [
        pa.array(given[field.name]).cast(field.type) if field.name in given else pa.nulls(count, field.type)
        for field in SCORES_SCHEMA
    ]
    return pa.table(columns, schema=SCORES_SCHEMA)
