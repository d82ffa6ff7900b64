"""Blocks: the stretches of trading dates in which long tables are stored and recomputed.

A table of fine prices is cut so that a block holds in the order of 100,000 rows of minutes, and a new day touches the
last block only. What is short anyway (daily bars, fixings) is one block.
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    import polars as pl

Period = Literal["month", "quarter", "year", "all"]
WHOLE = "all"
_MINUTES = 300  # finer bars than this make quarters of about 94,000 rows a minute
_DAY = 86_400
_ONE_DAY = timedelta(days=1)


def period_of(kind: str, seconds: int) -> Period:
    """How long the blocks of prices of that kind ("tick", "bar", "fixing") and length are."""
    if kind == "tick":
        return "month"
    if kind == "fixing" or seconds >= _DAY:
        return "all"
    return "quarter" if seconds < _MINUTES else "year"


def block_of(day: date, period: Period) -> str:
    """The block that a trading date belongs to, e.g. `2018-03`, `2018q1`, `2018` or `all`; they sort by time."""
    if period == "month":
        return f"{day:%Y-%m}"
    if period == "quarter":
        return f"{day.year}q{(day.month + 2) // 3}"
    return str(day.year) if period == "year" else WHOLE


def block_expr(trading_date: pl.Expr, period: Period) -> pl.Expr:
    """`block_of` of a Polars column of trading dates."""
    import polars as pl

    if period == "month":
        return trading_date.dt.strftime("%Y-%m")
    if period == "quarter":
        return pl.format("{}q{}", trading_date.dt.year(), trading_date.dt.quarter())
    return trading_date.dt.year().cast(pl.String) if period == "year" else pl.lit(WHOLE)


def dates_of(block: str) -> tuple[date, date]:
    """First and last calendar date of a block. Raises `ValueError` for text that is no block."""
    if block == WHOLE:
        return date.min, date.max
    try:
        if "q" in block:
            year, quarter = (int(part) for part in block.split("q"))
            first, after = date(year, 3 * quarter - 2, 1), (year + quarter // 4, quarter % 4 * 3 + 1)
        elif "-" in block:
            year, month = (int(part) for part in block.split("-"))
            first, after = date(year, month, 1), (year + month // 12, month % 12 + 1)
        else:
            first, after = date(int(block), 1, 1), (int(block) + 1, 1)
        return first, date(*after, 1) - _ONE_DAY
    except ValueError:
        raise ValueError(f"block {block!r}: expected e.g. 2018-03, 2018q1, 2018 or all") from None
