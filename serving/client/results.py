"""What the API answers, as frozen values. Times are UTC, prices in quote currency, unrounded.

Fields that a newer service adds are passed over, and stay in `raw`.
"""

from __future__ import annotations

from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import msgspec

from serving.client import frames

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from matplotlib.axes import Axes


class _Result(msgspec.Struct, frozen=True, kw_only=True):
    """A part of an answer."""


class _Whole(_Result, frozen=True, kw_only=True):
    """An answer; `raw` is its JSON as it came."""

    # No member of an answer has such a name: none is ever taken for it.
    raw: dict[str, Any] = msgspec.field(name="-raw", default_factory=dict)


class Horizon(_Result, frozen=True, kw_only=True):
    """The distribution of the price `h` bars after the origin; `quantiles` by level, levels increasing."""

    h: int
    target_date: date
    target_time: datetime
    retrospective: bool
    median: float
    volatility: float
    """Standard deviation of the log return from `last_price` to the target."""
    quantiles: dict[str, float]


class Finding(_Result, frozen=True, kw_only=True):
    """One verdict and the figures it rests on; a ratio under 1 is better than what it is compared with."""

    verdict: str
    against: str
    loss: float
    benchmark: float
    ratio: float | None
    p_value: float | None
    adjusted_p_value: float | None
    reason: str = ""


class CertificateHorizon(_Result, frozen=True, kw_only=True):
    """What was measured at one horizon, in bars ahead."""

    horizon: int
    windows: int
    independent_windows: int
    location: Finding
    density: Finding
    volatility: tuple[Finding, ...]
    coverage_80: float
    coverage_90: float


class Certificate(_Whole, frozen=True, kw_only=True):
    """What a model was measured to be worth on a pair: verdicts over all horizons, and the figures of each."""

    pair: str
    frequency: str
    model_id: str
    model_version: str
    measured_at: datetime
    verdict: str
    location: str
    density: str
    volatility: str
    density_benchmark: str
    horizons: tuple[CertificateHorizon, ...]
    folds: tuple[str, ...] = ()
    trials: int = 0
    digest: str = ""


class Lineage(_Result, frozen=True, kw_only=True):
    """What the numbers were made from."""

    data_version: str
    feature_schema_hash: str | None
    config_hash: str
    code_version: str
    run_id: str
    trained_until: datetime


class Forecast(_Whole, frozen=True, kw_only=True, eq=False):
    """One model's forecast of one pair from one origin; equal to another that says the same, however it came."""

    pair: str
    model_id: str
    model_version: str
    kind: str
    frequency: str
    origin: datetime
    """End of the last bar used."""
    data_as_of: date
    issued_at: datetime
    valid_until: datetime
    stale: bool
    revision: str
    in_sample: bool
    last_price: float
    pip: float
    target: str
    horizons: tuple[Horizon, ...]
    champion: str
    lineage: Lineage
    verdict: str = "untested"
    certificate: Certificate | None = None
    evaluation: dict[str, Any] | None = None
    signal: float | None = None
    notes: tuple[str, ...] = ()
    forecast_id: str | None = None
    """Names a published forecast for ever; None on demand."""
    event_id: str | None = msgspec.field(name="-event_id", default=None)
    """Of a stream: where to go on after this one; None on the forecasts that one begins with, but the last of them."""

    def __eq__(self, other: object) -> bool:
        return self.raw == other.raw if isinstance(other, Forecast) else NotImplemented

    def __hash__(self) -> int:
        return hash((self.pair, self.model_id, self.model_version, self.origin, self.issued_at))

    def __repr__(self) -> str:
        stale = ", stale" if self.stale else ""
        return (
            f"<Forecast {self.pair} by {self.model_id}: {len(self.horizons)} x {self.frequency} from "
            f"{self.origin.isoformat()}, issued {self.issued_at.isoformat()}, {self.verdict}{stale}>"
        )

    def to_df(self) -> pd.DataFrame:
        """A pandas frame with a row for each horizon and the columns of the API's CSV; quantiles as `q0.1`."""
        return frames.pandas_frame(self)

    def to_polars(self) -> pl.DataFrame:
        """The same as a polars frame."""
        return frames.polars_frame(self)

    def plot(self, ax: Axes | None = None) -> Axes:
        """A fan chart on `ax`, by default on a figure of its own, which is `ax.figure`."""
        return frames.fan_chart(self, ax)


class Batch(_Result, frozen=True, kw_only=True):
    """The newest forecasts of several pairs, all from one `version` of the lake."""

    version: int | None
    forecasts: dict[str, Forecast]
    missing: tuple[str, ...]


class Outcome(_Result, frozen=True, kw_only=True):
    """A forecast that came due, beside the price that came."""

    origin: datetime
    issued_at: datetime
    target_time: datetime
    median: float
    quantiles: dict[str, float]
    close: float
    inside_80: bool | None


class Pair(_Whole, frozen=True, kw_only=True):
    """A configured pair; `state` is `ready`, `waiting` or `failed`, and a failed one has no more than its name."""

    pair: str
    state: str
    pip: float | None = None
    calendar: str | None = None
    frequencies: tuple[str, ...] = ()
    source: str | None = None
    champion: str | None = None
    models: tuple[str, ...] = ()
    forecasts: tuple[str, ...] = ()


class Model(_Whole, frozen=True, kw_only=True):
    """A configured model; `columns` are those of a row of `data`. A failed one has no more than its name."""

    model_id: str
    state: str
    kind: str | None = None
    description: str | None = None
    pairs: tuple[str, ...] = ()
    frequency: str | None = None
    columns: tuple[str, ...] = ()
    window: int | None = None
    horizon: int | None = None
    target: str | None = None
    quantiles: tuple[float, ...] = ()


class Readiness(_Whole, frozen=True, kw_only=True):
    """Whether at least one forecast can be read, and which pairs are stale or missing."""

    ready: bool = False
    forecasts: int = 0
    stale: tuple[str, ...] = ()
    missing: tuple[str, ...] = ()
    failed: tuple[str, ...] = ()


def forecast(raw: Any, event_id: str | None = None) -> Forecast:
    """A forecast document. Raises `msgspec.ValidationError`."""
    if not isinstance(raw, dict):
        raise msgspec.ValidationError("Expected `object`")
    certificate = raw.get("certificate")
    extra: dict[str, Any] = {"-raw": raw, "-event_id": event_id}
    if isinstance(certificate, dict):
        extra["certificate"] = {**certificate, "-raw": certificate}
    return msgspec.convert({**raw, **extra}, Forecast)
