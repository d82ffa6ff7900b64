"""Ticks to minutes and minutes to longer bars: by hand, against a slow maker of bars, and cut wherever one likes."""

from __future__ import annotations

import lzma
import math
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.bars import resample
from fx_assets.bars.resample import VALUES, compose, minutes
from fx_assets.bars.runs import squared_returns
from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.frequencies import FREQUENCIES
from fx_assets.timegrid.trading_dates import bar_end, bar_start, trading_date_of
from tests.bars.prices import Tick, bar_of, slow_bar, slow_sum, squared, ticks, utc

# The weekends on which the United States (March, November) and Europe (October) change their clocks.
CHANGES = (utc("2018-03-09T20:00"), utc("2018-10-26T20:00"), utc("2018-11-02T20:00"))
LONGER = FREQUENCIES[1:]
_GAPS = (1, 40, 900, 7_000, 61_000, 301_000, 3_600_000, 3 * 3_600_000, 17 * 3_600_000)  # milliseconds


@st.composite
def quotes(draw: st.DrawFn) -> list[Tick]:
    """Two-sided ticks over a change of the clocks, from bursts within a second to pauses of most of a day."""
    steps = draw(
        st.lists(st.tuples(st.sampled_from(_GAPS), st.integers(-30, 30), st.integers(0, 9)), min_size=1, max_size=70)
    )
    time, price = draw(st.sampled_from(CHANGES)), 112_345
    made: list[Tick] = []
    for gap, move, spread in steps:
        time, price = time + timedelta(milliseconds=gap), price + move
        made.append((time, price / 1e5, (price + spread) / 1e5))
    return made


def slow_minutes(given: Sequence[Tick]) -> list[dict[str, Any]]:
    def minute(tick: Tick) -> datetime:
        return tick[0].replace(second=0, microsecond=0)

    return [{"time": time, **slow_bar(list(part))} for time, part in groupby(given, minute)]


def slow_bars(given: Sequence[Tick], frequency: Frequency, calendar: CalendarName) -> list[dict[str, Any]]:
    def bar(minute: dict[str, Any]) -> datetime | None:
        return bar_of(minute["time"], frequency, calendar)

    parts = groupby(slow_minutes(given), bar)
    return [{"time": time, **slow_sum(list(part))} for time, part in parts if time is not None]


def same(made: pl.DataFrame, expected: Sequence[dict[str, Any]]) -> None:
    """Prices, times and counts exactly; sums to the last bits."""
    assert made.columns == ["time", *VALUES]
    found = made.to_dicts()
    assert [bar["time"] for bar in found] == [bar["time"] for bar in expected]
    for bar, wanted in zip(found, expected, strict=True):
        for name in ("spread", "realised_variance"):
            assert bar.pop(name) == pytest.approx(wanted[name], rel=1e-12, abs=1e-300), name
        assert bar == {name: value for name, value in wanted.items() if name in bar}


def test_a_minute_by_hand() -> None:
    made = minutes(
        ticks(
            [
                (utc("2018-03-12T09:59:59.999"), 1.0, 1.2),
                (utc("2018-03-12T10:00:00"), 1.1, 1.3),
                (utc("2018-03-12T10:00:30"), 1.4, 1.5),
                (utc("2018-03-12T10:00:59.999999"), 0.9, 1.1),
                (utc("2018-03-12T10:02:00"), 1.2, 1.2),
            ],
            volume=pl.Series([None, 1.0, None, 2.5, None], dtype=pl.Float64),
        )
    )
    assert made["time"].dt.strftime("%H:%M").to_list() == ["09:59", "10:00", "10:02"]
    bar = made.row(1, named=True)
    assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (1.2000000000000002, 1.45, 1.0, 1.0)
    assert (bar["bid_open"], bar["bid_high"], bar["bid_low"], bar["bid"]) == (1.1, 1.4, 0.9, 0.9)
    assert (bar["ask_open"], bar["ask_high"], bar["ask_low"], bar["ask"]) == (1.3, 1.5, 1.1, 1.1)
    assert bar["spread"] == pytest.approx((0.2 + 0.1 + 0.2) / 3)
    assert bar["realised_variance"] == pytest.approx(math.log(1.45 / 1.2) ** 2 + math.log(1.0 / 1.45) ** 2)
    assert made["volume"].to_list() == [None, 3.5, None]
    assert made["ticks"].to_list() == [1, 3, 1]
    assert made["realised_variance"].to_list()[::2] == [0.0, 0.0]


