"""The form of OANDA's answers: what a candle becomes, and every way in which one or the whole can be wrong."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.prices.oanda_json import Candles, OandaError, read_candles

HOUR = timedelta(hours=1)
START = datetime(2026, 11, 17, 22, tzinfo=UTC)


def quotes(price: float, spread: float = 0.0) -> dict[str, str]:
    prices = zip("ohlc", (0.0, 0.002, -0.003, 0.001), strict=True)
    return {letter: f"{price + spread + more:.5f}" for letter, more in prices}


def candle(
    time: str | datetime = START, *, complete: bool = True, price: float = 1.1, **changes: Any
) -> dict[str, Any]:
    text = time if isinstance(time, str) else time.strftime("%Y-%m-%dT%H:%M:%S.000000000Z")
    body: dict[str, Any] = {"complete": complete, "volume": 132, "time": text, "mid": quotes(price)}
    body |= {"bid": quotes(price, -0.0001), "ask": quotes(price, 0.0001), **changes}
    return {name: value for name, value in body.items() if value is not None}


def answer(*candles: Any, granularity: str = "H1", instrument: str = "EUR_USD") -> bytes:
    return json.dumps({"instrument": instrument, "granularity": granularity, "candles": candles}).encode()


def read(*candles: Any, granularity: str = "H1", side: Any = "mid") -> Candles:
    return read_candles(answer(*candles, granularity=granularity), side=side, name="x.json")


def test_the_real_answer(sample_data: Path) -> None:
    data = (sample_data / "oanda_v20" / "candles_response.json").read_bytes()
    found = read_candles(data, side="mid", name="x")
    assert (found.instrument, found.seconds, found.incomplete, found.total) == ("DE30_EUR", 300, 0, 5)
    assert found.rejects.is_empty()
    assert found.rows.row(0, named=True) == {
        "line": 1,
        "time": datetime(2016, 10, 17, 19, 35, tzinfo=UTC),
        "open": 10503.8,
        "high": 10508.0,
        "low": 10503.8,
        "close": 10506.0,
        "ticks": 132,
    }
    bare = json.dumps(json.loads(data)["response"]).encode()
    assert read_candles(bare, side="mid", name="x").rows.equals(found.rows)


def test_mid_bid_and_ask() -> None:
    row = read(candle()).rows.row(0, named=True)
    assert row == {
        "line": 1,
        "time": START,
        **{"open": 1.1, "high": 1.102, "low": 1.097, "close": 1.101, "bid": 1.1009, "ask": 1.1011},
        **{"bid_open": 1.0999, "bid_high": 1.1019, "bid_low": 1.0969},
        **{"ask_open": 1.1001, "ask_high": 1.1021, "ask_low": 1.0971},
        "ticks": 132,
    }


def test_without_a_mid_it_is_the_mean_of_the_sides() -> None:
    both = read(candle(mid=None)).rows.row(0, named=True)
    assert [both[name] for name in ("open", "high", "low", "close")] == pytest.approx([1.1, 1.102, 1.097, 1.101])
    assert (both["bid"], both["ask_low"]) == (1.1009, 1.0971)


@pytest.mark.parametrize(("side", "shift"), [("bid", -0.0001), ("ask", 0.0001)])
def test_one_side(side: str, shift: float) -> None:
    row = read(candle(), side=side).rows.row(0, named=True)
    assert row == {
        "line": 1,
        "time": START,
        "open": pytest.approx(1.1 + shift),
        "high": pytest.approx(1.102 + shift),
        "low": pytest.approx(1.097 + shift),
        "close": pytest.approx(1.101 + shift),
        "ticks": 132,
    }


@pytest.mark.parametrize(
    ("side", "given", "message"),
    [
        ("mid", {"mid": None, "ask": None}, "holds bid prices, asked for mid; set `side: bid` to use them"),
        ("bid", {"bid": None}, "holds ask and mid prices, asked for bid; set `side: mid`"),
        ("mid", {"mid": None, "ask": None, "bid": None}, "holds no prices, asked for mid$"),
    ],
)
def test_a_side_that_is_not_there(side: str, given: dict[str, Any], message: str) -> None:
    with pytest.raises(OandaError, match=f"x.json: {message}"):
        read(candle(**given), side=side)


def test_what_has_not_ended_is_left_out_and_counted() -> None:
    found = read(candle(), candle(START + HOUR), candle(START + 2 * HOUR, complete=False))
    assert found.rows["line"].to_list() == [1, 2]
    assert (found.incomplete, found.total) == (1, 3)
    assert found.rejects.is_empty()


@pytest.mark.parametrize(
    "text",
    [
        "2026-11-17T22:00:00.000000000Z",
        "2026-11-17T22:00:00Z",
        "2026-11-17T17:00:00-05:00",
        "1794952800.000000000",
        "1794952800",
    ],
)
def test_forms_of_a_time(text: str) -> None:
    assert read(candle(text)).rows["time"].to_list() == [START]


@pytest.mark.parametrize(
    ("bad", "reason"),
    [
        (5, "not_a_candle"),
        (candle("yesterday"), "bad_time"),
        (candle("2026-11-17T22:00:00"), "bad_time: has no zone"),
        (candle("²"), "bad_time"),
        (candle("9" * 400), "bad_time"),
        ({**candle(), "time": 7}, "bad_time"),
        ({**candle(), "complete": "true"}, "bad_complete"),
        (candle(volume=1.5), "bad_volume"),
        (candle(volume=-1), "bad_volume"),
        (candle(volume=10**30), "bad_volume"),
        (candle(ask=None), "missing_price: ask"),
        (candle(ask=7), "missing_price: ask"),
        (candle(bid={**quotes(1.1), "h": "1,1"}), "not_a_number: bid.h"),
        (candle(bid={**quotes(1.1), "h": "1_1"}), "not_a_number: bid.h"),
        (candle(mid={**quotes(1.1), "c": True}), "not_a_number: mid.c"),
        (candle(mid={**quotes(1.1), "c": [1]}), "not_a_number: mid.c"),
    ],
)
def test_a_candle_that_cannot_be_read_is_a_reject(bad: Any, reason: str) -> None:
    found = read(candle(), bad, candle(START + HOUR))
    assert found.rows["line"].to_list() == [1, 3]
    assert found.rejects["line"].to_list() == [2]
    assert found.rejects["reason"][0].startswith(reason)
    assert found.rejects["raw"][0] == json.dumps(bad)[:200]


def test_a_price_that_is_missing_or_no_price_is_handed_on() -> None:
    """What becomes of it is decided for all sources in one place."""
    mids = [{**quotes(1.1), "c": value} for value in ("", None, "NaN", "-1", "1e308", 0)]
    rows = read(*(candle(START + i * HOUR, mid=mid) for i, mid in enumerate(mids))).rows
    closes = rows["close"].to_list()
    assert closes[:2] == [None, None]
    assert closes[2] != closes[2]
    assert closes[3:] == [-1.0, 1e308, 0.0]


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "not JSON, or not whole"),
        (answer(candle())[:-9], "not JSON, or not whole"),
        (b"\xff\xfe{", "not UTF-8 at byte 0"),
        (b"[]", "expected OANDA's candles .*got 'list'"),
        (b'{"errorMessage": "no"}', "got 'errorMessage'"),
        (b'{"response": 5}', "expected OANDA's candles"),
        (b'{"candles": {}}', "expected OANDA's candles"),
        (b'{"candles": []}', "granularity '': expected one of S5"),
        (answer(granularity="M"), "granularity 'M'"),
        (b"[" * 100_000, "nested too deep"),
        (b'{"candles": ' + b"1" * 5000 + b"}", "not JSON"),
    ],
)
def test_a_document_that_is_none(data: bytes, message: str) -> None:
    with pytest.raises(OandaError, match=f"x.json: .*{message}"):
        read_candles(data, side="mid", name="x.json")


_ODD = [
    None,
    True,
    5,
    -1.5,
    1e308,
    10**400,
    "",
    "1.1",
    "NaN",
    "1e999",
    "é",
    [],
    [1],
    {},
    {"o": "1"},
    {"o": {}, "c": "x"},
]
_PARTS = ["time", "complete", "volume", "mid", "bid", "ask"]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(_PARTS), st.sampled_from(_ODD)), max_size=3))
def test_any_candle_is_a_row_or_a_reject_or_has_not_ended(changes: list[tuple[str, Any]]) -> None:
    found = read(candle(), {**candle(START + HOUR), **dict(changes)}, candle(START + 2 * HOUR))
    assert found.rows.height + found.rejects.height + found.incomplete == found.total == 3
    assert {1, 3} <= set(found.rows["line"].to_list())


def test_no_candles_are_no_error() -> None:
    found = read_candles(answer(), side="mid", name="x")
    assert (found.total, found.rows.height, found.seconds) == (0, 0, 3600)


@pytest.mark.parametrize(
    ("start", "day", "end"),
    [
        ("2026-11-16T22:00:00Z", date(2026, 11, 17), datetime(2026, 11, 17, 22, tzinfo=UTC)),
        ("2026-07-16T21:00:00Z", date(2026, 7, 17), datetime(2026, 7, 17, 21, tzinfo=UTC)),
        ("2026-03-08T21:00:00Z", date(2026, 3, 9), datetime(2026, 3, 9, 21, tzinfo=UTC)),
        # 17:00 on the day before the clocks change, so that the day has 25 hours.
        ("2026-10-31T21:00:00Z", date(2026, 11, 1), datetime(2026, 11, 1, 22, tzinfo=UTC)),
    ],
)
def test_days_are_trading_dates(start: str, day: date, end: datetime) -> None:
    row = read(candle(start), granularity="D").rows.row(0, named=True)
    assert (row["time"].isoformat(), row["known_at"], row["trading_date"]) == (start[:-1] + "+00:00", end, day)


@pytest.mark.parametrize("start", ["2026-10-23T21:00:00Z", "2026-10-24T21:00:00Z", "2026-10-25T21:00:00Z"])
def test_weeks_begin_on_sunday_and_are_known_on_friday(start: str) -> None:
    row = read(candle(start), granularity="W").rows.row(0, named=True)
    assert row["time"] == datetime(2026, 10, 25, 21, tzinfo=UTC)
    assert row["known_at"] == datetime(2026, 10, 30, 21, tzinfo=UTC)
    assert row["trading_date"] == date(2026, 10, 30)


@pytest.mark.parametrize(("granularity", "start"), [("D", "2026-11-17T00:00:00Z"), ("W", "2026-11-17T22:00:00Z")])
def test_days_and_weeks_that_begin_elsewhere_are_rejects(granularity: str, start: str) -> None:
    found = read(candle(start), granularity=granularity)
    assert found.rows.is_empty()
    assert found.rejects["reason"][0].startswith("bad_alignment")
