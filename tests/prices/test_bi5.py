"""Dukascopy's packed files: written here byte by byte, and the vendor's own against each other."""

from __future__ import annotations

import lzma
import struct
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.prices import bi5
from tests.support.dukascopy import bi5_candles, bi5_ticks, packed

HOUR = datetime(2019, 2, 4, 7, tzinfo=UTC)
DAY = datetime(2019, 2, 4, tzinfo=UTC)
POINTS = st.integers(1, 2**32 - 1)


def test_the_ask_comes_first_in_a_tick() -> None:
    record = struct.pack(">IIIff", 93, 114277, 114273, 1.5, 2.25)
    rows = bi5.ticks(packed(record), start=HOUR, scale=1e5)
    assert rows.rows(named=True) == [
        {"line": 1, "time": HOUR + timedelta(milliseconds=93), "bid": 1.14273, "ask": 1.14277, "volume": 2.25}
    ]
    assert rows.schema["time"] == pl.Datetime("us", "UTC")


def test_the_close_comes_second_and_the_low_third_in_a_candle() -> None:
    record = struct.pack(">IIIIIf", 120, 114543, 114569, 114542, 114570, 293.5)
    rows, closed = bi5.candles(packed(record), start=DAY, span=timedelta(days=1), seconds=60, scale=1e5)
    assert closed == 0
    assert rows.rows(named=True) == [
        {
            "line": 1,
            "time": DAY + timedelta(minutes=2),
            "open": 1.14543,
            "high": 1.1457,
            "low": 1.14542,
            "close": 1.14569,
            "volume": 293.5,
        }
    ]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 3_599_999), POINTS, POINTS), max_size=20), st.sampled_from([10, 1e3, 1e5]))
def test_ticks_go_there_and_back(given_ticks: list[tuple[int, int, int]], scale: float) -> None:
    rows = bi5.ticks(bi5_ticks([(*tick, 1.0, 2.0) for tick in given_ticks]), start=HOUR, scale=scale)
    ms = ((rows["time"] - HOUR).dt.total_microseconds() // 1_000).to_list()
    back = zip(ms, *((rows[side] * scale).round().cast(pl.Int64) for side in ("ask", "bid")), strict=True)
    assert list(back) == given_ticks


@settings(max_examples=100, deadline=None)
@given(st.integers(1, 10**9), st.sampled_from([0, 1, 3, 5]))
def test_a_price_is_the_float_of_its_decimal_number(points: int, places: int) -> None:
    text = f"{points // 10**places}.{points % 10**places:0{places}d}" if places else str(points)
    (price,) = bi5.to_prices(np.array([points]), bi5.scale_of(float(f"1e-{places}")))
    assert price == float(text)


@pytest.mark.parametrize(
    ("symbol", "scale"),
    [
        ("EURUSD", 1e5),
        ("EUR-USD", 1e5),
        ("usd/jpy", 1e3),
        ("EURJPY", 1e3),
        ("HKDJPY", 1e5),
        ("EURHUF", 1e3),
        ("USDCZK", 1e4),
        ("XAUUSD", 1e3),
        ("BTCUSD", 10),
    ],
)
def test_the_scale_of_a_symbol(symbol: str, scale: float) -> None:
    assert bi5.scale(symbol) == scale


@pytest.mark.parametrize("symbol", ["ETHUSD", "EURXXX", "USA500IDXUSD", ""])
def test_an_unknown_scale_is_not_guessed(symbol: str) -> None:
    with pytest.raises(ValueError, match=r"say it as `points` of the source"):
        bi5.scale(symbol)


def test_points_of_the_configuration() -> None:
    assert [bi5.scale_of(step) for step in (1e-5, 0.001, 0.1, 1.0, 0.25)] == [100_000, 1_000, 10, 1, 4]
    assert bi5.scale_of(10.0) == 0.1
    for step in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="above 0"):
            bi5.scale_of(step)


def test_the_yen_has_three_decimals() -> None:
    rows = bi5.ticks(bi5_ticks([(0, 109_503, 109_501, 1, 1)]), start=HOUR, scale=bi5.scale("USDJPY"))
    assert rows.select("bid", "ask").row(0) == (109.501, 109.503)