def test_longer_bars_by_hand() -> None:
    minute = minutes(
        ticks(
            [
                (utc(f"2018-03-12T{at}"), p, p + 0.2)
                for at, p in [("10:00", 1.0), ("10:00:10", 1.4), ("10:03", 1.1), ("10:04", 0.8), ("10:59", 0.9)]
            ]
        )
    )
    (bar,) = compose(minute, "1h", calendar="fx").to_dicts()
    assert (bar["open"], bar["high"], bar["low"], bar["close"]) == (1.1, 1.5, 0.9, 1.0)
    assert (bar["bid_open"], bar["ask_high"], bar["bid_low"], bar["ask"]) == (1.0, 1.4 + 0.2, 0.8, 0.9 + 0.2)
    assert bar["ticks"] == 5
    # From open to close of the first minute, then close upon close: what the mid did inside a minute does not count.
    moves = [(1.1, 1.5), (1.5, 1.2000000000000002), (1.2000000000000002, 0.9), (0.9, 1.0)]
    assert bar["realised_variance"] == pytest.approx(sum(squared(*move) for move in moves), rel=1e-13)


def test_spreads_weigh_by_ticks_where_ticks_are_counted() -> None:
    def bar(spread: float | None, count: int | None, volume: float | None) -> dict[str, Any]:
        return {"close": 1.0, "spread": spread, "ticks": count, "volume": volume}

    def hour(*given: dict[str, Any]) -> tuple[Any, ...]:
        times = [utc("2018-03-12T10:00") + timedelta(minutes=i) for i in range(len(given))]
        finer = pl.DataFrame(given, schema={name: resample.VALUE_SCHEMA[name] for name in bar(0, 0, 0)})
        finer = finer.with_columns(
            pl.lit(None, kind).alias(name) for name, kind in resample.VALUE_SCHEMA.items() if name not in finer.columns
        ).with_columns(time=pl.Series(times))
        return compose(finer, "1h", calendar="fx").select("spread", "ticks", "volume").row(0)

    assert hour(bar(1.0, 1, 2.0), bar(3.0, 3, None)) == (2.5, 4, 2.0)
    assert hour(bar(1.0, 1, 2.0), bar(3.0, None, 1.5)) == (2.0, 1, 3.5)
    assert hour(bar(1.0, 1, None), bar(None, None, None)) == (1.0, 1, None)
    assert hour(bar(1.0, 0, None), bar(3.0, 0, None)) == (2.0, 0, None)
    assert hour(bar(None, 7, None)) == (None, 7, None)


def test_closes_alone_make_no_range() -> None:
    """Of a cross only the closes are known: nothing is said of what lay between them."""
    times = [utc("2018-03-12T10:00"), utc("2018-03-12T10:01"), utc("2018-03-12T11:00")]
    finer = minutes(ticks([(time, 1.0, 1.0) for time in times]))
    closes = finer.with_columns(
        pl.when(pl.col("time") == times[1]).then(None).otherwise(pl.col(name)).alias(name)
        for name in ("open", "high", "low", "bid_high", "ask_low")
    )
    first, second = compose(closes, "1h", calendar="fx").to_dicts()
    assert [first[name] for name in ("open", "high", "low", "close", "bid_high", "ask_high", "ask_low")] == [
        *(1.0, None, None, 1.0), *(None, 1.0, None),
    ]  # fmt: skip
    assert second["high"] == 1.0
    no_open = compose(closes.filter(pl.col("time") != times[0]), "1h", calendar="fx")
    assert no_open["open"].to_list() == [None, 1.0]
    assert no_open["realised_variance"].to_list() == [None, 0.0]


