"""The stage: what it learns, what it gives, what it refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from fx_assets.features.errors import FeatureError
from fx_assets.features.stages.base import REGISTRY, Fit, Sample
from fx_assets.features.stages.selection import Selection, SelectionOptions
from tests.features.selection.samples import TSFRESH, sample

NAN = float("nan")


def columns() -> dict[str, Any]:
    rng = np.random.default_rng(1)
    base = rng.standard_normal(50)
    return {
        "returns": base,
        "flat": np.full(50, 2.0),
        "twin": np.exp(base),
        "gappy": np.where(np.arange(50) < 11, NAN, rng.standard_normal(50)),
        "ticks": np.where(np.arange(50) < 10, NAN, np.arange(50.0) % 5),
        "more": rng.standard_normal(50),
    }


def fitted(given: Sample, folder: Path, **options: Any) -> Fit:
    return Selection().fit(given, SelectionOptions(**options), scratch=folder, seed=0)


def test_it_comes_last() -> None:
    assert REGISTRY["selection"] is Selection
    assert (Selection.priority, Selection.stateless) == (1000, False)


def test_params_and_report(tmp_path: Path) -> None:
    stages = dict.fromkeys(["twin", "more"], TSFRESH)
    fit = fitted(sample(columns(), stages=stages), tmp_path, max_features=2)
    values = columns()
    assert fit.params == {
        "keep": ["returns", "ticks"],
        "fill": {"returns": np.median(values["returns"]), "ticks": 2},
    }
    assert list(fit.params["fill"]) == fit.params["keep"]
    assert fit.report == {
        "threshold": 0.95,
        "rows": 50,
        "rows_given": 50,
        "candidates": 6,
        "kept": 2,
        "dropped": [
            {"name": "flat", "reason": "constant", "keeper": None, "correlation": None},
            {"name": "gappy", "reason": "missing", "keeper": None, "correlation": None},
            {"name": "more", "reason": "cap", "keeper": None, "correlation": None},
            {"name": "twin", "reason": "redundant", "keeper": "returns", "correlation": 1.0},
        ],
    }
    assert json.loads(json.dumps(fit.params)) == fit.params
    assert json.loads(json.dumps(fit.report)) == fit.report
    assert list(tmp_path.iterdir()) == []


def test_transform_selects_in_order_and_fills(tmp_path: Path) -> None:
    stage, given = Selection(), sample(columns())
    fit = fitted(given, tmp_path)
    params = json.loads(json.dumps(fit.params))
    keep = ["returns", "ticks", "more"]
    assert stage.names(given.names, params) == tuple(keep)
    assert stage.costs({"more": 5.0, "ticks": 2.0, "other": 9.0}, params) == {
        "returns": 1.0,
        "ticks": 2.0,
        "more": 5.0,
    }
    found = stage.transform(
        ("more", "new", "ticks", "returns"), np.array([[1.0, 9, 2, 3], [NAN, 9, np.inf, NAN]]), params
    )
    medians = [np.median(given.values[:, 0]), 2.0, np.median(given.values[:, 5])]
    assert found.tolist() == [[3.0, 2.0, 1.0], medians]
    whole = stage.transform(given.names, given.values, params)
    assert np.isfinite(whole).all()
    assert np.array_equal(whole[:, [0, 2]], given.values[:, [0, 5]])
    assert np.array_equal(whole[20:23], stage.transform(given.names, given.values[20:23], params))


def test_transform_leaves_its_input_alone(tmp_path: Path) -> None:
    given = sample(columns())
    before = given.values.copy()
    Selection().transform(given.names, given.values, fitted(given, tmp_path).params)[:] = 0.0
    assert np.array_equal(given.values, before, equal_nan=True)


def test_a_column_that_is_not_there_is_named(tmp_path: Path) -> None:
    given = sample(columns())
    params = fitted(given, tmp_path).params
    with pytest.raises(FeatureError, match=r"needs columns \['ticks'\], which are not among the 2 given"):
        Selection().transform(("returns", "more"), given.values[:, [0, 5]], params)


def test_a_name_that_stands_twice_is_refused(tmp_path: Path) -> None:
    given = sample(columns())
    twice = Sample(("a", "b", "a", "c", "d", "e"), given.values, given.target, given.groups, given.stages, given.costs)
    with pytest.raises(FeatureError, match=r"columns \['a'\] stand twice"):
        fitted(twice, tmp_path)


def test_nothing_left_is_refused_with_the_reasons(tmp_path: Path) -> None:
    given = sample({"flat": np.ones(10), "none": np.full(10, NAN), "same": np.zeros(10)})
    message = r"nothing to keep in 10 rows: of 3 columns 2 never change and 1 have no value in more than 20%"
    with pytest.raises(FeatureError, match=message):
        fitted(given, tmp_path)
    with pytest.raises(FeatureError, match="in 0 rows: of 1 columns 1 never change"):
        fitted(sample({"a": np.empty(0)}), tmp_path)


def test_what_is_kept_can_be_scaled(tmp_path: Path) -> None:
    """By the rule of the network's scaler: a standard deviation above 1e-12 of the largest value, plus 1."""
    rng = np.random.default_rng(3)
    sizes = 10.0 ** np.arange(-16, 1)
    spike = np.zeros(400)
    spike[7] = 1.0
    made = {f"noise{i}": 1.0 + size * rng.standard_normal(400) for i, size in enumerate(sizes)}
    made |= {f"spike{i}": 5.0 - size * np.roll(spike, i) for i, size in enumerate(sizes)}
    given = sample(made)
    fit = fitted(given, tmp_path, threshold=1.0)
    values = Selection().transform(given.names, given.values, fit.params)
    assert (values.std(axis=0) > 1e-12 * (1 + np.abs(values).max(axis=0))).all()
    assert {"noise6", "spike7"} <= set(fit.params["keep"])
    assert {entry["reason"] for entry in fit.report["dropped"]} == {"constant"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"threshold": 0.0},
        {"threshold": 1.01},
        {"threshold": "0.9"},
        {"max_missing": -0.1},
        {"max_missing": 1.1},
        {"max_features": 0},
        {"max_features": 2.5},
        {"kept_before": []},
    ],
    ids=str,
)
def test_options_are_checked(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        SelectionOptions(**wrong)


def test_options_have_defaults() -> None:
    assert SelectionOptions().model_dump() == {"threshold": 0.95, "max_missing": 0.2, "max_features": None}
