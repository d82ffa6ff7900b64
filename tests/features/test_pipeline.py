"""Contracts of the pipeline: what goes in, what comes out, what is refused and how it is said."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.features.checking import stage_problems
from fx_assets.features.errors import DuplicateStageError, FeatureError, UnknownStageError
from fx_assets.features.pipeline import KEYS, arrow_schema, block_of_set, build, joined
from fx_assets.features.quality import CHECKS, check_features
from fx_assets.features.sets import (
    feature_schema,
    fitted_steps,
    lookback,
    schema_hash,
    stage_table,
    steps,
    table_hash,
    table_name,
)
from fx_assets.features.stages.base import stage
from fx_assets.features.stages.indicators import Indicators
from fx_assets.specs.loader import load_catalog
from fx_assets.specs.schema import FeatureSetSpec
from tests.features.conftest import SetMaker, add_stage, closes, daily, inputs_of

CONFIGS = Path(__file__).parents[2] / "configs"


def test_one_row_per_bar_after_the_warm_up(core: FeatureSetSpec) -> None:
    bars = daily(closes(560))
    table = build(inputs_of(bars), core)
    assert table.num_rows == 560 - lookback(core) == 60
    assert table.schema.equals(arrow_schema(feature_schema(core)))
    assert tuple(table.column_names) == (*KEYS, *feature_schema(core))
    for name in ("time", "end", "known_at", "trading_date"):
        assert table.column(name).to_pylist() == bars.column(name).to_pylist()[500:]
    assert set(table.column("block").to_pylist()) == {"2011", "2012"}


def test_stages_of_other_look_backs_are_joined_from_the_row_that_all_have(make_set: SetMaker, registry: Any) -> None:
    del registry
    add_stage("short", warm_up=2)
    add_stage("long", warm_up=9)
    inputs, spec = inputs_of(daily(closes(40))), make_set(short={}, long={})
    table = build(inputs, spec)
    assert table.num_rows == 31
    assert feature_schema(spec) == ("short_clean", "short", "long_clean", "long")
    alone = build(inputs, make_set(short={}))
    assert table.column("short").to_pylist() == alone.column("short").to_pylist()[7:]
    late = build(inputs, make_set(long={}))
    holed = pa.concat_tables([alone.slice(0, 9), alone.slice(10)])
    for short, long in (
        (holed, late),
        (alone, late.slice(0, 20)),
        (alone, pa.concat_tables([late.slice(0, 3), late.slice(4)])),
    ):
        with pytest.raises(FeatureError, match=r"the rows of stage '\w+' are not those of the others; materialize"):
            joined(spec, {"short": short, "long": long})


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
def test_a_stage_that_breaks_its_promise_is_refused(function: Any, made: str | None, make_set: SetMaker) -> None:
    add_stage("odd", function, made=made)
    with pytest.raises(FeatureError, match="stage 'odd'"):
        build(inputs_of(daily(closes(30))), make_set(odd={}))


@pytest.mark.usefixtures("registry")
def test_subclassing_registers_and_a_twin_is_refused() -> None:
    add_stage("fresh")
    assert stage("fresh").name == "fresh"
    with pytest.raises(DuplicateStageError, match="stage 'fresh' is both"):
        add_stage("fresh")
    with pytest.raises(UnknownStageError, match=r"unknown stage 'indicator'. Did you mean 'indicators'\?"):
        stage("indicator")
    with pytest.raises(TypeError, match="needs a class attribute name"):
        type("Nameless", (Indicators,), {})


@pytest.mark.usefixtures("registry")
def test_range_and_tick_features_are_refused_on_fixings(make_set: SetMaker) -> None:
    add_stage("ranges", reads=frozenset({"high", "low"}))
    spec = make_set(ranges={})
    assert stage_problems(spec, {"bar"}) == []
    ((path, problem),) = stage_problems(spec, {"bar", "fixing"})
    assert path == "stages.0.stage"
    assert problem.startswith("stage 'ranges' needs high, low, which a fixing does not have")
    # And were it not checked before, the missing highs would stop it.
    with pytest.raises(FeatureError, match="'high' without gaps; 30 of 30 bars are missing"):
        build(inputs_of(daily(closes(30)), columns=("close", "high", "low")), spec)


def test_problems_name_the_field_and_the_nearest_key() -> None:
    spec = FeatureSetSpec.model_validate(
        {
            "name": "bad",
            "stages": [
                {"stage": "indicatrs"},
                {"stage": "indicators", "options": {"rsj": [14], "returns": [0], "volatility": "5", "macd": 1}},
                {"stage": "indicators", "options": {"returns": [5, 5]}},
                {"stage": "indicators", "options": {"returns": [1]}},
                {"stage": "indicators", "options": {"returns": [2]}},
                {"stage": "selection"},
                {"stage": "autofeat"},
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
        "stages.4.stage",
        "stages.6.stage",
    ]
    messages = [message for _, message in problems]
    assert messages[0] == "unknown stage 'indicatrs'. Did you mean 'indicators'?"
    assert messages[4] == "unknown option. Did you mean 'rsi'?"
    assert messages[6] == "stage 'indicators' stands already as stages.3; put its options there"
    assert messages[7] == "stage 'autofeat' stands after the selection, which chooses among all"


@pytest.mark.usefixtures("registry")
def test_two_stages_with_one_column_and_a_fitted_one_before_others_are_problems(make_set: SetMaker) -> None:
    add_stage("one")
    add_stage("two")
    add_stage("one_clean")
    found = stage_problems(make_set(one={}, one_clean={}, autofeat={}, two={}), {"fixing"})
    assert found == [
        ("stages.1.options", "column 'one_clean' is also made by stages.0"),
        ("stages.3.stage", "stage 'two' has to stand before the fitted stage 'autofeat'"),
    ]


def test_a_set_without_columns_is_a_problem(make_set: SetMaker) -> None:
    nothing = [("stages", "no stage is enabled with a column; name at least one indicator")]
    assert stage_problems(make_set(indicators={}), {"fixing"}) == nothing
    assert stage_problems(make_set(selection={}), {"fixing"}) == nothing


def test_the_table_is_named_by_what_the_columns_mean(make_set: SetMaker) -> None:
    one, other = make_set(indicators={"returns": [1]}), make_set(indicators={"returns": [2]})
    spelled_out = make_set(indicators={"returns": [1], "macd": False})
    assert schema_hash(one) == schema_hash(spelled_out) != schema_hash(other)
    assert table_name(one) == f"features/probe-{schema_hash(one)}"
    (step,) = steps(one)
    assert stage_table(one, step) == f"features/probe/indicators-{step.hash}"
    assert len(schema_hash(one)) == len(step.hash) == 8
    off = one.model_copy(update={"stages": (*one.stages, other.stages[0].model_copy(update={"enabled": False}))})
    assert schema_hash(off) == schema_hash(one)


def test_fitted_stages_change_what_a_checkpoint_is_and_not_where_candidates_lie(make_set: SetMaker) -> None:
    plain = make_set(indicators={"returns": [1]})
    loose, strict = (make_set(indicators={"returns": [1]}, selection={"threshold": limit}) for limit in (0.9, 0.8))
    assert table_name(plain) == table_name(loose) == table_name(strict)
    assert table_hash(plain) == schema_hash(plain)
    assert len({schema_hash(spec) for spec in (plain, loose, strict)}) == 3
    assert [found.name for found, _ in fitted_steps(loose)] == ["selection"]


def test_a_higher_code_version_is_another_table(make_set: SetMaker, monkeypatch: pytest.MonkeyPatch) -> None:
    spec = make_set(indicators={"returns": [1]})
    before = schema_hash(spec)
    monkeypatch.setattr("fx_assets.features.sets.CODE_VERSION", 0)
    assert schema_hash(spec) != before


def test_the_configured_set_is_sound_on_fixings() -> None:
    core = load_catalog(CONFIGS, environ={}).features["core"]
    assert stage_problems(core, {"fixing"}) == []
    assert len(feature_schema(core)) == 10


def test_checks_notice_missing_rows_missing_values_and_dead_columns(make_set: SetMaker) -> None:
    inputs, spec = inputs_of(daily(closes(40))), make_set(indicators={"returns": [1]})
    table = block_of_set(spec, inputs, "2010")
    at = table.column_names.index("returns_1")

    def failed(changed: pa.Table) -> list[str]:
        outcomes = check_features([changed], spec, lambda _: inputs, changed, seed=0)
        assert {item.name: item.blocking for item in outcomes} == CHECKS
        return [item.name for item in outcomes if not item.passed]

    assert failed(table) == []
    assert failed(pa.concat_tables([table.slice(0, 20), table.slice(21)])) == ["one_row_per_bar"]
    holed = [np.nan, *table.column("returns_1").to_pylist()[1:]]
    assert failed(table.set_column(at, "returns_1", pa.array(holed, pa.float64()))) == ["no_missing_features"]
    dead = pa.array(np.zeros(table.num_rows))
    assert failed(table.set_column(at, "returns_1", dead)) == ["no_constant_features"]


def test_loading_the_room_loads_no_heavy_library() -> None:
    code = (
        "import sys, fx_assets.features.pipeline, fx_assets.features.plan;"
        "from fx_assets.features.stages.base import stage; stage('indicators');"
        "bad = {'torch', 'sklearn', 'pandas', 'polars', 'scipy', 'talib', 'matplotlib', 'dagster', 'numba', 'tsfresh',"
        "'featuretools', 'autofeat', 'sympy'} & set(sys.modules);"
        "sys.exit(', '.join(sorted(bad)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
