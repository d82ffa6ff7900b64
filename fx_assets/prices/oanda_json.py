"""Candles as OANDA's v20 service answers them: JSON whose prices are strings and whose times have nanoseconds.

Source: developer.oanda.com, REST v20, "Instrument Endpoints" and "Instrument Definitions".
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl

from fx_assets.prices.batch import KEPT_TEXT, no_rejects
from fx_assets.prices.schema import OHLC, SIDE_COLUMNS, Side
from fx_assets.timegrid.trading_dates import NEW_YORK, ROLL, bar_end, bar_start, trading_date_of

_MINUTES, _HOURS = (1, 2, 4, 5, 10, 15, 30), (1, 2, 3, 4, 6, 8, 12)
GRANULARITIES: dict[str, int] = {
    **{f"S{n}": n for n in (5, 10, 15, 30)},
    **{f"M{n}": 60 * n for n in _MINUTES},
    **{f"H{n}": 3_600 * n for n in _HOURS},
    "D": 86_400,
    "W": 604_800,
}
"""OANDA's names of bar lengths, in seconds; its months ("M") have none."""

_DAILY, _WEEKLY = GRANULARITIES["D"], GRANULARITIES["W"]
_PARTS = {"o": "open", "h": "high", "l": "low", "c": "close"}
_FRIDAY, _SUNDAY = 4, 6
_SCHEMA: dict[str, pl.DataType | type[pl.DataType]] = {
    "line": pl.Int64,
    "time": pl.Datetime("us", "UTC"),
    "known_at": pl.Datetime("us", "UTC"),
    "trading_date": pl.Date,
    **dict.fromkeys((*OHLC, "bid", "ask", *SIDE_COLUMNS), pl.Float64),
    "ticks": pl.Int64,
}


class OandaError(ValueError):
    """A document that is no answer of the candles endpoint, or not the one that was asked for."""


@dataclass(frozen=True)
class Candles:
    """One answer. `rows` and `rejects` as in `Batch`, `line` being the number of the candle, from 1.

    `seconds`: length of the bars. `incomplete`: candles left out because they had not ended. `total`: of all candles.
    """

    instrument: str
    seconds: int
    rows: pl.DataFrame
    rejects: pl.DataFrame
    incomplete: int
    total: int


def read_candles(data: bytes, *, side: Side, name: str) -> Candles:
    """The candles of one answer, bare or wrapped as `{"url", "params", "response"}`; `name` is said in errors.

    `side` "mid": open to close are OANDA's mid; where there are bid and ask only, the mean of the two, of which the
    highs and lows are bounds (bid and ask need not have been highest at the same moment: the true high of the mid is no
    higher, the true low no lower). The quotes of both sides stand beside it. `side` "bid" or "ask": open to close are
    that side's, and nothing else. `ticks` is OANDA's volume, a count of price changes. Times are the bars' starts, in
    UTC; days and weeks have `known_at` and `trading_date` too, and weeks begin on Sunday 17:00 New York. Raises
    `OandaError` where the document as a whole cannot be used; a candle that cannot be read is a reject.
    """
    answer = _answer(data, name)
    granularity = str(answer.get("granularity", ""))
    if granularity not in GRANULARITIES:
        known = ", ".join(GRANULARITIES)
        raise OandaError(f"{name}: granularity {granularity[:20]!r}: expected one of {known}")
    candles, seconds = answer["candles"], GRANULARITIES[granularity]
    given = {part for candle in candles if isinstance(candle, dict) for part in ("mid", "bid", "ask") if part in candle}
    wanted = _wanted(given, side, name) if candles else ()
    rows: list[dict[str, Any]] = []
    rejects: list[tuple[int, str, str]] = []
    incomplete = 0
    for number, candle in enumerate(candles, 1):
        try:
            row = _row(candle, wanted, side, seconds)
        except _Refused as error:
            rejects.append((number, str(error), json.dumps(candle)[:KEPT_TEXT]))
            continue
        if row is None:
            incomplete += 1
        else:
            rows.append({"line": number, **row})
    frame = pl.DataFrame(rows, schema=_SCHEMA)
    empty = [column for column in frame.columns if frame.height and frame[column].null_count() == frame.height]
    return Candles(
        instrument=str(answer.get("instrument", "")).replace("/", "_"),
        seconds=seconds,
        rows=frame.drop([column for column in empty if column != "close"]),
        rejects=pl.DataFrame(rejects, schema=no_rejects().schema, orient="row"),
        incomplete=incomplete,
        total=len(candles),
    )


class _Refused(ValueError):
    """Why a candle is a reject."""


def _answer(data: bytes, name: str) -> Mapping[str, Any]:
    try:
        document = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError as error:
        raise OandaError(f"{name}: not UTF-8 at byte {error.start:,}") from error
    except ValueError as error:
        raise OandaError(f"{name}: not JSON, or not whole: {error}") from error
    except RecursionError as error:
        raise OandaError(f"{name}: nested too deep to be an answer of OANDA") from error
    if isinstance(document, dict) and "candles" not in document and "response" in document:
        document = document["response"]
    if not isinstance(document, dict) or not isinstance(document.get("candles"), list):
        keys = ", ".join(sorted(document)[:5]) if isinstance(document, dict) else type(document).__name__
        raise OandaError(f"{name}: expected OANDA's candles ({{instrument, granularity, candles}}), got {keys[:80]!r}")
    return document


