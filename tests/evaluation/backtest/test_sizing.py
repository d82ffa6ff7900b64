"""Signals, sizes and limits, reckoned by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from fx_assets.evaluation.backtest.sizing import (
    FixedNotional,
    Signals,
    Sizing,
    VolatilityTarget,
    round_trip_costs,
    signals_of_locations,
)


def units(sizing: Sizing, signal: float, **changes: Any) -> float:
    given = {"held": 0.0, "worth": 1.25, "equity": 1000.0, "volatility": 0.01, **changes}
    return sizing.units(signal, **given)


def test_a_fixed_notional_is_worth_what_it_says() -> None:
    sizing = Sizing(FixedNotional(5000.0), lot=0.001)
    assert units(sizing, 1.0) == 4000.0
    assert units(sizing, -0.5) == -2000.0
    assert units(sizing, 1.0, volatility=0.5, equity=2000.0) == 4000.0


def test_a_volatility_target_follows_the_forecast_and_the_equity() -> None:
    sizing = Sizing(VolatilityTarget(0.16, 256.0), lot=1e-9)
    # 16 % a year is 1 % a bar: at a volatility of .005 a bar the position is worth twice the equity.
    assert units(sizing, 1.0, volatility=0.005) == pytest.approx(2 * 1000 / 1.25)
    assert units(sizing, -1.0, volatility=0.02, equity=3000.0) == pytest.approx(-0.5 * 3000 / 1.25)
    yearly = units(sizing, 1.0, volatility=0.007) * 1.25 / 1000 * 0.007 * math.sqrt(256)
    assert yearly == pytest.approx(0.16)


def test_leverage_caps_and_lots_round_towards_nothing() -> None:
    sizing = Sizing(FixedNotional(50_000.0), leverage=3.0, lot=1000.0)
    # At most 3,000 / 1.25 = 2,400 units, which are two lots.
    assert (units(sizing, 1.0), units(sizing, -1.0)) == (2000.0, -2000.0)
    assert units(Sizing(FixedNotional(1000.0), lot=1000.0), 1.0) == 0.0
    assert units(sizing, 1.0, equity=0.0) == 0.0
    assert units(sizing, 1.0, equity=-5.0, held=400.0) == 0.0


def test_a_position_near_its_size_is_left_alone() -> None:
    sizing = Sizing(FixedNotional(1250.0), tolerance=0.1)
    assert units(sizing, 1.0, held=950.0) == 950.0
    assert units(sizing, 1.0, held=890.0) == 1000.0
    assert units(sizing, 1.0, held=-950.0) == 1000.0
    assert units(sizing, -1.0, held=-1050.0) == -1050.0
    # More than the leverage allows is never left alone.
    assert units(Sizing(FixedNotional(1250.0), tolerance=0.5, leverage=1.25), 1.0, held=1010.0) == 1000.0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"leverage": 0.0}, "leverage above 0"),
        ({"lot": -1.0}, "lot above 0"),
        ({"tolerance": 1.0}, "tolerance of 0"),
        ({"rule": FixedNotional(0.0)}, "notional above 0"),
        ({"rule": VolatilityTarget(float("nan"), 256.0)}, "yearly above 0"),
    ],
)
def test_sizes_that_make_no_sense_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Sizing(**{"rule": FixedNotional(1.0), **changes})


def test_only_a_location_that_pays_for_a_round_trip_is_a_signal() -> None:
    costs = round_trip_costs(np.array([0.0002]), np.array([1.25]), 30.0)
    # Two pips and twice 30 per million of the base currency, over the price.
    assert costs == pytest.approx(np.log1p((0.0002 + 0.00006) / 1.25), rel=1e-12)
    locations = np.array([0.0003, -0.0003, 0.0002, -0.0002, 0.0])
    assert signals_of_locations(locations, np.full(5, costs[0])).tolist() == [1, -1, 0, 0, 0]


def test_signals_are_checked() -> None:
    at = np.array(["2019-01-02", "2019-01-03"], dtype="datetime64[us]")
    good = np.array([0.5, -1.0])
    Signals(at, good, np.abs(good))
    for values, volatility, words in (
        (np.array([0.5, 1.5]), np.abs(good), r"\[-1, 1\]"),
        (np.array([0.5, np.nan]), np.abs(good), r"\[-1, 1\]"),
        (good, np.array([0.1, 0.0]), "volatility above 0"),
        (good, np.array([0.1, np.nan]), "volatility above 0"),
        (good[:1], np.abs(good), "one shape"),
    ):
        with pytest.raises(ValueError, match=words):
            Signals(at, values, volatility)
    with pytest.raises(ValueError, match="has to increase"):
        Signals(at[::-1], good, np.abs(good))
