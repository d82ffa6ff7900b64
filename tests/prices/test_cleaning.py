"""The rules that each row must meet: what is rejected, why, and in which words; order and repeats."""

from __future__ import annotations

import lzma
import math
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.prices.batch import KEPT_TEXT, Form
from fx_assets.prices.cleaning import check_rows, clean, in_order, out_of_order

START = datetime(2026, 11, 2, 9, tzinfo=UTC)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MINUTES = Form("bar", 60, "bid")
TICKS, FIXINGS = Form("tick"), Form("fixing")
GOOD = {"open": 1.10, "high": 1.12, "low": 1.09, "close": 1.11}
SIDES = {
    **{"bid_open": 1.10, "bid_high": 1.12, "bid_low": 1.09, "bid": 1.11},
    **{"ask_open": 1.20, "ask_high": 1.22, "ask_low": 1.19, "ask": 1.21},
}


def rows(*changes: Mapping[str, object], base: Mapping[str, float | None] = GOOD) -> pl.DataFrame:
    """One good row, then one a minute with each of `changes`."""
    given = [
        {"line": number, "time": START + timedelta(minutes=number), **base, **change}
        for number, change in enumerate(({}, *changes), start=1)
    ]
    return pl.DataFrame(given, schema_overrides={"time": pl.Datetime("us", "UTC")} | dict.fromkeys(base, pl.Float64))


def reasons(frame: pl.DataFrame, form: Form = MINUTES) -> list[str]:
    checked = check_rows(frame, form, now=NOW)
    assert checked.rows.height + checked.rejects.height == frame.height
    assert sum(checked.counts.values()) == checked.rejects.height
    return checked.rejects["reason"].to_list()


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"close": None}, "missing_price"),
        ({"open": None}, "missing_price"),
        ({"close": math.nan}, "not_finite"),
        ({"high": math.inf}, "not_finite"),
        ({"low": -math.inf}, "not_finite"),
        ({"high": 1e308}, "not_finite"),
        ({"low": 0.0}, "not_positive"),
        ({"open": -1.1, "low": -1.2}, "not_positive"),
        ({"high": 1.05, "low": 1.13}, "ohlc_inconsistent"),
        ({"open": 1.13}, "ohlc_inconsistent"),
        ({"open": 1.08}, "ohlc_inconsistent"),
        ({"close": 1.13}, "ohlc_inconsistent"),
        ({"close": 1.08}, "ohlc_inconsistent"),
        ({"time": NOW + timedelta(minutes=5, microseconds=1)}, "in_the_future"),
        ({"time": None}, "missing_time"),
    ],
)
def test_a_bar_that_breaks_a_rule_is_rejected_by_name(change: dict[str, object], reason: str) -> None:
    frame = rows(change)
    checked = check_rows(frame, MINUTES, now=NOW)
    assert checked.rejects["reason"].to_list() == [reason]
    assert checked.rejects["line"].to_list() == [2]
    assert checked.counts == {reason: 1}
    assert checked.rows["line"].to_list() == [1]


def test_what_is_merely_unusual_stays() -> None:
    noise = 1 + 1e-12
    kept: list[Mapping[str, object]] = [
        {"open": 1.11, "high": 1.11, "low": 1.11},
        {"close": 1.12 * noise},
        {"open": 1.09 / noise},
        {"time": NOW + timedelta(minutes=5)},
        {name: price * 100 for name, price in GOOD.items()},
    ]
    assert reasons(rows(*kept)) == []


def test_a_reject_says_what_the_row_said() -> None:
    frame = rows({"open": 1.13, "low": None}).with_columns(volume=pl.lit(12.5))
    raw = check_rows(frame, MINUTES, now=NOW).rejects["raw"].item()
    assert raw == "time=2026-11-02T09:02:00+00:00, open=1.13, high=1.12, close=1.11, volume=12.5"
    wide = rows(dict.fromkeys(SIDES, 1 / 3e7) | {"bid": math.nan}, base=SIDES)
    assert len(check_rows(wide, MINUTES, now=NOW).rejects["raw"].item()) == KEPT_TEXT


