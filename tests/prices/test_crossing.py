"""Quotes of a cross from those of its legs: which way it comes out, worse side by worse side, never from stale ones."""

from __future__ import annotations

import lzma
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.prices.batch import Form
from fx_assets.prices.crossing import Method, Recipe, cross_closes, cross_ticks, crossed_form, recipe

START = datetime(2024, 1, 2, 8, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
BOTH, BID, ASK, TRADE = (Form("bar", 60, side) for side in ("mid", "bid", "ask", "trade"))


def ticks(*rows: tuple[float, float | None, float | None]) -> pl.DataFrame:
    """Rows of (seconds after START, bid, ask)."""
    times = [START + timedelta(seconds=row[0]) for row in rows]
    schema = pl.Schema({"time": pl.Datetime("us", "UTC"), "bid": pl.Float64(), "ask": pl.Float64()})
    return pl.DataFrame([times, [row[1] for row in rows], [row[2] for row in rows]], schema=schema)


def closes(*rows: tuple[int, float | None, float | None, float | None]) -> pl.DataFrame:
    """Rows of (minutes after START, close, bid, ask)."""
    times = [START + row[0] * MINUTE for row in rows]
    names = ("close", "bid", "ask")
    columns = {name: pl.Series([row[i] for row in rows], dtype=pl.Float64) for i, name in enumerate(names, 1)}
    time = pl.Series(times, dtype=pl.Datetime("us", "UTC"))
    return pl.DataFrame({"time": time, "known_at": time + MINUTE, **columns})


def seconds(frame: pl.DataFrame) -> list[float]:
    return [(time - START).total_seconds() for time in frame["time"]]


@pytest.mark.parametrize(
    ("pair", "legs", "expected"),
    [
        ("EURJPY", ("USDJPY", "EURUSD"), Recipe("EURUSD", "USDJPY", "multiply")),
        ("ETHJPY", ("ETHUSD", "USDJPY"), Recipe("ETHUSD", "USDJPY", "multiply")),
        ("GBPUSD", ("EURUSD", "GBPEUR"), Recipe("GBPEUR", "EURUSD", "multiply")),
        ("EURGBP", ("EURUSD", "GBPUSD"), Recipe("EURUSD", "GBPUSD", "divide")),
        ("GBPEUR", ("EURUSD", "GBPUSD"), Recipe("GBPUSD", "EURUSD", "divide")),
        ("CHFJPY", ("USDJPY", "USDCHF"), Recipe("USDJPY", "USDCHF", "divide")),
        ("JPYCHF", ("USDJPY", "USDCHF"), Recipe("USDCHF", "USDJPY", "divide")),
        ("JPYEUR", ("EURUSD", "USDJPY"), Recipe("EURUSD", "USDJPY", "invert")),
        ("USDGBP", ("EURUSD", "GBPEUR"), Recipe("GBPEUR", "EURUSD", "invert")),
    ],
)
def test_the_way_a_pair_comes_out(pair: str, legs: tuple[str, str], expected: Recipe) -> None:
    assert recipe(pair, legs) == expected
    assert recipe(pair, legs[::-1]) == expected


def test_each_recipe_gives_the_price_it_names() -> None:
    """Against prices made of one value per currency, where every cross is known."""
    value = {"EUR": 1.1, "USD": 1.0, "GBP": 1.27, "JPY": 0.0067, "CHF": 1.13}
    for x in value:
        for legs in ((f"EUR{x}", f"{x}JPY"), (f"EUR{x}", f"GBP{x}"), (f"{x}CHF", f"{x}JPY"), (f"{x}EUR", f"CHF{x}")):
            if any(leg[:3] == leg[3:] for leg in legs) or len({c for leg in legs for c in (leg[:3], leg[3:])}) != 3:
                continue
            price = {leg: value[leg[:3]] / value[leg[3:]] for leg in legs}
            outer = sorted({c for leg in legs for c in (leg[:3], leg[3:])} - {x})
            for pair in (outer[0] + outer[1], outer[1] + outer[0]):
                way = recipe(pair, legs)
                one, other = (closes((0, price[leg], None, None)) for leg in (way.left, way.right))
                [close] = cross_closes(one, other, way.method)["close"]
                assert close == pytest.approx(value[pair[:3]] / value[pair[3:]])


@pytest.mark.parametrize(
    ("pair", "legs", "message"),
    [
        ("EURJPY", ("EURUSD",), "expected exactly two legs, got 1: EURUSD"),
        ("EURJPY", (), "expected exactly two legs, got 0"),
        ("EURJPY", ("EURUSD", "USDJPY", "USDCHF"), "expected exactly two legs, got 3"),
        ("EURJPY", ("EURUSD", "CHFJPY"), "share one currency.*got CHFJPY and EURUSD"),
        ("EURJPY", ("EURUSD", "USDEUR"), "share one currency"),
        ("EURJPY", ("EURUSD", "USDUSD"), "share one currency"),
        ("EURCHF", ("EURUSD", "USDJPY"), "EURUSD and USDJPY make EURJPY or JPYEUR, not EURCHF"),
    ],
)
def test_legs_that_make_nothing_are_named(pair: str, legs: tuple[str, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        recipe(pair, legs)


def test_each_side_is_what_dealing_in_both_legs_costs() -> None:
    one, other = ticks((0, 1.1, 1.2)), ticks((0, 150.0, 151.0))
    assert cross_ticks(one, other, "multiply", MINUTE).row(0)[1:] == (1.1 * 150.0, 1.2 * 151.0)
    assert cross_ticks(one, other, "divide", MINUTE).row(0)[1:] == (1.1 / 151.0, 1.2 / 150.0)
    assert cross_ticks(one, other, "invert", MINUTE).row(0)[1:] == (1 / (1.2 * 151.0), 1 / (1.1 * 150.0))


quote = st.tuples(st.floats(0.01, 1e4), st.floats(0, 10)).map(lambda both: (both[0], both[0] + both[1]))


@settings(max_examples=60, deadline=None)
@given(quote, quote, st.sampled_from(["multiply", "divide", "invert"]))
def test_legs_that_are_not_crossed_make_a_cross_that_is_not(
    one: tuple[float, float], other: tuple[float, float], method: Method
) -> None:
    [(_, bid, ask)] = cross_ticks(ticks((0, *one)), ticks((0, *other)), method, MINUTE).rows()
    assert 0 < bid <= ask


def test_a_tick_takes_the_last_quote_of_the_other_leg_and_the_time_of_the_newer() -> None:
    one = ticks((0, 1.0, 1.0), (10, 2.0, 2.0), (30, 3.0, 3.0))
    other = ticks((5, 10.0, 10.0), (30, 20.0, 20.0), (31, 30.0, 30.0))
    cross = cross_ticks(one, other, "multiply", MINUTE)
    # Nothing at 0 s, where the other leg has not ticked; one tick at 30 s, where both do.
    assert seconds(cross) == [5, 10, 30, 31]
    assert cross["bid"].to_list() == [10.0, 20.0, 60.0, 90.0]


def test_a_quote_that_is_too_old_makes_no_tick() -> None:
    one = ticks((0, 1.0, 1.0), (60, 2.0, 2.0), (61, 3.0, 3.0), (62, 4.0, 4.0))
    other = ticks((0, 10.0, 10.0), (62, 20.0, 20.0))
    cross = cross_ticks(one, other, "multiply", MINUTE)
    assert seconds(cross) == [0, 60, 62]  # at 61 s the other leg's quote is 61 s old
    assert seconds(cross_ticks(other, one, "multiply", MINUTE)) == [0, 60, 62]


def test_a_side_that_a_leg_lacks_is_null_and_without_any_there_is_no_tick() -> None:
    one = ticks((0, 1.0, None), (1, 1.0, 1.5), (2, None, None))
    other = ticks((0, 10.0, 11.0))
    assert cross_ticks(one, other, "multiply", MINUTE).rows() == [
        (START, 10.0, None),
        (START + timedelta(seconds=1), 10.0, 16.5),
    ]


def test_closes_meet_where_both_legs_have_a_bar() -> None:
    one = closes((0, 1.1, None, None), (1, 1.2, None, None), (3, None, None, None))
    other = closes((1, 100.0, None, None), (2, 101.0, None, None), (3, 100.0, None, None))
    assert cross_closes(one, other, "multiply").rows() == [
        (START + MINUTE, START + 2 * MINUTE, 1.2 * 100.0, None, None)
    ]
    later = other.with_columns(pl.col("known_at") + MINUTE)
    for legs in ((one, later), (later, one)):
        assert cross_closes(*legs, "multiply")["known_at"].to_list() == [START + 3 * MINUTE]


def test_with_both_sides_of_both_legs_the_close_is_the_mid_of_the_cross() -> None:
    one, other = closes((0, 1.15, 1.1, 1.2)), closes((0, 100.5, 100.0, 101.0))
    [(_, _, close, bid, ask)] = cross_closes(one, other, "divide").rows()
    assert (bid, ask) == (1.1 / 101.0, 1.2 / 100.0)
    assert close == (bid + ask) / 2
    [(_, _, close, bid, ask)] = cross_closes(one, closes((0, 100.5, None, None)), "divide").rows()
    assert (close, bid, ask) == (1.15 / 100.5, None, None)
    [(_, _, close, bid, ask)] = cross_closes(one, closes((0, 100.5, 100.0, None)), "multiply").rows()
    assert (close, bid, ask) == (1.15 * 100.5, None, None)  # half a quote is none


@pytest.mark.parametrize(
    ("method", "left", "right", "side"),
    [
        ("multiply", BOTH, BOTH, "mid"),
        ("divide", BOTH, BOTH, "mid"),
        ("divide", TRADE, TRADE, "trade"),
        ("multiply", TRADE, BOTH, "mid"),
        ("multiply", TRADE, BID, "trade"),
        ("divide", ASK, TRADE, "trade"),
        ("multiply", BID, BID, "bid"),
        ("multiply", ASK, ASK, "ask"),
    ],
)
def test_the_side_that_comes_out(method: Method, left: Form, right: Form, side: str) -> None:
    form = crossed_form(method, ("EURUSD", left), ("USDJPY", right))
    assert (form.kind, form.seconds, form.side) == ("bar", 60, side)


@pytest.mark.parametrize(
    ("method", "left", "right", "message"),
    [
        ("divide", BID, BID, "bid by bid is neither bid nor ask; give both legs with bid and ask"),
        ("invert", ASK, ASK, "to invert one side needs the other"),
        ("divide", Form("tick", 0, "bid"), Form("tick", 0, "bid"), r"ticks \(bid\).*neither bid nor ask"),
        ("multiply", BID, ASK, "different sides"),
        ("multiply", BID, BOTH, "different sides"),
        ("multiply", Form("tick"), BOTH, r"EURUSD delivers ticks, USDJPY bars of 1min \(mid\): .* set `resolution`"),
        ("multiply", Form("bar", 3600), BOTH, r"bars of 1h \(mid\), USDJPY bars of 1min"),
        ("multiply", Form("fixing"), Form("bar", 86_400), "EURUSD delivers fixings"),
    ],
)
def test_legs_that_do_not_fit_are_refused_with_the_reason(
    method: Method, left: Form, right: Form, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        crossed_form(method, ("EURUSD", left), ("USDJPY", right))


def _mt4(path: Path) -> pl.DataFrame:
    columns = ["date", "clock", "open", "high", "low", "close", "volume"]
    frame = pl.read_csv(lzma.decompress(path.read_bytes()), has_header=False, new_columns=columns)
    wall = pl.concat_str("date", "clock", separator=" ").str.to_datetime("%Y.%m.%d %H:%M", time_unit="us")
    none = pl.lit(None, pl.Float64)
    time = wall.dt.replace_time_zone("UTC").alias("time")
    return frame.select(time, time.alias("known_at"), "close", bid=none, ask=none)


def test_the_triangle_of_real_bars(sample_data: Path) -> None:
    """EURUSD * USDJPY bid closes every five minutes of half a year against the broker's own EURJPY."""
    one, other, own = (_mt4(sample_data / "mt4_m5" / f"{name}5.csv.xz") for name in ("EURUSD", "USDJPY", "EURJPY"))
    both = cross_closes(one, other, "multiply").join(own.select("time", own="close"), on="time")
    off = ((both["close"] / both["own"] - 1) * 1e4).abs()
    assert both.height > 30_000
    assert off.median() < 0.2  # type: ignore[operator]
    assert off.quantile(0.99) < 3.5  # type: ignore[operator]
