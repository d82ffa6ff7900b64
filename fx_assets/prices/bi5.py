"""Dukascopy's `.bi5` files: an hour of ticks, or a day, month or year of candles, packed with LZMA.

The layout is not documented by the vendor; it is what its own chart client reads, and was checked here against the
vendor's files: 136,741 ticks of 2019-02-04 make exactly the 1,440 minute candles of that day. A file does not say its
own time, symbol or scale: the time stands in its path, in which **months count from 0**.
"""

from __future__ import annotations

import lzma
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

from fx_assets.prices.schema import Side

TICK = np.dtype([("ms", ">u4"), ("ask", ">u4"), ("bid", ">u4"), ("ask_volume", ">f4"), ("bid_volume", ">f4")])
"""One tick: milliseconds in the hour, ask, then bid, in points; volumes in millions of the base currency."""

CANDLE = np.dtype([("s", ">u4"), ("open", ">u4"), ("close", ">u4"), ("low", ">u4"), ("high", ">u4"), ("volume", ">f4")])
"""One candle: seconds since the start of the file, **open, close, low, high** in points, volume in millions."""

LARGEST = 64 << 20
"""Bytes of unpacked content that are read; a month of ticks would fit."""

_MEMORY = 256 << 20
_DAMAGED = "download the file again"
_FIXED_LENGTHS = {"min": 60, "hour": 3_600, "day": 86_400}
_TICKS = r"(?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d)/(?P<hour>\d\d)h_ticks\.bi5"
_MINUTES = r"(?P<year>\d{4})/(?P<month>\d\d)/(?P<day>\d\d)/(?P<side>BID|ASK)_candles_(?P<unit>min)_1\.bi5"
_HOURS = r"(?P<year>\d{4})/(?P<month>\d\d)/(?P<side>BID|ASK)_candles_(?P<unit>hour)_1\.bi5"
_DAYS = r"(?P<year>\d{4})/(?P<side>BID|ASK)_candles_(?P<unit>day)_1\.bi5"
_PATHS = [re.compile(rf"(?:(?:.*/)?(?P<symbol>[^/]+)/)?{tail}") for tail in (_TICKS, _MINUTES, _HOURS, _DAYS)]
_FIRST = {"year": 1, "month": 0, "day": 1, "hour": 0}  # where a path does not go down to it

# Points per unit of price, from the instrument list that dukascopy-node keeps. By the whole symbol first, then by its
# quote or base currency; all others of `_KNOWN` have five decimals.
_OF_SYMBOL = {"BTCUSD": 10, "HKDJPY": 100_000}
_OF_QUOTE = {"JPY": 1_000, "HUF": 1_000, "CZK": 10_000, "RON": 10_000, "THB": 10_000}
_OF_BASE = {"XAU": 1_000, "XAG": 1_000}
_FIVE = {"AUD", "CAD", "CHF", "CNH", "DKK", "EUR", "GBP", "HKD", "ILS", "MXN", "NOK", "NZD", "PLN", "RUB", "SEK", "SGD"}
_KNOWN = {*_FIVE, "TRY", "USD", "ZAR", *_OF_QUOTE, *_OF_BASE}
_USUAL = 100_000


@dataclass(frozen=True)
class Bi5Name:
    """What the path of a file says: its symbol (None where no folder names one), when it starts (UTC), how long it is,
    and of candles how long one is and which side it quotes; `seconds` is 0 for ticks."""

    symbol: str | None
    start: datetime
    span: timedelta
    seconds: int
    side: Side


def named(path: str) -> Bi5Name:
    """What the path of a `.bi5` file says of it, e.g. `EURUSD/2019/01/04/00h_ticks.bi5` of 4 February 2019.

    Raises `ValueError` for a path that names no time, and for one that cannot be (a month of 12: they count from 0).
    """
    text = path.replace("\\", "/")
    found = next((match for pattern in _PATHS if (match := pattern.fullmatch(text))), None)
    if found is None:
        raise ValueError(
            "its path does not say which time it is of, and nothing else does; expected it to end like "
            "EURUSD/2019/01/04/00h_ticks.bi5 (4 February 2019: months count from 0), .../BID_candles_min_1.bi5 in the "
            "folder of a day, .../BID_candles_hour_1.bi5 of a month or .../BID_candles_day_1.bi5 of a year"
        )
    parts: dict[str, Any] = found.groupdict()
    year, month, day, hour = (int(parts.get(name) or first) for name, first in _FIRST.items())
    try:
        start = datetime(year, month + 1, day, hour, tzinfo=UTC)
    except ValueError as error:
        raise ValueError(f"its path names no date: {error}; months count from 0 (January) to 11") from None
    unit, symbol = parts.get("unit"), parts["symbol"]
    if unit is None:
        span = timedelta(hours=1)
    elif unit == "min":
        span = timedelta(days=1)
    else:
        years, months = divmod(month + 1, 12) if unit == "hour" else (1, 0)
        span = start.replace(year=year + years, month=months + 1) - start
    known = symbol if symbol and re.fullmatch(r"[A-Z0-9]{6,}", symbol) else None
    side: Side = "mid" if unit is None else "bid" if parts["side"] == "BID" else "ask"
    return Bi5Name(known, start, span, _FIXED_LENGTHS.get(unit or "", 0), side)


def scale(symbol: str) -> float:
    """How many points make one unit of the quote currency: 100,000 for EURUSD, 1,000 for USDJPY, 10 for BTCUSD.

    Raises `ValueError` for a symbol that is not known, rather than guess.
    """
    name = symbol.replace("-", "").replace("/", "").upper()
    base, quote = name[:3], name[3:]
    if name in _OF_SYMBOL:
        return _OF_SYMBOL[name]
    if base not in _KNOWN or quote not in _KNOWN:
        raise ValueError(
            f"how large a point of {symbol} is, is not known here; say it as `points` of the source, e.g. 0.001"
        )
    return _OF_QUOTE.get(quote) or _OF_BASE.get(base) or _USUAL


