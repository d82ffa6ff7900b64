"""The columns of raw prices and of rejected rows, in Arrow and in Polars."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

from fx_assets.prices.names import OHLC, PRICE_COLUMNS, SIDE_COLUMNS, Kind, Side

if TYPE_CHECKING:
    import polars as pl

__all__ = [
    "OHLC",
    "PRICE_COLUMNS",
    "RAW_SCHEMA",
    "RAW_TABLE",
    "REJECTS_SCHEMA",
    "SIDE_COLUMNS",
    "TICK_SCHEMA",
    "TICK_TABLE",
    "Kind",
    "Side",
    "conform",
    "polars_schema",
    "schema_of",
    "table_of",
]

_UTC = pa.timestamp("us", tz="UTC")

_PRICES = [pa.field(name, pa.float64()) for name in PRICE_COLUMNS]

# Bars and fixings as a source gave them. time: what the row describes, of a bar its start. known_at: when it could
# first be known, of a bar its end. seconds: length of the bar, 0 for a fixing, which has a close only. side: what open
# to close quote; with both sides known that is mid. ticks, volume: as the source counts them, null where it does not.
# A row whose close is null takes back what was said of its time before.
RAW_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("block", pa.string()),
        pa.field("time", _UTC),
        pa.field("known_at", _UTC),
        pa.field("trading_date", pa.date32()),
        pa.field("kind", pa.string()),
        pa.field("seconds", pa.int32()),
        pa.field("side", pa.string()),
        *_PRICES,
        pa.field("ticks", pa.int64()),
        pa.field("volume", pa.float64()),
        pa.field("source", pa.string()),
    ]
)

# Ticks, lean because there are many. One side may be null where a source quotes one only; both are null in a row that
# takes back what was said of its time before.
TICK_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("block", pa.string()),
        pa.field("time", _UTC),
        pa.field("known_at", _UTC),
        pa.field("bid", pa.float64()),
        pa.field("ask", pa.float64()),
        pa.field("volume", pa.float64()),
    ]
)
RAW_TABLE = "prices/raw"
TICK_TABLE = "prices/ticks"


def table_of(kind: Kind) -> str:
    """Lake table that keeps raw prices of that kind."""
    return TICK_TABLE if kind == "tick" else RAW_TABLE


def schema_of(kind: Kind) -> pa.Schema:
    """Columns of raw prices of that kind."""
    return TICK_SCHEMA if kind == "tick" else RAW_SCHEMA


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
