from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fx_assets.models import scale_likelihood
from fx_assets.models.inputs import FloatArray
from fx_assets.models.scale_likelihood import DOUBT, MOST_DEGREES, fit_log_scale, negative_log_likelihood

INTERCEPT, SLOPES, DEGREES = -5.0, np.array([0.4, -0.2]), 6.0


def world(n: int, seed: int = 1) -> tuple[FloatArray, FloatArray]:
    """Inputs (n, 2) and returns (n,) of the model itself."""
    rng = np.random.default_rng(seed)
    inputs = rng.normal(0, 1, (n, 2)) * [1.0, 2.0] + [3.0, -1.0]
    return inputs, np.exp(INTERCEPT + inputs @ SLOPES) * rng.standard_t(DEGREES, n)


def test_the_likelihood_is_scipys_less_the_doubt() -> None:
    inputs, returns = world(50)
    offset = np.random.default_rng(2).normal(0, 0.3, 50)
    parameters = np.array([-4.0, 0.3, -0.1, np.log(5.0)])
    value, _ = negative_log_likelihood(parameters, inputs, returns, offset)
    scale = np.exp(-4.0 + inputs @ parameters[1:-1] + offset)
    expected = -stats.t.logpdf(returns, 7.0, scale=scale).mean() + DOUBT / 2 * (0.3**2 + 0.1**2) / 50
    assert value == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("log_degrees", [-2.0, 1.5, 5.0])
def test_its_gradient_is_that_of_finite_differences(log_degrees: float) -> None:
    inputs, returns = world(40)
    offset = np.random.default_rng(2).normal(0, 0.3, 40)
    parameters = np.array([-4.5, 0.3, -0.1, log_degrees])
    _, gradient = negative_log_likelihood(parameters, inputs, returns, offset)
    step = 1e-6
    numeric = [
        (
            negative_log_likelihood(parameters + step * unit, inputs, returns, offset)[0]
            - negative_log_likelihood(parameters - step * unit, inputs, returns, offset)[0]
        )
        / (2 * step)
        for unit in np.eye(4)
    ]
    assert gradient == pytest.approx(numeric, rel=1e-5, abs=1e-8)


def test_it_finds_the_world_it_is_given() -> None:
    fit = fit_log_scale(*world(40_000))
    assert fit.refused == ""
    assert fit.intercept == pytest.approx(INTERCEPT, abs=0.03)
    assert fit.coefficients == pytest.approx(SLOPES, abs=0.01)
    assert fit.degrees == pytest.approx(DEGREES, rel=0.07)


def test_without_inputs_it_is_scipys_fit() -> None:
    _, returns = world(3_000)
    fit = fit_log_scale(np.empty((3_000, 0)), returns)
    degrees, _, scale = stats.t.fit(returns, floc=0)
    assert (fit.degrees, np.exp(fit.intercept)) == pytest.approx((degrees, scale), rel=1e-3)
    assert fit.log_likelihood == pytest.approx(stats.t.logpdf(returns, degrees, 0, scale).mean(), abs=1e-7)


def test_units_of_returns_and_inputs_do_not_matter() -> None:
    inputs, returns = world(2_000)
    fit, other = fit_log_scale(inputs, returns), fit_log_scale(inputs * [10.0, 0.1] - 7.0, returns * 1e4)
    assert other.coefficients == pytest.approx(fit.coefficients / [10.0, 0.1], rel=1e-4)
    assert other.intercept + (-7.0 * other.coefficients).sum() == pytest.approx(fit.intercept + np.log(1e4), abs=1e-4)
    assert other.degrees == pytest.approx(fit.degrees, rel=1e-3)
    assert other.log_likelihood == pytest.approx(fit.log_likelihood - np.log(1e4), abs=1e-7)


def test_a_column_that_never_changes_gets_no_coefficient() -> None:
    inputs, returns = world(1_000)
    with_one = fit_log_scale(np.column_stack([inputs, np.full(1_000, 0.1)]), returns)
    assert with_one.coefficients[-1] == 0
    assert with_one.coefficients[:2] == pytest.approx(fit_log_scale(inputs, returns).coefficients, abs=1e-6)


def test_columns_that_say_the_same_share_the_coefficient() -> None:
    inputs, returns = world(2_000)
    twice = fit_log_scale(np.column_stack([inputs, inputs[:, 0]]), returns)
    assert twice.refused == ""
    assert twice.coefficients[0] == pytest.approx(twice.coefficients[2], rel=1e-3)
    assert twice.coefficients[[0, 2]].sum() == pytest.approx(fit_log_scale(inputs, returns).coefficients[0], rel=1e-2)


def test_what_is_known_is_taken_as_it_is() -> None:
    inputs, returns = world(5_000)
    whole = fit_log_scale(inputs, returns)
    part = fit_log_scale(inputs[:, :1], returns, inputs[:, 1] * whole.coefficients[1])
    assert part.coefficients[0] == pytest.approx(whole.coefficients[0], abs=1e-3)
    assert part.degrees == pytest.approx(whole.degrees, rel=1e-2)


def test_one_wild_return_moves_it_little() -> None:
    inputs, returns = world(5_000)
    calm = fit_log_scale(inputs, returns)
    returns[100] = 1_000 * np.std(returns)
    wild = fit_log_scale(inputs, returns)
    assert wild.coefficients == pytest.approx(calm.coefficients, abs=0.02)


def test_thin_tails_end_at_the_bound() -> None:
    inputs, _ = world(3_000)
    returns = np.random.default_rng(4).uniform(-1, 1, 3_000)
    fit = fit_log_scale(inputs, returns)
    assert fit.degrees == pytest.approx(MOST_DEGREES)
    assert fit.refused == ""


def test_a_fit_that_did_not_converge_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scale_likelihood, "_ITERATIONS", 2)
    assert fit_log_scale(*world(500)).refused.startswith("the fit did not converge: ")


def test_returns_that_are_all_zero_are_refused() -> None:
    with pytest.raises(ValueError, match="no return differs from 0"):
        fit_log_scale(np.zeros((10, 1)), np.zeros(10))
