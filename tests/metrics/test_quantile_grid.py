"""The place of an outcome in a grid of quantiles: by hand, against closed forms, and bit for bit."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fx_assets.metrics.quantile_grid import pit_quantiles, tail_width
from fx_assets.models.calibration import DENSE_LEVELS

QUARTERS: Any = [0.25, 0.5, 0.75]
GRID: Any = [[0.0, 1.0, 3.0]]


def pit(y: float, quantiles: Any = GRID, levels: Any = QUARTERS) -> float:
    return float(pit_quantiles(y=[y], quantiles=quantiles, levels=levels)[0])


def test_pit_by_hand_within_the_grid() -> None:
    assert [pit(0.0), pit(1.0), pit(3.0)] == QUARTERS
    assert pit(0.5) == 0.375
    assert pit(2.0) == 0.625


def test_pit_by_hand_beyond_the_grid() -> None:
    # .25 and .5 are 1 apart: each further 1 halves the share, as from .5 to .25.
    assert pit(-1.0) == pytest.approx(0.125)
    assert pit(-3.0) == pytest.approx(0.25 / 8)
    # .75 and .5 are 2 apart: each further 2 halves what is left.
    assert pit(5.0) == pytest.approx(1 - 0.125)
    assert 0 < pit(-100.0) < 1e-9
    assert pit(1e6) == 1.0


def test_equal_quantiles_give_the_middle_of_their_levels() -> None:
    flat = [[0.0, 1.0, 1.0, 1.0, 2.0]]
    levels = [0.1, 0.3, 0.4, 0.7, 0.9]
    assert pit(1.0, flat, levels) == 0.5
    assert pit(0.5, flat, levels) == pytest.approx(0.2)
    # A whole distribution on one point.
    assert [pit(y, [[1.0, 1.0]], [0.2, 0.6]) for y in (0.9, 1.0, 1.1)] == [0.0, 0.4, 1.0]


def test_tail_width_by_hand() -> None:
    assert tail_width(quantiles=GRID, levels=QUARTERS, side="lower") == pytest.approx([1 / math.log(2)])
    assert tail_width(quantiles=GRID, levels=QUARTERS, side="upper") == pytest.approx([2 / math.log(2)])


def test_the_tail_is_exact_for_an_exponential_one() -> None:
    laplace = np.array([stats.laplace.ppf(DENSE_LEVELS)])
    y = np.linspace(-20, 20, 41)
    tails = np.abs(y) > abs(laplace[0, 0])
    outside = pit_quantiles(y=y, quantiles=np.tile(laplace, (41, 1)), levels=DENSE_LEVELS)[tails]
    np.testing.assert_allclose(outside, stats.laplace.cdf(y[tails]), rtol=1e-9)
    assert tails.sum() > 20


@pytest.mark.parametrize("distribution", [stats.norm(), stats.t(4)], ids=["normal", "t4"])
def test_pit_is_near_the_distribution_function(distribution: Any) -> None:
    y = np.linspace(-6, 6, 500)
    quantiles = np.tile(distribution.ppf(DENSE_LEVELS), (500, 1))
    error = np.abs(pit_quantiles(y=y, quantiles=quantiles, levels=DENSE_LEVELS) - distribution.cdf(y))
    inside = np.abs(y) < abs(distribution.ppf(0.005))
    assert error[inside].max() < 5.5e-4
    assert error[~inside].max() < 4e-4


def test_pit_of_right_forecasts_is_uniform_and_of_narrow_ones_is_not() -> None:
    rng = np.random.default_rng(5)
    location, scale = rng.normal(size=4000), rng.uniform(0.5, 2, 4000)
    y = location + scale * rng.standard_t(5, 4000)
    quantiles = location[:, None] + scale[:, None] * stats.t.ppf(DENSE_LEVELS, 5)
    narrow = location[:, None] + 0.8 * scale[:, None] * stats.t.ppf(DENSE_LEVELS, 5)
    right = pit_quantiles(y=y, quantiles=quantiles, levels=DENSE_LEVELS)
    assert stats.kstest(right, "uniform").pvalue > 0.05
    assert stats.kstest(pit_quantiles(y=y, quantiles=narrow, levels=DENSE_LEVELS), "uniform").pvalue < 1e-6


def test_each_window_has_the_same_bits_alone_and_among_others() -> None:
    rng = np.random.default_rng(6)
    y = rng.standard_t(2, 300) * 3
    quantiles = np.sort(rng.standard_t(3, (300, 199)), axis=1)
    together = pit_quantiles(y=y, quantiles=quantiles, levels=DENSE_LEVELS)
    assert ((together > 0) & (together < 0.005)).sum() > 3
    assert ((together > 0.995) & (together < 1)).sum() > 3
    alone = [pit(float(y[i]), quantiles[i : i + 1], DENSE_LEVELS) for i in range(300)]
    assert together.tolist() == alone
    by_two = pit_quantiles(y=y[::-2], quantiles=np.asfortranarray(quantiles)[::-2], levels=DENSE_LEVELS)
    assert together[::-2].tolist() == by_two.tolist()


@settings(max_examples=50)
@given(st.lists(st.floats(-10, 10), min_size=5, max_size=5), st.lists(st.floats(-30, 30), min_size=2, max_size=20))
def test_pit_never_falls_as_y_rises(quantiles: list[float], outcomes: list[float]) -> None:
    y = np.sort(outcomes)
    levels = [0.05, 0.2, 0.5, 0.6, 0.9]
    rising = pit_quantiles(y=y, quantiles=np.tile(np.sort(quantiles), (len(y), 1)), levels=levels)
    assert (np.diff(rising) >= 0).all()
    assert ((rising >= 0) & (rising <= 1)).all()


@settings(max_examples=50)
@given(st.lists(st.floats(-10, 10), min_size=4, max_size=4), st.floats(-30, 30))
def test_pit_of_the_mirror_image_is_the_rest(quantiles: list[float], y: float) -> None:
    grid: NDArray[np.float64] = np.sort(quantiles)[None]
    levels = np.array([0.1, 0.3, 0.6, 0.95])
    mirrored = pit(-y, -grid[:, ::-1], 1 - levels[::-1])
    assert pit(y, grid, levels) == pytest.approx(1 - mirrored, abs=1e-9)


def test_no_window_gives_no_pit() -> None:
    assert pit_quantiles(y=[], quantiles=np.zeros((0, 3)), levels=QUARTERS).shape == (0,)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: pit_quantiles(y=[0.0], quantiles=[[1.0]], levels=[0.5]), "levels: expected two or more"),
        (lambda: pit_quantiles(y=[0.0], quantiles=[[1.0, 0.0]], levels=[0.4, 0.6]), "those of window 0 cross"),
        (lambda: pit_quantiles(y=[math.nan], quantiles=GRID, levels=QUARTERS), "y: expected finite values"),
        (lambda: pit_quantiles(y=[0.0, 1.0], quantiles=GRID, levels=QUARTERS), r"got \(2,\), \(1, 3\), \(3,\)"),
        (lambda: tail_width(quantiles=GRID, levels=QUARTERS, side="left"), 'side: expected "lower" or "upper"'),  # type: ignore[arg-type]
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
