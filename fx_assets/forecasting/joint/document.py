"""The joint forecast's document: what a group of pairs does together, beside the served forecasts of each."""

from __future__ import annotations

import itertools
import json
import math
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from fx_assets.forecasting.document import Price, QuantileLevel
from fx_assets.specs.schema import Frequency, ModelId, PairName

SERVED_NOTE = (
    "quantiles of a single pair are those of its own served, calibrated forecast; the joint paths' differ by what "
    "simulated_minus_served_bp says and do not replace them"
)
TOUCH_NOTE = "touch probabilities look at mid prices at the end of each step only, so they understate"
RISK_NOTE = "value at risk and expected shortfall are before costs and financing, losses positive"
COHERENT = 1e-12

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
Probability = Annotated[float, Field(ge=0, le=1)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class TailRisk(_Part):
    """Losses at the tails, positive, per unit of account currency held at the origin."""

    value_at_risk: dict[QuantileLevel, float] = Field(min_length=1, description="Loss exceeded with that probability")
    expected_shortfall: dict[QuantileLevel, float] = Field(description="Mean loss in that worst share of paths")

    @model_validator(mode="after")
    def _ordered(self) -> TailRisk:
        if list(self.value_at_risk) != list(self.expected_shortfall):
            raise ValueError("value_at_risk and expected_shortfall must give the same levels in the same order")
        for name, losses in (("value_at_risk", self.value_at_risk), ("expected_shortfall", self.expected_shortfall)):
            by_level = [losses[level] for level in sorted(losses, key=float)]
            if any(rarer < common for rarer, common in itertools.pairwise(by_level)):
                raise ValueError(f"{name}: a rarer loss is smaller than a more common one")
        for level, loss in self.value_at_risk.items():
            if self.expected_shortfall[level] < loss - abs(loss) * COHERENT:
                raise ValueError(f"expected_shortfall at {level} is under the value at risk")
        return self


class BothSides(_Part):
    """Of a position or a book, and of the same turned round."""

    held: TailRisk
    turned_round: TailRisk


class BookRisk(BothSides):
    """Risk of a book as outcomes have moved it, and what its value at risk would seem without the joint paths."""

    simulated: BothSides | None = Field(
        default=None, description="As the paths have it; not given where no outcome has moved it"
    )
    summed: dict[QuantileLevel, float] = Field(description="Value at risk of each position alone, added up; as held")
    independent: dict[QuantileLevel, float] = Field(description="Value at risk were positions independent; as held")


class PairAtHorizon(_Part):
    """One pair at one horizon."""

    location: float = Field(description="Coherent cumulative log return from last_price")
    median: Price = Field(description="Coherent: last_price * exp(location)")
    served_median: Price
    served_off_bp: float = Field(description="By how much the served median is above the coherent one")
    volatility: float = Field(gt=0, description="Served standard deviation of the log return")
    simulated_volatility: float = Field(gt=0, description="That of the joint paths")
    simulated_minus_served_bp: dict[QuantileLevel, float] = Field(description="Quantile of the paths less the served")
    risk: BothSides = Field(description="Of one unit of account currency bought of the base, and sold")


class JointHorizon(_Part):
    """All pairs at `h` bars after the origin."""

    h: int = Field(ge=1, description="Bars ahead")
    target_time: AwareDatetime = Field(description="Instant at which the target prices are set, UTC")
    pairs: dict[PairName, PairAtHorizon]
    correlation: tuple[tuple[float, ...], ...] = Field(description="Of cumulative log returns, in the order of pairs")
    book: BookRisk = Field(description="One unit of account currency, spread evenly over the pairs, bases bought")


class TouchProbability(_Part):
    """How likely a price level is reached within each horizon, and how likely the price ends beyond it."""

    pair: PairName
    sigmas: int = Field(description="Distance from last_price in served one-bar volatilities; below 0: under it")
    level: Price
    touched: tuple[Probability, ...]
    ended_beyond: tuple[Probability, ...]

    @model_validator(mode="after")
    def _possible(self) -> TouchProbability:
        if len(self.touched) != len(self.ended_beyond):
            raise ValueError(f"{self.pair} at {self.level}: touched and ended_beyond differ in length")
        if any(later < earlier for earlier, later in itertools.pairwise(self.touched)):
            raise ValueError(f"{self.pair} at {self.level}: a longer time cannot touch less often")
        if any(ended > touched for touched, ended in zip(self.touched, self.ended_beyond, strict=True)):
            raise ValueError(f"{self.pair} at {self.level}: ends beyond it more often than it is touched")
        return self


class Member(_Part):
    """The served forecast that a pair enters with."""

    pair: PairName
    model_id: ModelId
    model_version: str
    last_price: Price


class JointForecast(_Part):
    """The joint forecast of a group of pairs from one origin. Times are UTC, prices in quote currency."""

    group: str = Field(description="What the pairs have in common, and the numeraire")
    frequency: Frequency
    origin: AwareDatetime = Field(description="End of the last bar used")
    data_as_of: date = Field(description="Trading date of the last bar used")
    issued_at: AwareDatetime = Field(description="Wall clock of the commit")
    run_id: str
    pairs: tuple[PairName, ...] = Field(min_length=1)
    numeraire: Currency
    account: Currency = Field(description="Currency in which risk is counted")
    legs: tuple[PairName, ...] = Field(
        min_length=1, description="Pairs that are simulated; the others are made of them"
    )
    crosses: dict[PairName, dict[PairName, Literal[-1, 1]]] = Field(description="Legs of each cross with their signs")
    members: tuple[Member, ...]
    horizons: tuple[JointHorizon, ...] = Field(min_length=1)
    touches: tuple[TouchProbability, ...]
    dates_used: int = Field(ge=1, description="Whole dates that paths are drawn from")
    dates_left_out: int = Field(ge=0, description="Dates between them on which a leg lacks a return or a volatility")
    first_date: date
    last_date: date
    rescaled: bool = Field(description="Whether residuals are of another model's volatility and made of unit size")
    seed: int = Field(ge=0, description="Made of the content: the same content gives the same paths")
    draws: int = Field(ge=1)
    book_outcomes: int = Field(default=0, ge=0, description="Outcomes that have moved the risk of the book")
    notes: tuple[str, ...]

    @model_validator(mode="after")
    def _whole(self) -> JointForecast:
        if list(self.pairs) != sorted(set(self.pairs)):
            raise ValueError(f"pairs: expected each once in alphabetical order, found {', '.join(self.pairs)}")
        if {*self.legs, *self.crosses} != set(self.pairs) or set(self.legs) & set(self.crosses):
            raise ValueError("legs and crosses: every pair must be one or the other")
        if any(not set(recipe) <= set(self.legs) for recipe in self.crosses.values()):
            raise ValueError("crosses: made of pairs that are no legs")
        if tuple(member.pair for member in self.members) != self.pairs:
            raise ValueError("members: expected one for each pair, in the same order")
        if [horizon.h for horizon in self.horizons] != list(range(1, len(self.horizons) + 1)):
            raise ValueError(f"horizons: expected every step from 1 to {len(self.horizons)} once, in order")
        if any(len(touch.touched) != len(self.horizons) or touch.pair not in self.pairs for touch in self.touches):
            raise ValueError("touches: expected a probability for each horizon, of pairs of the group")
        for horizon in self.horizons:
            self._check(horizon)
        return self

    def _check(self, horizon: JointHorizon) -> None:
        where = f"horizon {horizon.h}"
        if tuple(horizon.pairs) != self.pairs:
            raise ValueError(f"{where}: expected the pairs {', '.join(self.pairs)}, in this order")
        for cross, recipe in self.crosses.items():
            implied = sum(sign * horizon.pairs[leg].location for leg, sign in recipe.items())
            if abs(horizon.pairs[cross].location - implied) > COHERENT:
                raise ValueError(f"{where}: the location of {cross} is not what {' and '.join(recipe)} make of it")
        size, rows = len(self.pairs), horizon.correlation
        if len(rows) != size or any(len(row) != size for row in rows):
            raise ValueError(f"{where}: correlation must have {size} rows and columns")
        for i, j in itertools.product(range(size), repeat=2):
            if rows[i][j] != rows[j][i] or abs(rows[i][j]) > 1 or (i == j and not math.isclose(rows[i][j], 1)):
                raise ValueError(f"{where}: no correlation between {self.pairs[i]} and {self.pairs[j]}: {rows[i][j]}")


_CIRCUMSTANCES: Any = {"issued_at": True, "run_id": True}


def same_content(first: JointForecast, second: JointForecast) -> bool:
    """Whether both say the same, whenever and by whichever run they were issued; then nothing is written."""
    return first.model_dump(exclude=_CIRCUMSTANCES) == second.model_dump(exclude=_CIRCUMSTANCES)


def json_schema() -> dict[str, Any]:
    """JSON Schema of the document."""
    schema = JointForecast.model_json_schema(mode="serialization")
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def schema_text() -> str:
    """The text of a packaged schema file."""
    return json.dumps(json_schema(), indent=2, sort_keys=True) + "\n"
