"""`params.json`: the parameters of a model as plain JSON, every number finite."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from fx_assets.models.errors import FitFailed, InvalidCheckpoint, NotLoaded

PARAMS = "params.json"


class Params(dict[str, Any]):
    """Loaded parameters by name; asking for one that was not loaded raises `NotLoaded`."""

    def __missing__(self, name: str) -> NoReturn:
        raise NotLoaded(f"parameter {name!r} was not loaded; load a checkpoint that has it, or train again")


def dump_params(params: Mapping[str, Any]) -> bytes:
    """Canonical JSON; equal parameters give equal bytes.

    Raises `FitFailed` naming a number that is not finite, or a value that JSON does not have.
    """
    bad = next(_not_json(params, ""), None)
    if bad is not None:
        raise FitFailed(f"parameter {bad}; the model is not stored. Check its training rows")
    return json.dumps(params, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def read_json(files: Mapping[str, bytes], name: str) -> dict[str, Any]:
    """One JSON object from a checkpoint's files. Raises `InvalidCheckpoint` naming file and fault."""
    if name not in files:
        raise InvalidCheckpoint(f"{name} is missing; the checkpoint has {', '.join(sorted(files)) or 'no files'}")
    try:
        value = json.loads(files[name].decode("utf-8"), parse_constant=_refuse_constant)
    except RecursionError as error:
        raise InvalidCheckpoint(f"{name} is nested too deep; train again") from error
    except ValueError as error:
        raise InvalidCheckpoint(f"{name} cannot be read ({error}); train again") from error
    if not isinstance(value, dict):
        raise InvalidCheckpoint(f"{name}: expected an object, got {type(value).__name__}; train again")
    bad = next(_not_json(value, ""), None)  # 1e999 parses to infinity without a word
    if bad is not None:
        raise InvalidCheckpoint(f"{name}: {bad}; train again")
    return value


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a number")


def _not_json(value: Any, path: str) -> Iterator[str]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                yield f"{path or 'names'}: a name must be text, got {type(key).__name__}"
            yield from _not_json(item, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _not_json(item, f"{path}[{index}]")
    elif isinstance(value, float):
        if not math.isfinite(value):
            yield f"{path} is not finite"
    elif value is not None and not isinstance(value, bool | int | str):
        yield f"{path} is a {type(value).__name__}, which JSON does not have (use float(), .tolist())"


def positive_number(params: Mapping[str, Any], name: str) -> dict[str, str]:
    """For `_check_params`: what is wrong with a parameter that must be a number over 0; empty if nothing."""
    if name not in params:
        return {name: "is missing"}
    value = params[name]
    if isinstance(value, bool) or not isinstance(value, int | float) or value <= 0:
        return {name: "must be a number greater than 0"}
    return {}
