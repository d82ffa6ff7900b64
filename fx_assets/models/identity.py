"""What makes a checkpoint a checkpoint of this model: kind, config, columns, feature schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from fx_assets.specs.schema import ModelSpec


def identity(spec: ModelSpec, columns: tuple[str, ...], feature_schema_hash: str | None) -> dict[str, Any]:
    """JSON for the manifest; `config` is there so that a mismatch can be told field by field."""
    from fx_assets.models.manifest import config_hash  # pulls pyarrow; the registry must import fast

    return {
        "kind": spec.kind,
        "config_hash": config_hash(spec),
        "config": spec.training_config(),
        "columns": list(columns),
        "feature_schema_hash": feature_schema_hash,
    }


def unlike(own: Mapping[str, Any], manifest: Mapping[str, object]) -> list[str]:
    """What differs between a model's identity and a manifest, one line each; empty where they are the same."""
    lines = [f"{key}: not in the manifest" for key in own if key not in manifest]
    lines += [
        f"{key}: checkpoint {manifest[key]!r}, this model {own[key]!r}"
        for key in ("kind", "feature_schema_hash")
        if key in manifest and manifest[key] != own[key]
    ]
    if "config_hash" in manifest and manifest["config_hash"] != own["config_hash"]:
        fields = list(_fields(own["config"], manifest.get("config"), "config"))
        lines += fields or [f"config_hash: checkpoint {manifest['config_hash']!r}, this model {own['config_hash']!r}"]
    columns = manifest.get("columns")
    if "columns" in manifest and columns != own["columns"]:
        lines += list(_columns(own["columns"], columns))
    return lines


def _fields(own: Any, other: Any, path: str) -> Iterator[str]:
    if isinstance(own, dict) and isinstance(other, dict):
        for key in sorted(own.keys() | other.keys()):
            yield from _fields(own.get(key), other.get(key), f"{path}.{key}")
    elif own != other:
        yield f"{path}: checkpoint {other!r}, this model {own!r}"


def _columns(own: list[str], other: object) -> Iterator[str]:
    if not isinstance(other, list):
        yield "columns: the manifest has no list of names"
        return
    gone, new = [name for name in other if name not in own], [name for name in own if name not in other]
    if gone:
        yield f"columns: only in the checkpoint: {', '.join(map(str, gone))}"
    if new:
        yield f"columns: only in this model: {', '.join(new)}"
    if not gone and not new:
        yield "columns: the same names in another order"
