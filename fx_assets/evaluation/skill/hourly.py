"""Hourly ranges: the project's own kind for hours, walked forward, with the ranges that follow what matures.

`seasonal_ewma` knows the week's rhythm; each year it is learned anew from rows that end before, and one tracker a
central mass, as every night moves it, follows outcomes through all years and hours of the day. Nothing here knows
the hour but the kind, so that hours at which ranges hold badly show what the kind has not understood. Its settings were
chosen on the rows before July 2017, which the benchmark does not score.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.skill.walked import walk
from fx_assets.evaluation.skill.worlds import Hours
from fx_assets.models.inputs import PairHistory
from fx_assets.models.ranges import follow
from fx_assets.settings import get_settings
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.ahead import hours_of_week
from fx_assets.timegrid.sessions import by_hour, trading_date_expr
from fx_assets.timegrid.windows import EvaluationWindow

Floats = NDArray[np.float64]
Integers = NDArray[np.int64]

WINDOW = 1_000
# Weeks that are learned from before any range is given, half of them for the calibration: a year, short of holidays.
LEAST_WEEKS = 51
_VALIDATION_YEARS = 0.5
_HOUR, _DAY = np.timedelta64(1, "h"), 24


@dataclass(frozen=True, eq=False)
class HourlyRanges:
    """Central ranges of the return of each hour, given when the hour before ended.

    `rows` (n,): numbers of the returns; `hour` (n,): of the day in New York, in which the bar begins; `lower`, `upper`
    (n,): bounds of the log return; `held` (n,): whether it lay inside.
    """

    rows: Integers
    hour: Integers
    lower: Floats
    upper: Floats
    held: NDArray[np.bool_]


def hourly_ranges(hours: Hours, *, mass: float = 0.8) -> HourlyRanges:
    """Ranges of all returns from the first year on that begins after 51 weeks; each from the returns before it.

    `mass` in hundredths. Raises `ValueError` for a `mass` outside (0, 1) and for too short a history, `FitFailed` for
    prices that never move.
    """
    if not 0 < mass < 1:
        raise ValueError(f"mass: expected a share between 0 and 1, got {mass}")
    history, spec = _history(hours), _spec(hours.pair)
    folds = EvaluationWindow.walk_forward(
        history.ends,
        first=_next_year(history.trading_dates[0].item() + timedelta(weeks=LEAST_WEEKS)),
        refit_every="year",
        validation_years=_VALIDATION_YEARS,
        embargo=spec.horizon,
    )
    said = walk(spec, {hours.pair: history}, folds, (1,), features=None, settings=get_settings(), show=lambda _: None)[
        hours.pair
    ]
    forecasts, levels = said.forecasts, [(1 - mass) / 2, (1 + mass) / 2]
    y = history.outcomes(forecasts.rows, (1,))
    path = follow(said.start, forecasts.location, forecasts.scale, y)
    edges = [
        ranges.quantiles(levels, location, scale)[0]
        for ranges, location, scale in zip(path, forecasts.location, forecasts.scale, strict=False)
    ]
    lower, upper = np.array(edges).T
    return HourlyRanges(
        rows=forecasts.rows,
        hour=hours_of_week(history.ends[forecasts.rows + 1]) % _DAY,
        lower=lower,
        upper=upper,
        held=(y[:, 0] >= lower) & (y[:, 0] <= upper),
    )


def coverage_by_hour(ranges: HourlyRanges, kept: NDArray[np.bool_]) -> dict[int, tuple[float, int]]:
    """Share held and number of ranges by hour of the day in New York, of the ranges `kept` (n,)."""
    return {
        hour: (float(np.mean(ranges.held[own])), int(own.sum()))
        for hour in range(_DAY)
        if (own := kept & (ranges.hour == hour)).any()
    }


def _spec(pair: str) -> ModelSpec:
    return ModelSpec(
        model_id="hours",
        kind="seasonal_ewma",
        pairs=(pair,),
        frequency="1h",
        window=WINDOW,
        horizon=1,
        target="volatility",
    )


def _history(hours: Hours) -> PairHistory:
    import polars as pl

    times = pl.Series("time", hours.starts).dt.replace_time_zone("UTC")
    return PairHistory(
        pair=hours.pair,
        ends=np.asarray(hours.starts.astype("datetime64[us]") + _HOUR, dtype="datetime64[us]"),
        trading_dates=by_hour(times, trading_date_expr).to_numpy().astype("datetime64[D]"),
        closes=hours.closes,
        features=np.empty((len(hours.closes), 0)),
        frequency="1h",
    )


def _next_year(day: date) -> date:
    """First day of the year that begins on `day` or after it."""
    return day if (day.month, day.day) == (1, 1) else date(day.year + 1, 1, 1)
