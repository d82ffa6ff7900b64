"""Prices in two times: what is appended, what is corrected, what was known when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.prices.ecb_file import publication_time
from fx_assets.prices.history import current_view, last_said, merge, view_at
from fx_assets.prices.schema import PRICE_COLUMNS, RAW_SCHEMA, TICK_SCHEMA, polars_schema
from fx_assets.timegrid.trading_dates import fixing_time

FIRST = date(2026, 10, 1)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
START = datetime(2026, 11, 2, 9, tzinfo=UTC)
UTC_TYPE = pl.Datetime("us", "UTC")


def fixings(closes: list[float | None], *, pair: str = "EURUSD", first: date = FIRST) -> pl.DataFrame:
    """One fixing a calendar day from `first` on; a None is a day without."""
    days = [(first + timedelta(days=i), close) for i, close in enumerate(closes) if close is not None]
    rows = [
        {
            "pair": pair,
            "time": fixing_time(day),
            "known_at": publication_time(day),
            "trading_date": day,
            "kind": "fixing",
            "close": close,
            "source": "ecb",
        }
        for day, close in days
    ]
    nothing = pl.DataFrame(schema=polars_schema(RAW_SCHEMA))
    return pl.concat([nothing, pl.DataFrame(rows)], how="diagonal") if rows else nothing


def test_the_first_fetch_is_taken_as_it_is() -> None:
    merged = merge(None, fixings([1.1, 1.2]).reverse(), now=NOW)
    assert merged.rows.equals(fixings([1.1, 1.2]))
    assert (merged.added, merged.corrected) == (2, 0)


def test_equal_content_adds_nothing() -> None:
    rows = fixings([1.1, 1.2])
    merged = merge(rows, rows, now=NOW)
    assert merged.rows.equals(rows)
    assert (merged.added, merged.corrected) == (0, 0)


def test_new_times_keep_their_own_known_at() -> None:
    merged = merge(fixings([1.1, None, 1.3]), fixings([1.1, 1.2, 1.3, 1.4]), now=NOW)
    assert merged.rows.equals(fixings([1.1, 1.2, 1.3, 1.4]))
    assert (merged.added, merged.corrected) == (2, 0)


def test_a_correction_is_appended_and_known_from_now() -> None:
    merged = merge(fixings([1.1, 1.2]), fixings([1.1, 1.25]), now=NOW)
    assert (merged.added, merged.corrected) == (0, 1)
    assert merged.rows["close"].to_list() == [1.1, 1.2, 1.25]
    assert merged.rows["known_at"][2] == NOW
    assert merged.rows["time"][1] == merged.rows["time"][2]
    assert current_view(merged.rows)["close"].to_list() == [1.1, 1.25]
    assert view_at(merged.rows, NOW)["close"].to_list() == [1.1, 1.25]
    assert view_at(merged.rows, NOW - timedelta(microseconds=1))["close"].to_list() == [1.1, 1.2]


def test_a_price_taken_back_and_put_back_is_two_corrections() -> None:
    rows = fixings([1.1])
    for hours, close in [(0, 1.2), (1, 1.1)]:
        rows = merge(rows, fixings([close]), now=NOW + timedelta(hours=hours)).rows
    assert rows["close"].to_list() == [1.1, 1.2, 1.1]
    assert current_view(rows)["close"].to_list() == [1.1]


def test_what_the_source_no_longer_has_stays() -> None:
    merged = merge(fixings([1.1, 1.2]), fixings([None, 1.2]), now=NOW)
    assert merged.rows.equals(fixings([1.1, 1.2]))


@pytest.mark.parametrize("column", ["open", "high", "low", "bid", "ask"])
def test_a_price_that_appears_beside_the_close_is_a_correction(column: str) -> None:
    rows = fixings([1.1])
    more = rows.with_columns(pl.lit(1.0).alias(column))
    assert merge(rows, more, now=NOW).corrected == 1
    assert merge(more, rows, now=NOW).corrected == 1
    assert merge(more, more, now=NOW).corrected == 0


def test_a_correction_counts_though_the_clock_went_back() -> None:
    early = publication_time(FIRST) - timedelta(hours=1)
    merged = merge(fixings([1.1]), fixings([1.2]), now=early)
    assert current_view(merged.rows)["close"].to_list() == [1.2]


def test_a_view_before_anything_was_known_is_empty() -> None:
    rows = fixings([1.1, 1.2])
    assert view_at(rows, publication_time(FIRST) - timedelta(seconds=1)).is_empty()
    assert view_at(rows, publication_time(FIRST))["close"].to_list() == [1.1]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.lists(st.sampled_from([None, 1.1, 1.2]), min_size=4, max_size=4), min_size=1, max_size=4))
def test_the_view_is_the_last_word_of_each_time(fetches: list[list[float | None]]) -> None:
    rows: pl.DataFrame | None = None
    expected: dict[date, float] = {}
    known: list[tuple[datetime, dict[date, float]]] = []
    for hour, closes in enumerate(fetches):
        now = NOW + timedelta(hours=hour)
        rows = merge(rows, fixings(closes), now=now).rows
        expected |= {FIRST + timedelta(days=i): close for i, close in enumerate(closes) if close is not None}
        known.append((now, dict(expected)))
    assert rows is not None
    view = current_view(rows)
    assert dict(zip(view["trading_date"], view["close"], strict=True)) == expected
    assert view["time"].is_sorted()
    # Any past view is the prefix of what had been said then, but for times that are new and older: those keep the
    # instant at which the source first published them.
    for now, then in known:
        past = view_at(rows, now)
        said = dict(zip(past["trading_date"], past["close"], strict=True))
        assert said.items() >= then.items()


def test_bad_calls_are_refused() -> None:
    rows = fixings([1.1])
    with pytest.raises(ValueError, match="2 rows share their time"):
        merge(rows, pl.concat([rows, rows]), now=NOW)
    with pytest.raises(ValueError, match="expected one pair, got EURUSD, USDJPY"):
        merge(rows, fixings([1.1], pair="USDJPY"), now=NOW)
    with pytest.raises(ValueError, match="no time zone"):
        merge(rows, rows, now=NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match="no time zone"):
        view_at(rows, NOW.replace(tzinfo=None))
    with pytest.raises(ValueError, match=r"columns missing: \['close'\]"):
        merge(rows, rows.drop("close"), now=NOW)


def ticks(quotes: list[tuple[int, float | None, float | None]]) -> pl.DataFrame:
    """(second, bid, ask) as rows of TICK_SCHEMA, known at their time."""
    rows = [
        {"pair": "EURUSD", "time": START + timedelta(seconds=second), "bid": bid, "ask": ask}
        for second, bid, ask in quotes
    ]
    nothing = pl.DataFrame(schema=polars_schema(TICK_SCHEMA))
    typed = pl.DataFrame(rows, schema_overrides={"time": UTC_TYPE, "bid": pl.Float64, "ask": pl.Float64})
    return pl.concat([nothing, typed.with_columns(known_at="time")], how="diagonal") if rows else nothing


def taken_back(rows: pl.DataFrame, at: int, known_at: datetime) -> pl.DataFrame:
    """`rows` and one more that takes back the one at place `at`."""
    prices = [name for name in PRICE_COLUMNS if name in rows.columns]
    empty = rows[at].with_columns(*(pl.lit(None, dtype=pl.Float64).alias(name) for name in prices))
    return pl.concat([rows, empty.with_columns(known_at=pl.lit(known_at).cast(UTC_TYPE))])


def test_a_price_taken_back_leaves_the_view_from_when_it_was_known_bad() -> None:
    rows = fixings([1.1, 9.9, 1.1])
    proven = publication_time(FIRST + timedelta(days=2))
    merged = merge(None, taken_back(rows, 1, proven), now=NOW)
    assert (merged.added, merged.taken_back, merged.changed) == (3, 1, True)
    assert current_view(merged.rows)["close"].to_list() == [1.1, 1.1]
    assert view_at(merged.rows, proven - timedelta(seconds=1))["close"].to_list() == [1.1, 9.9]
    assert last_said(merged.rows)["close"].to_list() == [1.1, 9.9, 1.1]


def test_what_was_taken_back_does_not_come_back_by_itself_but_another_price_does() -> None:
    rows = fixings([1.1, 9.9, 1.1])
    proven = publication_time(FIRST + timedelta(days=2))
    held = merge(None, taken_back(rows, 1, proven), now=NOW).rows
    for again in (rows, taken_back(rows, 1, proven), fixings([None, 9.9])):
        merged = merge(held, again, now=NOW, witnessed=proven)
        assert not merged.changed
        assert merged.rows.equals(held)
    merged = merge(held, fixings([1.1, 1.2, 1.1]), now=NOW)
    assert (merged.added, merged.corrected, merged.taken_back) == (0, 1, 0)
    assert current_view(merged.rows)["close"].to_list() == [1.1, 1.2, 1.1]


def test_another_price_is_known_after_what_was_taken_back_though_the_clock_went_back() -> None:
    held = merge(None, taken_back(ticks([(0, 1.1, 1.2), (1, 5.0, 5.1)]), 1, NOW), now=NOW).rows
    merged = merge(held, ticks([(1, 1.1, 1.2)]), now=START + timedelta(seconds=30))
    assert merged.rows["known_at"].max() == NOW + timedelta(microseconds=1)
    assert current_view(merged.rows)["bid"].to_list() == [1.1, 1.1]


def test_the_order_of_what_is_fetched_does_not_matter() -> None:
    held = merge(None, ticks([(second, 1.1, 1.2) for second in range(6)]), now=NOW).rows
    fetched = ticks([(5, 1.1, 1.2), (2, 1.15, 1.2), (7, 1.1, 1.2), (0, 1.1, 1.2)])
    merged = merge(held, fetched, now=NOW)
    assert (merged.added, merged.corrected) == (1, 1)
    assert merged.rows.equals(merge(held, fetched.sort("time"), now=NOW).rows)
    assert current_view(merged.rows)["bid"].to_list() == [1.1, 1.1, 1.15, 1.1, 1.1, 1.1, 1.1]


def test_a_stored_price_is_taken_back_by_a_later_fetch() -> None:
    held = merge(None, ticks([(0, 1.1, 1.2), (1, 5.0, 5.1)]), now=NOW).rows
    empty = taken_back(held, 1, START + timedelta(seconds=4)).tail(1)
    merged = merge(held, pl.concat([ticks([(2, 1.1, 1.2)]), empty]), now=NOW, witnessed=START + timedelta(seconds=1))
    assert (merged.added, merged.late, merged.taken_back) == (1, 0, 1)
    assert current_view(merged.rows)["bid"].to_list() == [1.1, 1.1]
    assert merged.rows["known_at"].to_list() == [START + timedelta(seconds=second) for second in (0, 1, 4, 2)]
    with pytest.raises(ValueError, match=r"takes back the price of 2026-11-02 09:00:09\+00:00, which has none"):
        merge(held, empty.with_columns(time=pl.col("time") + pl.duration(seconds=8)), now=NOW)


def test_a_late_row_is_known_from_now_and_a_longer_past_from_when_it_was() -> None:
    held = merge(None, ticks([(10, 1.1, 1.2), (20, 1.1, 1.2)]), now=NOW).rows
    fetched = ticks([(0, 1.0, 1.1), (15, 1.0, 1.1), (25, 1.0, 1.1)])
    edges = {"witnessed": START + timedelta(seconds=20), "first_held": START + timedelta(seconds=10)}
    merged = merge(held, fetched, now=NOW, **edges)
    assert (merged.added, merged.late) == (3, 1)
    known = dict(zip(merged.rows["time"], merged.rows["known_at"], strict=True))
    assert known[START] == START
    assert known[START + timedelta(seconds=15)] == NOW
    assert known[START + timedelta(seconds=25)] == START + timedelta(seconds=25)
    assert merged.rows["time"].is_sorted()
    late_spike = taken_back(fetched, 1, START + timedelta(seconds=16))
    view = current_view(merge(held, late_spike, now=NOW, **edges).rows)
    assert START + timedelta(seconds=15) not in view["time"].to_list()


def test_a_late_row_is_known_after_what_was_witnessed_though_the_clock_went_back() -> None:
    held = merge(None, ticks([(10, 1.1, 1.2)]), now=NOW).rows
    witnessed = START + timedelta(seconds=30)
    fetched = ticks([(20, 1.0, 1.1), (30, 1.0, 1.1), (31, 1.0, 1.1)])
    merged = merge(held, fetched, now=START + timedelta(seconds=25), witnessed=witnessed)
    assert view_at(merged.rows, witnessed).height == 1
    assert merged.late == 2


@pytest.mark.parametrize("column", ["bid", "ask"])
def test_ticks_are_compared_by_both_sides_and_may_lack_one(column: str) -> None:
    rows = ticks([(0, 1.1, 1.2), (1, None, 1.2), (2, 1.1, None)])
    assert not merge(rows, rows, now=NOW).changed
    assert current_view(rows).height == 3
    other = rows.with_columns(pl.when(pl.col(column).is_null()).then(1.15).otherwise(column).alias(column))
    assert merge(rows, other, now=NOW).corrected == 1


def test_the_views_know_bars() -> None:
    bars = pl.DataFrame(
        {
            "time": [START, START, START + timedelta(minutes=1)],
            "known_at": [NOW, NOW + timedelta(hours=1), NOW],
            "bid": [1.0, None, 1.0],
            "close": [1.1, None, 1.2],
        }
    )
    assert current_view(bars)["close"].to_list() == [1.2]
    assert view_at(bars.reverse(), NOW)["close"].to_list() == [1.1, 1.2]


Said = dict[int, float]


@st.composite
def told(draw: st.DrawFn) -> list[tuple[Said, list[int]]]:
    """Fetches of a few seconds' ticks: the prices they say, and the seconds that they take back."""
    seconds = st.integers(0, 7)
    fetches = draw(st.lists(st.dictionaries(seconds, st.sampled_from([1.1, 1.2]), max_size=6), min_size=1, max_size=5))
    held: set[int] = set()
    result = []
    for said in fetches:
        held |= said.keys()
        result.append((said, draw(st.lists(st.sampled_from(sorted(held)), unique=True, max_size=2)) if held else []))
    return result


