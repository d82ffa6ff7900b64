"""The record of rejected rows: each once, with its source, its line and the reason, however often it is met."""

from __future__ import annotations

import polars as pl

from fx_assets.prices.schema import REJECTS_SCHEMA, conform
from fx_assets.prices.update import Fetched

REJECTS = "rejects"
KEPT = 100_000
"""Rejects that are kept a pair, the newest; every one is counted in the run that met it."""


def rejects_of(fetched: Fetched) -> pl.DataFrame:
    """REJECTS_SCHEMA: the rejects of a fetch."""
    rows = fetched.collected.rejects.with_columns(
        pair=pl.lit(fetched.spec.pair), at=pl.lit(fetched.now).cast(pl.Datetime("us", "UTC"))
    )
    return conform(rows, REJECTS_SCHEMA).sort("source", "line", maintain_order=True)


def appended(known: pl.DataFrame | None, fresh: pl.DataFrame) -> pl.DataFrame:
    """`known` and the rows of `fresh` that are not in it yet: `known` itself where there are none."""
    if known is None:
        return fresh.tail(KEPT)
    told = ["source", "line", "reason", "raw"]
    news = fresh.join(known, on=told, how="anti", nulls_equal=True)
    return pl.concat([known, news]).tail(KEPT) if news.height else known
