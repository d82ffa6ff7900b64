"""The YAML schema: what a pair, a feature set and a model may say.

Strict and frozen: an unknown key is an error, and nothing changes after loading.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

PairName = Annotated[str, Field(pattern=r"^[A-Z]{6}$", description="Base and quote currency, e.g. EURUSD")]
ModelId = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]
Frequency = Literal["1min", "5min", "10min", "15min", "30min", "1h", "2h", "4h", "6h", "8h", "12h", "1d", "1w"]
Period = Literal["day", "month", "quarter", "year"]
Target = Literal["log_return", "level", "volatility"]
KnownAhead = Literal["weekday", "gap", "month_end", "payroll", "after_payroll", "year_end"]

# Words that are already first segments of the API's addresses; a model may not take one.
RESERVED_ROUTES = frozenset(
    {
        "v1",
        "livez",
        "readyz",
        "metrics",
        "docs",
        "redoc",
        "openapi",
        "static",
        "jobs",
        "pairs",
        "models",
        "forecasts",
    }
)

DEFAULT_QUANTILES = (0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95)


class Strict(BaseModel):
    """Base of every spec: unknown keys refused, values frozen, no silent conversion of text."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class SourceSpec(Strict):
    """Which adapter reads the prices of a pair, and with which options; each adapter says which keys it knows."""

    kind: str
    symbol: str | None = Field(default=None, description="The source's own name, where it differs")
    files: str | tuple[str, ...] = Field(
        default=(), description="Files or globs, relative to the project; the pair's folder of the inbox if not given"
    )
    clock: str | None = Field(
        default=None, description="IANA zone, fixed offset such as +02:00, new_york+7 or histdata; the adapter's own"
    )
    resolution: Literal["tick"] | Frequency | None = Field(
        default=None, description="What the source delivers: ticks, or bars this long"
    )
    side: Literal["bid", "ask", "mid", "trade"] | None = Field(
        default=None, description="What the prices quote where the file does not say"
    )
    points: float | None = Field(default=None, gt=0, description="Prices are in points of this size, e.g. 0.00001")
    columns: dict[str, str] = Field(default_factory=dict, description="Ours to the file's, e.g. time: Date")
    legs: dict[PairName, SourceSpec] = Field(default_factory=dict, description="Of a cross: two pairs, their sources")
    options: dict[str, Any] = Field(default_factory=dict, description="What only this adapter knows; it checks them")


class Costs(Strict):
    """What trading costs: the spread in pips, paid once a round trip; commission on each of its two trades.

    Commission is in units of quote currency for a million units of the base currency.
    """

    spread_pips: float = Field(default=1.0, ge=0)
    commission_per_million: float = Field(default=0.0, ge=0)


class PairSpec(Strict):
    """One currency pair: where its prices come from and what is believable of them."""

    pair: PairName
    enabled: bool = Field(default=True, description="false: checked, but not part of any run; an example to switch on")
    pip: float = Field(gt=0, description="Smallest quoted step, in quote currency")
    source: SourceSpec
    calendar: Literal["target", "fx", "24x7"]
    frequencies: tuple[Frequency, ...] = Field(default=("1d",), min_length=1)
    history_start: date
    plausible_range: tuple[float, float] = Field(description="Lowest and highest believable price")
    reject_limit: float = Field(default=0.005, ge=0, le=1, description="Share of rejected rows that fails a run")
    gap_limit: int = Field(default=5, ge=1, description="Most open trading dates that may be missing in a row")
    freshness: int = Field(default=2, ge=0, description="Open trading dates without a price before it is stale")
    costs: Costs = Costs()

    @field_validator("plausible_range")
    @classmethod
    def _ordered(cls, value: tuple[float, float]) -> tuple[float, float]:
        low, high = value
        if not 0 < low < high:
            raise ValueError("expected [low, high] with 0 < low < high")
        return value


