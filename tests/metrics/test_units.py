"""Errors of returns in price and pips, by hand and against the losses of prices."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fx_assets.metrics.losses import absolute_error, crps_quantiles, interval_score
from fx_assets.metrics.units import error_in_basis_points, error_in_pips, error_in_price, in_pips, price_at

RETURNS = st.floats(-0.2, 0.2)


def test_units_by_hand() -> None:
    # From 150.00 to 153.00 where 151.50 was forecast; the pip of a yen pair is .01.
    y, y_hat = [math.log(153 / 150)], [math.log(151.5 / 150)]
    assert error_in_price(y=y, y_hat=y_hat, start=[150.0]) == pytest.approx([1.5])
    assert error_in_pips(y=y, y_hat=y_hat, start=[150.0], pip=0.01) == pytest.approx([150.0])
    assert error_in_basis_points(y=[0.0002], y_hat=[-0.0001]) == pytest.approx([3.0])
    assert price_at(log_return=y, start=[150.0]) == pytest.approx([153.0])
    assert in_pips(price=[0.0015, -0.0001], pip=0.0001) == pytest.approx([15.0, -1.0])


@given(RETURNS, RETURNS, st.floats(0.01, 2e4))
def test_the_error_in_price_is_the_difference_of_prices(y: float, y_hat: float, start: float) -> None:
    reached, expected = (price_at(log_return=[r], start=[start])[0] for r in (y, y_hat))
    assert error_in_price(y=[y], y_hat=[y_hat], start=[start])[0] == pytest.approx(
        reached - expected, abs=1e-12 * start
    )


def test_a_small_error_keeps_its_digits() -> None:
    # Seven steps of the last bit of .1, a difference of prices that rounds to nothing.
    small = 7 * 2.0**-56
    error = error_in_price(y=[0.1 + small], y_hat=[0.1], start=[1.0])[0]
    assert error == pytest.approx(math.exp(0.1) * small, rel=1e-12, abs=0)


def test_losses_of_prices_take_converted_quantiles() -> None:
    start = np.array([1.1, 150.0])
    y = np.array([0.01, -0.02])
    quantiles = np.array([[-0.01, 0.0, 0.02], [-0.03, 0.0, 0.01]])
    prices = price_at(log_return=quantiles, start=start)
    assert prices.shape == (2, 3)
    assert prices[1] == pytest.approx(150 * np.exp(quantiles[1]))
    reached = price_at(log_return=y, start=start)
    score = interval_score(y=reached, lower=prices[:, 0], upper=prices[:, 2], coverage=0.5)
    assert score == pytest.approx(prices[:, 2] - prices[:, 0])
    # Small moves: price is start times return, so a score in price is start times the score of returns.
    small = crps_quantiles(y=y / 1e4, quantiles=quantiles / 1e4, levels=[0.25, 0.5, 0.75])
    in_price = crps_quantiles(
        y=price_at(log_return=y / 1e4, start=start),
        quantiles=price_at(log_return=quantiles / 1e4, start=start),
        levels=[0.25, 0.5, 0.75],
    )
    assert in_price == pytest.approx(start * small, rel=1e-4)
    assert in_pips(price=in_price, pip=0.01) == pytest.approx(100 * in_price)


def test_the_median_carries_over_and_the_mean_does_not() -> None:
    draws = np.random.default_rng(7).normal(0, 0.1, 20_001)
    prices = price_at(log_return=draws, start=np.full(len(draws), 1.2))
    assert np.median(prices) == pytest.approx(1.2 * math.exp(np.median(draws)))
    assert prices.mean() > 1.2 * math.exp(draws.mean()) * 1.004


def test_absolute_errors_of_both_kinds_agree() -> None:
    y, y_hat, start = np.array([0.01, -0.02]), np.array([0.0, 0.01]), np.array([1.1, 0.9])
    price = absolute_error(y=price_at(log_return=y, start=start), y_hat=price_at(log_return=y_hat, start=start))
    assert np.abs(error_in_price(y=y, y_hat=y_hat, start=start)) == pytest.approx(price)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: price_at(log_return=[0.0, 0.1], start=[1.0]), r"got \(2,\) and \(1,\)"),
        (lambda: price_at(log_return=[[[0.0]]], start=[1.0]), r"got \(1, 1, 1\) and \(1,\)"),
        (lambda: price_at(log_return=[0.0], start=[0.0]), "start: expected prices above 0"),
        (lambda: price_at(log_return=[math.inf], start=[1.0]), "log_return: expected finite values"),
        (lambda: error_in_price(y=[0.0], y_hat=[[0.0]], start=[1.0]), "expected one shape"),
        (lambda: in_pips(price=[1.0], pip=0.0), "pip: expected a number above 0, got 0.0"),
        (lambda: error_in_pips(y=[0.0], y_hat=[0.0], start=[1.0], pip=math.nan), "pip: expected a number above 0"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
