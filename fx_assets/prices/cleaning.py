"""The rules that each row of prices must meet, whatever its source; what fails one is rejected, never mended.

Reasons: `missing_time`, `missing_price` (no value where the source has one in other rows), `not_finite` (NaN, infinite,
above 1e12), `not_positive`, `crossed_quote` (ask under bid), `ohlc_inconsistent` (high under low, open or close outside
them, of either side too), `in_the_future` (more than 5 minutes after now). A price that is merely implausible stays: a
file in points or of another pair must fail as a whole, in the checks, and not row by row.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

import polars as pl

from fx_assets.prices.batch import KEPT_TEXT, ROW_COLUMNS, Form, no_rejects
from fx_assets.prices.schema import OHLC, PRICE_COLUMNS

FUTURE = timedelta(minutes=5)
TICK_PRICES = ("bid", "ask")
_HIGHEST = 1e12
_ROUNDING = 1e-9  # of the price: float noise, not a finding
_TIME = pl.Datetime("us", "UTC")
_SIDES = (("bid_open", "bid_high", "bid_low", "bid"), ("ask_open", "ask_high", "ask_low", "ask"))


@dataclass(frozen=True)
class Cleaned:
    """Rows that meet the rules, by increasing time, each time once, and what became of the others.

    `rejects`: `line`, `reason`, `raw`, `origin`. `duplicates`: rows that repeat the prices of the row before of the
    same time; `replaced`: rows of a time that stood again with other prices, of which the last in file order is kept;
    `out_of_order`: rows earlier than one before them.
    """

    rows: pl.DataFrame
    rejects: pl.DataFrame
    duplicates: int
    replaced: int
    out_of_order: int


@dataclass(frozen=True)
class Checked:
    """Rows in the source's order that meet the rules; `rejects` (line, reason, raw) and their `counts` by reason."""

    rows: pl.DataFrame
    rejects: pl.DataFrame
    counts: dict[str, int] = field(default_factory=dict)


def clean(rows: pl.DataFrame, form: Form, *, now: datetime, origin: str = "") -> Cleaned:
    """All the rules on rows that fit into memory: `check_rows`, then `in_order`.

    `rows` as in `prices.batch.Batch`; `now` aware. The result has their columns, and those that were derived.
    """
    checked = check_rows(rows, form, now=now)
    ordered, duplicates, replaced = in_order(checked.rows)
    rejects = checked.rejects.with_columns(origin=pl.lit(origin))
    return Cleaned(ordered, rejects, duplicates, replaced, out_of_order(checked.rows["time"]))


def check_rows(rows: pl.DataFrame, form: Form, *, now: datetime, keep: int | None = None) -> Checked:
    """The rules that a row meets or fails alone; of what fails, `keep` rows are put in words (all, if not given).

    A column without a single value counts as one that the source does not have. Where both sides of a bar are known and
    its open to close are not given, they become the middle of the sides: exact for open and close, and for high and low
    the middle of the two highs and lows, which need not have come at one instant. A tick may lack one side. A `ticks`
    or `volume` that is not a number is none. Raises `ValueError` for rows without a
    column that could be their price.
    """
    if rows.is_empty():
        return Checked(rows, no_rejects())
    rows = _typed(rows, form)
    given = [name for name in PRICE_COLUMNS if name in rows.columns]
    reason = rows.select(_reason(given, form, now)).to_series()
    if reason.null_count() == rows.height:
        return Checked(_with_middle(rows, form), no_rejects())
    bad = rows.with_columns(reason=reason).filter(reason.is_not_null())
    counts = dict(bad["reason"].value_counts().iter_rows())
    good = _with_middle(rows.filter(reason.is_null()), form)
    return Checked(good, _in_words(bad if keep is None else bad.head(keep)), counts)


def in_order(rows: pl.DataFrame) -> tuple[pl.DataFrame, int, int]:
    """Rows by increasing time, each time once; then how many were dropped as duplicates, and how many replaced.

    The sort is stable, so the last row of a time in file order is the one that stays.
    """
    if not rows["time"].is_sorted():
        rows = rows.sort("time", maintain_order=True)
    again = (rows["time"] == rows["time"].shift(1)).fill_null(value=False)
    if not again.any():
        return rows, 0, 0
    prices = [name for name in PRICE_COLUMNS if name in rows.columns]
    equal = rows.select(pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in prices))
    duplicates = int((again & equal.to_series()).sum())
    last = ~again.shift(-1, fill_value=False)
    return rows.filter(last), duplicates, int(again.sum()) - duplicates