def _wanted(given: set[str], side: Side, name: str) -> tuple[str, ...]:
    """The parts of a candle that `side` is made of. Raises `OandaError` where the document does not have them."""
    fits = {"mid": "mid" in given or {"bid", "ask"} <= given, "bid": "bid" in given, "ask": "ask" in given}
    if not fits.get(side, False):
        have = " and ".join(sorted(given)) or "no"
        usable = [other for other, fit in fits.items() if fit]
        advice = f"; set `side: {usable[0]}` to use them" if usable else ""
        raise OandaError(f"{name}: holds {have} prices, asked for {side}{advice}")
    return tuple(sorted(given)) if side == "mid" else (side,)


def _row(candle: Any, wanted: tuple[str, ...], side: Side, seconds: int) -> dict[str, Any] | None:
    """The columns of one candle, None for one that has not ended."""
    if not isinstance(candle, dict):
        raise _Refused("not_a_candle: expected an object")
    if not isinstance(candle.get("complete"), bool):
        raise _Refused("bad_complete: expected true or false")
    if not candle["complete"]:
        return None
    row: dict[str, Any] = _times(candle.get("time"), seconds)
    for part in wanted:
        row |= {_column(part, which, side): price for which, price in _prices(candle, part)}
    if side == "mid" and "mid" not in wanted:
        sides = [[row[_column(part, which, side)] for which in _PARTS.values()] for part in ("bid", "ask")]
        row |= {which: _mean(bid, ask) for which, bid, ask in zip(_PARTS.values(), *sides, strict=True)}
    volume = candle.get("volume")
    if volume is not None and (isinstance(volume, bool) or not isinstance(volume, int) or not 0 <= volume < 2**63):
        raise _Refused("bad_volume: expected a whole number")
    return {**row, "ticks": volume}


def _column(part: str, which: str, side: Side) -> str:
    """The column of `which` price of a part of a candle."""
    if part == side:
        return which
    return part if which == "close" else f"{part}_{which}"


def _mean(bid: float | None, ask: float | None) -> float | None:
    return None if bid is None or ask is None else (bid + ask) / 2


def _prices(candle: Mapping[str, Any], part: str) -> Iterator[tuple[str, float | None]]:
    quoted = candle.get(part)
    if not isinstance(quoted, dict):
        raise _Refused(f"missing_price: {part}")
    for letter, which in _PARTS.items():
        value = quoted.get(letter)
        if value is not None and (isinstance(value, bool) or not isinstance(value, str | int | float)):
            raise _Refused(f"not_a_number: {part}.{letter}")
        try:
            # A missing price stays missing: what becomes of it is decided once for all sources, in `prices.cleaning`.
            yield which, None if value is None or value == "" else float(value)
        except (ValueError, OverflowError):
            raise _Refused(f"not_a_number: {part}.{letter}") from None
        if isinstance(value, str) and "_" in value:
            raise _Refused(f"not_a_number: {part}.{letter}")


def _times(text: Any, seconds: int) -> dict[str, datetime | date]:
    """`time` and, of a day or a week, when it is known and which trading date (of a week, the last) it is."""
    time = _instant(text)
    if seconds < _DAILY:
        return {"time": time}
    wall = time.astimezone(NEW_YORK)
    if wall.time() != ROLL:
        raise _Refused("bad_alignment: expected 17:00 New York; ask with dailyAlignment=17")
    if seconds == _DAILY:
        day = trading_date_of(time)
        return {"time": time, "known_at": bar_end(day), "trading_date": day}
    if not _FRIDAY <= wall.weekday() <= _SUNDAY:
        raise _Refused("bad_alignment: expected a week from Friday, Saturday or Sunday 17:00 New York")
    monday = wall.date() + timedelta(days=7 - wall.weekday())
    friday = monday + timedelta(days=4)
    return {"time": bar_start(monday), "known_at": bar_end(friday), "trading_date": friday}


def _instant(text: Any) -> datetime:
    """RFC 3339 with Z, or seconds since 1970, which the service gives when asked to; digits below 1 us are cut."""
    if not isinstance(text, str):
        raise _Refused("bad_time: expected 2016-10-17T19:35:00.000000000Z")
    try:
        if text.replace(".", "", 1).isdigit():
            whole, _, part = text.partition(".")
            return datetime.fromtimestamp(int(whole), UTC) + timedelta(microseconds=int(part[:6].ljust(6, "0")))
        time = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        raise _Refused("bad_time: expected 2016-10-17T19:35:00.000000000Z") from None
    if time.tzinfo is None:
        raise _Refused("bad_time: has no zone; expected a Z at its end")
    return time.astimezone(UTC)
