"""From bars to the feature matrix of a set: the stages in order, the warm-up dropped."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from fx_assets.features.checking import check_stages, enabled_stages
from fx_assets.features.errors import FeatureError
from fx_assets.features.stages.base import BAR_COLUMNS
from fx_assets.features.version import CODE_VERSION
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.storage.hashing import fingerprint

if TYPE_CHECKING:
    import polars as pl

__all__ = ["arrow_schema", "build", "check_stages", "feature_schema", "lookback", "schema_hash", "table_name"]

UTC_MICROSECONDS = pa.timestamp("us", tz="UTC")
KEY_FIELDS = (
    pa.field("pair", pa.string()),
    pa.field("time", UTC_MICROSECONDS),
    pa.field("end", UTC_MICROSECONDS),
    pa.field("known_at", UTC_MICROSECONDS),
    pa.field("trading_date", pa.date32()),
)


def feature_schema(spec: FeatureSetSpec) -> tuple[str, ...]:
    """Names of the set's feature columns, in order."""
    return tuple(column for stage, options in enabled_stages(spec) for column in stage.columns(options))


def schema_hash(spec: FeatureSetSpec) -> str:
    """Eight hex digits that change whenever columns could mean something else: stages, options, code."""
    stages = [[stage.name, options.model_dump(mode="json")] for stage, options in enabled_stages(spec)]
    return fingerprint("features", CODE_VERSION, spec.frequency, stages)[:8]


def table_name(spec: FeatureSetSpec) -> str:
    """Name of the set's table in the lake; a table never changes its columns, so they are in its name."""
    return f"features/{spec.name}-{schema_hash(spec)}"


def lookback(spec: FeatureSetSpec) -> int:
    """Rows at the start of a history that have no features: the longest look-back of any stage."""
    return max(stage.lookback(options) for stage, options in enabled_stages(spec))


def arrow_schema(spec: FeatureSetSpec) -> pa.Schema:
    """Schema of the table that `build` returns."""
    return pa.schema([*KEY_FIELDS, *(pa.field(column, pa.float64()) for column in feature_schema(spec))])


def build(bars: pa.Table | pl.DataFrame, spec: FeatureSetSpec) -> pa.Table:
    """Features of one pair's bars, one row per bar after the warm-up, in time order.

    `bars` have `BAR_SCHEMA`, one pair, increasing times. `known_at` is the newest among the rows of
    the look-back, since a value cannot be known before its last-known input. Raises `FeatureError`
    for too short a history, bars out of order, a stage that cannot run, and a value that is not finite.
    """
    table = _arrow(bars)
    first = lookback(spec)
    if table.num_rows <= first:
        raise FeatureError(
            f"insufficient_history: feature set {spec.name!r} needs more than {first} bars before its first row; "
            f"there are {table.num_rows}. Take a longer history or shorter periods"
        )
    _check_order(table)
    prices = {name: _floats(table, name) for name in sorted(BAR_COLUMNS)}
    columns: dict[str, NDArray[np.float64]] = {}
    for stage, options in enabled_stages(spec):
        columns |= stage.compute(prices, options)
    for name, values in columns.items():
        bad = np.flatnonzero(~np.isfinite(values[first:]))
        if len(bad):
            end = table.column("end")[first + int(bad[0])].as_py()
            raise FeatureError(
                f"feature {name!r} is not finite at the bar that ends {end:%Y-%m-%d %H:%M} UTC "
                f"({len(bad)} of {len(values) - first} rows); look at the prices there"
            )
    keys = [table.column(field.name).slice(first).cast(field.type) for field in KEY_FIELDS]
    keys[3] = _newest_known(table, first)
    return pa.table([*keys, *(pa.array(values[first:]) for values in columns.values())], schema=arrow_schema(spec))


def _arrow(bars: pa.Table | pl.DataFrame) -> pa.Table:
    table = bars if isinstance(bars, pa.Table) else bars.to_arrow()
    needed = [field.name for field in KEY_FIELDS] + ["close"]
    missing = [name for name in needed if name not in table.column_names]
    if missing:
        raise FeatureError(f"bars have no column {', '.join(missing)}; they have {', '.join(table.column_names)}")
    return table


def _check_order(table: pa.Table) -> None:
    pairs = sorted(map(str, table.column("pair").unique().to_pylist()))
    if len(pairs) != 1:
        raise FeatureError(f"expected the bars of one pair, found {pairs}")
    for name in ("time", "end"):
        steps = np.diff(_micros(table, name))
        back = np.flatnonzero(steps <= 0)
        if len(back):
            at = table.column(name)[int(back[0]) + 1].as_py()
            raise FeatureError(f"bars are not in order of {name!r} at {at:%Y-%m-%d %H:%M} UTC; sort them, each once")


def _micros(table: pa.Table, name: str) -> NDArray[np.int64]:
    values: NDArray[np.int64] = table.column(name).cast(UTC_MICROSECONDS).cast(pa.int64()).to_numpy()
    return values


def _floats(table: pa.Table, name: str) -> NDArray[np.float64]:
    if name not in table.column_names:
        return np.full(table.num_rows, np.nan)
    return np.asarray(table.column(name).cast(pa.float64()).to_numpy(zero_copy_only=False), dtype=np.float64)


def _newest_known(table: pa.Table, first: int) -> pa.Array:
    known = _micros(table, "known_at")
    newest = np.lib.stride_tricks.sliding_window_view(known, first + 1).max(axis=1)
    return pa.array(newest).cast(UTC_MICROSECONDS)
