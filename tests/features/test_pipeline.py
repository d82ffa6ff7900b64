"""Contracts of the pipeline: what goes in, what comes out, what is refused and how it is said."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from numpy.typing import NDArray

from fx_assets.features.checking import stage_problems
from fx_assets.features.errors import DuplicateStageError, FeatureError, UnknownStageError
from fx_assets.features.pipeline import (
    arrow_schema,
    build,
    check_stages,
    feature_schema,
    lookback,
    schema_hash,
    table_name,
)
from fx_assets.features.quality import CHECKS, check_features
from fx_assets.features.stages.base import stage
from fx_assets.features.stages.indicators import Indicators
from fx_assets.specs.loader import load_catalog
from fx_assets.specs.schema import FeatureSetSpec
from tests.features.conftest import UTC, BarMaker, SetMaker, add_stage, closes

Floats = NDArray[np.float64]
CONFIGS = Path(__file__).parents[2] / "configs"


def test_one_row_per_bar_after_the_warm_up(make_bars: BarMaker, core: FeatureSetSpec) -> None:
    bars = make_bars(closes(560))
    table = build(bars, core)
    assert table.num_rows == 560 - lookback(core) == 60
    assert table.schema.equals(arrow_schema(core))
    assert table.column_names[:5] == ["pair", "time", "end", "known_at", "trading_date"]
    assert tuple(table.column_names[5:]) == feature_schema(core)
    for name in ("pair", "time", "end", "known_at", "trading_date"):
        assert table.column(name).to_pylist() == bars.column(name).to_pylist()[500:]
    assert [outcome.name for outcome in check_features(table, core, bars) if not outcome.passed] == []


def test_a_late_correction_makes_features_known_late(make_bars: BarMaker, make_set: SetMaker) -> None:
    bars, spec = make_bars(closes(40)), make_set(indicators={"returns": [3]})
    known = bars.column("known_at").to_pylist()
    corrected_at = known[10] + timedelta(days=30)
    known[10] = corrected_at
    bars = bars.set_column(3, "known_at", pa.array(known, UTC))
    found = build(bars, spec).column("known_at").to_pylist()
    # Rows 10 to 13 look back on row 10 (a return over three bars); first feature row is row 3.
    assert [at == corrected_at for at in found[5:13]] == [False, False, True, True, True, True, False, False]
    assert found[11] == known[14]


def test_too_short_a_history_says_how_many_bars_are_needed(make_bars: BarMaker, core: FeatureSetSpec) -> None:
    with pytest.raises(FeatureError, match=r"insufficient_history.*more than 500 bars.*there are 500"):
        build(make_bars(closes(500)), core)
    assert build(make_bars(closes(501)), core).num_rows == 1


def test_bars_out_of_order_or_of_two_pairs_are_refused(make_bars: BarMaker, make_set: SetMaker) -> None:
    spec, bars = make_set(indicators={"returns": [1]}), make_bars(closes(30))
    with pytest.raises(FeatureError, match="not in order of 'time'"):
        build(bars.take([*range(10), 11, 10, *range(12, 30)]), spec)
    with pytest.raises(FeatureError, match="not in order of 'time'"):
        build(pa.concat_tables([bars, bars.slice(29)]), spec)
    with pytest.raises(FeatureError, match=r"one pair, found \['EURUSD', 'USDJPY'\]"):
        build(pa.concat_tables([bars, make_bars(closes(3), "USDJPY")]), spec)
    with pytest.raises(FeatureError, match="no column close"):
        build(bars.drop_columns(["close"]), spec)


@pytest.mark.usefixtures("registry")
def test_a_value_that_is_not_finite_is_refused_with_column_and_time(make_bars: BarMaker, make_set: SetMaker) -> None:
    def holed(close: Floats) -> Floats:
        return np.where(np.arange(len(close)) == 12, np.nan, close)

    add_stage("holed", holed)
    with pytest.raises(FeatureError, match=r"'holed' is not finite at the bar that ends 2010-01-20 22:00 UTC"):
        build(make_bars(closes(30)), make_set(holed={}))


@pytest.mark.parametrize(
    ("function", "made"),
    [
        (lambda close: close[1:], None),
        (lambda close: close.astype(np.float32), None),
        (lambda close: close.tolist(), None),
        (lambda close: close, "other"),
    ],
    ids=["shape", "type", "list", "name"],
)
@pytest.mark.usefixtures("registry")
def test_a_stage_that_breaks_its_promise_is_refused(
    function: Any, made: str | None, make_bars: BarMaker, make_set: SetMaker
) -> None:
    add_stage("odd", function, made=made)
    with pytest.raises(FeatureError, match="stage 'odd'"):
        build(make_bars(closes(30)), make_set(odd={}))


@pytest.mark.usefixtures("registry")
def test_subclassing_registers_and_a_twin_is_refused() -> None:
    add_stage("fresh", lambda close: close)
    assert stage("fresh").name == "fresh"
    with pytest.raises(DuplicateStageError, match="stage 'fresh' is both"):
        add_stage("fresh", lambda close: close)
    with pytest.raises(UnknownStageError, match=r"unknown stage 'indicator'. Did you mean 'indicators'\?"):
        stage("indicator")

    with pytest.raises(TypeError, match="needs a class attribute name"):
        type("Nameless", (Indicators,), {})


@pytest.mark.usefixtures("registry")
def test_range_and_tick_features_are_refused_on_fixings(make_set: SetMaker, make_bars: BarMaker) -> None:
    add_stage("ranges", lambda high: high, reads=frozenset({"high", "low"}))
    spec = make_set(ranges={})
    assert check_stages(spec, {"bar"}) == []
    (problem,) = check_stages(spec, {"bar", "fixing"})
    assert problem.startswith("stages.0.stage: stage 'ranges' needs high, low, which a fixing does not have")
    # And were it not checked before, the missing highs would stop it.
    with pytest.raises(FeatureError, match="'high' without gaps; 30 of 30 rows"):
        build(make_bars(closes(30)), spec)


def test_problems_name_the_field_and_the_nearest_key() -> None:
    spec = FeatureSetSpec.model_validate(
        {
            "name": "bad",
            "stages": [
                {"stage": "indicatrs"},
                {"stage": "indicators", "options": {"rsj": [14], "returns": [0], "volatility": "5", "macd": 1}},
                {"stage": "indicators", "options": {"returns": [5, 5]}},
                {"stage": "indicators", "options": {"returns": [1]}},
                {"stage": "indicators", "options": {"returns": [1, 2]}},
            ],
        }
    )
    problems = stage_problems(spec, {"fixing"})
    assert [path for path, _ in problems] == [
        "stages.0.stage",
        "stages.1.options.returns.0",
        "stages.1.options.volatility",
        "stages.1.options.macd",
        "stages.1.options.rsj",
        "stages.2.options.returns",
        "stages.4.options",
    ]
    messages = [message for _, message in problems]
    assert messages[0] == "unknown stage 'indicatrs'. Did you mean 'indicators'?"
    assert messages[4] == "unknown option. Did you mean 'rsi'?"
    assert messages[5] == "each period may stand once"
    assert messages[6] == "column 'returns_1' is also made by stages.3"
    with pytest.raises(FeatureError, match=r"feature set 'bad': stages\.0\.stage: unknown stage"):
        feature_schema(spec)


def test_a_set_without_columns_is_a_problem(make_set: SetMaker) -> None:
    assert check_stages(make_set(indicators={}), {"fixing"}) == [
        "stages: no stage is enabled with a column; name at least one indicator"
    ]


def test_the_table_is_named_by_what_the_columns_mean(make_set: SetMaker) -> None:
    one, other = make_set(indicators={"returns": [1]}), make_set(indicators={"returns": [2]})
    spelled_out = make_set(indicators={"returns": [1], "macd": False})
    assert schema_hash(one) == schema_hash(spelled_out) != schema_hash(other)
    assert table_name(one) == f"features/probe-{schema_hash(one)}"
    assert len(schema_hash(one)) == 8
    off = one.model_copy(update={"stages": (*one.stages, other.stages[0].model_copy(update={"enabled": False}))})
    assert schema_hash(off) == schema_hash(one)


def test_a_higher_code_version_is_another_table(make_set: SetMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_set(indicators={"returns": [1]})
    before = schema_hash(spec)
    monkeypatch.setattr("fx_assets.features.pipeline.CODE_VERSION", 2)
    assert schema_hash(spec) != before


def test_the_configured_set_is_sound_on_fixings() -> None:
    core = load_catalog(CONFIGS, environ={}).features["core"]
    assert check_stages(core, {"fixing"}) == []
    assert len(feature_schema(core)) == 10


def test_checks_notice_missing_rows_missing_values_and_dead_columns(make_bars: BarMaker, make_set: SetMaker) -> None:
    bars, spec = make_bars(closes(40)), make_set(indicators={"returns": [1]})
    table = build(bars, spec)

    def failed(changed: pa.Table) -> list[str]:
        outcomes = check_features(changed, spec, bars)
        assert {item.name: item.blocking for item in outcomes} == CHECKS
        return [item.name for item in outcomes if not item.passed]

    assert failed(table) == []
    assert failed(pa.concat_tables([table.slice(0, 20), table.slice(21)])) == ["one_row_per_bar"]
    holed = [None, *table.column("returns_1").to_pylist()[1:]]
    assert "no_missing_features" in failed(table.set_column(5, "returns_1", pa.array(holed, pa.float64())))
    dead = pa.array(np.zeros(table.num_rows))
    assert failed(table.set_column(5, "returns_1", dead)) == ["no_constant_features"]


def test_loading_the_room_loads_no_heavy_library() -> None:
    code = (
        "import sys, fx_assets.features.pipeline, fx_assets.features.quality, fx_assets.features.stages.indicators;"
        "bad = {'torch', 'sklearn', 'pandas', 'polars', 'scipy', 'talib', 'matplotlib', 'dagster'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(bad)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
