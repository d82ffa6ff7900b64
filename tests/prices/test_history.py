"""Prices in two times: what is appended, what is corrected, what was known when."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.prices.ecb_file import fixing_time, publication_time
from fx_assets.prices.history import current_view, merge, view_at
from fx_assets.prices.schema import RAW_SCHEMA, polars_schema

FIRST = date(2026, 10, 1)
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


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
