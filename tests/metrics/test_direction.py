"""Directional calls: hits, costs in pips, and the hit rate that pays for them."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.metrics.direction import (
    break_even_hit_rate,
    gross_pips,
    hits,
    net_pips,
    round_trip_pips,
    summarise_calls,
)
from fx_assets.specs.schema import Costs

EUR: Any = {"pip": 0.0001, "spread_pips": 0.6, "commission_per_million": 25.0}
FREE: Any = {"pip": 0.0001, "spread_pips": 0.0, "commission_per_million": 0.0}


def moves(*pips: float, start: float = 1.1) -> dict[str, Any]:
    """Outcomes of so many pips from `start`."""
    return {"y": np.log1p(np.array(pips) * 1e-4 / start), "start": np.full(len(pips), start)}


def test_what_counts_as_a_hit() -> None:
    found = hits(y=[1.0, -1.0, 1.0, 0.0, 0.0, 2.0], y_hat=[0.1, -0.1, -0.1, 0.1, 0.0, 0.0])
    np.testing.assert_array_equal(found, [1, 1, 0, 0, np.nan, np.nan])
    assert np.nanmean(found) == 0.5


def test_net_result_by_hand() -> None:
    # .6 pips of spread and 50 dollars for a million euros, half a pip.
    assert round_trip_pips(**EUR) == pytest.approx(1.1)
    window = moves(10, 10, -5, 0, 7)
    y_hat = [0.01, -0.01, -0.02, 0.01, 0.0]
    assert gross_pips(y_hat=y_hat, pip=0.0001, **window) == pytest.approx([10, -10, 5, 0, 0])
    assert net_pips(y_hat=y_hat, **window, **EUR) == pytest.approx([8.9, -11.1, 3.9, -1.1, 0])


def test_a_yen_pair_by_hand() -> None:
    # From 150 to 151.5 is 150 pips; 700 yen for a million dollars are .07 pips.
    net = net_pips(
        y=[math.log(1.01)], y_hat=[1.0], start=[150.0], pip=0.01, spread_pips=0.8, commission_per_million=350
    )
    assert net == pytest.approx([150 - 0.87])


def test_costs_are_those_of_a_pair_specification() -> None:
    costs = Costs(spread_pips=0.6, commission_per_million=25)
    assert round_trip_pips(pip=0.0001, **costs.model_dump()) == pytest.approx(1.1)


def test_break_even_by_hand() -> None:
    assert break_even_hit_rate(average_win=10, average_loss=10, cost=0) == 0.5
    assert break_even_hit_rate(average_win=10, average_loss=10, cost=1) == 0.55
    assert break_even_hit_rate(average_win=20, average_loss=10, cost=0) == pytest.approx(1 / 3)
    # An average win of 10 does not pay a cost of 12.
    assert break_even_hit_rate(average_win=10, average_loss=10, cost=12) > 1


def test_summary_by_hand() -> None:
    calls = summarise_calls(y_hat=[0.01, -0.01, -0.02, 0.01, 0.0], **moves(10, 10, -5, 0, 7), **EUR)
    assert (calls.windows, calls.calls, calls.hit_rate) == (5, 4, 0.5)
    assert calls.average_win == pytest.approx(7.5)
    assert calls.average_loss == pytest.approx(5.0)
    assert calls.cost == pytest.approx(1.1)
    assert calls.mean_net == pytest.approx(0.15)
    assert calls.break_even == pytest.approx(6.1 / 12.5)


def test_summary_without_calls_hits_or_misses() -> None:
    silent = summarise_calls(y_hat=[0.0, 0.0], **moves(1, 2), **EUR)
    assert (silent.calls, silent.hit_rate, silent.mean_net, silent.break_even) == (0, None, None, None)
    right = summarise_calls(y_hat=[1.0, 1.0], **moves(1, 2), **EUR)
    assert (right.hit_rate, right.average_loss, right.break_even) == (1.0, None, None)
    assert right.mean_net == pytest.approx(0.4)


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(-50, 50), st.integers(-1, 1)), min_size=1, max_size=30),
    st.floats(0, 20),
)
def test_above_break_even_is_a_profit_and_below_a_loss(windows: list[tuple[int, int]], spread: float) -> None:
    moved, called = (np.array(column, dtype=float) for column in zip(*windows, strict=True))
    costs = EUR | {"spread_pips": spread}
    window = moves(*moved.tolist())
    net = net_pips(y_hat=called, **window, **costs)
    calls = summarise_calls(y_hat=called, **window, **costs)
    if calls.hit_rate is None or calls.mean_net is None or calls.break_even is None:
        return
    assert calls.mean_net == pytest.approx(net[called != 0].mean(), abs=1e-9)
    assert calls.average_win is not None
    assert calls.average_loss is not None
    per_hit = calls.average_win + calls.average_loss
    assert calls.mean_net == pytest.approx((calls.hit_rate - calls.break_even) * per_hit, abs=1e-6)


def test_coin_flips_lose_what_they_cost() -> None:
    rng = np.random.default_rng(8)
    window = moves(*rng.normal(0, 30, 20_000).tolist())
    calls = summarise_calls(y_hat=rng.normal(size=20_000), **window, **EUR)
    assert calls.hit_rate == pytest.approx(0.5, abs=0.015)
    assert calls.mean_net == pytest.approx(-1.1, abs=0.9)
    assert calls.break_even is not None
    assert calls.break_even > 0.5


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: hits(y=[[1.0]], y_hat=[[1.0]]), r"expected y and y_hat \(n,\), one number a window; got \(1, 1\)"),
        (lambda: hits(y=[1.0], y_hat=[math.nan]), "y_hat: expected finite values"),
        (lambda: net_pips(y=[0.1], y_hat=[1.0, 1.0], start=[1.0], **FREE), "expected one shape"),
        (lambda: round_trip_pips(**FREE | {"pip": 0}), "pip: expected a number above 0"),
        (lambda: round_trip_pips(**FREE | {"spread_pips": -1}), "spread_pips: expected a number of 0 or more, got -1"),
        (lambda: round_trip_pips(**FREE | {"commission_per_million": math.inf}), "commission_per_million: expected"),
        (lambda: break_even_hit_rate(average_win=-1, average_loss=1, cost=0), "average_win: expected a number of 0"),
        (lambda: break_even_hit_rate(average_win=0, average_loss=0, cost=1), "where nothing moves"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
