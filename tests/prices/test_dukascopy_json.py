"""Answers of Dukascopy's JSON service: differences from a base, months from 1."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.prices import bi5, dukascopy_json
from tests.support.dukascopy import (
    answer_of_candles,
    answer_of_instrument,
    answer_of_ticks,
    as_bytes,
    bi5_candles,
    bi5_ticks,
    minute_ticks,
)

HOUR = datetime(2026, 7, 13, 12, tzinfo=UTC)
DAY = datetime(2026, 7, 10, tzinfo=UTC)
PRICE = st.integers(1, 10**7)
VOLUME = st.integers(1, 8_000).map(lambda quarters: quarters / 4)  # exact in float32 too


def read(answer: Any) -> dukascopy_json.Answer:
    return dukascopy_json.parse(as_bytes(answer))


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3_599_999), PRICE, PRICE, VOLUME, VOLUME), max_size=20), st.booleans())
def test_both_decoders_read_the_same_ticks(ticks: list[tuple[int, int, int, float, float]], yen: bool) -> None:
    step, symbol = (1e-3, "USDJPY") if yen else (1e-5, "EURUSD")
    ours = dukascopy_json.ticks(read(answer_of_ticks(HOUR, ticks, step)))
    assert ours.equals(bi5.ticks(bi5_ticks(ticks), start=HOUR, scale=bi5.scale(symbol)))
    assert (ours["ask"] / step).round().cast(pl.Int64).to_list() == [tick[1] for tick in ticks]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 1_439), PRICE, PRICE, PRICE, PRICE, VOLUME), max_size=20), st.booleans())
def test_both_decoders_read_the_same_candles(candles: list[tuple[int, int, int, int, int, float]], yen: bool) -> None:
    step, symbol = (1e-3, "USDJPY") if yen else (1e-5, "EURUSD")
    candles = [(60 * minute, *rest) for minute, *rest in candles]  # type: ignore[misc]
    ours = dukascopy_json.candles(read(answer_of_candles(DAY, candles, step)), seconds=60)
    packed = bi5_candles(candles)
    assert ours[0].equals(
        bi5.candles(packed, start=DAY, span=timedelta(days=1), seconds=60, scale=bi5.scale(symbol))[0]
    )


def test_one_day_has_two_names() -> None:
    """4 February: month 01 in a path of files, month 2 in an address; the decoders agree on the time."""
    start = bi5.named("EURUSD/2019/01/04/00h_ticks.bi5").start
    assert (start.month, start.day) == (2, 4)
    ticks = minute_ticks(1)
    packed, answer = bi5_ticks(ticks), answer_of_ticks(datetime(2019, 2, 4, tzinfo=UTC), ticks)
    assert bi5.ticks(packed, start=start, scale=1e5).equals(dukascopy_json.ticks(read(answer)))


def test_candles_agree_with_the_ticks_they_are_made_of() -> None:
    ticks = minute_ticks(3)
    rows = dukascopy_json.ticks(read(answer_of_ticks(HOUR, ticks)))
    candles: list[tuple[int, int, int, int, int, float]] = []
    for minute in range(60):
        bids = [tick[2] for tick in ticks[3 * minute : 3 * minute + 3]]
        volume = sum(tick[4] for tick in ticks[3 * minute : 3 * minute + 3])
        candles.append((60 * minute, bids[0], max(bids), min(bids), bids[-1], volume))
    said, _ = dukascopy_json.candles(read(answer_of_candles(HOUR, candles)), seconds=60)
    bid = pl.col("bid")
    made = rows.group_by(pl.col("time").dt.truncate("1m"), maintain_order=True).agg(
        open=bid.first(), high=bid.max(), low=bid.min(), close=bid.last(), volume=pl.col("volume").sum()
    )
    assert made.equals(said.drop("line"))


def test_candles_skip_minutes_and_a_closed_market_is_no_bar() -> None:
    candles = [(0, 5, 5, 5, 5, 1.0), (180, 5, 5, 5, 5, 0.0), (300, 6, 7, 5, 6, 2.5)]
    rows, closed = dukascopy_json.candles(read(answer_of_candles(DAY, candles)), seconds=60)
    assert rows["time"].to_list() == [DAY, DAY + timedelta(minutes=5)]
    assert (rows["line"].to_list(), closed) == ([1, 3], 1)


def test_an_answer_without_prices() -> None:
    empty = answer_of_candles(DAY, [])
    assert empty["open"] is None
    rows, closed = dukascopy_json.candles(read(empty), seconds=60)
    assert (rows.height, closed) == (0, 0)
    assert dukascopy_json.ticks(read(answer_of_ticks(HOUR, []))).is_empty()


TICKS = answer_of_ticks(HOUR, minute_ticks(2))
CANDLES = answer_of_candles(DAY, [(0, 5, 9, 4, 6, 1.0), (60, 6, 7, 5, 6, 2.5)])


def without(answer: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in answer.items() if name != key}


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (without(TICKS, "asks"), "asks: missing"),
        (without(TICKS, "multiplier"), "multiplier: expected a number, got None"),
        (without(TICKS, "timestamp"), "timestamp: expected a number"),
        (TICKS | {"asks": TICKS["asks"][:-1]}, "lists of different lengths: times 180, asks 179, bids 180"),
        (TICKS | {"askVolumes": []}, "lists of different lengths: .*askVolumes 0"),
        (TICKS | {"bids": "many"}, "bids: expected a list"),
        (TICKS | {"bids": [0.5] * 180}, "bids: expected whole numbers only"),
        (TICKS | {"bids": [None] * 180}, "bids: expected whole numbers only"),
        (TICKS | {"bids": [[1, 2]] * 180}, "bids: expected whole numbers only"),
        (TICKS | {"bids": [[1], 2]}, "bids: expected whole numbers only"),
        (TICKS | {"bids": [True] * 180}, "bids: expected whole numbers only"),
        (TICKS | {"bids": ["1"] * 180}, "bids: expected whole numbers only"),
        (TICKS | {"bids": [2**70] * 180}, "bids: expected whole numbers only"),
        (TICKS | {"bids": [2**62] * 180}, "bids: numbers too large"),
        (TICKS | {"bidVolumes": [1e999] * 180}, "no JSON: Infinity is no number"),
        (TICKS | {"bid": None}, "bid: expected a number, got None"),
        (TICKS | {"bid": 1.234565}, "bid: 1.234565 is no multiple of the multiplier 1e-05"),
        (TICKS | {"multiplier": 0}, "size of a point above 0"),
        (TICKS | {"multiplier": True}, "multiplier: expected a number, got True"),
        (TICKS | {"timestamp": 1.5}, "timestamp: expected whole milliseconds"),
        (TICKS | {"timestamp": 1_783_944}, "element 180 of times is at|element 1 of times is at"),
        (TICKS | {"timestamp": -1e15}, "outside of what was asked for"),
    ],
)
def test_what_is_no_answer_of_ticks(answer: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dukascopy_json.ticks(read(answer), within=(HOUR, HOUR + timedelta(hours=1)))


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (without(CANDLES, "lows"), "lows: missing"),
        (without(CANDLES, "shift"), "shift: expected a number"),
        (CANDLES | {"shift": 3_600_000}, "shift: candles of 3600 s, expected 60"),
        (CANDLES | {"shift": 1}, "shift: expected whole seconds"),
        (CANDLES | {"volumes": [1.0]}, "lists of different lengths"),
        (CANDLES | {"volumes": [1.0, float("nan")]}, "NaN is no number"),
    ],
)
def test_what_is_no_answer_of_candles(answer: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dukascopy_json.candles(read(answer), seconds=60)


def test_a_number_beyond_all_numbers() -> None:
    text = json.dumps(CANDLES).replace("2.5", "1e999")
    with pytest.raises(ValueError, match="volumes: numbers too large"):
        dukascopy_json.candles(dukascopy_json.parse(text.encode()), seconds=60)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (as_bytes(TICKS)[:-9], "no JSON"),
        (b"", "no JSON"),
        (b"\xff\xfe{", "no JSON"),
        (b"<html>", "no JSON"),
        (b"[]", "expected a JSON object, got list"),
        (b"[" * 100_000, "no JSON"),
        (b'{"a": NaN}', "NaN is no number"),
    ],
)
def test_what_is_no_object(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        dukascopy_json.parse(data)


def test_which_answer_it_is() -> None:
    about = answer_of_instrument(first=DAY)
    assert [dukascopy_json.what(answer) for answer in (TICKS, CANDLES, about)] == ["ticks", "candles", "instrument"]
    with pytest.raises(ValueError, match="its keys are 'error'"):
        dukascopy_json.what({"error": 1})


def test_what_there_is_of_a_symbol() -> None:
    found = dukascopy_json.instrument(read(answer_of_instrument(first=DAY, decimals=3)))
    assert (found.code, found.decimals, found.first["TICK"]) == ("EUR-USD", 3, DAY)
    broken: list[tuple[dict[str, Any], str]] = [
        ({"code": "X", "histories": []}, "priceScale"),
        ({"code": "X", "priceScale": 5}, "a list `histories`"),
        ({"code": "X", "priceScale": 5, "histories": [1]}, "objects with `period`"),
        ({"code": "X", "priceScale": 5, "histories": [{"period": "TICK"}]}, "from: expected a number"),
    ]
    for answer, message in broken:
        with pytest.raises(ValueError, match=message):
            dukascopy_json.instrument(answer)


# The service's own answers


@pytest.fixture
def saved(sample_data: Path) -> Callable[[str], dukascopy_json.Answer]:
    folder = sample_data / "dukascopy" / "json_api_v1"
    return lambda name: dukascopy_json.parse((folder / f"{name}.json").read_bytes())


def test_the_services_own_minutes(saved: Callable[[str], dukascopy_json.Answer]) -> None:
    rows, closed = dukascopy_json.candles(
        saved("candles-minute-EUR-USD-BID-2026-7-10"), seconds=60, within=(DAY, DAY + timedelta(days=1))
    )
    assert (rows.height, closed) == (1_258, 0)
    assert rows.drop("line").row(0) == (DAY, 1.14331, 1.14334, 1.14322, 1.14324, 197.1)
    assert rows.drop("line").row(1)[1:5] == (1.14323, 1.14335, 1.14318, 1.14333)
    assert rows["time"][-1] == datetime(2026, 7, 10, 20, 59, tzinfo=UTC)  # Friday 17:00 in New York
    top, bottom = pl.max_horizontal("open", "close"), pl.min_horizontal("open", "close")
    assert rows.filter((pl.col("high") < top) | (pl.col("low") > bottom)).is_empty()
    prices = [price for name in ("open", "high", "low", "close") for price in rows[name]]
    assert all(price == float(f"{price:.5f}") for price in prices)


def test_the_services_own_ticks(saved: Callable[[str], dukascopy_json.Answer]) -> None:
    rows = dukascopy_json.ticks(saved("ticks-EUR-USD-2026-7-13-12"), within=(HOUR, HOUR + timedelta(hours=1)))
    assert rows.height == 3_551
    assert rows.drop("line").row(0) == (HOUR + timedelta(milliseconds=93), 1.14273, 1.14277, 2.7)
    assert rows["time"][-1] == HOUR + timedelta(milliseconds=3_597_150)
    assert rows["time"].is_sorted()
    assert (rows["ask"] > rows["bid"]).all()
    assert all(price == float(f"{price:.5f}") for side in ("bid", "ask") for price in rows[side])


def test_the_services_own_empty_day_and_symbol(saved: Callable[[str], dukascopy_json.Answer]) -> None:
    rows, closed = dukascopy_json.candles(saved("candles-minute-EUR-USD-BID-2026-7-11-empty"), seconds=60)
    assert (rows.height, closed) == (0, 0)
    about = dukascopy_json.instrument(saved("instrument-EUR-USD"))
    assert 10.0**-about.decimals == saved("ticks-EUR-USD-2026-7-13-12")["multiplier"]
    assert about.first["TICK"] == datetime(2003, 5, 4, 19, 0, 0, 48_000, tzinfo=UTC)
