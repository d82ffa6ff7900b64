"""The replay of book VaR: no look-ahead, worked outcomes, and the ECB's pairs from 2012."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
import pytest
from scipy import stats

from fx_assets.forecasting.joint.backtest import replay
from fx_assets.forecasting.joint.graph import pair_graph
from fx_assets.forecasting.joint.history import ewma_volatilities
from fx_assets.models.errors import InsufficientHistory
from tests.forecasting.joint.measure import BOOKS, measured

GRAPH = pair_graph(["EURJPY", "EURUSD", "USDJPY"])
N = 900


def market(n: int = N, seed: int = 1) -> Any:
    """Closes (n, 3) of two normal legs and their cross, and the true volatilities."""
    rng = np.random.default_rng(seed)
    legs = rng.multivariate_normal([0, 0], [[3.6e-5, -1.2e-5], [-1.2e-5, 2.5e-5]], n)
    logs = np.cumsum(legs, axis=0) @ GRAPH.matrix.T + np.log([165.0, 1.1, 150.0])
    spread = np.sqrt([3.6e-5 + 2.5e-5 - 2.4e-5, 3.6e-5, 2.5e-5])
    return np.exp(logs), np.tile(spread, (n, 1))


def test_a_right_model_is_exceeded_as_often_as_it_says() -> None:
    closes, volatility = market(1600)
    found = replay(closes, volatility, GRAPH, origins=range(300, 1599), draws=1000)
    assert len(found.rows) == 1299
    for level, column in zip(found.levels, range(3), strict=True):
        low, high = stats.binom.interval(1 - 1e-4, 1299, level)
        for side in range(2):
            assert low <= found.exceptions()[:, side, column].sum() <= high
    assert (found.shortfall > found.value_at_risk["joint"]).all()
    # Who knows that legs and cross move together says more of what all three do.
    assert found.energy["joint"].shape == found.energy["independent"].shape == (1299,)
    assert found.energy["joint"].mean() < 0.99 * found.energy["independent"].mean()
    # Legs of opposite moves hedge each other: the sum of parts is rarely exceeded.
    assert (found.shares("summed") < found.shares()).all()


def test_nothing_later_is_looked_at() -> None:
    closes, _ = market()
    run = partial(replay, graph=GRAPH, draws=400, horizon=3)
    before = run(closes, ewma_volatilities(closes, GRAPH.pairs), origins=range(400, 600, 20))
    bent = closes.copy()
    bent[501:] *= np.random.default_rng(3).uniform(0.5, 2, bent[501:].shape)
    after = run(bent, ewma_volatilities(bent, GRAPH.pairs), origins=range(400, 600, 20))
    known = before.rows <= 500
    assert 0 < known.sum() < len(known)
    for how in ("joint", "summed", "independent"):
        assert before.value_at_risk[how][known].tobytes() == after.value_at_risk[how][known].tobytes()
        assert not np.allclose(before.value_at_risk[how][~known], after.value_at_risk[how][~known])
    assert before.shortfall[known].tobytes() == after.shortfall[known].tobytes()
    matured = before.rows + 3 <= 500
    assert (before.profit[matured] == after.profit[matured]).all()


def test_the_outcome_is_what_the_book_earned_in_account_currency() -> None:
    closes, volatility = market()
    weights = {"EURJPY": 100.0, "USDJPY": -50.0}
    found = replay(closes, volatility, GRAPH, origins=[500], weights=weights, account="JPY", horizon=5, draws=200)
    euros, dollars = 100.0 / (closes[500, 1] * closes[500, 2]), -50.0 / closes[500, 2]
    earned = euros * (closes[505, 0] - closes[500, 0]) + dollars * (closes[505, 2] - closes[500, 2])
    assert found.profit == pytest.approx([earned], rel=1e-9)


def test_a_loss_is_an_exception_of_the_book_as_held_and_a_gain_of_the_same_turned_round() -> None:
    closes, volatility = market()
    for factor, sides in ((0.95, [True, False]), (1.05, [False, True]), (1.0, [False, False])):
        moved = closes.copy()
        moved[501] = closes[500] * factor ** np.array([1.0, 1.0, 0.0])  # the euro alone moves
        found = replay(moved, volatility, GRAPH, origins=[500], weights={"EURUSD": 1.0}, draws=200)
        assert found.exceptions()[0].tolist() == [[side] * 3 for side in sides]
        assert found.shares().tolist() == [[float(side)] * 3 for side in sides]


def test_longer_horizons_lose_more_and_seeds_differ() -> None:
    closes, volatility = market()
    run = partial(replay, closes, volatility, GRAPH, origins=[500, 600], draws=3000)
    one, nine = run(horizon=1), run(horizon=9)
    assert nine.value_at_risk["joint"] / one.value_at_risk["joint"] == pytest.approx(np.full((2, 2, 3), 3.0), rel=0.25)
    again, other = run(horizon=1), run(horizon=1, seed=1)
    assert one.value_at_risk["joint"].tobytes() == again.value_at_risk["joint"].tobytes()
    assert (one.value_at_risk["joint"] != other.value_at_risk["joint"]).any()


def test_origins_without_a_price_are_left_out_and_counted() -> None:
    closes, volatility = market()
    closes[501, 0] = np.nan  # the outcome of 500, the origin 501
    volatility[510, 1] = np.nan
    found = replay(closes, volatility, GRAPH, origins=range(498, 515), draws=200)
    assert sorted(set(range(498, 515)) - set(found.rows.tolist())) == [500, 501, 510]
    assert found.left_out == 3


def test_impossible_replays_are_refused() -> None:
    closes, volatility = market()
    with pytest.raises(InsufficientHistory, match="100 dates on which all of EURUSD, USDJPY"):
        replay(closes, volatility, GRAPH, origins=[100], draws=200)
    for row in (N - 1, -1):
        with pytest.raises(ValueError, match=f"origin {row}: with 1 rows to come"):
            replay(closes, volatility, GRAPH, origins=[row], draws=200)
    with pytest.raises(ValueError, match="horizon: expected 1 or more"):
        replay(closes, volatility, GRAPH, origins=[500], horizon=0)
    with pytest.raises(ValueError, match="NOK"):
        replay(closes, volatility, GRAPH, origins=[500], account="NOK", draws=200)


@pytest.mark.slow
@pytest.mark.parametrize("book", ["each pair bought", "all against the dollar"])
def test_one_per_cent_var_of_books_of_the_ecbs_pairs_is_exceeded_once_in_a_hundred(book: str) -> None:
    assert book in BOOKS
    found = measured(book)
    assert len(found.rows) >= 3794
    assert found.left_out == 0
    held, turned = found.shares()[:, 0]
    assert 0.0069 <= held <= 0.0132
    assert 0.0069 <= turned <= 0.0132
    assert (found.shares("summed")[:, 0] < 0.005).all()
    assert (found.shares("independent")[:, 0] > 0.015).all()