def fetch_of(said: Said, back: list[int], known: int) -> pl.DataFrame:
    rows = ticks([(second, price, price) for second, price in sorted(said.items())])
    empty = ticks([(second, None, None) for second in back])
    proven = START + timedelta(seconds=known)
    return pl.concat([rows, empty.with_columns(known_at=pl.lit(proven).cast(UTC_TYPE))])


@settings(deadline=None, max_examples=50)
@given(told())
def test_a_past_view_never_changes_and_the_same_again_changes_nothing(fetches: list[tuple[Said, list[int]]]) -> None:
    rows: pl.DataFrame | None = None
    witnessed = first = None
    seen: list[tuple[datetime, datetime, pl.DataFrame]] = []
    for number, (said, back) in enumerate(fetches):
        now = START + timedelta(seconds=10 * (number + 1))
        fetched = fetch_of(said, back, 8)
        merged = merge(rows, fetched, now=now, witnessed=witnessed, first_held=first)
        again = merge(merged.rows, fetched, now=now + timedelta(hours=1), witnessed=now, first_held=first)
        assert not again.changed
        assert again.rows.equals(merged.rows)
        rows = merged.rows
        for when, since, view in seen:
            assert view_at(rows, when).filter(pl.col("time") >= since).equals(view)
        assert not rows.select("time", "known_at").is_duplicated().any()
        if rows.height:
            # What is published at `now` is every moment up to it: any of them must be seen again as it is.
            witnessed, first = now, rows["time"][0]
            moments = [START + timedelta(seconds=second) for second in range(10 * (number + 1) + 1)]
            seen += [(when, first, view_at(rows, when)) for when in moments[::3]]


@settings(deadline=None, max_examples=40)
@given(st.lists(st.sampled_from([1.1, 1.2, None]), min_size=1, max_size=12), st.sets(st.integers(0, 12)), st.booleans())
def test_any_split_into_fetches_gives_the_same_view(prices: list[float | None], cuts: set[int], overlap: bool) -> None:
    whole = ticks([(second, price, price) for second, price in enumerate(prices) if price is not None])
    edges = sorted({0, whole.height, *(cut for cut in cuts if cut <= whole.height)})
    rows: pl.DataFrame | None = None
    for start, end in pairwise(edges):
        fetched = whole[max(0, start - 2 * overlap) : end]
        witnessed = None if rows is None else rows["time"][-1]
        rows = merge(rows, fetched, now=NOW, witnessed=witnessed).rows
    assert current_view(whole if rows is None else rows).equals(current_view(merge(None, whole, now=NOW).rows))
