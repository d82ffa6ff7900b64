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
from scipy import integrate, stats

from fx_assets.metrics.losses import (
    absolute_error,
    covered,
    crps_normal,
    crps_quantiles,
    crps_student_t,
    interval_score,
    naive_scale,
    pinball,
    qlike,
    qlike_percent,
    scaled_absolute_error,
    squared_error,
    student_t_scale,
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


def test_crps_of_quantiles_is_that_of_scoringrules_to_the_last_bit() -> None:
    noise = np.random.default_rng(2)
    y, quantiles = noise.normal(size=200), np.sort(noise.normal(size=(200, len(GRID))), axis=1)
    y[:3] = quantiles[:3, 7]  # on an edge
    expected = scoringrules.crps_quantile(y, quantiles, GRID, backend="numpy")
    assert crps_quantiles(y=y, quantiles=quantiles, levels=GRID).tobytes() == np.asarray(expected).tobytes()


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


def test_mase_by_hand() -> None:
    # In-sample changes of 1, 2 and 3: "no change" errs by 2 on average.
    scale = naive_scale(series=[1.0, 2.0, 4.0, 1.0])
    assert scale == 2.0
    assert scaled_absolute_error(y=[5.0, 1.0], y_hat=[4.0, 4.0], scale=scale).tolist() == [0.5, 1.5]
    assert scaled_absolute_error(y=[5.0, 1.0], y_hat=[4.0, 4.0], scale=[2.0, 6.0]).tolist() == [0.5, 0.5]
    by_horizon = scaled_absolute_error(y=np.ones((2, 3)), y_hat=np.zeros((2, 3)), scale=[2.0, 4.0])
    assert by_horizon.tolist() == [[0.5] * 3, [0.25] * 3]


@given(st.lists(st.floats(0.5, 2), min_size=3, max_size=20, unique=True))
def test_no_change_has_a_mase_of_one_where_it_was_scaled(series: list[float]) -> None:
    changes = np.diff(series)
    error = scaled_absolute_error(y=changes, y_hat=0 * changes, scale=naive_scale(series=series))
    assert error.mean() == pytest.approx(1)


def test_the_crps_of_a_student_t_is_that_of_scoringrules() -> None:
    rng = np.random.default_rng(4)
    y, location = rng.normal(0, 3, (60, 3)), rng.normal(size=(60, 3))
    scale, df = rng.uniform(0.1, 3, (60, 3)), rng.uniform(1.1, 30, (60, 3))
    expected = scoringrules.crps_t(y, df, location, scale)
    np.testing.assert_allclose(crps_student_t(y=y, location=location, scale=scale, df=df), expected, rtol=1e-9)
    expected = scoringrules.crps_t(y, 4.0, location, scale)
    np.testing.assert_allclose(crps_student_t(y=y, location=location, scale=scale, df=4.0), expected, rtol=1e-9)


@pytest.mark.parametrize("df", [2.5, 4.0, 10.0])
def test_the_crps_of_a_student_t_is_the_integral_that_defines_it(df: float) -> None:
    y = 1.3
    outside, _ = integrate.quad(lambda x: stats.t.cdf(x, df, 0.4, 2.0) ** 2, -np.inf, y)
    inside, _ = integrate.quad(lambda x: stats.t.sf(x, df, 0.4, 2.0) ** 2, y, np.inf)
    closed = crps_student_t(y=[y], location=[0.4], scale=[2.0], df=df)
    assert closed == pytest.approx([outside + inside], rel=1e-7)


def test_a_student_t_of_many_degrees_of_freedom_scores_as_the_normal() -> None:
    y, location, scale = np.linspace(-5, 5, 21), np.zeros(21), np.full(21, 1.5)
    normal = crps_normal(y=y, location=location, scale=scale)
    np.testing.assert_allclose(crps_student_t(y=y, location=location, scale=scale, df=1e7), normal, rtol=1e-6)


@given(st.floats(0.01, 10), st.floats(2.1, 50))
def test_a_student_t_of_that_scale_has_the_deviation_asked_for(deviation: float, df: float) -> None:
    scale = student_t_scale(deviation=deviation, df=df)
    assert stats.t.std(df, scale=float(scale)) == pytest.approx(deviation)


def test_qlike_in_percent_by_hand() -> None:
    # A forecast of half a percent a day, and a return of 1 %: log(.25) + 1 / .25.
    expected = [math.log(0.25) + 4]
    assert qlike_percent(variance=[0.005**2], y=[-0.01]) == pytest.approx(expected)
    assert qlike_percent(variance=[0.005**2], realised=[0.01**2]) == pytest.approx(expected)
    assert qlike_percent(variance=[0.01**2], y=[0.0]) == pytest.approx([0.0], abs=1e-12)


@given(st.floats(1e-8, 1e-2), st.floats(1e-8, 1e-2), st.floats(-0.05, 0.05))
def test_differences_of_qlike_do_not_depend_on_the_unit(first: float, second: float, y: float) -> None:
    percent = qlike_percent(variance=[first], y=[y]) - qlike_percent(variance=[second], y=[y])
    returns = qlike(variance=[first], realised=[y**2]) - qlike(variance=[second], realised=[y**2])
    assert percent == pytest.approx(returns, rel=1e-9, abs=1e-9)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: naive_scale(series=[1.0]), r"series: expected \(t,\) with two levels or more, got \(1,\)"),
        (lambda: naive_scale(series=[TWO]), r"got \(1, 2\)"),
        (lambda: naive_scale(series=[2.0, 2.0]), "its 2 levels never move"),
        (lambda: scaled_absolute_error(y=TWO, y_hat=TWO, scale=[1.0]), r"one number or \(2,\), one for each window"),
        (lambda: scaled_absolute_error(y=TWO, y_hat=TWO, scale=0.0), "scale: expected values above 0"),
        (lambda: crps_student_t(y=TWO, location=TWO, scale=[1.0], df=4), "expected one shape"),
        (lambda: crps_student_t(y=TWO, location=TWO, scale=[1.0, 0.0], df=4), "scale: expected values above 0"),
        (lambda: crps_student_t(y=TWO, location=TWO, scale=TWO, df=1.0), "more than 1 degree of freedom"),
        (
            lambda: crps_student_t(y=TWO, location=TWO, scale=TWO, df=[[4.0], [5.0]]),
            r"df: expected one number or shape",
        ),
        (lambda: student_t_scale(deviation=TWO, df=2.0), "more than 2 degrees of freedom"),
        (lambda: student_t_scale(deviation=[0.0], df=4.0), "deviation: expected values above 0"),
        (lambda: qlike_percent(variance=[1.0]), "expected either y or realised"),
        (lambda: qlike_percent(variance=[1.0], y=[1.0], realised=[1.0]), "expected either y or realised"),
        (lambda: qlike_percent(variance=TWO, y=[1.0]), r"one shape, got variance \(2,\), y \(1,\)"),
        (lambda: qlike_percent(variance=[1.0], realised=[-1.0]), "realised: expected values of 0 or more"),
    ],
)
def test_wrong_arguments_of_later_losses_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
