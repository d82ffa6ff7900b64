"""Value at risk and expected shortfall of grids against closed forms, and the loss that judges both."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import integrate, stats

from fx_assets.metrics.quantile_grid import Side
from fx_assets.metrics.tails import TAILS, exceptions, expected_shortfall, fz0, value_at_risk
from fx_assets.models.calibration import DENSE_LEVELS

Floats = NDArray[np.float64]
SIDES: tuple[Side, Side] = ("lower", "upper")


def normal_shortfall(tail: float) -> float:
    return float(-stats.norm.pdf(stats.norm.ppf(tail)) / tail)


def t_shortfall(tail: float, df: float) -> float:
    """McNeil, Frey and Embrechts (2015), example 2.15."""
    v = stats.t.ppf(tail, df)
    return float(-stats.t.pdf(v, df) / tail * (df + v**2) / (df - 1))


def dense(distribution: Any) -> Floats:
    return np.array([distribution.ppf(DENSE_LEVELS)])


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("tail", TAILS)
def test_value_at_risk_is_the_quantile_of_that_side(tail: float, side: Side) -> None:
    skewed = stats.lognorm(0.5, loc=-1)
    level = tail if side == "lower" else 1 - tail
    found = value_at_risk(quantiles=dense(skewed), levels=DENSE_LEVELS, tail=tail, side=side)
    assert found == pytest.approx([skewed.ppf(level)], rel=1e-12)


def test_expected_shortfall_by_hand() -> None:
    # Beyond -2 the exponential tail is 1 / log 2 wide; between -2 and -1 the mean is -1.5; each half of the tail of .2.
    grid: Any = {"quantiles": [[-2.0, -1.0, 0.0, 2.0, 6.0]], "levels": [0.1, 0.2, 0.5, 0.8, 0.9]}
    assert expected_shortfall(**grid, tail=0.2, side="lower") == pytest.approx([(-2 - 1 / math.log(2) - 1.5) / 2])
    assert expected_shortfall(**grid, tail=0.1, side="lower") == pytest.approx([-2 - 1 / math.log(2)])
    assert expected_shortfall(**grid, tail=0.2, side="upper") == pytest.approx([(6 + 4 / math.log(2) + 4) / 2])


# The measured error of the discretisation at 1, 2.5 and 5 %, as the docstring states it, in percent of the size.
NORMAL = {0.01: 1.06, 0.025: 0.55, 0.05: 0.33}
SIX = {0.01: -1.46, 0.025: -0.60, 0.05: -0.34}
FOUR = {0.01: -4.07, 0.025: -1.97, 0.05: -1.20}


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("tail", TAILS)
def test_expected_shortfall_is_near_closed_forms(tail: float, side: Side) -> None:
    sign = 1 if side == "lower" else -1
    for distribution, exact, percent in (
        (stats.norm(), normal_shortfall(tail), NORMAL),
        (stats.t(6), t_shortfall(tail, 6), SIX),
        (stats.t(4), t_shortfall(tail, 4), FOUR),
    ):
        found = expected_shortfall(quantiles=dense(distribution), levels=DENSE_LEVELS, tail=tail, side=side)
        assert 100 * (sign * found[0] / exact - 1) == pytest.approx(percent[tail], abs=0.006)


def test_closed_forms_are_the_integrals() -> None:
    by_integral, _ = integrate.quad(lambda x: x * stats.t.pdf(x, 6), -np.inf, stats.t.ppf(0.025, 6))
    assert t_shortfall(0.025, 6) == pytest.approx(by_integral / 0.025)
    assert t_shortfall(0.025, 1e7) == pytest.approx(normal_shortfall(0.025), rel=1e-5)


@settings(max_examples=50)
@given(st.lists(st.floats(-5, 5), min_size=9, max_size=9), st.floats(-1, 1), st.floats(0.1, 10))
def test_expected_shortfall_moves_and_scales_and_lies_beyond(values: list[float], move: float, factor: float) -> None:
    grid = np.sort(values)[None]
    for side in SIDES:
        arguments: Any = {"levels": np.arange(1, 10) / 10, "tail": 0.2, "side": side}
        shortfall = expected_shortfall(quantiles=grid, **arguments)
        moved = expected_shortfall(quantiles=move + factor * grid, **arguments)
        assert moved == pytest.approx(move + factor * shortfall, rel=1e-9, abs=1e-9)
        limit = value_at_risk(quantiles=grid, **arguments)
        assert shortfall <= limit if side == "lower" else shortfall >= limit


def test_a_flat_grid_has_one_value() -> None:
    flat = np.full((1, 199), -0.1)
    for tail in TAILS:
        limit = value_at_risk(quantiles=flat, levels=DENSE_LEVELS, tail=tail, side="lower")
        shortfall = expected_shortfall(quantiles=flat, levels=DENSE_LEVELS, tail=tail, side="lower")
        assert shortfall <= limit
        assert shortfall == pytest.approx(limit)


def test_exceptions_lie_beyond_not_on_the_limit() -> None:
    limit = [-1.0] * 3
    assert exceptions(y=[-1.1, -1.0, 2.0], value_at_risk=limit, side="lower").tolist() == [True, False, False]
    assert exceptions(y=[1.1, 1.0, -2.0], value_at_risk=[1.0] * 3, side="upper").tolist() == [True, False, False]
    assert exceptions(y=[1.1], value_at_risk=[1.0], side="upper").dtype == np.bool_


def test_fz0_by_hand() -> None:
    # v -2, e -2.5, tail .05. Beyond by 1: 1 / (.05 x 2.5) more than within.
    within = 2 / 2.5 + math.log(2.5) - 1
    loss = fz0(y=[0.0, -3.0], value_at_risk=[-2.0] * 2, expected_shortfall=[-2.5] * 2, tail=0.05, side="lower")
    assert loss == pytest.approx([within, within + 1 / (0.05 * 2.5)])
    mirrored = fz0(y=[0.0, 3.0], value_at_risk=[2.0] * 2, expected_shortfall=[2.5] * 2, tail=0.05, side="upper")
    assert mirrored.tolist() == loss.tolist()


def test_differences_of_fz0_do_not_depend_on_the_unit() -> None:
    rng = np.random.default_rng(9)
    y = rng.normal(size=50)

    def difference(unit: float) -> Floats:
        first = fz0(y=unit * y, value_at_risk=np.full(50, -1.6 * unit), expected_shortfall=np.full(50, -2 * unit),
                    tail=0.05, side="lower")  # fmt: skip
        second = fz0(y=unit * y, value_at_risk=np.full(50, -unit), expected_shortfall=np.full(50, -1.5 * unit),
                     tail=0.05, side="lower")  # fmt: skip
        return first - second

    np.testing.assert_allclose(difference(1e-4), difference(1.0), rtol=1e-9)


def mean_fz0(distribution: Any, limit: float, shortfall: float, tail: float) -> float:
    """Expected loss of a forecast (v, e) of that distribution: integral of the quantile function's loss."""
    shares = (np.arange(40_000) + 0.5) / 40_000
    # Half of the points in the tail, where the loss is not constant.
    points = np.concatenate([shares * tail, tail + shares * (1 - tail)])
    y = distribution.ppf(points)
    loss = fz0(
        y=y,
        value_at_risk=np.full(len(y), limit),
        expected_shortfall=np.full(len(y), shortfall),
        tail=tail,
        side="lower",
    )
    half = len(shares)
    return float(tail * loss[:half].mean() + (1 - tail) * loss[half:].mean())


