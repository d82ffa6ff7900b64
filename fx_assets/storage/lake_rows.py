"""What may be written where: names, pairs and schemas, checked before anything touches the disk."""

from __future__ import annotations

import re
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

import pyarrow as pa

from fx_assets.storage.lake_files import canonical_schema
from fx_assets.storage.records import State

# No name can climb out of the lake's folder or hide in it.
_TABLE = re.compile(r"[a-z][a-z0-9_]*(/[a-z0-9][a-z0-9_-]*)*")
_ASSET = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)*")
_PAIR = re.compile(r"[A-Z][A-Z0-9_]{1,15}")
_BLOCK = re.compile(r"[a-z0-9][a-z0-9-]{0,31}")
# Partition of the file without rows that carries an asset's state beside its blocks; no name of a block begins so.
_STATE_BLOCK = "_state."


def check_table(table: str) -> None:
    """ValueError unless `table` is lower-case words parted by slashes, such as `bars/1d`."""
    if not _TABLE.fullmatch(table):
        raise ValueError(f"table {table!r:.80} does not match {_TABLE.pattern}")


def slug(asset: str) -> str:
    """Folder name of an asset; reversible, as no asset's name has a dot."""
    if not _ASSET.fullmatch(asset):
        raise ValueError(f"asset {asset!r:.80} does not match {_ASSET.pattern}")
    return asset.replace("/", ".")


ALL = "ALL"
"""What stands for a pair in tables of many."""


def check_pair(pair: str) -> None:
    """ValueError unless `pair` is short and in capitals: a pair such as EURUSD, or a series such as CNN."""
    if not _PAIR.fullmatch(pair):
        raise ValueError(f"pair {pair!r:.80} does not match {_PAIR.pattern}")


def check_block(block: str) -> None:
    """ValueError unless `block` is short and in lower case, such as `2018q1`, `2018-03` or `all`."""
    if not _BLOCK.fullmatch(block):
        raise ValueError(f"block {block!r:.80} does not match {_BLOCK.pattern}")


def state_block(asset: str) -> str:
    """Partition of the file that carries the asset's state in a table of blocks."""
    return _STATE_BLOCK + slug(asset)


def holds_state(block: str) -> bool:
    """Whether that partition holds a state, and no rows."""
    return block.startswith(_STATE_BLOCK)


def content_name(content_hash: str, name: str) -> str:
    """Name of a block's file: the first 16 digits of the hash of its rows, then `name`, that of its bytes."""
    return f"{content_hash[:16]}.{name}"


def block_hashes(files: Iterable[tuple[str, str]]) -> dict[str, str]:
    """Content hash of each block, sorted by block, from blocks and paths; files that hold a state are left out."""
    return {
        block: PurePosixPath(path).name.partition(".")[0] for block, path in sorted(files) if not holds_state(block)
    }


def partition_columns(schema: pa.Schema) -> list[str]:
    """The columns by which a table of that schema is partitioned; they stand in paths, not in files."""
    return ["pair", "block"] if "block" in schema.names else ["pair"]


def check_state(table: str, pair: str, state: State) -> None:
    """ValueError for a state of another pair, or of an asset whose name is no path."""
    slug(state.asset)
    if state.pair != pair:
        raise ValueError(f"state of {state.asset} is of {state.pair}, the rows go to {table} of {pair}")


def own_rows(table: str, pair: str, data: pa.Table, block: str | None = None) -> pa.Table:
    """`data` in canonical types; ValueError for rows of another pair or block, or with `block` where none is."""
    schema = canonical_schema(data.schema, table)
    place = {"pair": pair} if block is None else {"pair": pair, "block": block}
    if partition_columns(schema) != list(place):
        raise ValueError(
            f"rows for {table} have a column 'block': commit them with Lake.write_blocks"
            if block is None
            else f"rows for {table}, block {block}, have no column 'block': add it, or commit them with Lake.write"
        )
    rows = data.select(schema.names).cast(schema)
    for column, value in place.items():
        if others := set(rows.column(column).unique().to_pylist()) - {value}:
            raise ValueError(f"rows for {table} of {value} hold other {column}s: {sorted(map(str, others))}")
    return rows


def check_schema(table: str, found: pa.Schema, expected: pa.Schema, folder: Path) -> None:
    """ValueError naming each column in which rows (`found`) and the table in `folder` (`expected`) differ."""
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
        f"schemas are never changed in place. If its rows can be computed again from their source, move the folder "
        f"{folder} away and materialize what writes {table}; else keep it and write to a table of another name"
    )
