"""Shapes of answers that are not documents of the lake: for OpenAPI, and for whoever reads them in Python."""

from __future__ import annotations

from typing import Any, Final

from pydantic import AwareDatetime, BaseModel, ConfigDict

from fx_assets.forecasting.document import ForecastDocument
from serving.validation import MOST_PAIRS


class _Answer(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Published(_Answer):
    """A page of earlier forecasts."""

    pair: str
    model_id: str
    frequency: str
    forecasts: list[ForecastDocument]
    next: str | None


class Outcome(_Answer):
    """A forecast that came due."""

    origin: AwareDatetime
    issued_at: AwareDatetime
    target_time: AwareDatetime
    median: float
    quantiles: dict[str, float]
    close: float
    inside_80: bool | None


class Outcomes(_Answer):
    """Forecasts beside the prices that came."""

    pair: str
    model_id: str
    frequency: str
    horizon: int
    outcomes: list[Outcome]


class Batch(_Answer):
    """The newest forecasts of several pairs, of one version of the lake; null while there is none."""

    version: int | None
    missing: list[str]
    forecasts: list[ForecastDocument]


class Bar(_Answer):
    """One bar."""

    time: AwareDatetime
    end: AwareDatetime
    close: float


class Bars(_Answer):
    """The newest bars of a pair."""

    pair: str
    frequency: str
    bars: list[Bar]


class Version(_Answer):
    """A trained version; `scope` is a pair or "panel"."""

    version: str
    scope: str
    kind: str
    pairs: list[str]
    trained_until: AwareDatetime
    registered_at: AwareDatetime


class Versions(_Answer):
    """The trained versions of a model, newest first."""

    model_id: str
    versions: list[Version]


class Pairs(_Answer):
    """Every configured pair."""

    pairs: list[dict[str, Any]]


class Models(_Answer):
    """Every configured model."""

    models: list[dict[str, Any]]


class Alive(_Answer):
    """The process answers."""

    status: str


class Ready(BaseModel):
    """What can be read, and what cannot."""

    model_config = ConfigDict(extra="allow", frozen=True)

    status: str
    forecasts: int
    stale: list[str]
    missing: list[str]
    failed: list[str]


BATCH: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "pairs": {
            "type": "array",
            "items": {"type": "string"},
            "minItems": 1,
            "maxItems": MOST_PAIRS,
            "uniqueItems": True,
        },
        "model": {"type": ["string", "null"]},
        "frequency": {"type": ["string", "null"]},
    },
    "required": ["pairs"],
    "additionalProperties": False,
}