class StageSpec(Strict):
    """One stage of a feature set; its options are checked by the stage itself."""

    stage: str
    enabled: bool = True
    options: dict[str, Any] = Field(default_factory=dict)


class FeatureSetSpec(Strict):
    """A named set of features: the stages in order."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,30}$")]
    frequency: Frequency = "1d"
    stages: tuple[StageSpec, ...] = Field(min_length=1)


class TrainingSpec(Strict):
    """How long and how a model trains. Networks read all of it, others only `seed` and the cuts."""

    refit_every: Period = Field(default="month", description="How often the training rows move on")
    validation_years: float = Field(default=2.0, gt=0, le=10)
    max_epochs: int = Field(default=10, ge=1)
    patience: int = Field(default=3, ge=1, description="Epochs without a better validation loss")
    batch_size: int = Field(default=64, ge=1)
    learning_rate: float = Field(default=1e-3, gt=0)
    weight_decay: float = Field(default=0.0, ge=0)
    stride: int = Field(default=1, ge=1, description="Rows between neighbouring training windows")
    update: Literal["none", "warm"] = Field(
        default="none", description="warm: each night goes on from the newest version, until refit_every begins anew"
    )
    update_epochs: int = Field(default=1, ge=1, le=100, description="Epochs of one warm update")
    seed: int = Field(default=7, ge=0)
    time_limit_s: float = Field(default=1800, gt=0, description="The training process is ended after this long")


class Range(Strict):
    """Values a search may take: between `low` and `high`, on a logarithmic scale or not, whole numbers or not."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    @model_validator(mode="after")
    def _ordered(self) -> Range:
        if not self.low < self.high:
            raise ValueError("expected low < high")
        if self.log and not self.low > 0:
            raise ValueError("a logarithmic range needs low > 0")
        if self.whole and not (self.low.is_integer() and self.high.is_integer()):
            raise ValueError("a range of whole numbers needs whole bounds")
        return self


class Choice(Strict):
    """Values a search may take: one of these."""

    choices: tuple[bool | int | float | str, ...] = Field(min_length=1)


# Where a search may look: `hyperparameters.<name>` of the kind, or one of these keys of `training`.
SEARCHED_TRAINING = frozenset({"learning_rate", "weight_decay", "batch_size", "max_epochs", "stride"})


class SearchSpec(Strict):
    """A search for settings, judged out of fold inside the training rows; `space` maps dotted keys to values."""

    trials: int = Field(default=20, ge=1, le=10_000)
    folds: int = Field(default=3, ge=1, le=20, description="Stretches of the training rows that trials are judged on")
    space: dict[str, Range | Choice] = Field(min_length=1)
    seed: int = Field(default=7, ge=0)

    @field_validator("space")
    @classmethod
    def _known_keys(cls, value: dict[str, Range | Choice]) -> dict[str, Range | Choice]:
        for key in value:
            head, _, rest = key.partition(".")
            if not (head == "hyperparameters" and rest) and not (head == "training" and rest in SEARCHED_TRAINING):
                allowed = ", ".join(f"training.{name}" for name in sorted(SEARCHED_TRAINING))
                raise ValueError(f"{key!r}: expected hyperparameters.<name> or one of {allowed}")
        return value


class MemberSpec(Strict):
    """One kind among an ensemble's candidates; with a `search`, its `keep` best settings are."""

    kind: str
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    search: SearchSpec | None = None
    keep: int = Field(default=1, ge=1, le=10)


class EnsembleSpec(Strict):
    """Candidates, stacked by weights that are fitted on predictions of rows they were not trained on."""

    members: tuple[MemberSpec, ...] = Field(min_length=1)
    folds: int = Field(default=3, ge=1, le=20, description="Stretches of the training rows that weights are fitted on")
    picks: int = Field(default=20, ge=1, le=200, description="Greedy steps: weights are multiples of one over this")


