"""Volatilities against TA-Lib, their formula written out, and the volatility of a simulated market."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from fx_assets.features.frames import FloatArray
from tests.features.indicators.support import BP, bars, computed, rolled, same, still

FRAME = bars(800)
OPEN, HIGH, LOW, CLOSE = (FRAME.columns[name] for name in ("open", "high", "low", "close"))
ROWS = len(FRAME)
RETURNS = BP * np.diff(np.log(CLOSE), prepend=np.nan)
OF_CLOSES = ("volatility", "downside_volatility", "upside_volatility", "ewma_volatility")
OF_RANGES = ("parkinson", "garman_klass", "rogers_satchell", "yang_zhang")


def one(**options: list[int]) -> FloatArray:
    (values,) = computed(FRAME, **options).values()
    return values


def rs(opened: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> float:
    """Rogers and Satchell (1991), equation 2, with all prices relative to the open."""
    u, d, c = np.log(high / opened), np.log(low / opened), np.log(close / opened)
    return float((u * (u - c) + d * (d - c)).mean())


def test_volatility_is_the_root_mean_square_of_one_bar_returns() -> None:
    same(one(volatility=[22]), rolled(lambda w: np.sqrt((w**2).mean()), ROWS, 22, RETURNS))


def test_falls_and_rises_make_up_the_volatility() -> None:
    down, up = one(downside_volatility=[22]), one(upside_volatility=[22])
    same(down, rolled(lambda w: np.sqrt((w[w < 0] ** 2).sum() / 22), ROWS, 22, RETURNS))
    same(np.sqrt(down**2 + up**2), one(volatility=[22]))


def test_ewma_volatility_is_riskmetrics() -> None:
    variance = np.full(ROWS, np.nan)
    variance[31] = (RETURNS[1:32] ** 2).mean()
    for t in range(32, ROWS):
        variance[t] = 30 / 32 * variance[t - 1] + 2 / 32 * RETURNS[t] ** 2
    same(one(ewma_volatility=[31]), np.sqrt(variance))


def test_atr_is_talibs_in_basis_points() -> None:
    same(one(atr=[14]), talib.NATR(HIGH, LOW, CLOSE, 14) * 100)
    # Wilder's own: the mean of the first true ranges, then 13 parts old and one new.
    before = CLOSE[:-1]
    true_range = (np.maximum(HIGH[1:], before) - np.minimum(LOW[1:], before)).tolist()
    average = np.mean(true_range[:14])
    for value in true_range[14:]:
        average = (13 * average + value) / 14
    assert one(atr=[14])[-1] == pytest.approx(average / CLOSE[-1] * BP)


def test_realised_volatility_is_the_root_of_the_mean_variance_inside() -> None:
    inside = FRAME.columns["realised_variance"]
    same(one(realised_volatility=[1]), np.sqrt(inside) * BP)
    same(one(realised_volatility=[5]), rolled(lambda w: np.sqrt(w.mean()) * BP, ROWS, 5, inside))


def test_parkinsons_is_of_the_ranges() -> None:
    expected = rolled(lambda h, low: BP * np.sqrt((np.log(h / low) ** 2).mean() / (4 * np.log(2))), ROWS, 20, HIGH, LOW)
    same(one(parkinson=[20]), expected)


def test_garman_and_klass_is_of_range_and_body() -> None:
    def formula(opened: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray) -> float:
        body = (2 * np.log(2) - 1) * np.log(close / opened) ** 2
        return float(BP * np.sqrt((0.5 * np.log(high / low) ** 2 - body).mean()))

    same(one(garman_klass=[20]), rolled(formula, ROWS, 20, OPEN, HIGH, LOW, CLOSE))


def test_rogers_and_satchell_is_of_the_prices_from_the_open() -> None:
    expected = rolled(lambda *w: BP * np.sqrt(rs(*w)), ROWS, 20, OPEN, HIGH, LOW, CLOSE)
    same(one(rogers_satchell=[20]), expected)


def test_yang_and_zhang_weigh_the_gaps_the_bodies_and_the_rest() -> None:
    def formula(opened: FloatArray, high: FloatArray, low: FloatArray, close: FloatArray, before: FloatArray) -> float:
        k = 0.34 / (1.34 + 21 / 19)
        gaps, bodies = np.var(np.log(opened / before), ddof=1), np.var(np.log(close / opened), ddof=1)
        return float(BP * np.sqrt(gaps + k * bodies + (1 - k) * rs(opened, high, low, close)))

    before = np.concatenate([[np.nan], CLOSE[:-1]])
    same(one(yang_zhang=[20]), rolled(formula, ROWS, 20, OPEN, HIGH, LOW, CLOSE, before))


def test_all_measure_the_volatility_of_a_market_that_has_one() -> None:
    """10 bp a bar, in 400 steps: what happens between the steps is lost to the ranges, about 4 %."""
    steps = np.random.default_rng(4).standard_normal((2001, 400)) * 0.001 / 20
    path = 1.1 * np.exp(np.cumsum(steps).reshape(steps.shape))
    opened = np.concatenate([[1.1], path[:-1, -1]])
    high, low = np.maximum(path.max(axis=1), opened), np.minimum(path.min(axis=1), opened)
    market = bars(
        2001, path[:, -1], open=opened, high=high, low=low, realised_variance=np.asarray((steps**2).sum(axis=1))
    )
    chosen: dict[str, list[int]] = {name: [2000] for name in (*OF_RANGES, "volatility", "realised_volatility")}
    for name, values in computed(market, **chosen).items():
        assert 9.4 < values[-1] < 10.3, name


@pytest.mark.parametrize("name", [*OF_CLOSES, *OF_RANGES, "atr", "realised_volatility"])
def test_what_stands_still_has_none(name: str) -> None:
    values = computed(still(), **{name: [20]})[f"{name}_20"][500:]
    np.testing.assert_allclose(values, 0, atol=1e-12)


@pytest.mark.parametrize("name", ["garman_klass", "rogers_satchell"])
def test_a_close_outside_its_range_makes_no_missing_value(name: str) -> None:
    flat = np.full(30, 1.1)
    odd = bars(30, flat * 1.0001, open=flat, high=flat, low=flat)
    assert (computed(odd, **{name: [5]})[f"{name}_5"][4:] >= 0).all()
