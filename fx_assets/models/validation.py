"""Turns rows from outside into a window of numbers, or says which cell is wrong without repeating it."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from fx_assets.models.errors import InvalidInput
from fx_assets.models.inputs import FloatArray

# Wider than any price or feature, narrow enough that no forecast overflows: a larger number is a mistake.
LARGEST = 1e9
_LARGEST_STEP = math.log(100.0)


def parse_window(raw: Mapping[str, Any], window: int, columns: Sequence[str], *, gaps: bool = False) -> FloatArray:
    """(window, columns) from `{"data": [[...], ...]}`, oldest row first. Raises `InvalidInput` with the index.

    With `gaps` a feature may be null: NaN, which the model's own plan fills.
    """
    if not isinstance(raw, Mapping) or "data" not in raw:
        raise InvalidInput(f"missing; send {window} rows of {len(columns)} numbers as data")
    if len(raw) > 1:
        raise InvalidInput("unknown field beside data; send data alone")
    rows = raw["data"]
    if not isinstance(rows, list | tuple):
        raise InvalidInput(f"expected a list of {window} rows, got {_type(rows)}")
    if len(rows) != window:
        raise InvalidInput(f"expected {window} rows (oldest first), got {len(rows)}")
    flat = _flat(rows, len(columns))
    if flat is None:
        for index, row in enumerate(rows):
            _refuse_row(index, row, columns, gaps=gaps)
        flat = list(chain.from_iterable(rows))
    values = _numbers(flat).reshape(window, len(columns))
    check_values(values, gaps=gaps)
    return values


def _flat(rows: Sequence[Any], columns: int) -> list[Any] | None:
    """All cells, where all rows are lists of so many numbers: seen at once, since nearly all are. None where not."""
    if set(map(type, rows)) != {list} or set(map(len, rows)) != {columns}:
        return None
    cells = list(chain.from_iterable(rows))
    return cells if set(map(type, cells)) <= {float, int} else None


def _numbers(cells: Sequence[Any]) -> FloatArray:
    try:
        # The fastest way from numbers of Python to an array, by far.
        return np.frombuffer(struct.pack(f"{len(cells)}d", *cells)).copy()
    except (OverflowError, struct.error):  # a whole number beyond any float, or a gap
        return np.array([_capped(cell) for cell in cells], dtype=np.float64)


def check_values(values: FloatArray, *, gaps: bool = False) -> None:
    """Refuse what no model can use: (rows, columns), column 0 the close. Raises `InvalidInput` with the index."""
    if len(values) and _clearly_usable(values):
        return
    unusable = ~np.isfinite(values)
    if gaps:
        unusable[:, 1:] &= ~np.isnan(values[:, 1:])
    with np.errstate(invalid="ignore"):
        _refuse(unusable, "expected a finite number")
        _refuse(np.abs(values) > LARGEST, f"expected a number of at most {LARGEST:g} in size")
        close = values[:, :1]
        _refuse(close <= 0, "a close must be greater than 0")
        _refuse(close < 1 / LARGEST, f"a close must be at least {1 / LARGEST:g}")
        jumps = np.abs(np.diff(np.log(close), axis=0)) > _LARGEST_STEP
    _refuse(
        np.vstack([np.zeros((1, 1), dtype=bool), jumps]), "this close is over a hundred times the one before, or under"
    )


def _clearly_usable(values: FloatArray) -> bool:
    """Whether three looks at the whole are enough: nearly always. NaN is in no range, and so is looked at again."""
    close = values[:, 0]
    low, high = float(close.min()), float(close.max())
    # Closes this near to each other cannot jump, however logarithms are rounded.
    return low >= 1 / LARGEST and high < 50 * low and bool(values.max() <= LARGEST and values.min() >= -LARGEST)


def check_batch(batch: FloatArray, window: int, columns: Sequence[str], *, gaps: bool = False) -> FloatArray:
    """The same for windows that are arrays already: (B, window, columns). The index starts with the window's number."""
    array = np.asarray(batch)
    if array.dtype.kind not in "fiu":
        raise InvalidInput(f"expected numbers, got an array of {array.dtype}")
    if array.ndim != 3 or array.shape[1:] != (window, len(columns)):
        raise InvalidInput(
            f"expected (windows, {window}, {len(columns)}), columns {_names(columns)}; got {array.shape}"
        )
    array = array.astype(np.float64)
    for number, values in enumerate(array):
        try:
            check_values(values, gaps=gaps)
        except InvalidInput as error:
            raise InvalidInput(str(error).split(": ", 1)[1], (number, *error.index)) from None
    return array


def check_ahead(
    ahead: FloatArray | None, windows: int, horizon: int, columns: Sequence[str]
) -> Sequence[FloatArray | None]:
    """What each of `windows` windows knows of the bars to come: (horizon, columns), or None where none is asked for.

    Raises `InvalidInput` for another shape, or a value that is not finite.
    """
    if ahead is None and not columns:
        return [None] * windows
    expected = (windows, horizon, len(columns))
    found = None if ahead is None else np.shape(ahead)
    if ahead is None or not columns or found != expected:
        said = f"({windows} windows, {horizon} horizons, {len(columns)} known_ahead)"
        raise InvalidInput(f"expected what is known ahead as {said}, got {found}")
    if not np.isfinite(ahead).all():
        raise InvalidInput("what is known ahead must be finite numbers")
    return list(ahead)


def _refuse(bad: np.ndarray[Any, np.dtype[np.bool_]], message: str) -> None:
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise InvalidInput(message, (int(row), int(column)))


def _refuse_row(index: int, row: Any, columns: Sequence[str], *, gaps: bool) -> None:
    if not isinstance(row, list | tuple):
        raise InvalidInput(f"expected a row of {len(columns)} numbers, got {_type(row)}", (index,))
    if len(row) != len(columns):
        raise InvalidInput(f"expected {len(columns)} columns ({_names(columns)}), got {len(row)}", (index,))
    _refuse_types(index, row, gaps=gaps)


def _refuse_types(index: int, row: Sequence[Any], *, gaps: bool) -> None:
    for column, cell in enumerate(row):
        if cell is None and gaps and column:
            continue
        if isinstance(cell, bool) or not isinstance(cell, int | float):
            raise InvalidInput(f"expected a number, got {_type(cell)}", (index, column))


def _capped(cell: int | float | None) -> float:
    try:
        return math.nan if cell is None else float(cell)
    except OverflowError:
        return math.inf


def _type(value: Any) -> str:
    if value is None:
        return "null"
    words = {bool: "true or false", str: "text", dict: "an object", list: "a list", int: "a number", float: "a number"}
    return words.get(type(value), f"a {type(value).__name__}")


def _names(columns: Sequence[str]) -> str:
    return ", ".join(columns) if len(columns) <= 8 else f"{', '.join(columns[:7])}, ... {columns[-1]}"