def test_only_so_many_rejects_are_put_in_words_and_all_are_counted() -> None:
    frame = rows(*({"close": None} for _ in range(5)), {"close": -1.0})
    checked = check_rows(frame, MINUTES, now=NOW, keep=2)
    assert checked.rejects["line"].to_list() == [2, 3]
    assert checked.counts == {"missing_price": 5, "not_positive": 1}


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"bid": 1.215}, "crossed_quote"),
        ({"bid_open": 1.21, "bid_high": 1.23}, "crossed_quote"),
        ({"ask_low": 1.22, "ask_open": 1.21}, "ohlc_inconsistent"),
        ({"bid_high": 1.10}, "ohlc_inconsistent"),
        ({"bid": 1.21}, "ohlc_inconsistent"),
        ({"ask": None}, "missing_price"),
    ],
)
def test_each_side_of_a_bar_is_held_to_the_rules(change: dict[str, object], reason: str) -> None:
    assert reasons(rows(change, base=SIDES)) == [reason]


def test_the_middle_is_made_of_two_sides_where_it_is_not_given() -> None:
    made = check_rows(rows(base=SIDES), Form("bar", 3_600), now=NOW).rows.row(0, named=True)
    assert [made[name] for name in GOOD] == pytest.approx([1.15, 1.17, 1.14, 1.16])
    given = rows().with_columns(**{name: pl.lit(price) for name, price in SIDES.items()})
    kept = check_rows(given, Form("bar", 3_600), now=NOW).rows.row(0, named=True)
    assert [kept[name] for name in GOOD] == [*GOOD.values()]


def test_a_rounded_close_widens_the_middle_of_high_and_low_and_is_never_changed() -> None:
    flat = dict.fromkeys(("bid_open", "bid_high", "bid_low", "bid"), 118.624)
    flat |= dict.fromkeys(("ask_open", "ask_high", "ask_low", "ask"), 118.639)
    for close, high, low in [(118.632, 118.632, 118.6315), (118.631, 118.6315, 118.631)]:
        made = check_rows(rows(base={**flat, "close": close}), Form("bar", 3_600), now=NOW)
        row = made.rows.row(0, named=True)
        assert (row["close"], row["high"], row["low"]) == (close, pytest.approx(high), pytest.approx(low))
        assert row["low"] <= row["open"] <= row["high"]


def test_two_closes_alone_make_a_close_alone() -> None:
    made = check_rows(rows(base={"bid": 1.0, "ask": 1.5}), Form("bar", 3_600), now=NOW).rows
    assert made["close"].to_list() == [1.25]
    assert "high" not in made.columns


def test_a_tick_may_lack_a_side_but_not_both() -> None:
    frame = rows({"ask": None}, {"bid": None}, {"bid": None, "ask": None}, {"bid": 1.3}, base={"bid": 1.1, "ask": 1.2})
    assert reasons(frame, TICKS) == ["missing_price", "crossed_quote"]
    assert "close" not in check_rows(frame, TICKS, now=NOW).rows.columns
    assert reasons(rows({}, base={"ask": 1.2}), TICKS) == []


def test_a_column_without_a_value_is_none_but_a_close_there_must_be() -> None:
    empty = {"close": 1.1, "open": None, "bid": None, "ask": None}
    assert reasons(rows(empty, base=empty), FIXINGS) == []
    assert reasons(rows(base={**GOOD, "close": None})) == ["missing_price"]
    assert reasons(rows(base={"bid": None, "ask": None}), TICKS) == ["missing_price"]
    for columns in (["line", "time"], ["line", "time", "bid"]):
        with pytest.raises(ValueError, match="rows without a price; their columns are line, time"):
            check_rows(rows(base=SIDES).select(columns), MINUTES, now=NOW)


def test_no_rows_are_no_rows() -> None:
    assert check_rows(rows().clear(), MINUTES, now=NOW).rows.is_empty()