class EvaluationSpec(Strict):
    """The walk forward before the held-out year: earlier selves of the model, everything fitted again for each."""

    years: float = Field(default=5, ge=0, le=40, description="Years walked before the held-out one; 0: none")
    refit_every: Period = Field(default="year", description="How long one of the earlier selves forecasts")
    embargo: int | None = Field(
        default=None,
        ge=0,
        le=10_000,
        description="Bars left out between learning and forecasting; the horizon, if unset",
    )


class ScheduleSpec(Strict):
    """Whether the nightly run includes this model."""

    nightly: bool = True


class ModelSpec(Strict):
    """One model: what it predicts, from what, for which pairs."""

    model_id: ModelId
    kind: str
    description: str = ""
    pairs: Literal["all"] | tuple[PairName, ...]
    scope: Literal["pair", "panel"] = "pair"
    frequency: Frequency = "1d"
    features: str | None = None
    window: int = Field(ge=2, le=10_000, description="Bars a prediction looks at")
    horizon: int = Field(ge=1, le=1_000, description="Bars ahead, every step from 1 to this")
    target: Target = "log_return"
    quantiles: tuple[float, ...] = DEFAULT_QUANTILES
    hyperparameters: dict[str, Any] = Field(default_factory=dict)
    known_ahead: tuple[KnownAhead, ...] = Field(
        default=(), description="What the calendar says of the bars to come, as inputs for each horizon"
    )
    training: TrainingSpec = TrainingSpec()
    search: SearchSpec | None = None
    ensemble: EnsembleSpec | None = None
    evaluation: EvaluationSpec = EvaluationSpec()
    schedule: ScheduleSpec = ScheduleSpec()

    @field_validator("model_id")
    @classmethod
    def _not_reserved(cls, value: str) -> str:
        if value in RESERVED_ROUTES:
            raise ValueError(f"{value!r} is an address of the API; choose another model_id")
        return value

    @field_validator("pairs")
    @classmethod
    def _some_pairs(cls, value: Literal["all"] | tuple[str, ...]) -> Literal["all"] | tuple[str, ...]:
        if value != "all" and (not value or len(set(value)) != len(value)):
            raise ValueError("expected 'all' or a list of different pairs, at least one")
        return value

    @field_validator("known_ahead")
    @classmethod
    def _once(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(value)) != len(value):
            raise ValueError("expected each name once")
        return value

    @model_validator(mode="after")
    def _quantiles_fit(self) -> ModelSpec:
        levels = self.quantiles
        if list(levels) != sorted(set(levels)) or not all(0 < q < 1 for q in levels):
            raise ValueError("quantiles: expected increasing levels between 0 and 1, each once")
        if 0.5 not in levels:
            raise ValueError("quantiles: 0.5 is missing; every forecast gives a median")
        if any(abs(low + high - 1) > 1e-9 for low, high in zip(levels, reversed(levels), strict=True)):
            raise ValueError("quantiles: expected levels in symmetric pairs such as 0.1 and 0.9")
        if any(abs(q * 200 - round(q * 200)) > 1e-9 for q in levels):
            raise ValueError("quantiles: expected multiples of 0.005")
        return self

    def kept_under(self, pair: str) -> str:
        """What its checkpoints and its walk forward of a pair are kept under: the pair, or "panel"."""
        return "panel" if self.scope == "panel" else pair

    def training_config(self) -> dict[str, Any]:
        """The part that decides what a trained checkpoint is; its hash names the checkpoint's kin."""
        return self.model_dump(mode="json", exclude={"description", "schedule", "evaluation"})

    def varied(self, values: Mapping[str, Any]) -> ModelSpec:
        """This model with other values at dotted keys of a search, e.g. `training.learning_rate`; without its search.

        Raises pydantic's `ValidationError` for a value that the schema refuses.
        """
        data = self.model_dump(exclude={"search"})
        for key, value in values.items():
            head, _, name = key.partition(".")
            data[head] = {**data[head], name: value}
        return ModelSpec.model_validate(data)
