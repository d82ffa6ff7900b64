"""The stage without its child: options, what a fit leaves, and the columns made from it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from fx_assets.features.errors import FeatureError
from fx_assets.features.stages.autofeat import Autofeat, AutofeatOptions
from fx_assets.features.stages.base import Json, stage
from tests.features.autofeat.samples import normal, sample

NOTHING: Json = {"formulas": [], "inputs": []}
RATIO: Json = {
    "formulas": [
        {"name": "autofeat__rsi/[MEAN(bars.close)]", "expression": "x001/x000", "limit": 50.0},
        {"name": "autofeat__rsi**2", "expression": "x001**2", "limit": 1000.0},
    ],
    "inputs": ["MEAN(bars.close)", "rsi"],
}


def changed(**changes: Any) -> Json:
    first, second = RATIO["formulas"]
    return {**RATIO, "formulas": [{**first, **changes}, second]}


def test_it_is_a_stage_between_featuretools_and_selection() -> None:
    found = stage("autofeat")
    assert isinstance(found, Autofeat)
    assert (found.priority, found.stateless) == (40, False)


def test_options_have_defaults_and_limits() -> None:
    options = AutofeatOptions()
    assert (options.inputs, options.steps, options.rows, options.memory_mb) == (20, 1, 5000, 4096)
    assert options.transformations == ["1/", "exp", "log", "abs", "sqrt", "^2", "^3"]


@pytest.mark.parametrize(
    "options",
    [
        {"inputs": 21},
        {"inputs": 0},
        {"steps": 4},
        {"transformations": []},
        {"transformations": ["tan"]},
        {"max_features": 0},
        {"rows": 99},
        {"time_limit_s": 0},
        {"memory_mb": 1023},
        {"max_gb": 1},
    ],
    ids=str,
)
def test_other_options_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        AutofeatOptions.model_validate(options)


def test_columns_are_passed_on_and_formulas_appended() -> None:
    given = ("rsi", "other", "MEAN(bars.close)")
    values = np.array([[3.0, np.nan, 2.0], [-4.0, 7.0, 0.5]])
    made = Autofeat().transform(given, values, RATIO)
    assert np.array_equal(made[:, :3], values, equal_nan=True)
    assert made[:, 3:].tolist() == [[1.5, 9.0], [-8.0, 16.0]]
    assert Autofeat().names(given, RATIO) == (*given, "autofeat__rsi/[MEAN(bars.close)]", "autofeat__rsi**2")


def test_undefined_and_absurd_values_are_missing_in_their_row() -> None:
    given = ("MEAN(bars.close)", "rsi")
    rows = np.array([[0.0, 1.0], [1.0, 50.0], [1.0, -50.0], [1.0, 50.1], [1e-300, 1.0], [np.nan, 1.0]])
    made = Autofeat().transform(given, rows, RATIO)
    assert np.isnan(made[:, 2]).tolist() == [True, False, False, True, True, True]
    assert np.isnan(made[:, 3]).tolist() == [False, True, True, True, False, False]


def test_no_formulas_pass_everything_on() -> None:
    values = np.array([[1.0, 2.0]])
    assert Autofeat().transform(("a", "b"), values, NOTHING).tolist() == [[1.0, 2.0]]
    assert Autofeat().names(("a", "b"), NOTHING) == ("a", "b")


def test_a_formula_costs_what_its_inputs_cost_and_one() -> None:
    costs = Autofeat().costs({"rsi": 3.0, "MEAN(bars.close)": 10.0}, RATIO)
    assert costs == {
        "rsi": 3.0,
        "MEAN(bars.close)": 10.0,
        "autofeat__rsi/[MEAN(bars.close)]": 14.0,
        "autofeat__rsi**2": 4.0,
    }


def test_a_missing_input_is_named() -> None:
    with pytest.raises(FeatureError, match=r"need columns \['rsi'\]"):
        Autofeat().transform(("MEAN(bars.close)",), np.ones((2, 1)), RATIO)


def test_a_name_that_stands_twice_is_refused() -> None:
    with pytest.raises(FeatureError, match=r"\['autofeat__rsi\*\*2'\] stand twice"):
        Autofeat().names(("rsi", "MEAN(bars.close)", "autofeat__rsi**2"), RATIO)


@pytest.mark.parametrize(
    "params",
    [
        {},
        {"formulas": [], "inputs": [], "code": "x"},
        {"formulas": [], "inputs": [1]},
        changed(expression="__import__('os').system('true')"),
        changed(expression="x002"),
        changed(expression=None),
        changed(limit=float("inf")),
        changed(limit=float("nan")),
        changed(limit=0.0),
        changed(name=7),
    ],
    ids=["empty", "more", "inputs", "import", "column", "none", "infinite", "nan", "zero", "name"],
)
def test_what_no_fit_left_is_refused_at_load(params: Json) -> None:
    with pytest.raises(FeatureError, match="train again"):
        Autofeat().transform(("rsi", "MEAN(bars.close)"), np.ones((2, 2)), params)


def test_a_sample_with_nothing_to_use_starts_no_process(tmp_path: Path) -> None:
    few = sample({"x": normal(0, 99)}, normal(1, 99))
    fit = Autofeat().fit(few, AutofeatOptions(), scratch=tmp_path / "none", seed=1)
    assert fit.params == NOTHING
    assert fit.report == {
        "status": "nothing found",
        "reason": "1 usable columns and 99 rows without a gap; it takes one column and 100 rows",
        "inputs": ["x"],
        "rows": 99,
        "formulas": [],
        "refused": [],
    }
