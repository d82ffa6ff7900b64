"""Returns and trend against TA-Lib, or against their formula written out."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from fx_assets.features.frames import FloatArray
from tests.features.indicators.support import BP, bars, computed, rolled, same, still

FRAME = bars(1300)
OPEN, HIGH, LOW, CLOSE = (FRAME.columns[name] for name in ("open", "high", "low", "close"))
ROWS = len(FRAME)


def one(**options: list[int]) -> FloatArray:
    (values,) = computed(FRAME, **options).values()
    return values


def ema(values: FloatArray, period: int) -> FloatArray:
    """Exponential average, alpha 2 / (period + 1), started at the mean of the first `period` values."""
    result = np.full(len(values), np.nan)
    result[period - 1] = values[:period].mean()
    for t in range(period, len(values)):
        result[t] = result[t - 1] + 2 / (period + 1) * (values[t] - result[t - 1])
    return result


def wilder(values: FloatArray, period: int) -> FloatArray:
    """Wilder's average, alpha 1 / period, started at 0: warmed up it is that of any start."""
    result = np.zeros(len(values))
    for t in range(1, len(values)):
        result[t] = result[t - 1] + (values[t] - result[t - 1]) / period
    return result


def directional(period: int) -> tuple[FloatArray, FloatArray]:
    """Wilder's two directional indicators."""
    up, down = np.diff(HIGH, prepend=HIGH[0]), -np.diff(LOW, prepend=LOW[0])
    before = np.concatenate([CLOSE[:1], CLOSE[:-1]])
    true_range = wilder(np.maximum(HIGH, before) - np.minimum(LOW, before), period)[1:]
    plus = wilder(np.where((up > down) & (up > 0), up, 0), period)[1:]
    minus = wilder(np.where((down > up) & (down > 0), down, 0), period)[1:]
    lead = np.full(1, np.nan)
    return (np.concatenate([lead, 100 * part / true_range]) for part in (plus, minus))  # type: ignore[return-value]


def test_returns_are_log_returns_in_basis_points() -> None:
    found = computed(FRAME, returns=[1, 5])
    assert list(found) == ["returns_1", "returns_5"]
    same(found["returns_5"], [np.nan] * 5 + [BP * np.log(CLOSE[t] / CLOSE[t - 5]) for t in range(5, ROWS)])


def test_rate_of_change_and_momentum_are_talibs_in_basis_points() -> None:
    same(one(roc=[10]), talib.ROCP(CLOSE, 10) * BP)
    same(one(momentum=[10]), talib.MOM(CLOSE, 10) / CLOSE * BP)


def test_a_scaled_return_is_in_units_of_its_volatility() -> None:
    returns = np.diff(np.log(CLOSE), prepend=np.nan)
    same(one(scaled_return=[20]), rolled(lambda w: w.sum() / np.sqrt((w**2).sum()), ROWS, 20, returns), 1e-7)


def test_ema_ratio_is_the_log_distance_from_the_average() -> None:
    same(one(ema_ratio=[20]), BP * np.log(CLOSE / ema(CLOSE, 20)))


def test_sma_ratio_is_the_log_distance_from_the_mean() -> None:
    same(one(sma_ratio=[20]), BP * np.log(CLOSE / talib.SMA(CLOSE, 20)), 1e-7)


def test_bollinger_is_the_place_within_two_deviations() -> None:
    upper, middle, _ = talib.BBANDS(CLOSE, 20, nbdevup=2.0, nbdevdn=2.0)
    same(one(bollinger=[20]), (CLOSE - middle) / (upper - middle), 1e-6)


def test_kama_ratio_is_the_distance_from_talibs_average_of_the_look_back() -> None:
    values = one(kama_ratio=[10])
    assert np.isnan(values[:500]).all()
    for t in (500, 777, ROWS - 1):
        average = talib.KAMA(CLOSE[t - 500 : t + 1].copy(), 10)[-1]
        assert values[t] == pytest.approx(BP * np.log(CLOSE[t] / average), abs=1e-8)


def test_efficiency_is_the_distance_over_the_way() -> None:
    way = rolled(lambda w: np.abs(np.diff(w)).sum(), ROWS, 11, CLOSE)
    far = rolled(lambda w: abs(w[-1] - w[0]), ROWS, 11, CLOSE)
    same(one(efficiency_ratio=[10]), far / way)
    straight = bars(300, np.linspace(1.1, 1.2, 300))
    assert computed(straight, efficiency_ratio=[10])["efficiency_ratio_10"][10:].max() == 1


def test_slope_is_that_of_the_least_squares_line() -> None:
    same(one(slope=[20]), BP * talib.LINEARREG_SLOPE(np.log(CLOSE), 20), 1e-7)


def test_directional_indicators_are_wilders() -> None:
    plus, minus = directional(14)
    same(one(plus_di=[14])[500:], plus[500:])
    same(one(minus_di=[14])[500:], minus[500:])


def test_adx_is_wilders_average_of_their_imbalance() -> None:
    plus, minus = directional(14)
    imbalance = 100 * np.abs(plus - minus) / (plus + minus)
    same(one(adx=[14])[600:], wilder(np.nan_to_num(imbalance), 14)[600:])


def test_aroon_tells_how_long_ago_the_extremes_were_and_takes_the_newer_of_equal_ones() -> None:
    high, low = np.round(HIGH, 2), np.round(LOW, 2)
    tied = bars(ROWS, np.round(CLOSE, 2), high=high, low=low)

    def ages(highs: FloatArray, lows: FloatArray) -> float:
        return 10.0 * (int(np.argmin(lows[::-1])) - int(np.argmax(highs[::-1])))

    same(computed(tied, aroon=[10])["aroon_10"], rolled(ages, ROWS, 11, high, low))


def test_a_price_that_stands_still_has_no_trend() -> None:
    zeros = [
        "ema_ratio",
        "sma_ratio",
        "bollinger",
        "kama_ratio",
        "efficiency_ratio",
        "slope",
        "adx",
        "plus_di",
        "aroon",
    ]
    found = computed(still(), **{name: [20] for name in zeros})
    assert {name: float(np.abs(found[f"{name}_20"][750:]).max()) for name in zeros[1:6]} == dict.fromkeys(zeros[1:6], 0)
    assert (np.abs(found["ema_ratio_20"][750:]) < 1e-10).all()
    assert (found["adx_20"][750:] == 0).all()