@pytest.mark.parametrize(
    ("distribution", "shortfall"),
    [(stats.norm(), normal_shortfall), (stats.t(6), lambda tail: t_shortfall(tail, 6))],
    ids=["normal", "t6"],
)
@pytest.mark.parametrize("tail", [0.01, 0.05])
def test_fz0_is_least_on_average_at_the_truth(
    distribution: Any, shortfall: Callable[[float], float], tail: float
) -> None:
    v, e = float(distribution.ppf(tail)), shortfall(tail)
    best = mean_fz0(distribution, v, e, tail)
    # E[1{y <= v} (v - y)] = tail (v - e), so all but the logarithm cancels.
    assert best == pytest.approx(math.log(-e), abs=1e-3)
    for stretch_v, stretch_e in ((1.05, 1.05), (0.95, 0.95), (1.0, 1.05), (1.0, 0.97), (0.95, 1.0), (1.05, 1.0)):
        if v * stretch_v > e * stretch_e:
            assert mean_fz0(distribution, v * stretch_v, e * stretch_e, tail) > best + 1e-5


LIMITS: Any = {"value_at_risk": [-1.0], "tail": 0.01, "side": "lower"}


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: value_at_risk(quantiles=[[0.0, 1.0]], levels=[0.4, 0.6], tail=0.05, side="upper"),
            "levels: 0.95 is not among the 2; take a tail that is, or a denser grid",
        ),
        (
            lambda: expected_shortfall(quantiles=[[0.0, 1.0]], levels=[0.4, 0.6], tail=0.05, side="lower"),
            "levels: 0.05 is not among the 2",
        ),
        (
            lambda: expected_shortfall(quantiles=[[1.0, 0.0]], levels=[0.4, 0.6], tail=0.4, side="lower"),
            "those of window 0 cross",
        ),
        (lambda: exceptions(y=[1.0], value_at_risk=[1.0, 2.0], side="lower"), "expected one shape"),
        (lambda: exceptions(y=[1.0], value_at_risk=[1.0], side="both"), "side: expected"),  # type: ignore[arg-type]
        (lambda: fz0(y=[0.0], expected_shortfall=[0.0], **LIMITS), "expected values below 0 on the lower side"),
        (lambda: fz0(y=[0.0], expected_shortfall=[-0.5], **LIMITS), "none beyond the expected shortfall"),
        (lambda: fz0(y=[0.0], expected_shortfall=[-2.0], **LIMITS | {"tail": 1}), "tail: expected a share"),
        (lambda: fz0(y=[0.0], expected_shortfall=[-2.0], **LIMITS | {"side": "upper"}), "above 0 on the upper side"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
