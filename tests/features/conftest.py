"""Bars, inputs, stages and feature sets that the tests of this room share."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray
from typing_extensions import override

from fx_assets.features.blocks import Inputs
from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.known import versions_of
from fx_assets.features.stages import base
from fx_assets.specs.schema import FeatureSetSpec, Frequency
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import bar_ends, bar_starts

UTC = pa.timestamp("us", tz="UTC")
HOUR = timedelta(hours=1)
SetMaker = Callable[..., FeatureSetSpec]

CORE = {
    "returns": [1, 5, 20],
    "volatility": [5, 22],
    "rsi": [14],
    "ema_ratio": [20],
    "bollinger": [20],
    "macd": True,
}


def closes(rows: int, seed: int = 3) -> FloatArray:
    """A random walk around 1.1 with 0.6 % a day."""
    steps = np.random.default_rng(seed).standard_normal(rows) * 0.006
    return np.asarray(1.1 * np.exp(np.cumsum(steps)), dtype=np.float64)


def daily(close: Any, first: date = date(2010, 1, 1)) -> pa.Table:
    """Versions of daily bars, a close each and each known at its end, on the days of TARGET."""
    days = calendar("target").next_days(first, len(close))
    ends = pa.array(bar_ends(days), UTC)
    return pa.table(
        {
            "time": pa.array(bar_starts(days), UTC),
            "end": ends,
            "known_at": ends,
            "trading_date": pa.array(days, pa.date32()),
            "close": pa.array(close, pa.float64()),
        }
    )


def corrected(table: pa.Table, *late: tuple[int, float | None, timedelta]) -> pa.Table:
    """More versions: (row, close or None to take the bar back, how long after its end this became known)."""
    rows = table.slice(0, 0).to_pylist()
    for row, close, after in late:
        old = table.slice(row, 1).to_pylist()[0]
        rows.append({**old, "close": close, "known_at": old["end"] + after})
    return pa.concat_tables([table, pa.Table.from_pylist(rows, schema=table.schema)])


def inputs_of(
    table: pa.Table,
    *,
    frequency: Frequency = "1d",
    others: Mapping[str, pa.Table] | None = None,
    exog: Mapping[str, pa.Table] | None = None,
    columns: Sequence[str] = ("close",),
) -> Inputs:
    """Inputs of EURUSD from tables of versions; `exog` tables have `time`, `known_at` and `value`."""
    return Inputs(
        pair="EURUSD",
        frequency=frequency,
        calendar="target",
        own=versions_of(table, tuple(columns)),
        others={name: versions_of(rows, ("close",)) for name, rows in (others or {}).items()},
        exog={name: versions_of(rows, ("value",), value="value", end="time") for name, rows in (exog or {}).items()},
    )


@pytest.fixture
def make_set() -> SetMaker:
    """A feature set of stages given as name=options."""

    def make(frequency: Frequency = "1d", **stages: dict[str, Any]) -> FeatureSetSpec:
        items = [{"stage": name, "options": options} for name, options in stages.items()]
        return FeatureSetSpec.model_validate({"name": "probe", "frequency": frequency, "stages": items})

    return make


@pytest.fixture
def core(make_set: SetMaker) -> FeatureSetSpec:
    """The indicators of configs/features/core.yaml."""
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
    function: Callable[[FloatArray], Any] = np.cumsum,
    *,
    whole: Callable[[Frame], Any] | None = None,
    reads: frozenset[str] = frozenset({"close"}),
    made: str | None = None,
    warm_up: int = 0,
    missing: bool = False,
    reads_pairs: tuple[str, ...] = (),
    reads_exog: tuple[str, ...] = (),
) -> None:
    """Register a stage with a clean column (sums from the frame's first row) and `function` of the first it reads.

    `whole` is a function of the frame instead.
    """

    class Made(base.StatelessStage):
        name = stage_name

        @override
        def lookback(self, options: Any, frequency: Frequency) -> int:
            return warm_up

        @override
        def columns(self, options: Any) -> list[base.Column]:
            return [
                base.Column(name, ("close",), "of a test", missing=missing and name != f"{stage_name}_clean")
                for name in (f"{stage_name}_clean", stage_name)
            ]

        @override
        def needs(self, options: Any) -> frozenset[str]:
            return reads

        @override
        def others(self, options: Any, pair: str, known: Sequence[str]) -> tuple[str, ...]:
            return tuple(name for name in reads_pairs if name in known and name != pair)

        @override
        def exog(self, options: Any) -> tuple[str, ...]:
            return reads_exog

        @override
        def _compute(self, frame: Frame, options: Any, first: int) -> dict[str, NDArray[np.float64]]:
            values = frame.columns[min(reads)]
            answer = function(values) if whole is None else whole(frame)
            return {f"{stage_name}_clean": np.cumsum(values), made or stage_name: answer}
