"""The manifest that travels with every artifact: what the checkpoint is, and what made it."""

from __future__ import annotations

import json
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, JsonValue, model_validator

from fx_assets.specs.schema import ModelId, ModelSpec, PairName
from fx_assets.storage.hashing import fingerprint

FORMAT: Literal[1] = 1

Sha256 = Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,100}$")]


class FileEntry(BaseModel):
    """Digest and size in bytes of one file of an artifact."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    sha256: Sha256
    size: int = Field(ge=0)


class Manifest(BaseModel):
    """`manifest.json` of an artifact. Times are UTC; an unknown format or key is refused.

    `pairs` are those the checkpoint was trained on, `columns` those of one input row, `config` the
    spec's `training_config()` and `config_hash` its fingerprint, `trained_until` the end of the newest
    bar that any part of the fit, calibration included, has seen.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    format: Literal[1] = FORMAT
    model_id: ModelId
    scope: Annotated[str, Field(pattern=r"^([A-Z]{6}|panel)$", description="The pair, or panel")]
    version: str = Field(min_length=1)
    kind: str = Field(min_length=1)
    pairs: tuple[PairName, ...] = Field(min_length=1)
    columns: tuple[str, ...] = Field(min_length=1)
    config: dict[str, JsonValue]
    config_hash: Sha256
    feature_schema_hash: str | None
    code_version: str
    created_at: AwareDatetime
    trained_until: AwareDatetime
    fingerprint: str
    run_id: str
    seed: int
    metrics: dict[str, float] = Field(default_factory=dict)
    libraries: dict[str, str] = Field(default_factory=dict)
    base_version: str | None = Field(default=None, description="Version that a warm update went on from")
    refit: AwareDatetime | None = Field(default=None, description="Cut of the refit period it belongs to")
    files: dict[FileName, FileEntry] = Field(default_factory=dict)
    digest: Sha256 = Field(description="Fingerprint of all other keys, written by the artifact store")

    @model_validator(mode="after")
    def _config_is_hashed(self) -> Manifest:
        if fingerprint(self.config) != self.config_hash:
            raise ValueError("config_hash is not the fingerprint of config; the manifest was changed after training")
        if self.scope != "panel" and self.pairs != (self.scope,):
            raise ValueError(f"scope {self.scope} goes with pairs [{self.scope}], found {list(self.pairs)}")
        return self


def config_hash(spec: ModelSpec) -> str:
    """Fingerprint of the part of `spec` that decides what a checkpoint is."""
    return fingerprint(spec.training_config())


def json_schema() -> dict[str, Any]:
    """JSON Schema of `manifest.json`, as packaged in `fx_assets/schemas/manifest.schema.json`."""
    schema = Manifest.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """The packaged schema file's text."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"
