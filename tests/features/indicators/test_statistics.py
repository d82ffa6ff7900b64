"""Statistics and distances against TA-Lib, or their formula written out."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from fx_assets.features.frames import FloatArray
from fx_assets.features.indicators.statistics import beta, correlation
from tests.features.indicators.support import BP, bars, computed, rolled, same, still, walk

FRAME = bars(500)
HIGH, LOW, CLOSE = (FRAME.columns[name] for name in ("high", "low", "close"))
ROWS = len(FRAME)
RETURNS = BP * np.diff(np.log(CLOSE), prepend=np.nan)


def one(**options: list[int]) -> FloatArray:
    (values,) = computed(FRAME, **options).values()
    return values


def test_skewness_and_kurtosis_are_the_standardised_third_and_fourth_moments() -> None:
    def standard(window: FloatArray) -> FloatArray:
        return np.asarray((window - window.mean()) / window.std())

    same(one(skewness=[20]), rolled(lambda w: (standard(w) ** 3).mean(), ROWS, 20, RETURNS), 1e-7)
    same(one(kurtosis=[20]), rolled(lambda w: (standard(w) ** 4).mean() - 3, ROWS, 20, RETURNS), 1e-7)


def test_autocorrelation_is_of_neighbours_about_one_mean() -> None:
    def formula(window: FloatArray) -> float:
        apart = window - window.mean()
        return float((apart[1:] * apart[:-1]).sum() / (apart**2).sum())

    same(one(autocorrelation=[30]), rolled(formula, ROWS, 30, RETURNS), 1e-7)


def test_the_variance_ratio_compares_moves_of_five_bars_with_those_of_one() -> None:
    def formula(prices: FloatArray) -> float:
        logs = np.log(prices)
        return float(((logs[5:] - logs[:-5]) ** 2).mean() / 5 / (np.diff(logs) ** 2).mean())

    same(one(variance_ratio=[30]), rolled(formula, ROWS, 31, CLOSE), 1e-7)


def test_the_variance_ratio_tells_a_trend_from_a_tug_of_war() -> None:
    up, zigzag = np.asarray(1.1 * np.exp(np.arange(60) * 1e-4)), np.asarray(1.1 + 1e-4 * (np.arange(60) % 2))
    assert computed(bars(60, up), variance_ratio=[40])["variance_ratio_40"][-1] == pytest.approx(5)
    assert computed(bars(60, zigzag), variance_ratio=[40])["variance_ratio_40"][-1] == pytest.approx(0.2)


def test_the_zscore_counts_deviations_from_the_mean() -> None:
    same(one(zscore=[20]), (CLOSE - talib.SMA(CLOSE, 20)) / talib.STDDEV(CLOSE, 20), 1e-6)


def test_distances_are_from_the_extremes_of_the_window() -> None:
    same(one(highest_distance=[20]), BP * np.log(CLOSE / talib.MAX(HIGH, 20)))
    same(one(lowest_distance=[20]), BP * np.log(CLOSE / talib.MIN(LOW, 20)))
    same(one(drawdown=[20]), BP * np.log(CLOSE / talib.MAX(CLOSE, 20)))


def test_the_largest_fall_is_the_worst_of_all_pairs_of_bars() -> None:
    def worst(prices: FloatArray) -> float:
        return min(BP * float(np.log(prices[j] / prices[i])) for j in range(12) for i in range(j + 1))

    same(one(max_drawdown=[12]), rolled(worst, ROWS, 12, CLOSE))


def test_correlation_and_beta_are_those_of_the_textbook() -> None:
    other = BP * np.diff(np.log(walk(ROWS, 77)), prepend=np.nan) + 0.5 * RETURNS
    same(correlation(RETURNS, other, 20), rolled(lambda a, b: np.corrcoef(a, b)[0, 1], ROWS, 20, RETURNS, other), 1e-7)
    same(beta(RETURNS, other, 20), rolled(lambda a, b: np.polyfit(b, a, 1)[0], ROWS, 20, RETURNS, other), 1e-7)
    same(correlation(RETURNS, other, 20)[20:], talib.CORREL(RETURNS[1:], other[1:], 20)[19:], 1e-6)


def test_correlation_with_itself_is_one_and_with_what_stands_still_none() -> None:
    assert correlation(RETURNS, RETURNS, 20)[20:] == pytest.approx(1)
    assert correlation(RETURNS, RETURNS, 20)[20:].max() <= 1
    assert beta(RETURNS, RETURNS, 20)[20:] == pytest.approx(1)
    for make in (correlation, beta):
        assert (make(RETURNS, np.full(ROWS, 3.0), 20)[20:] == 0).all()
    assert (correlation(np.full(ROWS, 3.0), RETURNS, 20)[20:] == 0).all()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("skewness", 0),
        ("kurtosis", 0),
        ("autocorrelation", 0),
        ("variance_ratio", 1),
        ("zscore", 0),
        ("highest_distance", 0),
        ("lowest_distance", 0),
        ("drawdown", 0),
        ("max_drawdown", 0),
    ],
)
def test_what_stands_still_has_no_shape(name: str, value: float) -> None:
    assert (computed(still(), **{name: [20]})[f"{name}_20"][20:] == value).all()


@pytest.mark.parametrize("name", ["skewness", "kurtosis", "autocorrelation"])
def test_rounding_is_not_taken_for_a_shape(name: str) -> None:
    """A price that grows by the same share in every bar has returns that differ in their last bits only."""
    steady = bars(300, 150 * np.exp(np.arange(300) * 1e-4))
    assert (computed(steady, **{name: [20]})[f"{name}_20"][20:] == 0).all()