def test_sides_that_are_quoted_one_by_one() -> None:
    def of(*given: tuple[float | None, float | None]) -> dict[str, Any]:
        start = utc("2018-03-12T10:00")
        (bar,) = minutes(ticks((start + timedelta(seconds=i), *quote) for i, quote in enumerate(given))).to_dicts()
        return bar

    # The other side stands as it was quoted last, and the mid begins with the first tick that knows both.
    turns = of((1.0, None), (None, 1.2), (1.1, None), (None, 1.3))
    assert (turns["open"], turns["high"], turns["low"], turns["close"]) == (
        1.1,
        1.2000000000000002,
        1.1,
        1.2000000000000002,
    )
    assert (turns["bid_open"], turns["bid"], turns["ask_open"], turns["ask"]) == (1.0, 1.1, 1.2, 1.3)
    assert turns["spread"] == pytest.approx((0.2 + 0.1 + 0.2) / 3)
    assert turns["ticks"] == 4
    bids = of((1.0, None), (1.4, None), (0.9, None))
    assert (bids["open"], bids["high"], bids["low"], bids["close"]) == (1.0, 1.4, 0.9, 0.9)
    assert (bids["bid_high"], bids["ask"], bids["ask_low"], bids["spread"]) == (1.4, None, None, None)
    asks = of((None, 1.0), (None, 1.4))
    assert (asks["open"], asks["close"], asks["ask_high"], asks["bid"]) == (1.0, 1.4, 1.4, None)
    with pytest.raises(ValueError, match="neither bid nor ask; drop what was taken back"):
        of((1.0, None), (None, None))


def test_what_is_out_of_order_is_refused() -> None:
    late = ticks([(utc("2018-03-12T10:01"), 1.0, 1.0), (utc("2018-03-12T10:00"), 1.0, 1.0)])
    with pytest.raises(ValueError, match=r"ticks after 2018-03-12 10:01:00\+00:00 are out of order; sort them by time"):
        minutes(late)
    with pytest.raises(ValueError, match="bars are out of order; sort them by time"):
        compose(minutes(late.sort("time")).reverse(), "1h", calendar="fx")


@pytest.mark.parametrize("frequency", LONGER)
def test_nothing_makes_nothing(frequency: Frequency) -> None:
    none = minutes(ticks([]))
    assert compose(none, frequency, calendar="fx").schema == none.schema == {
        "time": pl.Datetime("us", "UTC"), **resample.VALUE_SCHEMA
    }  # fmt: skip
    assert none.is_empty()


@settings(max_examples=60, deadline=None)
@given(quotes(), st.sampled_from(LONGER), st.sampled_from(("fx", "24x7")))
def test_the_fast_bars_are_the_slow_ones(given: list[Tick], frequency: Frequency, calendar: CalendarName) -> None:
    made = minutes(ticks(given))
    same(made, slow_minutes(given))
    same(compose(made, frequency, calendar=calendar), slow_bars(given, frequency, calendar))


@settings(max_examples=60, deadline=None)
@given(quotes(), st.sampled_from(LONGER))
def test_nothing_is_lost_and_nothing_invented(given: list[Tick], frequency: Frequency) -> None:
    made = minutes(ticks(given))
    longer = compose(made, frequency, calendar="24x7")
    for bars in (made, longer):
        assert bars["ticks"].sum() == len(given)
        assert (bars["ticks"] > 0).all()
        assert bars["time"].is_sorted()
        assert bars["time"].is_unique().all()
        assert (bars["bid_open"][0], bars["ask"][-1]) == (given[0][1], given[-1][2])
        assert (bars["bid_high"].max(), bars["ask_low"].min()) == (
            max(q[1] or 0 for q in given),
            min(q[2] or 9 for q in given),
        )
    starts = {bar_of(time, frequency, "24x7") for time, _, _ in given}
    assert set(longer["time"]) == starts


def pieces(rows: pl.DataFrame, cuts: Sequence[int], key: Callable[[datetime], object]) -> list[pl.DataFrame]:
    """`rows` cut near `cuts`, never inside of what has one `key`."""
    keys = [key(time) for time in rows["time"]]
    borders = [i for i in range(1, len(keys)) if keys[i] != keys[i - 1]]
    chosen = sorted({borders[cut % len(borders)] for cut in cuts} if borders else ())
    edges = [0, *chosen, len(keys)]
    return [rows.slice(a, b - a) for a, b in pairwise(edges)]


