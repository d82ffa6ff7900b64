"""What other pairs and other series say: strength of currencies, chosen pairs, exogenous series."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray
from fx_assets.features.stages.indicators import Indicators
from tests.features.indicators.support import BP, FEAR, OTHERS, YOUNG, bars, computed, parsed, rolled, same

FRAME = bars(400)
ROWS = len(FRAME)


def moved(pair: str, period: int = 1) -> FloatArray:
    close = FRAME.columns["close"] if pair == "EURUSD" else FRAME.others[pair]
    result = np.full(ROWS, np.nan)
    result[period:] = BP * np.log(close[period:] / close[:-period])
    return result


def test_strength_is_the_mean_return_against_all_others_that_share_the_currency() -> None:
    found = computed(FRAME, strength={"periods": [5]})
    assert list(found) == ["strength_base_5", "strength_quote_5", "strength_difference_5"]
    base = (moved("EURGBP", 5) + moved("EURJPY", 5)) / 2
    # The dollar is the quote of two and the base of one, whose first close comes later.
    old = -moved("AUDUSD", 5) - moved("GBPUSD", 5)
    quote = np.where(np.isnan(moved("USDJPY", 5)), old / 2, (old + moved("USDJPY", 5)) / 3)
    same(found["strength_base_5"], base)
    same(found["strength_quote_5"], quote)
    same(found["strength_difference_5"], base - quote)
    assert (np.diff(quote[YOUNG - 2 : YOUNG + 2]) != 0).all()


def test_strength_reads_pairs_of_its_two_currencies_and_neither_itself_nor_coins() -> None:
    known = ["EURUSD", "USDEUR", "GBPJPY", *OTHERS, "EURBTC"]
    options = parsed(strength={"periods": [5]})
    read = Indicators().others(options, "EURUSD", known)
    assert read == ("AUDUSD", "EURGBP", "EURJPY", "GBPUSD", "USDJPY")
    coins = parsed(strength={"periods": [5], "currencies": ["BTC"]})
    assert Indicators().others(coins, "EURUSD", known) == ("BTCUSD", "EURBTC")
    assert Indicators().others(options, "ETHJPY", known) == ("EURJPY", "GBPJPY", "USDJPY")


def test_the_pairs_own_return_is_no_part_of_its_strength() -> None:
    other = replace(FRAME, columns={**FRAME.columns, "close": FRAME.columns["close"][::-1]})
    for before, after in zip(
        computed(FRAME, strength={"periods": [1]}).values(),
        computed(other, strength={"periods": [1]}).values(),
        strict=True,
    ):
        assert np.array_equal(before, after, equal_nan=True)


def test_pairs_beside_the_bars_that_strength_does_not_read_change_nothing() -> None:
    read = Indicators().others(parsed(strength={"periods": [1]}), "EURUSD", OTHERS)
    fewer = replace(FRAME, others={name: FRAME.others[name] for name in reversed(read)})
    whole, part = (computed(frame, strength={"periods": [1]}) for frame in (FRAME, fewer))
    assert all(np.array_equal(whole[name], part[name], equal_nan=True) for name in whole)


def test_a_currency_that_no_other_pair_has_has_no_strength() -> None:
    alone = replace(FRAME, others={name: FRAME.others[name] for name in ("EURGBP", "EURJPY")})
    found = computed(alone, strength={"periods": [1]})
    assert np.isfinite(found["strength_base_1"][1:]).all()
    assert np.isnan(found["strength_quote_1"]).all()
    assert np.isnan(found["strength_difference_1"]).all()


def test_chosen_pairs_give_their_returns_and_how_the_pair_goes_with_them() -> None:
    found = computed(FRAME, cross={"pairs": ["USDJPY", "EURUSD"], "returns": [1, 5], "correlations": [20]})
    assert list(found) == [
        f"cross_{pair}_{what}"
        for pair in ("usdjpy", "eurusd")
        for what in ("return_1", "return_5", "correlation_20", "beta_20")
    ]
    same(found["cross_usdjpy_return_5"], moved("USDJPY", 5))
    own, other = moved("EURUSD"), moved("USDJPY")
    same(found["cross_usdjpy_correlation_20"], rolled(lambda a, b: np.corrcoef(a, b)[0, 1], ROWS, 20, own, other), 1e-7)
    same(found["cross_usdjpy_beta_20"], rolled(lambda a, b: np.polyfit(b, a, 1)[0], ROWS, 20, own, other), 1e-7)


def test_the_pair_itself_may_be_among_the_chosen() -> None:
    options = {"pairs": ["EURUSD"], "returns": [1], "correlations": [20]}
    found = computed(replace(FRAME, others={}), cross=options, returns=[1])
    assert np.array_equal(found["cross_eurusd_return_1"], found["returns_1"], equal_nan=True)
    assert found["cross_eurusd_correlation_20"][20:] == pytest.approx(1)
    assert found["cross_eurusd_beta_20"][20:] == pytest.approx(1)
    assert Indicators().others(parsed(cross=options), "EURUSD", OTHERS) == ()


def test_chosen_pairs_are_read_in_the_order_of_names_and_each_once() -> None:
    options = parsed(strength={"periods": [1]}, cross={"pairs": ["USDJPY", "BTCUSD"], "returns": [1]})
    assert Indicators().others(options, "EURUSD", OTHERS) == OTHERS


def test_the_look_back_leaves_room_for_a_close_that_is_older_than_the_frame() -> None:
    """The pipeline gives no close from before the frame begins, so old ones are missing in the frame's first rows."""
    options: dict[str, Any] = {"strength": {"periods": [5]}, "cross": {"pairs": ["GBPUSD"], "correlations": [10]}}
    rows = Indicators().lookback(parsed(**options), "1h")
    part = FRAME.take(slice(200, None))
    stale = {name: np.where(np.arange(len(part)) < 10, np.nan, values) for name, values in part.others.items()}
    whole = computed(FRAME, **options)
    for name, values in computed(replace(part, others=stale), **options).items():
        assert np.array_equal(values[rows:], whole[name][200 + rows :]), name


