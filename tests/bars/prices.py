"""Raw prices for the tests of bars, written by hand, and a slow maker of bars that shares no code with the fast one."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import polars as pl

from fx_assets.prices.ecb_file import publication_time
from fx_assets.prices.schema import RAW_SCHEMA, TICK_SCHEMA, conform, polars_schema
from fx_assets.prices.sources.base import source
from fx_assets.settings import Settings
from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.frequencies import seconds_of
from fx_assets.timegrid.trading_dates import bar_end, bar_start, fixing_time, trading_date_of
from tests.prices.conftest import answer_of, pair, request

FIRST = date(2026, 10, 1)
Tick = tuple[datetime, float | None, float | None]


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def fixings(closes: Sequence[float | None], *, first: date = FIRST) -> pl.DataFrame:
    """One fixing a calendar day from `first` on; a None is a day without."""
    days = [(first + timedelta(days=i), close) for i, close in enumerate(closes) if close is not None]
    return raw(
        {
            "time": fixing_time(day),
            "known_at": publication_time(day),
            "trading_date": day,
            "kind": "fixing",
            "seconds": 0,
            "close": close,
        }
        for day, close in days
    )


def raw(rows: Iterable[Mapping[str, Any]]) -> pl.DataFrame:
    """RAW_SCHEMA of EURUSD; what a row leaves out is null."""
    given = [{"pair": "EURUSD", "block": "all", "side": "mid", "source": "x", **row} for row in rows]
    return pl.DataFrame(given, schema=polars_schema(RAW_SCHEMA))


def bars(seconds: int, rows: Iterable[tuple[datetime, Mapping[str, Any]]]) -> pl.DataFrame:
    """Bars of that length at these times, known at their end unless the row says otherwise."""
    length = timedelta(seconds=seconds)
    return raw(
        {
            "time": time,
            "known_at": time + length,
            "trading_date": trading_date_of(time),
            "kind": "bar",
            "seconds": seconds,
            **values,
        }
        for time, values in rows
    )


def ticks(quotes: Iterable[Tick], **columns: Any) -> pl.DataFrame:
    """TICK_SCHEMA of EURUSD, each tick known at its time; `columns` may say otherwise."""
    rows = [{"pair": "EURUSD", "block": "x", "time": t, "known_at": t, "bid": b, "ask": a} for t, b, a in quotes]
    return pl.DataFrame(rows, schema=polars_schema(TICK_SCHEMA)).with_columns(**columns)


def ecb_fixings(folder: Path, name: str = "EURUSD") -> pl.DataFrame:
    """The embedded history of the ECB, as raw prices."""
    rows = answer_of(source("ecb"), request(Settings(home=folder, live=False), pair(name))).rows
    missing = [pl.lit(None, kind).alias(key) for key, kind in polars_schema(RAW_SCHEMA).items() if key not in rows]
    whole = (
        rows.drop("line")
        .with_columns(*missing)
        .with_columns(
            pair=pl.lit(name),
            block=pl.lit("all"),
            kind=pl.lit("fixing"),
            seconds=pl.lit(0, pl.Int32),
            source=pl.lit("ecb"),
        )
    )
    return conform(whole, RAW_SCHEMA)


def bar_of(time: datetime, frequency: Frequency, calendar: CalendarName) -> datetime | None:
    """Start of the bar that a time lies in, worked out with a calendar in the hand; None outside the week."""
    day, seconds = trading_date_of(time), seconds_of(frequency)
    if frequency == "1w":
        inside = calendar == "24x7" or day.weekday() < 5
        return bar_start(day - timedelta(days=day.weekday())) if inside else None
    if frequency == "1d":
        return bar_start(day)
    if seconds > 3_600:
        begin = bar_start(day)
        while begin + timedelta(seconds=seconds) <= time:
            begin += timedelta(seconds=seconds)
        return begin
    midnight = time.replace(hour=0, minute=0, second=0, microsecond=0)
    return midnight + timedelta(seconds=(time - midnight) // timedelta(seconds=seconds) * seconds)


def end_of(start: datetime, frequency: Frequency, calendar: CalendarName) -> datetime:
    """End of the bar that begins at `start`."""
    day, whole = trading_date_of(start), start + timedelta(seconds=seconds_of(frequency))
    if frequency == "1w":
        return bar_end(day + timedelta(days=6 if calendar == "24x7" else 4))
    return bar_end(day) if frequency == "1d" else min(whole, bar_end(day))


def slow_bar(quotes: Sequence[Tick]) -> dict[str, Any]:
    """What one minute of two-sided ticks is worth, tick by tick."""
    mids = [(bid + ask) / 2 for _, bid, ask in quotes if bid is not None and ask is not None]
    bids = [bid for _, bid, _ in quotes if bid is not None]
    asks = [ask for _, _, ask in quotes if ask is not None]
    assert len(mids) == len(bids) == len(asks)
    return {
        **{"open": mids[0], "high": max(mids), "low": min(mids), "close": mids[-1], "bid": bids[-1], "ask": asks[-1]},
        **{"bid_open": bids[0], "bid_high": max(bids), "bid_low": min(bids)},
        **{"ask_open": asks[0], "ask_high": max(asks), "ask_low": min(asks)},
        "spread": math.fsum(ask - bid for bid, ask in zip(bids, asks, strict=True)) / len(mids),
        "ticks": len(mids),
        "realised_variance": math.fsum(squared(a, b) for a, b in pairwise(mids)),
        "volume": None,
    }


def slow_sum(finer: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What finer bars, none of them without a value, make together."""
    first, last, counts = finer[0], finer[-1], [bar["ticks"] for bar in finer]
    closes = [first["open"], *(bar["close"] for bar in finer)]
    return {
        **{name: first[name] for name in ("open", "bid_open", "ask_open")},
        **{name: last[name] for name in ("close", "bid", "ask")},
        **{name: max(bar[name] for bar in finer) for name in ("high", "bid_high", "ask_high")},
        **{name: min(bar[name] for bar in finer) for name in ("low", "bid_low", "ask_low")},
        "spread": math.fsum(bar["spread"] * bar["ticks"] for bar in finer) / sum(counts),
        "ticks": sum(counts),
        "realised_variance": math.fsum(squared(a, b) for a, b in pairwise(closes)),
        "volume": None,
    }


def squared(before: float, after: float) -> float:
    """Of the log return."""
    return math.log1p((after - before) / before) ** 2