@settings(max_examples=60, deadline=None)
@given(quotes(), st.lists(st.integers(0, 1000), max_size=6), st.sampled_from(LONGER), st.integers(1, 9))
def test_any_cut_gives_the_same_bars_bit_for_bit(
    given: list[Tick], cuts: list[int], frequency: Frequency, block_rows: int
) -> None:
    whole = ticks(given)
    made = minutes(whole)
    longer = compose(made, frequency, calendar="24x7")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(resample, "BLOCK_ROWS", block_rows)
        assert minutes(whole).equals(made)
        assert compose(made, frequency, calendar="24x7").equals(longer)
    parts = pieces(whole, cuts, lambda time: time.replace(second=0, microsecond=0))
    assert pl.concat([minutes(part) for part in parts]).equals(made)
    parts = pieces(made, cuts, lambda time: bar_of(time, frequency, "24x7"))
    assert pl.concat([compose(part, frequency, calendar="24x7") for part in parts]).equals(longer)


def crowded(n: int = 30_000, *, one_sided: bool = False) -> pl.DataFrame:
    """Minutes of some 3,000 ticks each, in which a sum in another order has other last bits."""
    draw = np.random.default_rng(5)
    times = np.datetime64("2018-03-12T10:00", "us") + np.cumsum(draw.integers(1, 40_000, n)).astype("m8[us]")
    mid = 110 * np.exp(np.cumsum(draw.standard_normal(n) * 2e-4))
    bid, ask = mid - draw.random(n) / 50, mid + draw.random(n) / 50
    if one_sided:
        quoted = draw.integers(0, 3, n)  # bid, ask or both
        bid, ask = np.where(quoted == 1, np.nan, bid), np.where(quoted == 0, np.nan, ask)
    volume = pl.Series(draw.random(n)).set(pl.Series(draw.random(n) < 0.1), None)
    frame = pl.DataFrame({"time": times, "bid": bid, "ask": ask, "volume": volume}, nan_to_null=True)
    return frame.with_columns(pl.col("time").dt.replace_time_zone("UTC"))


@pytest.mark.parametrize("one_sided", [False, True])
def test_the_place_in_a_column_does_not_change_a_bit(one_sided: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = crowded(one_sided=one_sided)
    made = minutes(rows)
    assert made["ticks"].to_numpy().max() > 2_000
    for name in made["time"][1::3]:
        alone = rows.filter(pl.col("time").dt.truncate("1m") == name)
        assert minutes(alone).equals(made.filter(pl.col("time") == name))
        shifted = rows.filter(pl.col("time") >= name)
        assert minutes(shifted).equals(made.filter(pl.col("time") >= name))
    torn = pl.concat([rows.slice(i, 777) for i in range(0, rows.height, 777)], rechunk=False)
    assert torn.n_chunks() > 1
    assert minutes(torn).equals(made)
    for block_rows in (1, 1_000, 4_097, 10_001):
        monkeypatch.setattr(resample, "BLOCK_ROWS", block_rows)
        assert minutes(rows).equals(made)


def test_a_one_sided_tick_elsewhere_does_not_change_a_bit() -> None:
    rows = crowded()
    made = minutes(rows)
    later = rows.tail(1).with_columns(pl.col("time") + pl.duration(minutes=5), ask=pl.lit(None, pl.Float64))
    assert minutes(pl.concat([rows, later])).head(made.height).equals(made)


def test_the_number_of_threads_does_not_change_a_bit() -> None:
    program = (
        "from tests.bars.test_resample import crowded\n"
        "from fx_assets.bars.resample import compose, minutes\n"
        "import hashlib, sys\n"
        "made = minutes(crowded(9_000))\n"
        "rows = [*made.rows(), *compose(made, '5min', calendar='fx').rows()]\n"
        "print(hashlib.sha256(repr(rows).encode()).hexdigest())\n"
    )
    digests = set()
    for threads in ("1", "5"):
        environment = {**os.environ, "POLARS_MAX_THREADS": threads}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True, timeout=120
        )
        digests.add(done.stdout)
    assert len(digests) == 1


