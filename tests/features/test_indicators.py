"""Every indicator against its formula, written out in numpy."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from fx_assets.features.errors import FeatureError
from fx_assets.features.stages.base import stage
from fx_assets.features.stages.indicators import IndicatorOptions
from tests.features.conftest import CORE, closes

Floats = NDArray[np.float64]
CLOSE = closes(700)
BP = 1e4


def computed(**options: Any) -> dict[str, Floats]:
    return stage("indicators").compute({"close": CLOSE}, IndicatorOptions(**options))


def ema(values: Floats, period: int) -> Floats:
    """Exponential average, alpha 2 / (period + 1), started at the mean of the first `period` values."""
    result = np.full(len(values), np.nan)
    result[period - 1] = values[:period].mean()
    for t in range(period, len(values)):
        result[t] = result[t - 1] + 2 / (period + 1) * (values[t] - result[t - 1])
    return result


def same(found: Floats, expected: Floats, tolerance: float = 1e-9) -> None:
    np.testing.assert_array_equal(np.isnan(found), np.isnan(expected))
    np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance)


def test_returns_are_log_returns_in_basis_points() -> None:
    found = computed(returns=[1, 5])
    assert list(found) == ["returns_1", "returns_5"]
    expected = [np.nan] * 5 + [BP * np.log(CLOSE[t] / CLOSE[t - 5]) for t in range(5, 700)]
    same(found["returns_5"], np.array(expected))


def test_volatility_is_the_root_mean_square_of_one_bar_returns() -> None:
    squared = (BP * np.diff(np.log(CLOSE))) ** 2
    expected = [np.nan] * 22 + [float(np.sqrt(squared[t - 22 : t].mean())) for t in range(22, 700)]
    same(computed(volatility=[22])["volatility_22"], np.array(expected))


def test_rsi_is_wilders() -> None:
    change = np.diff(CLOSE)
    up, down = change[:14].clip(0).mean(), (-change[:14]).clip(0).mean()
    expected = [np.nan] * 14 + [100 * up / (up + down)]
    for step in change[14:]:
        up, down = (13 * up + max(step, 0)) / 14, (13 * down + max(-step, 0)) / 14
        expected.append(100 * up / (up + down))
    same(computed(rsi=[14])["rsi_14"], np.array(expected))


def test_ema_ratio_is_the_log_distance_from_the_average() -> None:
    same(computed(ema_ratio=[20])["ema_ratio_20"], BP * np.log(CLOSE / ema(CLOSE, 20)))


def test_bollinger_is_the_place_within_two_deviations() -> None:
    windows = np.lib.stride_tricks.sliding_window_view(CLOSE, 20)
    inside = (CLOSE[19:] - windows.mean(axis=1)) / (2 * windows.std(axis=1))
    same(computed(bollinger=[20])["bollinger_20"], np.concatenate([np.full(19, np.nan), inside]), 1e-7)


def test_bollinger_of_a_price_that_stands_still_is_the_middle() -> None:
    still = stage("indicators").compute({"close": np.full(60, 1.1)}, IndicatorOptions(bollinger=[20]))
    assert (still["bollinger_20"][19:] == 0).all()


def test_macd_is_in_basis_points_of_the_close() -> None:
    found = computed(macd=True)
    # TA-Lib starts both averages so that the slow one is complete first; warm-up makes starts equal.
    line = ema(CLOSE, 12) - ema(CLOSE, 26)
    signal = np.concatenate([np.full(25, np.nan), ema(line[25:], 9)])
    np.testing.assert_allclose(found["macd"][500:], (line / CLOSE * BP)[500:], rtol=1e-9)
    np.testing.assert_allclose(found["macd_histogram"][500:], ((line - signal) / CLOSE * BP)[500:], rtol=1e-7)


@pytest.mark.parametrize(
    ("options", "rows"),
    [
        ({"returns": [1, 20]}, 20),
        ({"volatility": [22]}, 22),
        ({"bollinger": [20]}, 19),
        ({"rsi": [14], "returns": [20]}, 500),
        ({"ema_ratio": [100]}, 1200),
        ({"macd": True}, 500),
        (CORE, 500),
    ],
)
def test_look_back_covers_the_longest_window_or_the_warm_up(options: dict[str, Any], rows: int) -> None:
    assert stage("indicators").lookback(IndicatorOptions(**options)) == rows


@pytest.mark.parametrize("options", [{"ema_ratio": [20]}, {"rsi": [14]}, {"macd": True}, {"ema_ratio": [60]}])
def test_after_the_warm_up_the_start_of_history_is_forgotten(options: dict[str, Any]) -> None:
    parsed = IndicatorOptions(**options)
    indicators, long = stage("indicators"), closes(1500)
    rows = indicators.lookback(parsed)
    whole = indicators.compute({"close": long}, parsed)
    part = indicators.compute({"close": long[400:]}, parsed)
    for name, values in whole.items():
        np.testing.assert_allclose(part[name][rows:], values[400 + rows :], rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -1.0])
def test_a_gap_in_the_closes_is_refused_with_its_row(bad: float) -> None:
    broken = CLOSE.copy()
    broken[123] = bad
    with pytest.raises(FeatureError, match=r"'close' without gaps; 1 of 700 rows.*first row 123"):
        stage("indicators").compute({"close": broken}, IndicatorOptions(returns=[1]))
