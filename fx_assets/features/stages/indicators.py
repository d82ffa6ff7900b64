"""All hand-made features of a bar: prices, trend, volatility, statistics, spread, the clock, other pairs, other series.

What each is, reads and looks back on is declared in `fx_assets.features.indicators`, a file for each family. Returns,
distances and volatilities are in basis points of price (1 % = 100), so that columns of different pairs are of one size.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from pydantic import Field

from fx_assets.features.frames import Frame
from fx_assets.features.indicators import (
    cross,
    dates,
    exogenous,
    log_scale,
    momentum,
    ranges,
    returns,
    sessions,
    spread,
    statistics,
    strength,
    trend,
    volatility,
)
from fx_assets.features.indicators.cross import CrossOptions
from fx_assets.features.indicators.declared import Declared
from fx_assets.features.indicators.exogenous import ExogOptions
from fx_assets.features.indicators.log_scale import LogScaleOptions
from fx_assets.features.indicators.options import LongPeriods, Periods, SamplePeriods
from fx_assets.features.indicators.strength import StrengthOptions
from fx_assets.features.stages.base import Column, Columns, StageOptions, StatelessStage
from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.frequencies import seconds_of

_FAMILIES = (
    *(returns, trend, momentum, volatility, ranges, statistics, spread),
    *(sessions, dates, strength, cross, exogenous, log_scale),
)
INDICATORS: dict[str, Declared] = {made.name: made for family in _FAMILIES for made in family.DECLARED}
_DAY = 86_400


class IndicatorOptions(StageOptions):
    """Which indicators, each for a list of periods in bars or on and off; columns come in the order of these fields."""

    returns: Periods = Field(default_factory=list)
    volatility: LongPeriods = Field(default_factory=list)
    rsi: LongPeriods = Field(default_factory=list)
    ema_ratio: LongPeriods = Field(default_factory=list)
    bollinger: LongPeriods = Field(default_factory=list)
    macd: bool = False

    roc: Periods = Field(default_factory=list)
    momentum: Periods = Field(default_factory=list)
    scaled_return: LongPeriods = Field(default_factory=list)

    sma_ratio: LongPeriods = Field(default_factory=list)
    kama_ratio: LongPeriods = Field(default_factory=list)
    efficiency_ratio: LongPeriods = Field(default_factory=list)
    slope: LongPeriods = Field(default_factory=list)
    adx: LongPeriods = Field(default_factory=list)
    plus_di: LongPeriods = Field(default_factory=list)
    minus_di: LongPeriods = Field(default_factory=list)
    aroon: LongPeriods = Field(default_factory=list)

    chande_momentum: LongPeriods = Field(default_factory=list)
    stochastic_k: LongPeriods = Field(default_factory=list)
    stochastic_d: LongPeriods = Field(default_factory=list)
    williams_r: LongPeriods = Field(default_factory=list)
    cci: LongPeriods = Field(default_factory=list)
    ultimate_oscillator: LongPeriods = Field(default_factory=list)
    trix: LongPeriods = Field(default_factory=list)

    downside_volatility: LongPeriods = Field(default_factory=list)
    upside_volatility: LongPeriods = Field(default_factory=list)
    ewma_volatility: LongPeriods = Field(default_factory=list)
    atr: LongPeriods = Field(default_factory=list)
    realised_volatility: Periods = Field(default_factory=list)
    parkinson: Periods = Field(default_factory=list)
    garman_klass: Periods = Field(default_factory=list)
    rogers_satchell: Periods = Field(default_factory=list)
    yang_zhang: LongPeriods = Field(default_factory=list)

    skewness: SamplePeriods = Field(default_factory=list)
    kurtosis: SamplePeriods = Field(default_factory=list)
    autocorrelation: SamplePeriods = Field(default_factory=list)
    variance_ratio: SamplePeriods = Field(default_factory=list)
    zscore: LongPeriods = Field(default_factory=list)
    highest_distance: LongPeriods = Field(default_factory=list)
    lowest_distance: LongPeriods = Field(default_factory=list)
    drawdown: LongPeriods = Field(default_factory=list)
    max_drawdown: LongPeriods = Field(default_factory=list)

    spread: bool = False
    spread_ratio: LongPeriods = Field(default_factory=list)
    spread_excess: LongPeriods = Field(default_factory=list)
    tick_intensity: LongPeriods = Field(default_factory=list)

    sessions: bool = False
    session_minutes: bool = False
    weekly_close: bool = False
    hour_of_week: bool = False
    day_of_week: bool = False
    day_of_month: bool = False
    month_end: Periods = Field(default_factory=list)
    quarter_end: Periods = Field(default_factory=list)
    year_end: Periods = Field(default_factory=list)
    payrolls: bool = False
    gap_ahead: bool = False

    strength: StrengthOptions | None = None
    cross: CrossOptions | None = None
    exog: ExogOptions | None = None

    log_scale: LogScaleOptions | None = None
    log_realised: Periods = Field(default_factory=list)


class Indicators(StatelessStage):
    """The chosen indicators, computed one by one."""

    name = "indicators"
    priority = 10
    Options = IndicatorOptions

    def lookback(self, options: IndicatorOptions, frequency: Frequency) -> int:
        """The longest window, or the warm-up of the slowest recursive one."""
        del frequency
        return max((made.lookback(value) for made, value in _chosen(options)), default=0)

    def columns(self, options: IndicatorOptions) -> list[Column]:
        """`<indicator>_<period>`, in the order of the options' fields."""
        return [column for made, value in _chosen(options) for column in made.columns(value)]

    def needs(self, options: IndicatorOptions) -> frozenset[str]:
        """What the chosen indicators read; none for those of the clock alone."""
        return frozenset(name for made, _ in _chosen(options) for name in made.needs)

    def others(self, options: IndicatorOptions, pair: str, known: Sequence[str]) -> tuple[str, ...]:
        """What `strength` and `cross` read."""
        return tuple(sorted({name for made, value in _chosen(options) for name in made.others(value, pair, known)}))

    def named_pairs(self, options: IndicatorOptions) -> tuple[str, ...]:
        """Those of `cross`."""
        return () if options.cross is None else tuple(options.cross.pairs)

    def exog(self, options: IndicatorOptions) -> tuple[str, ...]:
        """What `exog` names."""
        return tuple(name for made, value in _chosen(options) for name in made.exog(value))

    def problems(self, options: IndicatorOptions, frequency: Frequency) -> list[tuple[str, str]]:
        """Clock features of bars that are too long to have an hour, or a date, of their own."""
        seconds = seconds_of(frequency)
        found = []
        for made, _ in _chosen(options):
            if made.intraday and seconds >= _DAY:
                found.append((made.name, f"bars of {frequency} all end at one hour of the day; take shorter bars"))
            elif made.dated and seconds > _DAY:
                found.append((made.name, f"bars of {frequency} span several trading dates; take bars of a day or less"))
        return found

    def _compute(self, frame: Frame, options: Any, first: int) -> Columns:
        del first
        result: Columns = {}
        for made, value in _chosen(options):
            names = (column.name for column in made.columns(value))
            result |= zip(names, made.compute(frame, value), strict=True)
        return result


def _chosen(options: IndicatorOptions) -> Iterator[tuple[Declared, Any]]:
    """The indicators that are switched on, with what their option says, in the order of the fields."""
    for name in IndicatorOptions.model_fields:
        value = getattr(options, name)
        if value:
            yield INDICATORS[name], value
