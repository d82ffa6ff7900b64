"""The digest of what a table says, whatever its form in memory."""

from __future__ import annotations

import hashlib

import pyarrow as pa


def table_hash(table: pa.Table) -> str:
    """SHA-256 of a table's content: column names, types, values, nulls and row order.

    Independent of chunking, of slices, of the payload under nulls and of whether text is `string`,
    `large_string` or `string_view`. All NaN count as one. Raises TypeError for types no table here uses.
    """
    digest = hashlib.sha256()
    for name in table.column_names:
        column = table.column(name)
        # A length before each text keeps ("ab", "c") and ("a", "bc") apart.
        digest.update(f"{len(name)}:{name}:{len(column)};".encode())
        chunks = _widened(column).chunks  # a cast of nothing may leave none
        _update(digest, pa.concat_arrays(chunks) if chunks else None, column.type)
    return digest.hexdigest()


def _is_text(kind: pa.DataType) -> bool:
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_string_view(kind))


def _is_list(kind: pa.DataType) -> bool:
    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))


def _widened(column: pa.ChunkedArray) -> pa.ChunkedArray:
    # 32-bit offsets overflow when chunks are joined; the 64-bit kinds do not.
    return column.cast(pa.large_string()) if _is_text(column.type) else column


def _update_text(digest: hashlib._Hash, array: pa.Array) -> None:
    import numpy as np

    _, offsets, payload = array.buffers()
    if len(array) == 0 or offsets is None:
        return
    ends = np.frombuffer(offsets, dtype=np.int64)[array.offset : array.offset + len(array) + 1]
    digest.update(np.diff(ends).tobytes())
    if payload is not None:
        digest.update(memoryview(payload)[ends[0] : ends[-1]])


def _update(digest: hashlib._Hash, array: pa.Array | None, kind: pa.DataType) -> None:
    import numpy as np
    import pyarrow.compute as pc

    if _is_text(kind):
        label = "text"
    elif _is_list(kind):
        label = "list"
    else:
        label = str(kind)
    digest.update(f"{label};".encode())
    if array is None:
        return
    digest.update(np.packbits(array.is_valid().to_numpy(zero_copy_only=False)).tobytes())
    if label == "text":
        _update_text(digest, pc.fill_null(array.cast(pa.large_string()), ""))
    elif label == "list":
        lengths = pc.fill_null(pc.list_value_length(array), 0).cast(pa.int64())
        digest.update(lengths.to_numpy(zero_copy_only=False).astype("<i8").tobytes())
        items = array.flatten()
        digest.update(f"{len(items)};".encode())
        _update(digest, items, kind.value_type)
    elif pa.types.is_floating(kind):
        values = pc.fill_null(array, 0.0).to_numpy(zero_copy_only=False).copy()
        values[np.isnan(values)] = np.nan  # NaN has many bit patterns
        digest.update(values.tobytes())
    elif pa.types.is_boolean(kind):
        digest.update(np.packbits(pc.fill_null(array, False).to_numpy(zero_copy_only=False)).tobytes())
    elif pa.types.is_integer(kind) or pa.types.is_temporal(kind):
        width = kind.bit_width
        if not pa.types.is_integer(kind):
            array = array.cast(pa.int32() if width == 32 else pa.int64())
        digest.update(pc.fill_null(array, 0).to_numpy(zero_copy_only=False).tobytes())
    else:
        raise TypeError(f"no content hash for a column of type {kind}; storage knows numbers, text, times, lists")
