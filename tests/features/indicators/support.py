"""Frames of made-up bars, and one value for every option of the stage."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray

from fx_assets.features.frames import FloatArray, Frame, Times
from fx_assets.features.indicators.declared import Declared, Periodic, Switch
from fx_assets.features.stages.indicators import INDICATORS, IndicatorOptions, Indicators
from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.frequencies import end_expr, seconds_of
from fx_assets.timegrid.sessions import in_fx_week, trading_date_expr

BP = 1e4
# Over a change of daylight saving in New York (12 March), in London (26 March), and an Easter.
BEGIN = datetime(2023, 3, 6, tzinfo=UTC)
PAIR = "EURUSD"
OTHERS = ("AUDUSD", "BTCUSD", "EURGBP", "EURJPY", "GBPUSD", "USDJPY")
FEAR = "fear_greed/CNN"
# The youngest has its first close here, the series its first value.
YOUNG = 150

STRUCTURED: dict[str, dict[str, Any]] = {
    "strength": {"periods": [1, 10]},
    "cross": {"pairs": ["USDJPY", "EURUSD", "GBPUSD"], "returns": [1, 10], "correlations": [21]},
    "exog": {"series": [FEAR], "changes": [1, 10], "zscores": [21]},
    "log_scale": {"own": [5, 21], "coarse": [{"bars": 5, "half_life": 10}], "panel": [10]},
}


def example(made: Declared) -> Any:
    """What an option may say: two periods, true, or the above."""
    if isinstance(made, Periodic):
        return [10, 21]
    return True if isinstance(made, Switch) else STRUCTURED[made.name]


EXAMPLES = {name: example(made) for name, made in INDICATORS.items()}


def parsed(**options: Any) -> IndicatorOptions:
    return IndicatorOptions.model_validate(options)


def computed(frame: Frame, **options: Any) -> dict[str, FloatArray]:
    return Indicators().compute(frame, parsed(**options))


def times(rows: int, frequency: Frequency = "1h", calendar: CalendarName = "fx") -> tuple[Times, Times, Times]:
    """Start, end and trading date of `rows` bars of up to an hour, closed times left out."""
    step = np.timedelta64(seconds_of(frequency), "s")
    first = np.datetime64(BEGIN.replace(tzinfo=None), "us")
    starts = pl.Series("time", first + np.arange(2 * rows + 200) * step).dt.replace_time_zone("UTC")
    made = pl.DataFrame(starts).with_columns(
        end=end_expr(pl.col("time"), frequency, calendar), day=trading_date_expr(pl.col("time"))
    )
    if calendar == "fx":
        made = made.filter(in_fx_week(pl.col("time")))
    made = made.head(rows)
    naive = [made[name].dt.replace_time_zone(None).to_numpy() for name in ("time", "end")]
    return naive[0], naive[1], made["day"].to_numpy()


def walk(rows: int, seed: int = 3, start: float = 1.1, digits: int = 5) -> FloatArray:
    """A random walk of 0.1 % a bar, in ticks, so that neighbours are often tied."""
    steps = np.random.default_rng(seed).standard_normal(rows) * 0.001
    return np.asarray(np.round(start * np.exp(np.cumsum(steps)), digits))


def prices(close: FloatArray, seed: int = 4) -> dict[str, FloatArray]:
    """All columns that a bar of both sides has, around given closes."""
    rng, rows = np.random.default_rng(seed), len(close)
    opened = np.concatenate([close[:1], close[:-1]]) * (1 + 0.0001 * rng.standard_normal(rows))
    wicks = np.abs(rng.standard_normal((2, rows))) * 0.0005
    return {
        "open": opened,
        "high": np.maximum(opened, close) * (1 + wicks[0]),
        "low": np.minimum(opened, close) * (1 - wicks[1]),
        "close": close,
        "spread": np.round(rng.uniform(0, 0.0003, rows), 5),
        "ticks": rng.integers(0, 500, rows).astype(np.float64),
        "realised_variance": rng.exponential(1e-6, rows),
    }


def bars(rows: int = 900, close: FloatArray | None = None, **columns: FloatArray) -> Frame:
    """`rows` hours of EURUSD, with other pairs and a series beside them; `columns` in place of the made-up ones."""
    time, end, day = times(rows)
    beside = {name: walk(rows, seed) for seed, name in enumerate(OTHERS, start=10)}
    beside["USDJPY"][:YOUNG] = np.nan
    fear = np.round(np.random.default_rng(8).uniform(0, 100, rows // 24 + 1).repeat(24)[:rows], 1)
    fear[:YOUNG] = np.nan
    return Frame(
        pair=PAIR,
        frequency="1h",
        calendar="fx",
        time=time,
        end=end,
        trading_date=day,
        columns=prices(walk(rows) if close is None else close) | columns,
        others=beside,
        exog={FEAR: fear},
    )


def still(rows: int = 900) -> Frame:
    """Nothing moves, at a price that is no binary fraction."""
    flat = {name: np.full(rows, 1.1) for name in ("open", "high", "low", "close")}
    silent = {name: np.zeros(rows) for name in ("spread", "ticks", "realised_variance")}
    frame = bars(rows, flat.pop("close"), **flat, **silent)
    return replace(frame, others={name: np.full(rows, 0.7) for name in OTHERS}, exog={FEAR: np.full(rows, 33.3)})


def same(found: FloatArray, expected: Any, tolerance: float = 1e-9) -> None:
    """Equal where both are numbers, and missing in the same rows."""
    wanted = np.asarray(expected, dtype=np.float64)
    np.testing.assert_array_equal(np.isnan(found), np.isnan(wanted))
    np.testing.assert_allclose(found, wanted, rtol=tolerance, atol=tolerance)


def bits(values: FloatArray) -> NDArray[np.uint64]:
    """Values as bits; every NaN is one."""
    return np.where(np.isnan(values), np.nan, values).view(np.uint64)


def rolled(function: Any, rows: int, period: int, *columns: FloatArray) -> FloatArray:
    """`function` of each window of `period` rows of the columns, one after the other; NaN where there is none."""
    result = np.full(rows, np.nan)
    for t in range(period - 1, rows):
        window = [column[t + 1 - period : t + 1] for column in columns]
        if not any(np.isnan(part).any() for part in window):
            result[t] = function(*window)
    return result
