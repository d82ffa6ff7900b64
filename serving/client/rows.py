"""What a program has as data, as the rows of a prediction: lists, arrays, pandas and polars, to the last bit.

The libraries are asked for only where data of theirs came, so they are there already.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import orjson

from serving.client.errors import invalid

_TIME = "time"


def is_frame(data: Any) -> bool:
    """Whether columns are to be matched by name: then the model's have to be known."""
    return _of(data, "pandas", "DataFrame") or _of(data, "polars", "DataFrame")


def rows_of(data: Any, columns: Sequence[str] | None = None) -> list[Any]:
    """Rows, oldest first, of `data`; `columns` are the model's, in its order, where `data` is a frame.

    A list is taken as it is: the service says what is wrong with it. Raises `InvalidInput` for what is no data, columns
    that are missing or too many, what holds no numbers, and times that do not increase.
    """
    if _of(data, "pandas", "DataFrame"):
        return _from_pandas(data, columns or ())
    if _of(data, "polars", "DataFrame"):
        return _from_polars(data, columns or ())
    if _of(data, "pandas", "Series"):
        _increasing_index(data.index)
        return _from_array(_numeric(data, "the series"))
    if _of(data, "polars", "Series"):
        return _from_array(_numeric(data, "the series"))
    if _of(data, "numpy", "ndarray"):
        return _from_array(data)
    if isinstance(data, list | tuple):
        return [list(row) if isinstance(row, tuple) else row for row in data]
    kind = type(data).__name__
    raise invalid(f"data: expected rows, a numpy array, or a frame or series of pandas or polars; got {kind}")


def body_of(content: dict[str, Any]) -> bytes:
    """JSON. Raises `InvalidInput` for what JSON has no form of."""
    try:
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)
    except TypeError as error:
        raise invalid(f"data: this cannot be written as JSON ({error})") from error


def _of(data: Any, library: str, name: str) -> bool:
    """Whether `data` is an instance of a library's type; one that was never imported has no instances."""
    module = sys.modules.get(library)
    kind = getattr(module, name, None)
    return kind is not None and isinstance(data, kind)


def _from_array(array: Any) -> list[Any]:
    if array.dtype.kind not in "fiu":
        raise invalid(f"data: expected numbers, got an array of {array.dtype}")
    if array.ndim not in (1, 2):
        raise invalid(f"data: expected closes, or rows and columns; got {array.ndim} dimensions")
    found: list[Any] = (array.reshape(-1, 1) if array.ndim == 1 else array).tolist()
    return found


def _from_pandas(frame: Any, columns: Sequence[str]) -> list[Any]:
    _increasing_index(frame.index)
    names = list(frame.columns)
    return _chosen(names, columns, lambda name: frame[name])


def _from_polars(frame: Any, columns: Sequence[str]) -> list[Any]:
    return _chosen(list(frame.columns), columns, lambda name: frame[name])


def _chosen(names: list[Any], columns: Sequence[str], column: Any) -> list[Any]:
    import numpy as np

    twice = sorted({str(name) for name in names if names.count(name) > 1})
    if twice:
        raise invalid(f"data: {_listed(twice)} more than once; the model needs each column once")
    if _TIME in names and _TIME not in columns:
        names.remove(_TIME)
        _increasing(column(_TIME).to_numpy(), f"column {_TIME}")
    missing = [name for name in columns if name not in names]
    extra = [str(name) for name in names if name not in columns]
    if missing or extra:
        parts = [f"{word} {_listed(found)}" for word, found in (("missing", missing), ("unknown", extra)) if found]
        raise invalid(f"data: columns: {'; '.join(parts)}. The model takes {_listed(columns)}, in any order")
    found: list[Any] = np.column_stack([_numeric(column(name), f"column {name}") for name in columns]).tolist()
    return found


def _numeric(series: Any, name: str) -> Any:
    """A column as numbers; what is missing is NaN."""
    import numpy as np

    if _of(series, "polars", "Series"):
        numeric = series.dtype.is_numeric()
        found = series.to_numpy() if numeric else None
    else:
        numeric = getattr(series.dtype, "kind", "O") in "fiu"
        found = series.to_numpy(dtype="float64", na_value=float("nan")) if numeric else None
    if found is None or found.dtype.kind not in "fiu":
        raise invalid(f"data: {name}: expected numbers, got {series.dtype}")
    return found.astype(np.float64)


def _increasing_index(index: Any) -> None:
    """Refuse an index of instants that does not increase; any other index says nothing about time."""
    pandas = sys.modules["pandas"]
    if isinstance(index, pandas.DatetimeIndex):
        _increasing(index.to_numpy(), "the index")


def _increasing(moments: Any, name: str) -> None:
    import numpy as np

    # Asked this way round a time that is missing does not come after its last.
    late = np.flatnonzero(~(moments[1:] > moments[:-1]))
    if len(late):
        row = int(late[0]) + 1
        raise invalid(f"data: {name}: times must increase, oldest row first; row {row} does not come after its last")


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names)