def scale_of(step: float) -> float:
    """Points per unit where a point is `step` large; a whole number where that is meant (1e-05 is 1/100,000).

    Raises `ValueError` for a step that is not a positive number.
    """
    if not 0 < step < float("inf"):
        raise ValueError(f"expected the size of a point above 0, got {step!r}")
    inverse = 1 / step
    return round(inverse) if inverse >= 1 and abs(inverse - round(inverse)) < 1e-6 * inverse else inverse


def to_prices(points: npt.NDArray[Any], scale: float) -> npt.NDArray[np.float64]:
    """Whole points as prices: the float that the decimal number is read as, since a division rounds once only."""
    return points.astype(np.float64) / scale


def unpack(data: bytes) -> bytes:
    """The content of a file; nothing for one without a byte, which says that the market was closed.

    Raises `ValueError` where the data is damaged, ends early, goes on after its end, or unpacks to over 64 MiB.
    """
    if not data:
        return b""
    decoder = lzma.LZMADecompressor(lzma.FORMAT_ALONE, memlimit=_MEMORY)
    try:
        content = decoder.decompress(data, LARGEST + 1)
    except lzma.LZMAError as error:
        raise ValueError(f"the LZMA data is damaged ({error}); {_DAMAGED}") from error
    if len(content) > LARGEST:
        raise ValueError(f"unpacks to more than {LARGEST:,} bytes; this is no Dukascopy file")
    if not decoder.eof:
        raise ValueError(f"the LZMA data ends early, after {len(content):,} bytes of content; {_DAMAGED}")
    if decoder.unused_data:
        raise ValueError(f"{len(decoder.unused_data):,} bytes follow the end of the LZMA data; {_DAMAGED}")
    return content


def ticks(data: bytes, *, start: datetime, scale: float) -> pl.DataFrame:
    """The ticks of a packed file: `line` (of the record, from 1), `time` (UTC), `bid`, `ask`, `volume`.

    `volume` is the size quoted at the bid, in millions of the base currency: what the vendor's BID candles add up.
    Raises `ValueError` for what `unpack` refuses, and for records that are not whole or not of this hour.
    """
    records = _records(unpack(data), TICK, "ticks")
    ms = records["ms"].astype(np.int64)
    _check_within(ms, timedelta(hours=1) // timedelta(milliseconds=1), "ms")
    return frame(
        _microseconds(start) + ms * 1_000,
        bid=to_prices(records["bid"], scale),
        ask=to_prices(records["ask"], scale),
        volume=records["bid_volume"].astype(np.float64),
    )


def candles(data: bytes, *, start: datetime, span: timedelta, seconds: int, scale: float) -> tuple[pl.DataFrame, int]:
    """The candles of a packed file: `line`, `time` (UTC, the start), `open` to `close`, `volume`; and the closed ones.

    While the market is closed the vendor repeats the last price with a volume of 0; those are no bars and are counted
    only. Raises `ValueError` as `ticks` does.
    """
    records = _records(unpack(data), CANDLE, "candles")
    offset = records["s"].astype(np.int64)
    _check_within(offset, span // timedelta(seconds=1), "s")
    if (odd := np.flatnonzero(offset % seconds)).size:
        raise ValueError(
            f"candle {odd[0] + 1} starts {offset[odd[0]]:,} s into the file, expected steps of {seconds}; {_DAMAGED}"
        )
    rows = frame(
        _microseconds(start) + offset * 1_000_000,
        open=to_prices(records["open"], scale),
        high=to_prices(records["high"], scale),
        low=to_prices(records["low"], scale),
        close=to_prices(records["close"], scale),
        volume=records["volume"].astype(np.float64),
    )
    return without_closed(rows)


def frame(microseconds: npt.NDArray[np.int64], **columns: npt.NDArray[np.float64]) -> pl.DataFrame:
    """Rows of a batch: `line` counts the records from 1, `time` is UTC."""
    rows = pl.DataFrame({"line": np.arange(1, len(microseconds) + 1, dtype=np.int64), "time": microseconds, **columns})
    return rows.with_columns(pl.col("time").cast(pl.Datetime("us", "UTC")))


def without_closed(candles: pl.DataFrame) -> tuple[pl.DataFrame, int]:
    """`candles` less those of a closed market (flat, volume 0), and how many those were."""
    flat = (pl.col("open") == pl.col("close")) & (pl.col("high") == pl.col("low")) & (pl.col("open") == pl.col("low"))
    kept = candles.filter(~(flat & (pl.col("volume") == 0)))
    return kept, candles.height - kept.height


def _records(content: bytes, record: np.dtype[Any], what: str) -> npt.NDArray[Any]:
    if len(content) % record.itemsize:
        raise ValueError(
            f"{len(content):,} bytes of content are no whole number of {what} of {record.itemsize} bytes; {_DAMAGED}"
        )
    return np.frombuffer(content, record)


def _check_within(offset: npt.NDArray[np.int64], end: int, unit: str) -> None:
    beyond = np.flatnonzero(offset >= end)
    if beyond.size:
        raise ValueError(
            f"record {beyond[0] + 1} is {offset[beyond[0]]:,} {unit} into the file, which ends at {end:,}: it is "
            f"damaged, or its path names something else; {_DAMAGED}"
        )


def _microseconds(start: datetime) -> int:
    return int((start - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(microseconds=1))