def test_a_chosen_pair_that_is_not_there_is_named() -> None:
    options = {"pairs": ["NZDUSD"], "returns": [1]}
    assert Indicators().others(parsed(cross=options), "EURUSD", OTHERS) == ()
    with pytest.raises(FeatureError, match=r"cross.pairs: NZDUSD has no closes beside the bars of EURUSD.*enable"):
        computed(FRAME, cross=options)


def test_a_series_gives_its_level_change_and_place() -> None:
    found = computed(FRAME, exog={"series": [FEAR], "changes": [1, 24], "zscores": [48]})
    level = FRAME.exog[FEAR]
    stem = "exog_fear_greed_cnn"
    assert list(found) == [stem, f"{stem}_change_1", f"{stem}_change_24", f"{stem}_zscore_48"]
    same(found[stem], level)
    same(found[f"{stem}_change_24"], np.concatenate([np.full(24, np.nan), level[24:] - level[:-24]]))
    same(found[f"{stem}_zscore_48"], rolled(lambda w: (w[-1] - w.mean()) / w.std(), ROWS, 48, level), 1e-7)
    assert np.isnan(found[stem]).sum() == YOUNG
    assert Indicators().exog(parsed(exog={"series": [FEAR]})) == (FEAR,)


def test_a_series_that_does_not_change_is_at_its_mean() -> None:
    flat = replace(FRAME, exog={FEAR: np.full(ROWS, 33.3)})
    values = computed(flat, exog={"series": [FEAR], "zscores": [20]})["exog_fear_greed_cnn_zscore_20"]
    assert (values[19:] == 0).all()


def test_the_level_is_no_view_of_what_was_given() -> None:
    found = computed(FRAME, exog={"series": [FEAR]})
    assert not np.shares_memory(found["exog_fear_greed_cnn"], FRAME.exog[FEAR])


def test_a_series_that_is_not_there_is_named() -> None:
    with pytest.raises(FeatureError, match=r"exog.series: 'fear_greed/CRYPTO' is not beside the bars, only"):
        computed(FRAME, exog={"series": ["fear_greed/CRYPTO"]})
