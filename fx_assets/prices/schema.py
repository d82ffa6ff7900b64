"""The columns of raw prices and of rejected rows, in Arrow and in Polars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    import polars as pl

_UTC = pa.timestamp("us", tz="UTC")

# time: what the price describes. known_at: when it could first be known. A fixing has a close only, the rest is null.
RAW_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("time", _UTC),
        pa.field("known_at", _UTC),
        pa.field("trading_date", pa.date32()),
        pa.field("kind", pa.string()),
        pa.field("open", pa.float64()),
        pa.field("high", pa.float64()),
        pa.field("low", pa.float64()),
        pa.field("close", pa.float64()),
        pa.field("bid", pa.float64()),
        pa.field("ask", pa.float64()),
        pa.field("source", pa.string()),
    ]
)
PRICE_COLUMNS = ("open", "high", "low", "close", "bid", "ask")

# line: of the source's file, from 1. at: when the row was rejected.
REJECTS_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("source", pa.string()),
        pa.field("line", pa.int64()),
        pa.field("reason", pa.string()),
        pa.field("raw", pa.string()),
        pa.field("at", _UTC),
    ]
)


def polars_schema(schema: pa.Schema) -> pl.Schema:
    """The Polars schema of the same columns."""
    import polars as pl

    return pl.DataFrame(schema.empty_table()).schema


def conform(frame: pl.DataFrame, schema: pa.Schema) -> pl.DataFrame:
    """`frame` with exactly the columns of `schema`, in its order and types.

    Raises `ValueError` naming the columns that are missing, too many or of another type. A column without a single
    value has no type of its own and takes the schema's.
    """
    import polars as pl

    wanted = polars_schema(schema)
    missing = [name for name in wanted if name not in frame.columns]
    extra = [name for name in frame.columns if name not in wanted]
    if missing or extra:
        raise ValueError(f"columns missing: {missing or 'none'}; columns too many: {extra or 'none'}")
    untyped = [name for name, kind in frame.schema.items() if kind == pl.Null]
    frame = frame.select(wanted.names()).cast({name: wanted[name] for name in untyped})
    wrong = [f"{name} {kind}, expected {wanted[name]}" for name, kind in frame.schema.items() if kind != wanted[name]]
    if wrong:
        raise ValueError(f"columns of another type: {'; '.join(wrong)}")
    return frame
