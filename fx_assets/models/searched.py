"""`found.json`: the values that a search has found, by dotted key; a loaded predictor uses those."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic import ValidationError

from fx_assets.models.errors import InvalidCheckpoint
from fx_assets.models.params import dump_params, read_json
from fx_assets.specs.schema import ModelSpec

FOUND = "found.json"


def found_file(values: Mapping[str, Any]) -> dict[str, bytes]:
    """The file as a checkpoint has it; none without values."""
    return {FOUND: dump_params(values)} if values else {}


def found_spec(spec: ModelSpec, files: Mapping[str, bytes]) -> ModelSpec:
    """The spec as it was trained: with the values that the checkpoint's search has found.

    Raises `InvalidCheckpoint` for a value that the spec refuses.
    """
    if FOUND not in files:
        return spec
    try:
        return spec.varied(read_json(files, FOUND))
    except (ValidationError, KeyError) as error:
        raise InvalidCheckpoint(f"{FOUND}: {error}; train again") from error
