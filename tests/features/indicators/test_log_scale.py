"""How wide a pair and its panel move: the indicators `log_scale` and `log_realised`."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import STALE_ROWS
from fx_assets.features.indicators.log_scale import (
    DECLARED,
    STILLEST,
    LogScale,
    LogScaleOptions,
    log_realised,
    log_size,
)
from tests.features.indicators.support import BP, OTHERS, YOUNG, bars, same, still

FRAME = bars(400)
ROWS = len(FRAME)


def made(frame: Frame, **options: Any) -> dict[str, FloatArray]:
    declared = DECLARED[0]
    assert isinstance(declared, LogScale)
    value = LogScaleOptions.model_validate(options)
    names = [column.name for column in declared.columns(value)]
    return dict(zip(names, declared.compute(frame, value), strict=True))


def by_hand(close: FloatArray, half_life: int, bars: int = 1) -> FloatArray:
    """Straight from the definition, one window after the other."""
    rows = 5 * half_life
    weights = np.array([2.0 ** (-k / half_life) for k in range(rows)])
    result = np.full(len(close), np.nan)
    for t in range(rows + bars - 1, len(close)):
        sizes = [abs(np.log(close[t - k] / close[t - k - bars])) * BP / bars**0.5 for k in range(rows)]
        result[t] = np.log(weights @ sizes / weights.sum())
    return result


def test_own_and_coarse_sizes_are_what_they_say() -> None:
    close = FRAME.columns["close"]
    found = made(FRAME, own=[3, 10], coarse=[{"bars": 5, "half_life": 4}])
    assert list(found) == ["log_scale_3", "log_scale_10", "log_scale_4_of_5"]
    same(found["log_scale_3"], by_hand(close, 3), 1e-8)
    same(found["log_scale_10"], by_hand(close, 10), 1e-8)
    same(found["log_scale_4_of_5"], by_hand(close, 4, 5), 1e-8)


def test_the_surge_is_the_mean_over_the_pair_and_the_others_that_reach_back() -> None:
    found = made(FRAME, own=[2, 10], panel=[3])["log_scale_panel_3"]
    chosen = [name for name in OTHERS if name != "BTCUSD"]  # no coin among the ten most traded
    closes = [FRAME.columns["close"], *(FRAME.others[name] for name in chosen)]
    surges = [by_hand(each, 3) - by_hand(each, 10) for each in closes]
    expected = np.full(ROWS, np.nan)
    with_young = YOUNG + 50  # the first row with a window of 50 returns of the youngest
    expected[50:with_young] = np.mean([s for s in surges if np.isfinite(s[100])], axis=0)[50:with_young]
    expected[with_young:] = np.mean(surges, axis=0)[with_young:]
    same(found, expected, 1e-7)
    assert np.isnan(surges[-1][with_young - 1])


def test_a_pair_without_peers_has_its_own_surge() -> None:
    """The fallback: missing peers leave nothing missing."""
    alone = replace(FRAME, others={})
    found = made(alone, own=[10], panel=[3])
    same(found["log_scale_panel_3"], by_hand(FRAME.columns["close"], 3) - by_hand(FRAME.columns["close"], 10), 1e-7)
    strangers = replace(FRAME, others={"BTCUSD": FRAME.others["BTCUSD"]})
    same(made(strangers, own=[10], panel=[3])["log_scale_panel_3"], found["log_scale_panel_3"])
    silent = replace(FRAME, others={name: np.full(ROWS, np.nan) for name in OTHERS})
    same(made(silent, own=[10], panel=[3])["log_scale_panel_3"], found["log_scale_panel_3"])


def test_a_panel_reads_the_pairs_of_its_currencies_and_without_one_none() -> None:
    declared = DECLARED[0]
    known = ("USDEUR", *OTHERS)
    some = LogScaleOptions.model_validate({"own": [10], "panel": [3], "currencies": ["EUR", "USD", "JPY"]})
    assert declared.others(some, "EURUSD", known) == ("EURJPY", "USDEUR", "USDJPY")
    assert declared.others(some, "USDJPY", known) == ("EURJPY", "USDEUR")
    assert declared.others(LogScaleOptions.model_validate({"own": [10]}), "EURUSD", known) == ()


def test_the_look_back_is_the_longest_window_and_room_for_an_old_close() -> None:
    declared = DECLARED[0]

    def rows(**options: Any) -> int:
        return declared.lookback(LogScaleOptions.model_validate(options))

    assert rows(own=[3, 10]) == 50
    assert rows(own=[10], panel=[3]) == 50 + STALE_ROWS
    assert rows(own=[10], coarse=[{"bars": 5, "half_life": 20}]) == 104
    for options in ({"own": [3, 10]}, {"own": [2], "coarse": [{"bars": 5, "half_life": 4}]}):
        first = max(int(np.isfinite(values).argmax()) for values in made(FRAME, **options).values())
        assert first == rows(**options)


def test_a_price_that_stands_still_is_as_small_as_it_gets() -> None:
    for name, values in made(still(), own=[3, 10], coarse=[{"bars": 5, "half_life": 4}], panel=[2]).items():
        expected = 0.0 if "panel" in name else np.log(STILLEST)
        assert (values[60:] == expected).all(), name
    (value,) = {float(each) for each in log_realised(still(), 3)[14:]}
    assert value == pytest.approx(np.log(STILLEST))


def test_realised_volatility_is_the_log_of_the_weighted_mean() -> None:
    variance = FRAME.columns["realised_variance"]
    weights = 2.0 ** (-np.arange(10) / 2)
    expected = np.full(ROWS, np.nan)
    for t in range(9, ROWS):
        expected[t] = np.log(np.sqrt(weights @ variance[t - np.arange(10)] / weights.sum()) * BP)
    same(log_realised(FRAME, 2), expected, 1e-8)
    assert DECLARED[1].needs == ("realised_variance",)
    assert DECLARED[1].lookback([2, 7]) == 34


def test_one_half_life_later_a_jump_weighs_half() -> None:
    close = np.full(120, 1.1)
    close[60:] *= np.exp(0.01)
    sizes = np.exp(log_size(close, 10))
    assert sizes[70] / sizes[60] == pytest.approx(0.5)
    assert sizes[109] > STILLEST * 1.01  # 50 returns make a window
    assert sizes[110] == pytest.approx(STILLEST)


def test_a_panel_needs_a_longer_half_life_to_stand_out_from() -> None:
    with pytest.raises(ValidationError, match="panel: 10 is not shorter than the longest of own, 10"):
        LogScaleOptions.model_validate({"own": [3, 10], "panel": [10]})
    with pytest.raises(ValidationError, match="coarse: each may stand once"):
        LogScaleOptions.model_validate({"own": [3], "coarse": [{"bars": 5, "half_life": 2}] * 2})