def out_of_order(times: pl.Series) -> int:
    """How many times are earlier than one before them."""
    return 0 if times.is_sorted() else int((times < times.cum_max()).sum())


def _typed(rows: pl.DataFrame, form: Form) -> pl.DataFrame:
    """`rows` with the columns that have values, in the types of the schema."""
    known = (*TICK_PRICES, "volume") if form.kind == "tick" else ROW_COLUMNS
    present = {name for name in known if name in rows.columns}
    valued = {name for name in present if rows[name].null_count() < rows.height}
    if form.kind == "tick":
        valued |= present & {*TICK_PRICES} if valued.isdisjoint(TICK_PRICES) else set()
    elif not valued >= {*TICK_PRICES}:  # no close can be made of the sides
        valued.add("close")
    if not valued & {*PRICE_COLUMNS} & {*rows.columns} or not valued <= {*rows.columns}:
        raise ValueError(f"{form}: rows without a price; their columns are {', '.join(rows.columns)}")
    others = [name for name in ("line", "known_at", "trading_date") if name in rows.columns]
    types = {name: pl.Int64 if name == "ticks" else pl.Float64 for name in known if name in valued}
    typed = rows.select(*others, pl.col("time").cast(_TIME), *(pl.col(name).cast(types[name]) for name in types))
    return typed.with_columns(pl.col("volume").fill_nan(None)) if "volume" in types else typed


def _reason(given: list[str], form: Form, now: datetime) -> pl.Expr:
    """The first rule that a row fails, null where it meets all."""
    missing = pl.all_horizontal if form.kind == "tick" else pl.any_horizontal
    rules = {
        "missing_time": pl.col("time").is_null(),
        "missing_price": missing(pl.col(name).is_null() for name in given),
        "not_finite": _any(~(pl.col(name).is_finite() & (pl.col(name) <= _HIGHEST)) for name in given),
        "not_positive": _any(pl.col(name) <= 0 for name in given),
        "crossed_quote": _any(_under(ask, bid) for bid, ask in zip(*_SIDES, strict=True) if {bid, ask} <= {*given}),
        "ohlc_inconsistent": _any(_outside(*names, given) for names in (OHLC, *_SIDES)),
        "in_the_future": pl.col("time") > now + FUTURE,
    }
    return pl.coalesce(pl.when(rule.fill_null(value=False)).then(pl.lit(name)) for name, rule in rules.items())


def _outside(first: str, high: str, low: str, last: str, given: list[str]) -> pl.Expr:
    """Whether high or low is passed by any of the others, of those that the source gives."""
    passed = [_under(high, name) for name in (low, first, last) if {high, name} <= {*given}]
    return _any([*passed, *(_under(name, low) for name in (first, last) if {low, name} <= {*given})])


def _under(lower: str, upper: str) -> pl.Expr:
    """Whether the first price is under the second by more than rounding."""
    return pl.col(lower) < pl.col(upper) * (1 - _ROUNDING)


def _any(rules: Iterable[pl.Expr]) -> pl.Expr:
    found = [rule.fill_null(value=False) for rule in rules]
    return pl.any_horizontal(found) if found else pl.lit(value=False)


def _with_middle(rows: pl.DataFrame, form: Form) -> pl.DataFrame:
    """Open to close of bars and fixings whose two sides are known, where the source does not give them."""
    if form.kind == "tick":
        return rows
    open_, high, low, close = OHLC
    parts = {name: sides for name, *sides in zip(OHLC, *_SIDES, strict=True) if {*sides} <= {*rows.columns}}
    absent = [name for name in OHLC if name not in rows.columns and name in parts]
    rows = rows.with_columns(pl.mean_horizontal(parts[name]).alias(name) for name in absent)
    # A given close is rounded, and may so lie outside the middle of the highs.
    ends = [name for name in (open_, close) if name in rows.columns]
    wider = {high: pl.max_horizontal(high, *ends), low: pl.min_horizontal(low, *ends)}
    return rows.with_columns(expr for name, expr in wider.items() if name in absent)


def _in_words(bad: pl.DataFrame) -> pl.DataFrame:
    told = [
        ", ".join(f"{name}={_shown(value)}" for name, value in row.items() if value is not None)[:KEPT_TEXT]
        for row in bad.select("time", *(name for name in ROW_COLUMNS if name in bad.columns)).iter_rows(named=True)
    ]
    return bad.select(pl.col("line").cast(pl.Int64), "reason", raw=pl.Series(told, dtype=pl.String))


def _shown(value: object) -> str:
    return value.isoformat() if isinstance(value, datetime) else repr(value)
