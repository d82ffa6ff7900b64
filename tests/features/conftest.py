"""Bars and feature sets that the tests of this room share."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from typing_extensions import override

from fx_assets.features.stages import base
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_ends, bar_starts

UTC = pa.timestamp("us", tz="UTC")
BarMaker = Callable[..., pa.Table]
SetMaker = Callable[..., FeatureSetSpec]

CORE = {
    "returns": [1, 5, 20],
    "volatility": [5, 22],
    "rsi": [14],
    "ema_ratio": [20],
    "bollinger": [20],
    "macd": True,
}


def closes(rows: int, seed: int = 3) -> NDArray[np.float64]:
    """A random walk around 1.1 with 0.6 % a day."""
    steps = np.random.default_rng(seed).standard_normal(rows) * 0.006
    return np.asarray(1.1 * np.exp(np.cumsum(steps)), dtype=np.float64)


@pytest.fixture
def make_bars() -> BarMaker:
    """Fixing bars of EURUSD on TARGET days from 2010, from given closes."""

    def make(close: Any, pair: str = "EURUSD") -> pa.Table:
        rows = len(close)
        days = calendar("target").next_days(date(2010, 1, 1), rows)
        empty = pa.nulls(rows, pa.float64())
        ends = pa.array(bar_ends(days), UTC)
        return pa.table(
            {
                "pair": [pair] * rows,
                "time": pa.array(bar_starts(days), UTC),
                "end": ends,
                "known_at": ends,
                "trading_date": pa.array(days, pa.date32()),
                "kind": ["fixing"] * rows,
                "open": empty,
                "high": empty,
                "low": empty,
                "close": pa.array(close, pa.float64()),
                "bid": empty,
                "ask": empty,
            }
        )

    return make


@pytest.fixture
def make_set() -> SetMaker:
    """A feature set of stages given as name=options."""

    def make(**stages: dict[str, Any]) -> FeatureSetSpec:
        items = [{"stage": name, "options": options} for name, options in stages.items()]
        return FeatureSetSpec.model_validate({"name": "probe", "stages": items})

    return make


@pytest.fixture
def core(make_set: SetMaker) -> FeatureSetSpec:
    """The options of configs/features/core.yaml."""
    return make_set(indicators=CORE)


@pytest.fixture
def registry() -> Iterator[dict[str, type[base.Stage]]]:
    """The registry of stages, given back as it was: stages of a test end with it."""
    base.stage("indicators")
    before = dict(base.REGISTRY)
    yield base.REGISTRY
    base.REGISTRY.clear()
    base.REGISTRY.update(before)


def add_stage(
    stage_name: str,
    function: Callable[[Any], Any],
    *,
    reads: frozenset[str] = frozenset({"close"}),
    made: str | None = None,
    warm_up: int = 0,
) -> None:
    """Register a stage of one column, `function` of the first column it reads, beside a clean one."""

    class Made(base.Stage):
        name = stage_name
        needs = reads

        @override
        def lookback(self, options: Any) -> int:
            return warm_up

        @override
        def columns(self, options: Any) -> list[str]:
            return ["clean", stage_name]

        @override
        def _compute(self, bars: base.Arrays, options: Any) -> dict[str, Any]:
            first = bars[min(reads)]
            return {"clean": np.cumsum(first), made or stage_name: function(first)}