@settings(max_examples=40, deadline=None)
@given(quotes(), st.sampled_from(("10min", "15min", "30min", "1h", "4h", "1d", "1w")))
def test_by_way_of_five_minutes(given: list[Tick], frequency: Frequency) -> None:
    made = minutes(ticks(given))
    direct = compose(made, frequency, calendar="fx")
    detour = compose(compose(made, "5min", calendar="fx"), frequency, calendar="fx")
    rounded = ("spread", "realised_variance")
    assert detour.drop(rounded).equals(direct.drop(rounded))
    assert detour["spread"].to_list() == pytest.approx(direct["spread"].to_list(), rel=1e-12)
    # The finest closes there are make the variance: by way of five minutes those are the closes of five minutes.


@pytest.mark.parametrize("move", [0.0, 1e-9, -3e-8, 1e-5, -1.9e-3, 2.1e-3, 0.05, -0.5, 3.0])
@pytest.mark.parametrize("price", [1e-6, 1.1, 112.3, 64_000.0])
def test_squared_returns_to_the_last_bits(price: float, move: float) -> None:
    after = price * (1 + move)
    made = squared_returns(np.array([price]), np.array([after]))[0]
    assert made == pytest.approx(squared(price, after), rel=1e-14, abs=0)


def test_hours_over_a_change_of_the_clocks() -> None:
    """A market that never closes: the date of the change has an hour less in March and one more in November."""
    for change, hours in (("2018-03-11", 23), ("2018-11-04", 25)):
        day = trading_date_of(utc(f"{change}T12:00"))
        begin, end = bar_start(day), bar_end(day)
        times = [begin + timedelta(hours=i) for i in range(hours)]
        assert times[-1] + timedelta(hours=1) == end
        hourly = minutes(ticks([(time, 1.0, 1.0) for time in times]))
        four = compose(hourly, "4h", calendar="24x7")
        assert four["time"].to_list() == [begin + timedelta(hours=4 * i) for i in range(-(-hours // 4))]
        assert compose(hourly, "1d", calendar="24x7")["time"].to_list() == [begin]


def test_ticks_make_the_candles_of_the_vendor(sample_data: Path) -> None:
    """Every minute of a day of Dukascopy, bid: the format as DESIGN's data notes give it, decoded here."""
    folder = sample_data / "dukascopy" / "bi5" / "EURUSD" / "2019" / "01" / "04"  # months count from 0: February
    tick = np.dtype([("ms", ">u4"), ("ask", ">u4"), ("bid", ">u4"), ("av", ">f4"), ("bv", ">f4")])
    start = np.datetime64("2019-02-04", "us")
    hours = []
    for hour in range(24):
        read = np.frombuffer(lzma.decompress((folder / f"{hour:02d}h_ticks.bi5").read_bytes()), tick)
        times = start + np.timedelta64(hour, "h") + (read["ms"].astype(np.int64) * 1000).astype("m8[us]")
        hours.append(pl.DataFrame({"time": times, **{side: read[side].astype(float) / 1e5 for side in ("bid", "ask")}}))
    given = pl.concat(hours).with_columns(pl.col("time").dt.replace_time_zone("UTC"), volume=pl.lit(1.0))
    made = minutes(given)
    candle = np.dtype([("s", ">u4"), *((name, ">u4") for name in ("open", "close", "low", "high")), ("volume", ">f4")])
    wanted = np.frombuffer(lzma.decompress((folder / "BID_candles_min_1.bi5").read_bytes()), candle)
    assert made.height == len(wanted) == 1440
    ours = {"open": "bid_open", "high": "bid_high", "low": "bid_low", "close": "bid"}
    for theirs, name in ours.items():
        assert (made[name].to_numpy() == wanted[theirs].astype(float) / 1e5).all(), name
    assert made["ticks"].sum() == given.height == compose(made, "1d", calendar="fx")["ticks"].sum()
