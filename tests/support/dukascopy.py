"""Writes what Dukascopy would send: packed `.bi5` files and answers of its JSON service, from whole points."""

from __future__ import annotations

import json
import lzma
from collections.abc import Sequence
from datetime import datetime
from itertools import pairwise
from typing import Any

import numpy as np

from fx_assets.prices.bi5 import CANDLE, TICK

Tick = tuple[int, int, int, float, float]
"""Milliseconds in the hour, ask and bid in points, their volumes in millions."""
Candle = tuple[int, int, int, int, int, float]
"""Seconds since the start of the file, open, high, low and close in points, volume in millions."""


def packed(content: bytes) -> bytes:
    """`content` as LZMA-alone, as `.bi5` files are."""
    return lzma.compress(content, lzma.FORMAT_ALONE)


def bi5_ticks(ticks: Sequence[Tick]) -> bytes:
    """A file of ticks."""
    return packed(np.array([tuple(tick) for tick in ticks], TICK).tobytes())


def bi5_candles(candles: Sequence[Candle]) -> bytes:
    """A file of candles; the vendor's order is open, close, low, high."""
    rows = [(s, first, last, low, high, volume) for s, first, high, low, last, volume in candles]
    return packed(np.array(rows, CANDLE).tobytes())


def answer_of_ticks(start: datetime, ticks: Sequence[Tick], step: float = 1e-5) -> dict[str, Any]:
    """The service's answer with these ticks of the hour that begins at `start`."""
    ms, ask, bid, ask_volume, bid_volume = (list(column) for column in zip(*ticks, strict=True)) if ticks else ([],) * 5
    return {
        "timestamp": _ms(start),
        "multiplier": step,
        "ask": _price(ask, step),
        "bid": _price(bid, step),
        "times": _steps(ms, 0),
        "asks": _steps(ask),
        "bids": _steps(bid),
        "askVolumes": [volume * 1e6 for volume in ask_volume],
        "bidVolumes": [volume * 1e6 for volume in bid_volume],
    }


def answer_of_candles(
    start: datetime, candles: Sequence[Candle], step: float = 1e-5, seconds: int = 60
) -> dict[str, Any]:
    """The service's answer with these candles from `start` on."""
    columns = [list(column) for column in zip(*candles, strict=True)] if candles else [[] for _ in range(6)]
    names = ("open", "high", "low", "close")
    answer: dict[str, Any] = {"timestamp": _ms(start), "multiplier": step, "shift": seconds * 1_000}
    answer |= {name: _price(points, step) for name, points in zip(names, columns[1:5], strict=True)}
    answer["times"] = _steps([offset // seconds for offset in columns[0]], 0)
    answer |= {f"{name}s": _steps(points) for name, points in zip(names, columns[1:5], strict=True)}
    return {**answer, "volumes": columns[5]}


def answer_of_instrument(code: str = "EUR-USD", *, first: datetime, decimals: int = 5) -> dict[str, Any]:
    """The service's answer about a symbol whose prices begin at `first`."""
    periods = ("TICK", "MINUTE", "HOUR", "DAY")
    histories = [{"period": period, "from": _ms(first)} for period in periods]
    return {"code": code, "priceScale": decimals, "histories": histories}


def as_bytes(answer: Any) -> bytes:
    """An answer as it comes over the wire."""
    return json.dumps(answer).encode()


def _ms(moment: datetime) -> int:
    return int(moment.timestamp()) * 1_000


def _price(points: list[Any], step: float) -> float | None:
    """The base: the first price, as the decimal number."""
    places = max(0, -int(np.floor(np.log10(step))))
    return round(points[0] * step, places) if points else None


def _steps(values: list[int], base: int | None = None) -> list[int]:
    """Differences from one to the next, the first from `base`, or 0 where the first is the base itself."""
    first = values[0] if values and base is None else base or 0
    return [after - before for before, after in pairwise([first, *values])]


def minute_ticks(seed: int, *, price: int = 114_000) -> list[Tick]:
    """An hour of ticks, three a minute, as a random walk in points."""
    rng = np.random.default_rng(seed)
    bids = price + np.cumsum(rng.integers(-3, 4, 180))
    return [
        (20_000 * at, int(bid + rng.integers(1, 4)), int(bid), 1.5, float(rng.integers(1, 9)))
        for at, bid in enumerate(bids)
    ]
