"""What may be written where: names, pairs and schemas, checked before anything touches the disk."""

from __future__ import annotations

import re

import pyarrow as pa

from fx_assets.storage.lake_files import canonical_schema
from fx_assets.storage.records import State

# No name can climb out of the lake's folder or hide in it.
_TABLE = re.compile(r"[a-z][a-z0-9_]*(/[a-z0-9][a-z0-9_-]*)*")
_ASSET = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)*")
_PAIR = re.compile(r"[A-Z]{6}")


def check_table(table: str) -> None:
    """ValueError unless `table` is lower-case words parted by slashes, such as `bars/1d`."""
    if not _TABLE.fullmatch(table):
        raise ValueError(f"table {table!r:.80} does not match {_TABLE.pattern}")


def slug(asset: str) -> str:
    """Folder name of an asset; reversible, as no asset's name has a dot."""
    if not _ASSET.fullmatch(asset):
        raise ValueError(f"asset {asset!r:.80} does not match {_ASSET.pattern}")
    return asset.replace("/", ".")


def check_pair(pair: str) -> None:
    """ValueError unless `pair` is six capitals."""
    if not _PAIR.fullmatch(pair):
        raise ValueError(f"pair {pair!r:.80} does not match {_PAIR.pattern}")


def own_rows(table: str, pair: str, data: pa.Table, state: State, mode: str) -> pa.Table:
    """`data` in canonical types; ValueError when rows, state and place do not belong together."""
    check_pair(pair)
    if mode not in ("replace", "append"):
        raise ValueError(f"mode {mode!r}: expected 'replace' or 'append'")
    slug(state.asset)
    if state.pair != pair:
        raise ValueError(f"state of {state.asset} is of {state.pair}, the rows go to {table} of {pair}")
    schema = canonical_schema(data.schema, table)
    rows = data.select(schema.names).cast(schema)
    others = set(rows.column("pair").unique().to_pylist()) - {pair}
    if others:
        raise ValueError(f"rows for {table} of {pair} hold other pairs: {sorted(map(str, others))}")
    return rows


def check_schema(table: str, found: pa.Schema, expected: pa.Schema) -> None:
    """ValueError naming each column in which rows (`found`) and table (`expected`) differ."""
    if found.equals(canonical_schema(expected, table)):
        return
    ours = dict(zip(found.names, found.types, strict=True))
    theirs = dict(zip(expected.names, expected.types, strict=True))
    differ = [
        f"{name}: {theirs.get(name, 'absent')} in the table, {ours.get(name, 'absent')} in the rows"
        for name in sorted({*ours, *theirs})
        if ours.get(name) != theirs.get(name)
    ]
    raise ValueError(
        f"rows do not have the schema of {table} ({'; '.join(differ) or 'other order of columns'}): "
        f"schemas are never changed in place; write to a table of another name"
    )
