"""The certificate: what a model was measured to be worth on one pair, as it is served beside its numbers."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import Any, Literal

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from fx_assets.specs.schema import Frequency, ModelId, PairName

Words = Literal["skill shown", "no skill shown", "worse", "too little data"]
UNTESTED: Literal["untested"] = "untested"
TABLE = "certificates"
_UTC = pa.timestamp("us", tz="UTC")
CERTIFICATE_SCHEMA = pa.schema(
    [
        pa.field("pair", pa.string()),
        pa.field("model_id", pa.string()),
        pa.field("model_version", pa.string()),
        pa.field("measured_at", _UTC),
        pa.field("digest", pa.string()),
        pa.field("document", pa.string()),
    ]
)


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Finding(_Part):
    """One verdict, and the figures it rests on. Losses are means over the windows."""

    verdict: Words
    against: str = Field(description="What the loss is compared with")
    loss: float
    benchmark: float = Field(description="The same loss of what it is compared with")
    ratio: float | None = Field(
        description="loss / benchmark, under 1 is better; null for QLIKE, which may be negative"
    )
    p_value: float | None = Field(description="One-sided Diebold-Mariano with EWC values; null with too little data")
    adjusted_p_value: float | None = Field(description="After Holm over the horizons")
    reason: str = Field(default="", description="Why the verdict is not what the numbers alone would give")


class Printed(_Part):
    """Tests that are printed and never sufficient: each alone says "skill" of models that are worse."""

    clark_west: float | None = Field(description="p value, one-sided, location")
    giacomini_white: float | None = Field(description="p value, density: are the gains predictable")
    pesaran_timmermann: float | None = Field(description="p value, direction, one bar ahead only")
    hit_rate: float | None = Field(description="Share of windows whose direction was called, of those that were called")


class AtHorizon(_Part):
    """All that was measured at one horizon."""

    horizon: int = Field(ge=1, description="Bars ahead")
    windows: int = Field(ge=1)
    independent_windows: int = Field(ge=1, description="Windows that do not overlap")
    first: AwareDatetime = Field(description="First origin")
    last: AwareDatetime = Field(description="Last target")
    location: Finding = Field(description="Squared error against the driftless random walk, squared basis points")
    density: Finding = Field(description="CRPS against the random walk with the champion's volatility, basis points")
    volatility: tuple[Finding, ...] = Field(description="QLIKE against GARCH-t and against HAR, squared percent")
    coverage_80: float = Field(ge=0, le=1)
    coverage_90: float = Field(ge=0, le=1)
    crps_of_constant_walk: float = Field(ge=0, description="CRPS of a random walk with constant volatility, bp")
    printed: Printed


class Tail(_Part):
    """Value at risk one bar ahead on one side: how often outcomes lay beyond it."""

    side: Literal["below", "above"]
    level: float = Field(gt=0, lt=1)
    exceptions: int = Field(ge=0)
    share: float = Field(ge=0, le=1)
    kupiec: float | None = Field(description="p value of the right number of exceptions")
    christoffersen: float | None = Field(description="p value of exceptions that do not come in clusters")
    light: Literal["green", "yellow", "red"]


class Certificate(_Part):
    """Measured on windows that the version, or the earlier self that forecast them, has never learned from."""

    pair: PairName
    frequency: Frequency
    model_id: ModelId
    model_version: str
    measured_at: AwareDatetime
    verdict: Words = Field(description="Of the density, over all horizons")
    location: Words = Field(description="Over all horizons")
    density: Words = Field(description="Over all horizons")
    volatility: Words = Field(description="Over all horizons; skill where both references are beaten at one")
    density_benchmark: ModelId = Field(description="The champion whose volatility the random walk was given")
    horizons: tuple[AtHorizon, ...] = Field(min_length=1)
    tails: tuple[Tail, ...]
    folds: tuple[str, ...] = Field(description="Earlier selves, and live for the version itself")
    trials: int = Field(ge=0, description="Trials that searches have run on the pair, whatever the model")
    digest: str = Field(default="", description="SHA-256 of all the rest but measured_at")

    def sealed(self) -> Certificate:
        """With its digest."""
        content = self.model_dump_json(exclude={"digest", "measured_at"})
        return self.model_copy(update={"digest": hashlib.sha256(content.encode()).hexdigest()})


def to_row(certificate: Certificate) -> pa.Table:
    """One row of `CERTIFICATE_SCHEMA`."""
    row = {name: getattr(certificate, name) for name in CERTIFICATE_SCHEMA.names if name != "document"}
    return pa.Table.from_pylist([{**row, "document": certificate.model_dump_json()}], schema=CERTIFICATE_SCHEMA)


def newest(
    table: pa.Table, model_id: str, version: str | None = None, *, when: datetime | None = None
) -> Certificate | None:
    """The newest certificate of a model (of one version, where given) in rows of one pair; None without one.

    `when` (aware): as it was then. Raises pydantic's `ValidationError` for a row that is none.
    """
    rows = table.filter(pc.equal(table.column("model_id"), model_id))
    if version is not None:
        rows = rows.filter(pc.equal(rows.column("model_version"), version))
    if when is not None:
        rows = rows.filter(pc.less_equal(rows.column("measured_at"), pa.scalar(when, type=_UTC)))
    if not rows.num_rows:
        return None
    document = rows.sort_by("measured_at").column("document")[-1].as_py()
    return Certificate.model_validate_json(document)


def standing(table: pa.Table, model_id: str, version: str, *, when: datetime | None = None) -> Certificate | None:
    """What stands beside a version: its own newest certificate, else that of the model's version before.

    A new version forecasts before it is measured; until then what its predecessor was worth is the best that is known,
    and `model_version` says whose it is. `when` and errors as `newest` has them.
    """
    return newest(table, model_id, version, when=when) or newest(table, model_id, when=when)


def decisive(certificate: Certificate) -> AtHorizon:
    """The first horizon whose ranges have the verdict over all horizons."""
    rows = certificate.horizons
    return next((row for row in rows if row.density.verdict == certificate.verdict), rows[0])


def in_words(certificate: Certificate) -> str:
    """One sentence for people: the verdict on the ranges, and what it rests on, at the first horizon that says so."""
    at = decisive(certificate)
    found, value = at.density, at.density.adjusted_p_value
    p = "" if value is None else ", p under .001" if value < 0.001 else f", p {value:.3f}"
    ratio = "" if found.ratio is None else f" {found.ratio:.4f} times"
    bars = "1 bar" if at.horizon == 1 else f"{at.horizon} bars"
    return (
        f"{certificate.verdict}: {bars} ahead its CRPS is{ratio} that of a {found.against}{p}, over {at.windows} "
        f"windows; location: {certificate.location}; volatility: {certificate.volatility}"
    )


def json_schema() -> dict[str, Any]:
    """JSON Schema of the certificate, as packaged in `fx_assets/schemas/certificate.schema.json`."""
    schema = Certificate.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """The packaged schema file's text."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"
