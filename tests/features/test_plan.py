"""What fitted stages learn travels as one file, and says the same when it is read back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from fx_assets.features.errors import FeatureError
from fx_assets.features.plan import FeaturePlan, fit_plan, load_plan
from fx_assets.features.stages import base
from tests.features.conftest import SetMaker, add_stage


@pytest.fixture
def doubling(registry: Any) -> type[base.FittedStage]:
    """A fitted stage that counts the rows it is shown."""
    del registry
    add_stage("given")

    class Double(base.FittedStage):
        name = "double"
        priority = 200

        def fit(self, sample: base.Sample, options: Any, *, scratch: Path, seed: int) -> base.Fit:
            del options, scratch
            return base.Fit({"of": sample.names[0]}, {"rows": len(sample.values), "seed": seed})

        def names(self, given: tuple[str, ...], params: base.Json) -> tuple[str, ...]:
            return (*given, f"double__{params['of']}")

        def transform(self, given: tuple[str, ...], values: Any, params: base.Json) -> Any:
            return np.column_stack([values, values[:, given.index(params["of"])] * 2])

    return Double


def fitted(spec: Any, tmp_path: Path) -> FeaturePlan:
    draw = np.random.default_rng(1)
    values = [draw.standard_normal((60, 2)), draw.standard_normal((40, 2))]
    plan = fit_plan(spec, values, [rows[:, 0] for rows in values], scratch=tmp_path, seed=3)
    assert plan is not None
    return plan


@pytest.mark.usefixtures("doubling")
def test_stages_are_fitted_one_after_the_other_and_the_selection_sees_what_they_made(
    make_set: SetMaker, tmp_path: Path
) -> None:
    plan = fitted(make_set(given={}, double={}, selection={}), tmp_path)
    assert plan.given == ("given_clean", "given")
    # The double tells the same as the column it is made of, and comes from a later stage.
    assert plan.names == ("given_clean", "given")
    assert plan.reports["double"] == {"rows": 100, "seed": 3}
    (dropped,) = plan.reports["selection"]["dropped"]
    assert (dropped["name"], dropped["keeper"], dropped["reason"]) == (
        "double__given_clean",
        "given_clean",
        "redundant",
    )
    rows = np.random.default_rng(2).standard_normal((5, 2))
    assert plan.apply(rows).tobytes() == rows.tobytes()


@pytest.mark.usefixtures("doubling")
def test_a_plan_is_read_back_as_it_was_and_equal_plans_are_equal_bytes(make_set: SetMaker, tmp_path: Path) -> None:
    spec = make_set(given={}, double={})
    plan = fitted(spec, tmp_path)
    assert plan.dump() == fitted(spec, tmp_path).dump()
    again = load_plan(plan.dump())
    assert (again.given, again.names, again.steps) == (plan.given, plan.names, plan.steps)
    rows = np.random.default_rng(2).standard_normal((5, 2))
    assert again.apply(rows).tobytes() == plan.apply(rows).tobytes()
    assert again.apply(rows)[:, 2].tolist() == (rows[:, 0] * 2).tolist()


@pytest.mark.usefixtures("doubling")
def test_a_row_alone_gives_the_bits_of_the_whole(make_set: SetMaker, tmp_path: Path) -> None:
    plan = fitted(make_set(given={}, double={}, selection={}), tmp_path)
    rows = np.random.default_rng(2).standard_normal((50, 2))
    whole = plan.apply(rows)
    assert b"".join(plan.apply(rows[i : i + 1]).tobytes() for i in range(50)) == whole.tobytes()


def test_a_set_without_fitted_stages_has_no_plan(make_set: SetMaker, tmp_path: Path) -> None:
    spec = make_set(indicators={"returns": [1]})
    assert fit_plan(spec, [np.ones((3, 1))], [np.ones(3)], scratch=tmp_path, seed=0) is None


@pytest.mark.usefixtures("doubling")
def test_no_rows_and_another_width_are_refused(make_set: SetMaker, tmp_path: Path) -> None:
    spec = make_set(given={}, double={})
    with pytest.raises(FeatureError, match="'probe': no training row"):
        fit_plan(spec, [np.empty((0, 2))], [np.empty(0)], scratch=tmp_path, seed=0)
    with pytest.raises(FeatureError, match=r"rows of 2 candidate features, got shape \(4, 3\)"):
        fitted(spec, tmp_path).apply(np.ones((4, 3)))


@pytest.mark.usefixtures("doubling")
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 9}, "format 9, this version reads 1"),
        ({"steps": [{"stage": "indicators", "params": {}}]}, "'indicators' of features.json is not a fitted one"),
        ({"steps": [{"stage": "nothing", "params": {}}]}, "UnknownStageError: unknown stage 'nothing'"),
        ({"steps": [{"stage": "double", "params": {}}]}, "KeyError"),
        ({"steps": 7}, "TypeError"),
    ],
    ids=["format", "stateless", "unknown", "params", "type"],
)
def test_a_spoilt_file_is_refused(change: dict[str, Any], message: str, make_set: SetMaker, tmp_path: Path) -> None:
    document = json.loads(fitted(make_set(given={}, double={}), tmp_path).dump())
    with pytest.raises(FeatureError, match=message):
        load_plan(json.dumps({**document, **change}).encode())
    with pytest.raises(FeatureError, match=r"features\.json cannot be read"):
        load_plan(b"not json")
