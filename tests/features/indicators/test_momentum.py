"""Oscillators against TA-Lib, or against their formula written out."""

from __future__ import annotations

import numpy as np
import pytest
import talib

from fx_assets.features.frames import FloatArray
from tests.features.indicators.support import BP, bars, computed, rolled, same, still
from tests.features.indicators.test_trend import ema

FRAME = bars(900)
HIGH, LOW, CLOSE = (FRAME.columns[name] for name in ("high", "low", "close"))
ROWS = len(FRAME)


def one(**options: list[int]) -> FloatArray:
    (values,) = computed(FRAME, **options).values()
    return values


def test_rsi_is_wilders() -> None:
    change = np.diff(CLOSE)
    up, down = change[:14].clip(0).mean(), (-change[:14]).clip(0).mean()
    expected = [np.nan] * 14 + [100 * up / (up + down)]
    for step in change[14:]:
        up, down = (13 * up + max(step, 0)) / 14, (13 * down + max(-step, 0)) / 14
        expected.append(100 * up / (up + down))
    same(one(rsi=[14]), expected)


def test_macd_is_in_basis_points_of_the_close() -> None:
    found = computed(FRAME, macd=True)
    assert list(found) == ["macd", "macd_histogram"]
    # TA-Lib starts both averages so that the slow one is complete first; warm-up makes starts equal.
    line = ema(CLOSE, 12) - ema(CLOSE, 26)
    signal = np.concatenate([np.full(25, np.nan), ema(line[25:], 9)])
    same(found["macd"][500:], (line / CLOSE * BP)[500:])
    same(found["macd_histogram"][500:], ((line - signal) / CLOSE * BP)[500:], 1e-7)


def test_trix_is_the_change_of_a_triple_average() -> None:
    thrice = CLOSE
    for _ in range(3):
        thrice = np.concatenate([np.full(9, np.nan), ema(thrice[~np.isnan(thrice)], 10)[9:]])
        thrice = np.concatenate([np.full(ROWS - len(thrice), np.nan), thrice])
    change = np.full(ROWS, np.nan)
    change[1:] = (thrice[1:] - thrice[:-1]) / thrice[:-1] * BP
    same(one(trix=[10]), change, 1e-7)


def test_chandes_oscillator_is_in_plain_sums() -> None:
    def shares(window: FloatArray) -> float:
        moves = np.diff(window)
        up, down = moves[moves > 0].sum(), -moves[moves < 0].sum()
        return float(100 * (up - down) / (up + down))

    same(one(chande_momentum=[14]), rolled(shares, ROWS, 15, CLOSE), 1e-7)


def test_stochastics_are_talibs() -> None:
    fast, slow = talib.STOCHF(HIGH, LOW, CLOSE, fastk_period=14, fastd_period=3)
    # TA-Lib gives %K from where %D has begun.
    same(one(stochastic_k=[14])[15:], fast[15:], 1e-7)
    same(one(stochastic_d=[14]), slow, 1e-7)
    same(one(williams_r=[14]), talib.WILLR(HIGH, LOW, CLOSE, 14), 1e-7)


def test_cci_is_talibs() -> None:
    same(one(cci=[20]), talib.CCI(HIGH, LOW, CLOSE, 20), 1e-6)


def test_the_ultimate_oscillator_is_talibs() -> None:
    same(one(ultimate_oscillator=[7]), talib.ULTOSC(HIGH, LOW, CLOSE, 7, 14, 28), 1e-7)


@pytest.mark.parametrize(
    ("name", "middle"),
    [
        ("chande_momentum", 0),
        ("stochastic_k", 50),
        ("stochastic_d", 50),
        ("williams_r", -50),
        ("cci", 0),
        ("ultimate_oscillator", 50),
        ("rsi", 0),
        ("trix", 0),
    ],
)
def test_what_stands_still_is_in_the_middle(name: str, middle: float) -> None:
    values = computed(still(), **{name: [10]})[f"{name}_10"][500:]
    np.testing.assert_allclose(values, middle, atol=1e-9)


@pytest.mark.parametrize("name", ["rsi", "stochastic_k", "stochastic_d", "ultimate_oscillator"])
def test_oscillators_stay_between_0_and_100(name: str) -> None:
    values = one(**{name: [5]})[500:]
    assert values.min() >= 0
    assert values.max() <= 100
    assert values.std() > 5
