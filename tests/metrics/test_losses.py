"""Losses against values worked out by hand and against scoringrules."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scoringrules
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from fx_assets.metrics.losses import (
    absolute_error,
    covered,
    crps_normal,
    crps_quantiles,
    interval_score,
    pinball,
    qlike,
    squared_error,
)

GRID = np.arange(1, 200) / 200
VALUES = st.floats(-1e3, 1e3)


def test_errors_by_hand() -> None:
    assert squared_error(y=[1.0, -2.0], y_hat=[0.5, 1.0]).tolist() == [0.25, 9.0]
    assert absolute_error(y=[1.0, -2.0], y_hat=[0.5, 1.0]).tolist() == [0.5, 3.0]
    assert squared_error(y=np.zeros((3, 2)), y_hat=np.ones((3, 2))).shape == (3, 2)


def test_pinball_by_hand() -> None:
    # Above the forecast by 2: level * 2. Below it by 1: (1 - level) * 1.
    loss = pinball(y=[3.0, 0.0], quantiles=[[1.0, 1.0], [1.0, 1.0]], levels=[0.1, 0.9])
    assert loss == pytest.approx(np.array([[0.2, 1.8], [0.9, 0.1]]))


def test_crps_by_hand() -> None:
    # Twice the mean of (0.25 * 1, 0.5 * 0, 0.25 * 1).
    assert crps_quantiles(y=[0.0], quantiles=[[-1.0, 0.0, 1.0]], levels=[0.25, 0.5, 0.75]) == pytest.approx([1 / 3])


def test_crps_of_the_median_alone_is_the_absolute_error() -> None:
    assert crps_quantiles(y=[2.0, -1.0], quantiles=[[0.5], [0.5]], levels=[0.5]) == pytest.approx([1.5, 1.5])


@given(st.lists(VALUES, min_size=1, max_size=5), st.floats(-5, 5), st.floats(0.1, 10))
def test_crps_on_the_dense_grid_is_near_that_of_the_normal(y: list[float], mean: float, deviation: float) -> None:
    quantiles = np.tile(stats.norm.ppf(GRID, mean, deviation), (len(y), 1))
    exact = scoringrules.crps_normal(np.array(y), mean, deviation)
    assert crps_quantiles(y=y, quantiles=quantiles, levels=GRID) == pytest.approx(exact, rel=0.02, abs=0.02 * deviation)


@given(st.lists(VALUES, min_size=1, max_size=4), st.lists(VALUES, min_size=3, max_size=3))
def test_crps_is_twice_the_mean_pinball_loss(y: list[float], forecast: list[float]) -> None:
    quantiles = np.tile(np.sort(forecast), (len(y), 1))
    levels = [0.25, 0.5, 0.75]
    twice = 2 * pinball(y=y, quantiles=quantiles, levels=levels).mean(axis=1)
    assert crps_quantiles(y=y, quantiles=quantiles, levels=levels) == pytest.approx(twice, abs=1e-9)


def test_qlike_by_hand() -> None:
    assert qlike(variance=[1.0, math.e], realised=[2.0, 0.0]) == pytest.approx([2.0, 1.0])


@given(st.floats(1e-6, 1e3), st.floats(0.1, 10))
def test_qlike_is_least_at_the_truth(truth: float, factor: float) -> None:
    best = qlike(variance=[truth], realised=[truth])[0]
    assert best <= qlike(variance=[truth * factor], realised=[truth])[0] + 1e-9


def test_coverage_counts_the_edges() -> None:
    inside = covered(y=[1.0, 2.0, 2.5, 0.5], lower=[1.0] * 4, upper=[2.0] * 4)
    assert inside.tolist() == [True, True, False, False]
    assert inside.dtype == np.bool_


def test_interval_score_by_hand() -> None:
    # Width 2; outside by 0.5 costs 2 / 0.2 times that.
    score = interval_score(y=[1.5, 3.5, 0.5], lower=[1.0] * 3, upper=[3.0] * 3, coverage=0.8)
    assert score == pytest.approx([2.0, 7.0, 7.0])


@given(st.lists(st.tuples(VALUES, VALUES, VALUES), min_size=1, max_size=5), st.sampled_from([0.5, 0.8, 0.95]))
def test_interval_score_agrees_with_scoringrules(rows: list[tuple[float, float, float]], coverage: float) -> None:
    y, a, b = (np.array(column) for column in zip(*rows, strict=True))
    lower, upper = np.minimum(a, b), np.maximum(a, b)
    theirs = np.atleast_1d(scoringrules.interval_score(y, lower, upper, 1 - coverage, backend="numpy"))
    assert interval_score(y=y, lower=lower, upper=upper, coverage=coverage) == pytest.approx(theirs, abs=1e-9)


TWO: Any = [1.0, 2.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: squared_error(y=TWO, y_hat=[[1.0], [2.0]]), r"one shape, got y \(2,\), y_hat \(2, 1\)"),
        (lambda: absolute_error(y=[1.0, math.nan], y_hat=TWO), "y: expected finite values; 1 of 2 are not"),
        (lambda: pinball(y=TWO, quantiles=[TWO], levels=[0.1, 0.9]), r"got \(2,\), \(1, 2\), \(2,\)"),
        (lambda: pinball(y=[1.0], quantiles=[TWO], levels=[0.9, 0.1]), "increasing levels between 0 and 1"),
        (lambda: pinball(y=[1.0], quantiles=[TWO], levels=[0.5, 1.0]), "increasing levels between 0 and 1"),
        (lambda: crps_quantiles(y=[1.0], quantiles=[[1, 2, 3]], levels=[0.1, 0.5, 0.6]), "evenly spaced"),
        (lambda: crps_quantiles(y=TWO, quantiles=[TWO, [2, 1]], levels=[0.4, 0.6]), "those of window 1 cross"),
        (lambda: qlike(variance=[0.0], realised=[1.0]), "variance: expected values above 0"),
        (lambda: qlike(variance=[1.0], realised=[-1.0]), "realised: expected values of 0 or more"),
        (lambda: covered(y=[1.0], lower=[2.0], upper=[1.0]), "lower: expected no value above upper"),
        (lambda: interval_score(y=[1.0], lower=[0.0], upper=[1.0], coverage=80), "a share between 0 and 1"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def test_the_crps_of_a_normal_is_that_of_scoringrules() -> None:
    rng = np.random.default_rng(3)
    y, location, scale = rng.normal(size=(40, 3)), rng.normal(size=(40, 3)), rng.uniform(0.1, 3, (40, 3))
    expected = scoringrules.crps_normal(y, location, scale)
    np.testing.assert_allclose(crps_normal(y=y, location=location, scale=scale), expected, rtol=1e-12)


def test_the_crps_of_a_normal_refuses_what_is_none() -> None:
    ones = np.ones((2, 2))
    with pytest.raises(ValueError, match="scale: expected values above 0"):
        crps_normal(y=ones, location=ones, scale=0 * ones)
    with pytest.raises(ValueError, match="one shape"):
        crps_normal(y=ones, location=ones, scale=np.ones(2))
