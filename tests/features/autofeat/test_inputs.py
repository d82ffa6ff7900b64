"""What autofeat is given: few columns and rows, by rule."""

from __future__ import annotations

import numpy as np
import pytest

from fx_assets.features.autofeat.inputs import Given, given_to_autofeat
from fx_assets.features.redundancy import spread
from fx_assets.features.stages.base import Sample
from tests.features.autofeat.samples import normal, sample


def chosen(given: Sample, inputs: int) -> list[str]:
    return [given.names[number] for number in given_to_autofeat(given, inputs=inputs, rows=5000).columns]


def test_the_strongest_columns_are_taken_whether_the_relation_rises_falls_or_is_symmetric() -> None:
    rising, falling, symmetric = normal(1), normal(2), normal(3)
    noise = {f"noise {seed}": normal(seed) for seed in range(10, 40)}
    given = sample(
        {**noise, "rising": rising, "falling": falling, "symmetric": symmetric}, rising - falling + symmetric**2
    )
    assert chosen(given, 3) == ["rising", "falling", "symmetric"]
    assert len(chosen(given, 20)) == 20


def test_equal_strengths_go_by_name_and_the_order_of_columns_does_not_count() -> None:
    # One is the other's order reversed in time, and so is the target: exactly equal strengths, far from twins.
    one = np.concatenate([np.arange(100.0), np.zeros(100)])
    columns = {"b": one, "a": one[::-1].copy()}
    target = np.concatenate([np.arange(100.0), np.arange(99.0, -1, -1)])
    assert chosen(sample(columns, target), 1) == ["a"]
    assert chosen(sample(dict(reversed(columns.items())), target), 1) == ["a"]


def test_of_twins_the_one_of_the_earlier_stage_is_taken() -> None:
    x, other = normal(0), normal(1)
    stages = np.array([20, 10, 20])
    given = sample({"late": x, "early": np.exp(x), "other": other}, x + other, stages=stages)
    assert chosen(given, 20) == ["early", "other"]


def test_columns_with_many_gaps_or_without_change_are_not_taken() -> None:
    x, few, many = normal(0), normal(1), normal(2)
    few[:20], many[:21] = np.nan, np.nan
    target = x + few + many
    target[:21] = 0.0
    given = sample({"x": x, "few": few, "many": many, "constant": np.ones(400)}, target)
    assert chosen(given, 20) == ["x", "few"]


def test_rows_without_a_target_or_an_input_are_left_out_and_no_others() -> None:
    x, y, unused, target = normal(0), normal(1), normal(2), normal(0) + normal(1)
    x[3], y[5], unused[7], target[9] = np.nan, np.inf, np.nan, np.nan
    given = given_to_autofeat(sample({"x": x, "y": y, "unused": unused}, target), inputs=2, rows=5000)
    rows = np.delete(np.arange(400), [3, 5, 9])
    assert given.columns == (0, 1)
    assert np.array_equal(given.values, np.column_stack([x, y])[rows])
    assert np.array_equal(given.target, target[rows])


def test_rows_are_spread_over_all() -> None:
    n = 24 * 500
    given = given_to_autofeat(sample({"x": np.arange(float(n))}, normal(0, n)), inputs=1, rows=500)
    rows = given.values[:, 0].astype(int)
    assert np.array_equal(rows // 24, np.arange(500))
    # Every hour of the day is among them, about as often as any other.
    assert np.bincount(rows % 24, minlength=24).min() >= 18


@pytest.mark.parametrize(("n", "most"), [(0, 5), (4, 5), (5, 5), (6, 5), (9, 5), (1000, 7)])
def test_as_many_rows_as_there_may_be(n: int, most: int) -> None:
    rows = spread(n, most)
    assert len(rows) == min(n, most)
    assert np.array_equal(rows, np.unique(rows))
    assert ((rows >= 0) & (rows < n)).all()


@pytest.mark.parametrize(
    "given",
    [
        sample({}, normal(0)),
        sample({"x": normal(0)}, np.full(400, np.nan)),
        sample({"x": np.empty(0)}, np.empty(0)),
        sample({"x": np.full(400, np.nan)}, normal(0)),
    ],
    ids=["no column", "no target", "no row", "no value"],
)
def test_nothing_usable_is_no_error(given: Sample) -> None:
    found: Given = given_to_autofeat(given, inputs=20, rows=5000)
    assert not found.columns or not len(found.target)


def test_a_target_that_never_changes_leaves_the_order_of_names() -> None:
    given = sample({"b": normal(0), "a": normal(1)}, np.zeros(400))
    assert chosen(given, 1) == ["a"]
