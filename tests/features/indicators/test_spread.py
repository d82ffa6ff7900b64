"""Spread and ticks: in basis points, against what is usual, and never a division by nothing."""

from __future__ import annotations

import numpy as np
import pytest

from fx_assets.features.indicators import spread
from tests.features.indicators.support import BP, bars, computed, rolled, same, still

FRAME = bars(300)
SPREAD = FRAME.columns["spread"] / FRAME.columns["close"] * BP
TICKS = FRAME.columns["ticks"]


def test_the_spread_is_in_basis_points_of_the_close() -> None:
    assert list(computed(FRAME, spread=True)) == ["spread_bp"]
    same(computed(FRAME, spread=True)["spread_bp"], SPREAD)


def test_it_is_compared_with_the_mean_and_the_median_of_its_window() -> None:
    found = computed(FRAME, spread_ratio=[20], spread_excess=[20, 21])
    same(found["spread_ratio_20"], SPREAD / rolled(np.mean, 300, 20, SPREAD))
    for period in (20, 21):
        same(found[f"spread_excess_{period}"], SPREAD - rolled(np.median, 300, period, SPREAD))


def test_medians_taken_in_parts_are_those_taken_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = computed(FRAME, spread_excess=[20])["spread_excess_20"]
    for at_once in (1, 139, 140, 100_000):
        monkeypatch.setattr(spread, "_AT_ONCE", at_once)
        assert np.array_equal(computed(FRAME, spread_excess=[20])["spread_excess_20"], whole, equal_nan=True)


def test_ticks_are_compared_with_their_mean() -> None:
    same(computed(FRAME, tick_intensity=[20])["tick_intensity_20"], TICKS / rolled(np.mean, 300, 20, TICKS))


def test_no_spread_and_no_ticks_are_as_usual() -> None:
    found = computed(still(), spread=True, spread_ratio=[20], spread_excess=[20], tick_intensity=[20])
    assert {name: set(values[19:].tolist()) for name, values in found.items()} == {
        "spread_bp": {0.0},
        "spread_ratio_20": {1.0},
        "spread_excess_20": {0.0},
        "tick_intensity_20": {1.0},
    }


def test_crossed_quotes_have_a_spread_below_zero() -> None:
    crossed = bars(300, spread=-FRAME.columns["spread"])
    same(computed(crossed, spread_ratio=[20])["spread_ratio_20"], -SPREAD / rolled(np.mean, 300, 20, SPREAD))


def test_a_spread_of_none_in_most_bars_makes_no_infinity() -> None:
    rare = np.where(np.arange(300) % 10 == 9, 0.0001, 0.0)
    found = computed(bars(300, spread=rare), spread_ratio=[20], spread_excess=[20])
    assert np.isfinite(found["spread_excess_20"][19:]).all()
    assert found["spread_ratio_20"][19:].max() == pytest.approx(10, rel=0.01)
