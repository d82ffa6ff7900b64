"""Tails, books, correlations, touches and scores against closed forms and values worked by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import scoringrules
from scipy import stats

from fx_assets.forecasting.joint.book import Book, profits, rate, weighted
from fx_assets.forecasting.joint.graph import pair_graph
from fx_assets.forecasting.joint.risk import (
    RISK_LEVELS,
    aggregation,
    correlations,
    ended_beyond,
    expected_shortfall,
    touched,
    value_at_risk,
)
from fx_assets.forecasting.joint.simulate import simulate
from fx_assets.metrics.joint import energy_score
from fx_assets.metrics.losses import crps_normal

GRAPH = pair_graph(["EURJPY", "EURUSD", "USDJPY"])
LAST = np.array([165.0, 1.1, 150.0])
SIGMA = np.array([0.006, 0.005])  # of EURUSD and USDJPY a step
RHO = -0.4
HORIZON = 4
DRAWS = 40_000
MISTAKE = 1e-6  # chance that a right implementation would fail; the seeds are fixed besides


@pytest.fixture(scope="module")
def paths() -> Any:
    """Gaussian paths: residuals are so many normal draws that their own error is below that of the draws."""
    known = np.random.default_rng(1).multivariate_normal([0, 0], [[1, RHO], [RHO, 1]], 400_000)
    return simulate(known, GRAPH, steps=np.tile(SIGMA[:, None], HORIZON), seed=4, draws=DRAWS)


def within_binomial(profit: Any, losses: Any, level: float) -> None:
    """Whether as many paths lose more than the true VaR as a binomial of the level says, each horizon."""
    low, high = stats.binom.interval(1 - MISTAKE, DRAWS, level)
    for h in range(HORIZON):
        assert low <= int((profit[:, h] < -losses[h]).sum()) <= high
        # The estimate is an order statistic: its true probability lies in the same bounds.
        below = value_at_risk(profit, [level])[0, h]
        ratio = below / losses[h]
        assert 0.9 < ratio < 1.1


def sigma_of(pair: str, steps: int) -> float:
    variance = {"EURUSD": SIGMA[0] ** 2, "USDJPY": SIGMA[1] ** 2}
    variance["EURJPY"] = variance["EURUSD"] + variance["USDJPY"] + 2 * RHO * SIGMA[0] * SIGMA[1]
    return math.sqrt(variance[pair] * steps)


@pytest.mark.parametrize("level", RISK_LEVELS)
@pytest.mark.parametrize("pair", GRAPH.pairs)
def test_a_gaussian_position_in_its_quote_currency_has_the_closed_forms_var(
    paths: Any, pair: str, level: float
) -> None:
    book = Book(pair[3:], {pair: 1000.0})
    profit = profits(paths, GRAPH, LAST, book)[:, :, 0]
    price = LAST[GRAPH.column(pair)]
    z = stats.norm.ppf(level)
    widths = [sigma_of(pair, h + 1) for h in range(HORIZON)]
    within_binomial(profit, [1000 * price * -math.expm1(z * width) for width in widths], level)
    within_binomial(-profit, [1000 * price * math.expm1(-z * width) for width in widths], level)


@pytest.mark.parametrize("level", RISK_LEVELS)
def test_profit_is_converted_at_the_rate_of_the_same_path(paths: Any, level: float) -> None:
    # In euros a euro held in dollars' terms earns 1 - exp(-x): converted at today's rate it would be exp(x) - 1.
    profit = profits(paths, GRAPH, LAST, Book("EUR", {"EURUSD": 1000.0}))[:, :, 0]
    z = stats.norm.ppf(level)
    within_binomial(profit, [1000 * math.expm1(-z * sigma_of("EURUSD", h + 1)) for h in range(HORIZON)], level)
    # The first place on each path by hand: EURJPY counted in dollars.
    cross = profits(paths, GRAPH, LAST, Book("USD", {"EURJPY": -2.0}))[0, :, 0]
    yen = -2.0 * (165.0 * np.exp(paths[0, :, 0]) - 165.0)
    assert cross == pytest.approx(yen / (150.0 * np.exp(paths[0, :, 2])), rel=1e-12)


@pytest.mark.parametrize("level", RISK_LEVELS)
def test_a_gaussian_book_has_the_delta_normal_var_where_returns_are_small(level: float) -> None:
    known = np.random.default_rng(1).multivariate_normal([0, 0], [[1, RHO], [RHO, 1]], 400_000)
    tiny = 1e-3
    small = simulate(known, GRAPH, steps=np.tile(tiny * SIGMA[:, None], HORIZON), seed=4, draws=DRAWS)
    book = weighted(GRAPH, LAST, "USD", {"EURUSD": 100.0, "USDJPY": -50.0, "EURJPY": 30.0})
    exposure = np.array([100.0 + 30.0, -50.0 + 30.0])
    covariance = np.outer(SIGMA, SIGMA) * [[1, RHO], [RHO, 1]]
    width = tiny * math.sqrt(exposure @ covariance @ exposure)
    profit = profits(small, GRAPH, LAST, book).sum(axis=2)
    losses = [-stats.norm.ppf(level) * width * math.sqrt(h + 1) for h in range(HORIZON)]
    within_binomial(profit, losses, level)
    within_binomial(-profit, losses, level)
    shortfall = expected_shortfall(profit, [level])[0]
    closed = np.array(losses) * stats.norm.pdf(stats.norm.ppf(level)) / level / -stats.norm.ppf(level)
    assert shortfall == pytest.approx(closed, rel=0.05)


def test_var_and_shortfall_by_hand() -> None:
    profit = np.array([5.0, -3.0, 1.0, -10.0, 4.0, 2.0, -1.0, 0.0, 6.0, 3.0])
    assert value_at_risk(profit, [0.1, 0.2, 0.25, 0.5]).tolist() == [10.0, 3.0, 1.0, -1.0]
    # The worst 2.5 of ten: 10 + 3 + half of 1.
    assert expected_shortfall(profit, [0.1, 0.2, 0.25]) == pytest.approx([10.0, 6.5, 13.5 / 2.5])
    assert value_at_risk(-profit, [0.1]).tolist() == [6.0]
    # .07 x 100 is 7.000000000000001 in floats; the rank is 7.
    assert value_at_risk(np.arange(100.0), [0.07]).tolist() == [-6.0]
    both = np.stack([profit, 2 * profit], axis=1)
    assert value_at_risk(both, [0.1]).tolist() == [[10.0, 20.0]]
    assert (expected_shortfall(both, [0.1, 0.25]) >= value_at_risk(both, [0.1, 0.25])).all()


@pytest.mark.parametrize(
    ("profit", "levels", "message"),
    [
        (np.arange(50.0), (0.01,), "50 draws say nothing of the worst 0.01; draw at least 100"),
        (np.arange(500.0), (0.0,), "level 0.0: expected a share"),
        (np.arange(500.0), (0.6,), "level 0.6: expected a share"),
        (np.arange(500.0), (), "levels: expected at least one"),
        (np.array([np.nan, *range(500)]), (0.05,), "profit: expected finite values"),
        (np.array([]), (0.05,), "profit: expected finite values"),
    ],
)
def test_tails_that_cannot_be_told_are_refused(profit: Any, levels: Any, message: str) -> None:
    for function in (value_at_risk, expected_shortfall):
        with pytest.raises(ValueError, match=message):
            function(profit, levels)


def test_short_cuts_err_as_they_must(paths: Any) -> None:
    # EURUSD against EURUSD's own other side, over JPY: the joint book is nearly flat, the sum knows no hedge.
    hedged = Book("USD", {"EURJPY": 1.0, "EURUSD": -1.0, "USDJPY": -1.1})
    found = aggregation(profits(paths, GRAPH, LAST, hedged), seed=1)
    assert found.joint.shape == (2, 3, HORIZON)
    assert (found.joint < 0.05 * found.summed).all()
    assert (found.joint < 0.1 * found.independent).all()
    # Two legs of one direction that fall together: independence says too little, the sum too much.
    known = np.random.default_rng(1).multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 100_000)
    alike = simulate(known, GRAPH, steps=np.full((2, 1), 0.005), seed=1, draws=DRAWS)
    book = weighted(GRAPH, LAST, "USD", {"EURUSD": 0.5, "USDJPY": 0.5})
    two = aggregation(profits(alike, GRAPH, LAST, book), seed=1)
    assert (two.independent < 0.8 * two.joint).all()
    assert (two.joint < two.summed).all()
    ratio = two.independent[0, :, 0] / two.summed[0, :, 0]
    assert ratio == pytest.approx(np.full(3, math.sqrt(0.5)), rel=0.05)


def test_a_book_of_shares_holds_the_account_currencys_worth() -> None:
    book = weighted(GRAPH, LAST, "JPY", {"EURUSD": 330.0, "USDJPY": -150.0})
    assert book.positions == pytest.approx({"EURUSD": 2.0, "USDJPY": -1.0})
    even = weighted(GRAPH, LAST, "USD")
    assert even.positions == pytest.approx({"EURJPY": 1 / 3.3, "EURUSD": 1 / 3.3, "USDJPY": 1 / 3})
    assert rate(GRAPH, LAST, "JPY", "EUR") == pytest.approx(1 / 165)


def test_impossible_books_are_refused(paths: Any) -> None:
    with pytest.raises(ValueError, match="a book without positions"):
        Book("USD", {})
    for units in (0.0, math.nan, math.inf):
        with pytest.raises(ValueError, match="position in EURUSD"):
            Book("USD", {"EURUSD": units})
    with pytest.raises(ValueError, match="GBPUSD is not among"):
        profits(paths, GRAPH, LAST, Book("USD", {"GBPUSD": 1.0}))
    with pytest.raises(ValueError, match="has CHF, so nothing can be converted"):
        profits(paths, GRAPH, LAST, Book("CHF", {"EURUSD": 1.0}))
    with pytest.raises(ValueError, match="weights of GBPUSD: not among"):
        weighted(GRAPH, LAST, "USD", {"GBPUSD": 1.0})
    with pytest.raises(ValueError, match="last: expected a price above 0 for each of EURJPY, EURUSD, USDJPY"):
        profits(paths, GRAPH, LAST[:2], Book("USD", {"EURUSD": 1.0}))
    with pytest.raises(ValueError, match="paths: expected"):
        profits(paths[:, :, :2], GRAPH, LAST, Book("USD", {"EURUSD": 1.0}))


def test_implied_correlations_are_those_of_the_world(paths: Any) -> None:
    found = correlations(paths)
    assert found.shape == (HORIZON, 3, 3)
    assert (found == found.swapaxes(1, 2)).all()
    assert (np.diagonal(found, axis1=1, axis2=2) == 1).all()
    cross = (SIGMA[0] + RHO * SIGMA[1]) / (sigma_of("EURJPY", 1))  # of EURJPY with EURUSD
    # Fisher: atanh of a sample correlation has the deviation 1 / sqrt(draws).
    for h in range(HORIZON):
        assert np.arctanh(found[h, 1, 2]) == pytest.approx(math.atanh(RHO), abs=5 / math.sqrt(DRAWS))
        assert np.arctanh(found[h, 0, 1]) == pytest.approx(math.atanh(cross), abs=5 / math.sqrt(DRAWS))
    assert correlations(paths[:, :, :1]).tolist() == [[[1.0]]] * HORIZON
    frozen = paths[:50].copy()
    frozen[:, :, 1] = 0.01
    with pytest.raises(ValueError, match="pair 1 of the paths has the same value"):
        correlations(frozen)
    with pytest.raises(ValueError, match="two draws or more"):
        correlations(paths[:1])


def test_the_chance_of_a_touch_is_that_of_a_walk_with_a_barrier(paths: Any) -> None:
    sigma, steps = sigma_of("EURUSD", 1), HORIZON
    for sigmas in (-2, -1, 1, 2):
        level = 1.1 * math.exp(sigmas * sigma)
        reached = touched(paths[:, :, 1], last=1.1, level=level)
        beyond = ended_beyond(paths[:, :, 1], last=1.1, level=level)
        exact = absorbed(abs(sigmas), steps)
        for h in range(steps):
            low, high = stats.binom.interval(1 - MISTAKE, DRAWS, exact[h])
            assert low <= reached[h] * DRAWS <= high
            low, high = stats.binom.interval(1 - MISTAKE, DRAWS, stats.norm.sf(abs(sigmas) / math.sqrt(h + 1)))
            assert low <= beyond[h] * DRAWS <= high
        # Watched without a break it would be twice as likely as to end beyond (the reflection principle).
        assert (reached[1:] < 2 * stats.norm.sf(abs(sigmas) / np.sqrt(np.arange(2, steps + 1)))).all()


def absorbed(barrier: float, steps: int) -> list[float]:
    """Probability that a standard normal walk has been at `barrier` or over it, step by step, on a fine grid."""
    width = 0.005
    grid = np.arange(-24, barrier, width) + width / 2
    kernel = stats.norm.pdf(np.arange(-8, 8 + width / 2, width)) * width
    density = stats.norm.pdf(grid)
    found = [1 - density.sum() * width]
    for _ in range(steps - 1):
        density = np.convolve(density, kernel, mode="same")[: len(grid)]
        found.append(1 - density.sum() * width)
    return found


def test_touches_by_hand() -> None:
    path = np.log(np.array([[1.01, 1.02, 1.0], [0.99, 0.98, 1.03], [1.0, 1.0, 1.0], [1.02, 0.99, 0.97]]))
    assert touched(path, last=100.0, level=101.5).tolist() == [0.25, 0.5, 0.75]
    assert ended_beyond(path, last=100.0, level=101.5).tolist() == [0.25, 0.25, 0.25]
    assert touched(path, last=100.0, level=98.5).tolist() == [0.0, 0.25, 0.5]
    assert ended_beyond(path, last=100.0, level=98.5).tolist() == [0.0, 0.25, 0.25]


@pytest.mark.parametrize(
    ("level", "message"),
    [(1.1, "is the last price"), (0.0, "prices above 0"), (-1.0, "prices above 0"), (math.nan, "prices above 0")],
)
def test_levels_that_make_no_sense_are_refused(paths: Any, level: float, message: str) -> None:
    for function in (touched, ended_beyond):
        with pytest.raises(ValueError, match=message):
            function(paths[:, :, 1], last=1.1, level=level)
        with pytest.raises(ValueError, match="path: expected"):
            function(paths, last=1.1, level=1.2)


def test_the_energy_score_of_one_pair_is_the_crps_and_of_several_its_definition(paths: Any) -> None:
    outcome = np.tile([0.004, -0.006, 0.002], (HORIZON, 1))
    single = energy_score(paths[:, :, 1:2], outcome[:, 1:2])
    widths = np.array([sigma_of("EURUSD", h + 1) for h in range(HORIZON)])
    exact = crps_normal(y=outcome[:, 1], location=np.zeros(HORIZON), scale=widths)
    # Means of |X - y| and of |X - X'| / 2 err by their deviations over sqrt(draws), each below the width.
    assert np.abs(single - exact).max() < 5 * widths.max() / math.sqrt(DRAWS)
    few = paths[:1000]
    found = energy_score(few, outcome)
    for h in range(HORIZON):
        apart = np.linalg.norm(few[:, None, h] - few[None, :, h], axis=2).sum() / (1000 * 999)
        expected = np.linalg.norm(few[:, h] - outcome[h], axis=1).mean() - apart / 2
        assert found[h] == pytest.approx(expected, abs=5 * widths[h] / math.sqrt(1000))
    theirs = scoringrules.es_ensemble(outcome, np.moveaxis(few, 0, 1), estimator="akr", backend="numpy")
    assert found == pytest.approx(theirs, rel=1e-12)
    # Paths centred on what came score better than those far from it.
    assert (energy_score(few, few.mean(axis=0)) < energy_score(few, few.mean(axis=0) + 0.02)).all()
    with pytest.raises(ValueError, match="have not come due"):
        energy_score(few, outcome * np.nan)
    with pytest.raises(ValueError, match="expected paths"):
        energy_score(few, outcome[:, :2])
