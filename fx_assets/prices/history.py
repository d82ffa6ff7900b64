"""Prices in two times: `time`, what a price describes, and `known_at`, when it could be known.

Nothing is overwritten. A correction is one more row of the same `time`, known later; each view takes the last that was
known for its moment.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import polars as pl

from fx_assets.prices.schema import PRICE_COLUMNS, RAW_SCHEMA, conform

_TICK = timedelta(microseconds=1)


@dataclass(frozen=True)
class Merged:
    """All rows, RAW_SCHEMA, by `time` and then `known_at`; how many were `added` for new times and `corrected`."""

    rows: pl.DataFrame
    added: int
    corrected: int


def merge(current: pl.DataFrame | None, fetched: pl.DataFrame, *, now: datetime) -> Merged:
    """Put what a source says now beside what is known already.

    `current`, `fetched`: RAW_SCHEMA of one pair; `now` aware. A new `time` is appended as it is, a changed price with
    `known_at` = `now`, an equal one not at all; a time that the source no longer has stays. Raises `ValueError` where
    `fetched` has a time twice or the two are of different pairs.
    """
    if now.tzinfo is None:
        raise ValueError(f"now {now.isoformat()} has no time zone; give it in UTC")
    fetched = conform(fetched, RAW_SCHEMA)
    if fetched["time"].is_duplicated().any():
        raise ValueError(f"fetched: {fetched['time'].is_duplicated().sum()} rows share their time; expected each once")
    if current is None:
        return Merged(fetched.sort("time"), fetched.height, 0)
    current = conform(current, RAW_SCHEMA)
    pairs = sorted({*current["pair"].to_list(), *fetched["pair"].to_list()})
    if len(pairs) > 1:
        raise ValueError(f"expected one pair, got {', '.join(pairs)}")
    known = current_view(current)
    added = fetched.join(known, on="time", how="anti")
    corrected = _changed(known, fetched, now)
    rows = pl.concat([current, added, corrected]).sort("time", "known_at", maintain_order=True)
    return Merged(rows, added.height, corrected.height)


def current_view(rows: pl.DataFrame) -> pl.DataFrame:
    """The last known row of each `time`, by increasing time; of two known at once, the later in `rows`."""
    ordered = rows.sort("time", "known_at", maintain_order=True)
    return ordered.unique(subset="time", keep="last", maintain_order=True)


def view_at(rows: pl.DataFrame, when: datetime) -> pl.DataFrame:
    """The view as it was known at `when` (aware), that instant included."""
    if when.tzinfo is None:
        raise ValueError(f"when {when.isoformat()} has no time zone; give it in UTC")
    return current_view(rows.filter(pl.col("known_at") <= when))


def _changed(known: pl.DataFrame, fetched: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Rows of `fetched` whose prices differ from those known for the same time, known from `now` on."""
    both = fetched.join(known.select("time", "known_at", *PRICE_COLUMNS), on="time", how="inner", suffix="_known")
    differs = pl.any_horizontal(pl.col(name).ne_missing(pl.col(f"{name}_known")) for name in PRICE_COLUMNS)
    # Later than what it corrects even where that was known "in the future" (or a clock went back): else the view
    # would go on showing the old price.
    known_at = pl.max_horizontal(pl.lit(now).cast(pl.Datetime("us", "UTC")), pl.col("known_at_known") + _TICK)
    return both.filter(differs).with_columns(known_at=known_at).select(RAW_SCHEMA.names)