@pytest.mark.parametrize(
    ("path", "symbol", "start", "hours", "seconds", "side"),
    [
        ("x/EURUSD/2019/01/04/00h_ticks.bi5", "EURUSD", "2019-02-04", 1, 0, "mid"),
        ("EURUSD/2019/00/31/23h_ticks.bi5", "EURUSD", "2019-01-31T23:00", 1, 0, "mid"),
        ("2019/01/04/BID_candles_min_1.bi5", None, "2019-02-04", 24, 60, "bid"),
        (r"D:\duka\EURUSD\2019\01\04\ASK_candles_min_1.bi5", "EURUSD", "2019-02-04", 24, 60, "ask"),
        ("EURUSD/2020/01/BID_candles_hour_1.bi5", "EURUSD", "2020-02-01", 29 * 24, 3_600, "bid"),
        ("EURUSD/2019/11/BID_candles_hour_1.bi5", "EURUSD", "2019-12-01", 31 * 24, 3_600, "bid"),
        ("old/2020/BID_candles_day_1.bi5", None, "2020-01-01", 366 * 24, 86_400, "bid"),
    ],
)
def test_months_in_a_path_count_from_0(
    path: str, symbol: str | None, start: str, hours: int, seconds: int, side: str
) -> None:
    name = bi5.named(path)
    assert (name.symbol, name.seconds, name.side) == (symbol, seconds, side)
    assert (name.start, name.span) == (datetime.fromisoformat(start).replace(tzinfo=UTC), timedelta(hours=hours))


@pytest.mark.parametrize(
    "path", ["empty.bi5", "00h_ticks.bi5", "EURUSD/2019/01/00h_ticks.bi5", "EURUSD/2019/01/04/BID_candles_hour_1.bi5"]
)
def test_a_path_that_does_not_say_its_time(path: str) -> None:
    with pytest.raises(ValueError, match=r"does not say which time it is of.*months count from 0"):
        bi5.named(path)


@pytest.mark.parametrize("path", ["2019/12/04/00h_ticks.bi5", "2019/01/30/00h_ticks.bi5", "2019/01/04/24h_ticks.bi5"])
def test_a_path_that_names_no_date(path: str) -> None:
    with pytest.raises(ValueError, match=r"names no date: .*; months count from 0 \(January\) to 11"):
        bi5.named(path)


def test_a_file_without_a_byte_is_a_closed_market() -> None:
    assert bi5.ticks(b"", start=HOUR, scale=1e5).is_empty()
    rows, closed = bi5.candles(b"", start=DAY, span=timedelta(days=1), seconds=60, scale=1e5)
    assert (rows.height, closed) == (0, 0)
    assert bi5.ticks(packed(b""), start=HOUR, scale=1e5).is_empty()


def test_the_candles_of_a_closed_market_are_no_bars() -> None:
    flat, still, moved = (0, 5, 5, 5, 5, 0.0), (60, 5, 5, 5, 5, 1.0), (120, 5, 6, 5, 5, 0.0)
    rows, closed = bi5.candles(
        bi5_candles([flat, still, moved]), start=DAY, span=timedelta(days=1), seconds=60, scale=1e5
    )
    assert (rows["line"].to_list(), closed) == ([2, 3], 1)


GOOD = bi5_ticks([(at * 1_000, 114_277 + at, 114_273 + at, 1, 1) for at in range(500)])


