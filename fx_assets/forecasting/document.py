"""The forecast document: what the lake stores and HTTP serves.

Floats are stored and served unrounded, so that the night and HTTP agree to the last bit.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from fx_assets.forecasting.certificate import UNTESTED, Certificate, Words, in_words
from fx_assets.specs.schema import Frequency, ModelId, PairName

Revision = Literal["live", "replay"]
Price = Annotated[float, Field(gt=0, description="In quote currency, unrounded")]
QuantileLevel = Annotated[str, Field(pattern=r"^0\.[0-9]{1,3}$")]

UNTESTED_NOTE = "untested: no significance test has compared this model with a random walk yet"


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class HorizonForecast(_Part):
    """The distribution of one price: that of `h` bars after the origin."""

    h: int = Field(ge=1, description="Bars ahead")
    target_date: date = Field(description="Trading date of the target")
    target_time: AwareDatetime = Field(description="Instant at which the target price is set, UTC")
    retrospective: bool = Field(description="Whether the forecast was issued at or after target_time")
    median: Price
    volatility: float = Field(gt=0, description="Standard deviation of the log return from last_price to the target")
    quantiles: dict[QuantileLevel, Price] = Field(min_length=1, description="Price per level, levels increasing")

    @model_validator(mode="after")
    def _ordered(self) -> HorizonForecast:
        levels, prices = [float(level) for level in self.quantiles], list(self.quantiles.values())
        if levels != sorted(set(levels)):
            raise ValueError(f"horizon {self.h}: quantile levels are not increasing: {list(self.quantiles)}")
        if any(high < low for low, high in itertools.pairwise(prices)):
            raise ValueError(f"horizon {self.h}: quantiles cross; each price must be at least that of the level below")
        return self


class Evaluation(_Part):
    """What the model scored on held-out data that no fit and no stopping rule has seen."""

    horizon: int = Field(ge=1, description="Bars ahead that the losses are of")
    crps: float = Field(ge=0, description="Mean continuous ranked probability score, basis points")
    crps_random_walk: float = Field(ge=0, description="The same of a random walk with constant volatility")
    ratio: float = Field(ge=0, description="crps / crps_random_walk: under 1 is better than the random walk")
    coverage_80: float = Field(ge=0, le=1, description="Share of outcomes inside the 80 % range")
    windows: int = Field(ge=1)
    independent_windows: int = Field(ge=0, description="Windows that do not overlap")
    first: AwareDatetime = Field(description="First origin")
    last: AwareDatetime = Field(description="Last target")


class Lineage(_Part):
    """What the numbers were made from."""

    data_version: str
    feature_schema_hash: str | None
    config_hash: str
    code_version: str
    run_id: str
    trained_until: AwareDatetime


class ForecastDocument(_Part):
    """One model's forecast of one pair from one origin. Times are UTC, prices in quote currency."""

    forecast_id: str | None = Field(default=None, description="Names the published document for ever; null on demand")
    pair: PairName
    model_id: ModelId
    model_version: str
    kind: str
    frequency: Frequency
    origin: AwareDatetime = Field(description="End of the last bar used")
    data_as_of: date = Field(description="Trading date of the last bar used")
    issued_at: AwareDatetime = Field(description="Wall clock of the commit, or of the answer on demand")
    valid_until: AwareDatetime = Field(description="End of the next bar after the origin, as the calendar plans it")
    stale: bool = Field(description="Whether more open trading dates have ended without a price than the pair allows")
    revision: Revision
    in_sample: bool = Field(description="Whether the model was trained on data after the origin")
    last_price: Price
    pip: float = Field(gt=0, description="Smallest quoted step, in quote currency")
    target: Literal["log_return", "level", "volatility"]
    horizons: tuple[HorizonForecast, ...] = Field(min_length=1)
    champion: ModelId = Field(description="The model that is served by default for this pair and frequency")
    verdict: Words | Literal["untested"] = Field(default=UNTESTED, description="Of the certificate, when it was issued")
    evaluation: Evaluation | None = None
    certificate: Certificate | None = Field(default=None, description="What the version was measured to be worth")
    signal: float | None = Field(default=None, ge=-1, le=1)
    notes: tuple[str, ...] = ()
    lineage: Lineage

    @model_validator(mode="after")
    def _whole(self) -> ForecastDocument:
        steps = [horizon.h for horizon in self.horizons]
        if steps != list(range(1, len(steps) + 1)):
            raise ValueError(f"horizons: expected every step from 1 to {len(steps)} once, in order; found {steps}")
        times = [horizon.target_time for horizon in self.horizons]
        if any(later <= earlier for earlier, later in itertools.pairwise(times)):
            raise ValueError("horizons: target times are not increasing")
        if len({tuple(horizon.quantiles) for horizon in self.horizons}) != 1:
            raise ValueError("horizons: every horizon must give the same quantile levels")
        return self


