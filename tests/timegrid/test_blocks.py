"""Blocks by known dates and by what must hold of any."""

from __future__ import annotations

from datetime import date, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.timegrid.blocks import Period, block_expr, block_of, dates_of, period_of

PERIODS: tuple[Period, ...] = ("month", "quarter", "year", "all")
DAYS = st.dates(date(1990, 1, 1), date(2100, 1, 1))


@pytest.mark.parametrize(
    ("kind", "seconds", "period"),
    [
        ("tick", 0, "month"),
        ("fixing", 0, "all"),
        ("bar", 1, "quarter"),
        ("bar", 60, "quarter"),
        ("bar", 300, "year"),
        ("bar", 43_200, "year"),
        ("bar", 86_400, "all"),
        ("bar", 604_800, "all"),
    ],
)
def test_finer_prices_have_shorter_blocks(kind: str, seconds: int, period: Period) -> None:
    assert period_of(kind, seconds) == period


@pytest.mark.parametrize(
    ("block", "first", "last"),
    [
        ("2018-02", date(2018, 2, 1), date(2018, 2, 28)),
        ("2020-02", date(2020, 2, 1), date(2020, 2, 29)),
        ("2018-12", date(2018, 12, 1), date(2018, 12, 31)),
        ("2018q1", date(2018, 1, 1), date(2018, 3, 31)),
        ("2018q4", date(2018, 10, 1), date(2018, 12, 31)),
        ("2018", date(2018, 1, 1), date(2018, 12, 31)),
        ("all", date.min, date.max),
    ],
)
def test_known_blocks(block: str, first: date, last: date) -> None:
    assert dates_of(block) == (first, last)


@given(DAYS, st.sampled_from(PERIODS))
def test_a_date_lies_in_its_block_and_the_next_block_follows(day: date, period: Period) -> None:
    block = block_of(day, period)
    first, last = dates_of(block)
    assert first <= day <= last
    assert block_of(first, period) == block_of(last, period) == block
    if period != "all":
        after = block_of(last + timedelta(days=1), period)
        assert dates_of(after)[0] == last + timedelta(days=1)
        assert after > block


def test_the_column_is_the_single_ones() -> None:
    days = pl.date_range(date(1999, 12, 1), date(2030, 2, 1), eager=True).alias("day")
    for period in PERIODS:
        got = days.to_frame().with_columns(block=block_expr(pl.col("day"), period))["block"]
        assert got.to_list() == [block_of(day, period) for day in days]


@pytest.mark.parametrize("text", ["", "2018q5", "2018q0", "2018-13", "2018-00", "18x", "q1", "2018-02-03", "ALL"])
def test_what_is_no_block_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"expected e\.g\. 2018-03, 2018q1, 2018 or all"):
        dates_of(text)
