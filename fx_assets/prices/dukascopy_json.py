"""Answers of Dukascopy's JSON service, which took the place of `.bi5` downloads in July 2026.

Prices and times are coded as differences: a base stands beside the lists, and each element is the step from the one
before, the first from the base. Steps of prices are points of `multiplier`; of times, milliseconds in ticks and units
of `shift` milliseconds in candles. Volumes are as they are: millions of the base currency in candles, single units in
ticks. Checked on the service's own answers (1,258 minutes, 3,551 ticks): with this reading high and low enclose open
and close in every candle, ask lies above bid in every tick, and the last time is the last of its day or hour.
In addresses **months count from 1**.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal, NoReturn

import numpy as np
import numpy.typing as npt
import polars as pl

from fx_assets.prices.bi5 import frame, scale_of, to_prices, without_closed

Answer = Mapping[str, Any]
Within = tuple[datetime, datetime]
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLION = 1_000_000
_LARGEST = 1 << 52
_YEARS = (_EPOCH.replace(year=1900), _EPOCH.replace(year=2200))


@dataclass(frozen=True)
class Instrument:
    """What the service says of a symbol: `decimals` of its prices, and from when there are TICK, MINUTE, HOUR, DAY."""

    code: str
    decimals: int
    first: Mapping[str, datetime]


def parse(data: bytes) -> Answer:
    """The JSON object of an answer. Raises `ValueError` for anything else, NaN and cut-off text included."""
    try:
        answer = json.loads(data, parse_constant=_refuse)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"no JSON: {error}") from error
    if not isinstance(answer, dict):
        raise ValueError(f"expected a JSON object, got {type(answer).__name__}")
    return answer


def what(answer: Answer) -> Literal["ticks", "candles", "instrument"]:
    """Which of its answers this is. Raises `ValueError` with the keys for none."""
    if "times" in answer:
        return "ticks" if "asks" in answer or "bids" in answer else "candles"
    if "histories" in answer:
        return "instrument"
    raise ValueError(f"neither ticks nor candles of Dukascopy; its keys are {', '.join(map(repr, answer)) or 'none'}")


def ticks(answer: Answer, *, within: Within | None = None) -> pl.DataFrame:
    """`line`, `time` (UTC), `bid`, `ask`, `volume` (at the bid, in millions as in `bi5.ticks`) of an answer of ticks.

    `within`: first and end (exclusive) of what was asked for. Raises `ValueError` for missing keys, lists of different
    lengths, what is no number, and times outside of `within`.
    """
    lists = _lists(answer, steps=("times", "asks", "bids"), volumes=("askVolumes", "bidVolumes"))
    if not len(lists["times"]):
        return _nothing("bid", "ask")
    scale = scale_of(_number(answer, "multiplier"))
    ms = _times(answer, lists["times"], 1, within)
    return frame(
        ms * 1_000,
        bid=_prices(answer, "bid", lists["bids"], scale),
        ask=_prices(answer, "ask", lists["asks"], scale),
        volume=lists["bidVolumes"] / _MILLION,
    )


def candles(answer: Answer, *, seconds: int, within: Within | None = None) -> tuple[pl.DataFrame, int]:
    """`line`, `time` (UTC, the start), `open` to `close`, `volume` of an answer of candles; and how many were closed.

    A closed market is left out by the service; where it still repeats a price with a volume of 0, that is no bar and is
    counted only. Raises `ValueError` as `ticks` does, and for candles that are not `seconds` long.
    """
    length = candle_seconds(answer)
    if length != seconds:
        raise ValueError(f"shift: candles of {length} s, expected {seconds}")
    lists = _lists(answer, steps=("times", "opens", "highs", "lows", "closes"), volumes=("volumes",))
    if not len(lists["times"]):
        return _nothing("open", "high", "low", "close"), 0
    scale = scale_of(_number(answer, "multiplier"))
    ms = _times(answer, lists["times"], seconds * 1_000, within)
    prices = {name: _prices(answer, name, lists[f"{name}s"], scale) for name in ("open", "high", "low", "close")}
    return without_closed(frame(ms * 1_000, **prices, volume=lists["volumes"]))


def candle_seconds(answer: Answer) -> int:
    """How long the candles of an answer are. Raises `ValueError` where it does not say."""
    shift = _number(answer, "shift")
    if shift <= 0 or shift % 1_000:
        raise ValueError(f"shift: expected whole seconds in milliseconds, got {shift:g}")
    return int(shift) // 1_000


def instrument(answer: Answer) -> Instrument:
    """The answer about a symbol. Raises `ValueError` for missing keys."""
    decimals, code, first = _number(answer, "priceScale"), answer.get("code"), dict[str, datetime]()
    histories = answer.get("histories")
    if not isinstance(histories, list) or not isinstance(code, str):
        raise ValueError("expected `code` and a list `histories`")
    for entry in histories:
        if not isinstance(entry, dict) or not isinstance(entry.get("period"), str):
            raise ValueError("histories: expected objects with `period` and `from`")
        first[entry["period"]] = _EPOCH + timedelta(milliseconds=int(_number(entry, "from")))
    return Instrument(code, int(decimals), first)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no number")


def _nothing(*names: str) -> pl.DataFrame:
    return frame(np.empty(0, np.int64), **{name: np.empty(0) for name in (*names, "volume")})


def _number(answer: Answer, key: str) -> float:
    value = answer.get(key)
    if isinstance(value, bool) or not isinstance(value, int | float) or abs(value) > _LARGEST:
        raise ValueError(f"{key}: expected a number, got {value!r}")
    return value


def _lists(answer: Answer, *, steps: tuple[str, ...], volumes: tuple[str, ...]) -> dict[str, npt.NDArray[Any]]:
    """The lists of an answer: steps as int64, volumes as float64, all of one length."""
    found: dict[str, npt.NDArray[Any]] = {}
    for key in (*steps, *volumes):
        if not isinstance(values := answer.get(key), list):
            raise ValueError(f"{key}: {'expected a list' if key in answer else 'missing'}")
        whole = key in steps
        try:
            array = np.array(values) if values else np.empty(0, np.int64)
        except (ValueError, OverflowError):
            array = np.empty(0, np.object_)
        if array.dtype.kind not in ("i" if whole else "if") or array.ndim != 1:
            raise ValueError(f"{key}: expected {'whole numbers' if whole else 'numbers'} only")
        found[key] = array.astype(np.int64 if whole else np.float64)
        if not np.abs(array.astype(np.float64)).sum() < _LARGEST:
            raise ValueError(f"{key}: numbers too large")
    lengths = {key: len(array) for key, array in found.items()}
    if len(set(lengths.values())) > 1:
        raise ValueError(
            f"lists of different lengths: {', '.join(f'{key} {length:,}' for key, length in lengths.items())}"
        )
    return found


def _times(answer: Answer, steps: npt.NDArray[np.int64], unit: int, within: Within | None) -> npt.NDArray[np.int64]:
    """Milliseconds since 1970."""
    base = _number(answer, "timestamp")
    if base != int(base):
        raise ValueError(f"timestamp: expected whole milliseconds, got {base!r}")
    times = int(base) + np.cumsum(steps) * unit
    first, end = (int((moment - _EPOCH) / timedelta(milliseconds=1)) for moment in within or _YEARS)
    outside = np.flatnonzero((times < first) | (times >= end))
    if outside.size:
        at = f"element {outside[0] + 1} of times is at {times[outside[0]]:,} ms since 1970"
        raise ValueError(f"{at}, outside of what was asked for ({first:,} to {end:,})")
    return times


def _prices(answer: Answer, base: str, steps: npt.NDArray[np.int64], scale: float) -> npt.NDArray[np.float64]:
    """The base is a price, not points: it must be a whole number of them, or the scale is another."""
    exact = _number(answer, base) * scale
    points = round(exact)
    if abs(exact - points) > 1e-3:
        raise ValueError(f"{base}: {answer[base]!r} is no multiple of the multiplier {answer['multiplier']!r}")
    return to_prices(points + np.cumsum(steps), scale)
