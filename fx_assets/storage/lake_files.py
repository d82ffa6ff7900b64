"""Data files of the lake: Parquet named by its SHA-256, with the asset's state in the footer."""

from __future__ import annotations

import uuid
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from fx_assets.storage.errors import CorruptFileError, FormatError
from fx_assets.storage.hashing import sha256_bytes
from fx_assets.storage.records import State

FILE_FORMAT = b"1"
_FORMAT_KEY = b"fx_assets.format"
_STATE_KEY = b"fx_assets.state"
_NONCE_KEY = b"fx_assets.nonce"
# Bytes from which columns are decoded side by side; setting that up for a single forecast takes longer than reading it.
_WORTH_THREADS = 262_144
# Rows of a Parquet row group: about a quarter of minutes, so that a block is one group that is read at once, while a
# reader of a longer file (a month of ticks) skips the groups it does not want by their smallest and largest times.
BLOCK_ROWS = 131_072
REMEDY = "nothing of it was read; restore the file from a backup, or materialize its asset again"


def canonical_type(kind: pa.DataType, where: str) -> pa.DataType:
    """The one Arrow type a Delta column of that meaning has here.

    Text and lists of any width become `string` and `list<element>`. Raises ValueError for times that
    are not UTC microseconds and for types that Delta does not know (unsigned, dictionary, ...).
    """
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return pa.string()
    if pa.types.is_list(kind) or pa.types.is_large_list(kind):
        return pa.list_(pa.field("element", canonical_type(kind.value_type, where)))
    if pa.types.is_timestamp(kind):
        if kind.unit != "us" or kind.tz != "UTC":
            raise ValueError(f"{where} is {kind}: times are timestamp[us, tz=UTC] in the lake; cast it first")
        return kind
    known = (pa.bool_(), pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.float32(), pa.float64(), pa.date32())
    if kind in known:
        return kind
    raise ValueError(f"{where} is {kind}: the lake keeps numbers, text, dates, UTC times and lists; cast it first")


def canonical_schema(schema: pa.Schema, table: str) -> pa.Schema:
    """`schema` with canonical types, all nullable, without metadata, `pair` first."""
    if "pair" not in schema.names:
        raise ValueError(f"rows for {table} have no column 'pair'; found {schema.names}")
    names = ["pair", *(name for name in schema.names if name != "pair")]
    if len(set(schema.names)) != len(schema.names):
        raise ValueError(f"rows for {table} have a column twice: {schema.names}")
    return pa.schema([pa.field(n, canonical_type(schema.field(n).type, f"{table}: column {n!r}")) for n in names])


def encode(data: pa.Table, state: State | None) -> tuple[str, bytes]:
    """Parquet bytes of rows without partition columns, any state in the footer; and `<sha256>.parquet`, their name."""
    footer = {
        _FORMAT_KEY: FILE_FORMAT,
        # Equal rows committed twice must be two files: Delta ignores an addition of a known path.
        _NONCE_KEY: uuid.uuid4().hex.encode(),
    }
    if state is not None:
        footer[_STATE_KEY] = state.to_json().encode()
    sink = pa.BufferOutputStream()
    pq.write_table(
        data.replace_schema_metadata(footer),
        sink,
        compression="zstd",
        store_schema=True,
        row_group_size=BLOCK_ROWS,
        **_encodings(data.schema),
    )
    content = sink.getvalue().to_pybytes()
    return f"{sha256_bytes(content)}.parquet", content


def _encodings(schema: pa.Schema) -> dict[str, Any]:
    """Times of fine prices differ from one another but have equal steps: as deltas they take half the room and time."""
    times = [field.name for field in schema if pa.types.is_timestamp(field.type)]
    if not times or any(pa.types.is_nested(field.type) for field in schema):
        return {}
    return {
        "use_dictionary": [name for name in schema.names if name not in times],
        "column_encoding": dict.fromkeys(times, "DELTA_BINARY_PACKED"),
    }


def verified(path: Path, size: int | None = None) -> bytes:
    """The bytes of a data file, equal to its name's SHA-256; CorruptFileError otherwise.

    The digest is what stands last in the name, behind the content hash that names of blocks begin with.
    """
    try:
        content = path.read_bytes()
    except FileNotFoundError as error:
        raise CorruptFileError(f"{path} is missing although the table's log names it: {REMEDY}") from error
    if size is not None and len(content) != size:
        raise CorruptFileError(f"{path} has {len(content)} bytes, {size} were committed: {REMEDY}")
    if sha256_bytes(content) != path.stem.rpartition(".")[2]:
        raise CorruptFileError(f"{path} does not have the SHA-256 of its name: {REMEDY}")
    return content


def decode(path: Path, content: bytes, columns: list[str] | None = None) -> pa.Table:
    """Rows of verified bytes, without partition columns; FormatError for a file of another format."""
    parquet = pq.ParquetFile(pa.BufferReader(content))
    _footer(path, parquet)
    # Reading no column at all would lose the number of rows.
    threads = len(content) > _WORTH_THREADS
    return parquet.read(columns=columns or None, use_threads=threads).replace_schema_metadata(None)


def decode_state(path: Path, content: bytes) -> State:
    """The state in the footer of verified bytes; FormatError for one of another format."""
    footer = _footer(path, pq.ParquetFile(pa.BufferReader(content)))
    try:
        return State.from_json(footer[_STATE_KEY])
    except FormatError as error:
        raise FormatError(f"{path}: {error}") from error


def _footer(path: Path, parquet: Any) -> dict[bytes, bytes]:
    footer: dict[bytes, bytes] = parquet.schema_arrow.metadata or {}
    if footer.get(_FORMAT_KEY) != FILE_FORMAT:
        raise FormatError(
            f"{path} has format {footer.get(_FORMAT_KEY, b'none').decode()}, this version reads "
            f"{FILE_FORMAT.decode()}: materialize its asset again, or use the version that wrote it"
        )
    return footer