@pytest.mark.parametrize("size", [1, 5, 13, 14, 100, len(GOOD) // 2, len(GOOD) - 1])
def test_a_file_cut_short_gives_nothing(size: int) -> None:
    with pytest.raises(ValueError, match=r"ends early, after .* bytes of content; download the file again"):
        bi5.ticks(GOOD[:size], start=HOUR, scale=1e5)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"<html>Sorry</html>", "damaged"),
        (GOOD + b"more", "4 bytes follow the end"),
        (packed(b"12345"), "5 bytes of content are no whole number of ticks of 20 bytes"),
        (packed(struct.pack(">IIIIIf", 0, 1, 1, 1, 1, 1)), "24 bytes of content are no whole number of ticks"),
        (bi5_ticks([(0, 2, 1, 1, 1), (3_600_000, 2, 1, 1, 1)]), "record 2 is 3,600,000 ms into the file"),
    ],
    ids=["html", "more", "5 bytes", "a candle", "next hour"],
)
def test_what_is_no_file_of_ticks(data: bytes, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bi5.ticks(data, start=HOUR, scale=1e5)


@pytest.mark.parametrize(
    ("second", "message"), [(30, "candle 1 starts 30 s into the file, expected steps of 60"), (86_400, "record 1 is")]
)
def test_a_candle_that_is_none_of_its_file(second: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        bi5.candles(bi5_candles([(second, 1, 1, 1, 1, 1.0)]), start=DAY, span=timedelta(days=1), seconds=60, scale=1e5)


def test_a_file_that_unpacks_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bi5, "LARGEST", 1_000_000)
    with pytest.raises(ValueError, match="more than 1,000,000 bytes"):
        bi5.unpack(packed(bytes(20_000_000)))


def test_no_flipped_byte_gives_a_price_outside_its_hour() -> None:
    """LZMA-alone has no checksum: what is read in spite of damage is at least of the right size and hour."""
    for at in range(0, len(GOOD), 7):
        damaged = GOOD[:at] + bytes([GOOD[at] ^ 0xFF]) + GOOD[at + 1 :]
        try:
            rows = bi5.ticks(damaged, start=HOUR, scale=1e5)
        except ValueError:
            continue
        assert rows["time"].is_between(HOUR, HOUR + timedelta(hours=1), closed="left").all()


# The vendor's own files


def vendor(sample_data: Path, tail: str) -> tuple[bytes, bi5.Bi5Name]:
    path = sample_data / "dukascopy" / "bi5" / "EURUSD" / tail
    return path.read_bytes(), bi5.named(str(path))


def vendor_candles(sample_data: Path, tail: str) -> tuple[pl.DataFrame, int]:
    data, name = vendor(sample_data, tail)
    return bi5.candles(data, start=name.start, span=name.span, seconds=name.seconds, scale=bi5.scale("EURUSD"))


def bars(rows: pl.DataFrame, every: str, **columns: pl.Expr) -> pl.DataFrame:
    return rows.group_by(pl.col("time").dt.truncate(every)).agg(**columns).sort("time")


def test_ticks_make_the_vendors_own_minutes(sample_data: Path) -> None:
    """All 1,440 minutes of 4 February 2019 have ticks, so that none is flat with a volume of 0."""
    hours = [vendor(sample_data, f"2019/01/04/{hour:02}h_ticks.bi5") for hour in range(24)]
    ticks = pl.concat([bi5.ticks(data, start=name.start, scale=1e5) for data, name in hours])
    assert ticks.height == 136_741
    assert ticks["time"].is_sorted()
    assert (ticks["ask"] > ticks["bid"]).all()
    bid = pl.col("bid")
    made = bars(
        ticks, "1m", open=bid.first(), high=bid.max(), low=bid.min(), close=bid.last(), volume=pl.col("volume").sum()
    )
    candles, closed = vendor_candles(sample_data, "2019/01/04/BID_candles_min_1.bi5")
    assert (candles.height, closed) == (1_440, 0)
    assert made.drop("volume").equals(candles.drop("line", "volume"))
    assert (made["volume"] / candles["volume"] - 1).abs().max() < 1e-6  # type: ignore[operator]  # float32 sums


def test_minutes_make_the_vendors_own_hours(sample_data: Path) -> None:
    minutes, _ = vendor_candles(sample_data, "2019/01/04/BID_candles_min_1.bi5")
    hours, closed = vendor_candles(sample_data, "2019/01/BID_candles_hour_1.bi5")
    assert (hours.height, closed) == (480, 192)
    column = {"open": "first", "high": "max", "low": "min", "close": "last"}
    made = bars(minutes, "1h", **{name: getattr(pl.col(name), how)() for name, how in column.items()})
    of_day = hours.filter(pl.col("time").is_between(DAY, DAY + timedelta(days=1), closed="left"))
    assert made.height == 24
    assert made.equals(of_day.drop("line", "volume"))


def test_closed_hours_and_days_are_left_out(sample_data: Path) -> None:
    january, closed = vendor_candles(sample_data, "2019/00/BID_candles_hour_1.bi5")
    assert (january.height, closed) == (530, 214)
    assert january["time"][0] == datetime(2019, 1, 1, 22, tzinfo=UTC)
    assert (january["volume"] > 0).all()
    week = january.with_columns(local=pl.col("time").dt.convert_time_zone("America/New_York"))
    day, hour = pl.col("local").dt.weekday(), pl.col("local").dt.hour()
    assert week.filter((day == 6) | ((day == 5) & (hour >= 17)) | ((day == 7) & (hour < 17))).is_empty()
    days, closed = vendor_candles(sample_data, "2018/BID_candles_day_1.bi5")
    assert (days.height, closed) == (313, 52)
    assert set(days["time"].dt.weekday()) == {1, 2, 3, 4, 5, 7}  # days of UTC: two hours of Sunday are one


def test_the_vendors_closed_hour_and_a_cut_file(sample_data: Path) -> None:
    empty = (sample_data / "dukascopy" / "bi5" / "empty.bi5").read_bytes()
    assert bi5.ticks(empty, start=HOUR, scale=1e5).is_empty()
    data, name = vendor(sample_data, "2019/01/04/00h_ticks.bi5")
    for size in range(1, len(data), 997):
        with pytest.raises(ValueError, match="ends early"):
            bi5.ticks(data[:size], start=name.start, scale=1e5)


def test_the_encoder_of_these_tests_writes_what_the_vendor_writes(sample_data: Path) -> None:
    data, _ = vendor(sample_data, "2019/01/04/00h_ticks.bi5")
    content = lzma.decompress(data, lzma.FORMAT_ALONE)
    records = [
        (int(ms), int(ask), int(bid), float(a), float(b)) for ms, ask, bid, a, b in np.frombuffer(content, bi5.TICK)
    ]
    assert bi5.unpack(bi5_ticks(records)) == content