def level_key(level: float) -> str:
    """Key of a quantile level in a document: `0.1`, `0.05`, `0.995`. Raises for other than steps of 0.005."""
    if not 0 < level < 1 or not math.isclose(level * 200, round(level * 200), abs_tol=1e-9):
        raise ValueError(f"quantile level {level!r}: expected a multiple of 0.005 between 0 and 1")
    return f"{level:.3f}".rstrip("0")


def forecast_id(key: Mapping[str, Any]) -> str:
    """The name of a published document, from what tells documents apart (`forecasting.table.ISSUE_KEY`).

    `20261030-` and 16 hexadecimal digits: the date of the origin in UTC, and a digest of the whole key.
    """
    moments = {name: at.astimezone(UTC) for name, at in key.items() if isinstance(at, datetime)}
    told = {**key, **{name: at.isoformat() for name, at in moments.items()}}
    digest = hashlib.blake2b(json.dumps(told, sort_keys=True).encode(), digest_size=8).hexdigest()
    return f"{moments['origin']:%Y%m%d}-{digest}"


def with_evaluation(
    document: ForecastDocument,
    summary: Mapping[int, Mapping[str, Any]] | None,
    certificate: Certificate | None = None,
) -> ForecastDocument:
    """`document` with what its model version scored at its first horizon, and its certificate; null where none is.

    The certificate's verdict takes the place of that when it was issued, and a sentence on it comes first in the notes.

    `summary` is `forecasting.scores.summary` of the scores of this pair, model and version.
    """
    scored = None if not summary else summary[min(summary)]
    said = UNTESTED_NOTE if certificate is None else in_words(certificate)
    joined = {
        "evaluation": None if scored is None else Evaluation.model_validate(scored),
        "certificate": certificate,
        "verdict": document.verdict if certificate is None else certificate.verdict,
        "notes": (said, *(note for note in document.notes if note != UNTESTED_NOTE)),
    }
    return document.model_copy(update=joined)


# What tells when and by which run, and what follows from the clock: not what was forecast.
_CIRCUMSTANCES: dict[str, Any] = {
    "forecast_id": True,
    "issued_at": True,
    "stale": True,
    "evaluation": True,
    "certificate": True,
    "verdict": True,
    "lineage": {"run_id"},
    "horizons": {"__all__": {"retrospective"}},
}


def same_content(first: ForecastDocument, second: ForecastDocument) -> bool:
    """Whether both say the same, whenever and by whichever run they were issued; then nothing is written.

    Left out are `issued_at`, the run, what follows from the clock (`stale`, `retrospective`) and the joined
    `evaluation`, `certificate` and `verdict`. Another champion is other content: readers learn of it from the document.
    """
    return first.model_dump(exclude=_CIRCUMSTANCES) == second.model_dump(exclude=_CIRCUMSTANCES)


def json_schema() -> dict[str, Any]:
    """JSON Schema of the document, as packaged in `fx_assets/schemas/forecast.schema.json`."""
    schema = ForecastDocument.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """The packaged schema file's text."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"