def test_a_volume_that_is_not_a_number_is_none() -> None:
    frame = rows({}).with_columns(volume=pl.Series([math.nan, 3.0]))
    assert check_rows(frame, MINUTES, now=NOW).rows["volume"].to_list() == [None, 3.0]


def tick_rows(quotes: list[tuple[int, float]]) -> pl.DataFrame:
    given = [(number, START + timedelta(seconds=second), bid) for number, (second, bid) in enumerate(quotes, start=1)]
    return pl.DataFrame(given, {"line": pl.Int64, "time": pl.Datetime("us", "UTC"), "bid": pl.Float64}, orient="row")


def test_repeats_are_dropped_and_counted_and_the_last_of_a_time_wins() -> None:
    cleaned = clean(tick_rows([(0, 1.1), (0, 1.1), (1, 1.2), (1, 1.3), (1, 1.2), (2, 1.4)]), TICKS, now=NOW, origin="x")
    assert cleaned.rows["bid"].to_list() == [1.1, 1.2, 1.4]
    assert cleaned.rows["line"].to_list() == [2, 5, 6]
    assert (cleaned.duplicates, cleaned.replaced, cleaned.out_of_order) == (1, 2, 0)
    assert clean(tick_rows([(0, -1.0)]), TICKS, now=NOW, origin="x").rejects["origin"].to_list() == ["x"]


def test_rows_out_of_order_are_counted() -> None:
    assert out_of_order(tick_rows([(3, 1.1), (1, 1.1), (2, 1.2), (3, 1.1), (4, 1.1)])["time"]) == 2
    assert out_of_order(tick_rows([])["time"]) == 0


def test_the_order_of_equal_times_holds_in_long_files_too() -> None:
    n = 200_000
    second = pl.duration(seconds=pl.col("line") * 3 % 7)
    frame = pl.DataFrame({"line": range(n)}).select("line", time=pl.lit(START) + second, bid=pl.col("line") + 1.0)
    assert sorted(in_order(frame)[0]["line"]) == [*range(n - 7, n)]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.tuples(st.integers(0, 9), st.sampled_from([1.1, 1.2])), min_size=1, max_size=30))
def test_any_order_gives_what_the_sorted_input_gives(quotes: list[tuple[int, float]]) -> None:
    expected: dict[int, float] = {}
    replaced = 0
    for second, bid in sorted(quotes, key=lambda quote: quote[0]):  # stable: equal times keep their order
        replaced += second in expected and expected[second] != bid
        expected[second] = bid
    made, duplicates, changed = in_order(tick_rows(quotes))
    assert made["time"].to_list() == [START + timedelta(seconds=second) for second in expected]
    assert made["bid"].to_list() == [*expected.values()]
    assert changed == replaced
    assert made.height + duplicates + changed == len(quotes)


def test_real_bars_of_both_sides_meet_the_rules(sample_data: Path) -> None:
    names = {
        f"{side}_{letter}": f"{side}_{word}"
        for side in ("bid", "ask")
        for letter, word in zip("ohl", ("open", "high", "low"), strict=True)
    }
    names |= {"bid_c": "bid", "ask_c": "ask", "mid_c": "close"}
    for path in sorted((sample_data / "oanda_h1").glob("*.xz")):
        with lzma.open(path) as file:
            frame = pl.read_csv(file.read()).rename(names).with_row_index("line", 2)
        frame = frame.with_columns(
            pl.col("time").str.to_datetime("%Y-%m-%dT%H:%M:%SZ", time_unit="us", time_zone="UTC")
        )
        cleaned = clean(frame, Form("bar", 3_600), now=NOW)
        assert cleaned.rejects.is_empty(), cleaned.rejects
        assert (cleaned.rows.height, cleaned.duplicates, cleaned.out_of_order) == (frame.height, 0, 0)
        inside = cleaned.rows.select((pl.col("high") >= pl.col("close")) & (pl.col("close") >= pl.col("low")))
        assert inside.to_series().all()
        assert (cleaned.rows["close"] == frame["close"]).all()
