"""Forecasts as rows: one per pair, model, origin, issue and horizon, appended and never changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.forecasting.document import ForecastDocument, forecast_id, level_key

T = TypeVar("T")
N = TypeVar("N")

_UTC = pa.timestamp("us", tz="UTC")
_DOCUMENT_FIELDS = (
    pa.field("pair", pa.string()),
    pa.field("model_id", pa.string()),
    pa.field("model_version", pa.string()),
    pa.field("kind", pa.string()),
    pa.field("frequency", pa.string()),
    pa.field("origin", _UTC),
    pa.field("data_as_of", pa.date32()),
    pa.field("issued_at", _UTC),
    pa.field("valid_until", _UTC),
    pa.field("stale", pa.bool_()),
    pa.field("revision", pa.string()),
    pa.field("in_sample", pa.bool_()),
    pa.field("last_price", pa.float64()),
    pa.field("pip", pa.float64()),
    pa.field("target", pa.string()),
    pa.field("champion", pa.string()),
    pa.field("verdict", pa.string()),
    pa.field("signal", pa.float64()),
    pa.field("notes", pa.list_(pa.string())),
)
_LINEAGE_FIELDS = (
    pa.field("data_version", pa.string()),
    pa.field("feature_schema_hash", pa.string()),
    pa.field("config_hash", pa.string()),
    pa.field("code_version", pa.string()),
    pa.field("run_id", pa.string()),
    pa.field("trained_until", _UTC),
)
_HORIZON_FIELDS = (
    pa.field("h", pa.int32()),
    pa.field("target_date", pa.date32()),
    pa.field("target_time", _UTC),
    pa.field("retrospective", pa.bool_()),
    pa.field("median", pa.float64()),
    pa.field("volatility", pa.float64()),
    pa.field("levels", pa.list_(pa.float64())),
    pa.field("quantiles", pa.list_(pa.float64())),
)
FORECAST_SCHEMA = pa.schema([*_DOCUMENT_FIELDS, *_LINEAGE_FIELDS, *_HORIZON_FIELDS])

# Which rows are one document.
ISSUE_KEY = ("pair", "model_id", "frequency", "origin", "issued_at", "model_version", "run_id")


def to_table(document: ForecastDocument) -> pa.Table:
    """`document` as rows of `FORECAST_SCHEMA`, one per horizon. `evaluation` is not stored: see `scores`."""
    # Attributes, not model_dump: it would turn tuples and datetimes through more hands than needed.
    shared = {field.name: getattr(document, field.name) for field in _DOCUMENT_FIELDS}
    shared["notes"] = list(document.notes)
    shared |= {field.name: getattr(document.lineage, field.name) for field in _LINEAGE_FIELDS}
    rows = [
        shared
        | {field.name: getattr(horizon, field.name) for field in _HORIZON_FIELDS[:-2]}
        | {
            "levels": [float(level) for level in horizon.quantiles],
            "quantiles": list(horizon.quantiles.values()),
        }
        for horizon in document.horizons
    ]
    return pa.Table.from_pylist(rows, schema=FORECAST_SCHEMA)


def documents(table: pa.Table) -> list[ForecastDocument]:
    """The documents that `table` holds, by pair, model, origin and issue.

    Raises pydantic's `ValidationError`, naming the field, for rows that are no whole document.
    """
    groups: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
    for row in table.select(FORECAST_SCHEMA.names).to_pylist():
        groups.setdefault(tuple(row[name] for name in ISSUE_KEY), []).append(row)
    return [_document(groups[key]) for key in sorted(groups)]


def issue_key(document: ForecastDocument) -> dict[str, Any]:
    """What tells the document apart from all others: the values of `ISSUE_KEY`."""
    return {name: getattr(document.lineage if name == "run_id" else document, name) for name in ISSUE_KEY}


def issue_keys(table: pa.Table) -> list[dict[str, Any]]:
    """What tells the documents in `table` apart, once for each."""
    found: list[dict[str, Any]] = table.group_by(list(ISSUE_KEY)).aggregate([]).to_pylist()
    return found


def identified(document: ForecastDocument) -> ForecastDocument:
    """The published document with its `forecast_id`."""
    return document.model_copy(update={"forecast_id": forecast_id(issue_key(document))})


def latest(
    table: pa.Table, *, model_id: str | None = None, frequency: str | None = None, as_of: datetime | None = None
) -> list[ForecastDocument]:
    """The head of each pair, model and frequency in `table`, in that order.

    The head is the newest origin among rows with `issued_at <= as_of`, then the newest issue of it: what
    a reader would have been served at `as_of` (aware; default: now and ever). Empty where there is none.
    """
    if as_of is not None and as_of.tzinfo is None:
        raise ValueError("as_of has no time zone; give an aware time such as 2026-10-30T21:00:00Z")
    if model_id is not None:
        table = table.filter(pc.equal(table.column("model_id"), model_id))
    if frequency is not None:
        table = table.filter(pc.equal(table.column("frequency"), frequency))
    if as_of is not None:
        table = table.filter(pc.less_equal(table.column("issued_at"), pa.scalar(as_of, type=_UTC)))
    # A head is chosen from small keys first: histories are long, and decoding their rows is slow.
    heads = newest(issue_keys(table), lambda key: key, lambda key: (key["pair"], key["model_id"], key["frequency"]))
    return [documents(rows_of(table, heads[name]))[0] for name in sorted(heads)]


def newest(items: Iterable[T], key: Callable[[T], Mapping[str, Any]], name: Callable[[Any], N]) -> dict[N, T]:
    """Of the items with equal `name(key(item))` the newest origin, then the newest issue of it."""
    found: dict[N, T] = {}
    for item in items:
        own = name(key(item))
        if own not in found or _rank(key(item)) > _rank(key(found[own])):
            found[own] = item
    return found


def _rank(key: Mapping[str, Any]) -> tuple[Any, ...]:
    return key["origin"], key["issued_at"], key["model_version"], key["run_id"]


def rows_of(table: pa.Table, key: Mapping[str, Any]) -> pa.Table:
    """The rows of one document, by its key."""
    mask = pc.equal(table.column("pair"), key["pair"])
    for name in ISSUE_KEY[1:]:
        value = pa.scalar(key[name], type=FORECAST_SCHEMA.field(name).type)
        mask = pc.and_(mask, pc.equal(table.column(name), value))
    return table.filter(mask)


def _document(rows: Iterable[dict[str, Any]]) -> ForecastDocument:
    ordered = sorted(rows, key=lambda row: int(row["h"]))
    first = ordered[0]
    content = {field.name: first[field.name] for field in _DOCUMENT_FIELDS}
    content["lineage"] = {field.name: first[field.name] for field in _LINEAGE_FIELDS}
    content["horizons"] = [
        {field.name: row[field.name] for field in _HORIZON_FIELDS[:-2]}
        | {"quantiles": {level_key(q): p for q, p in zip(row["levels"], row["quantiles"], strict=True)}}
        for row in ordered
    ]
    return ForecastDocument.model_validate(content)
