"""Deflated Sharpe ratio on the paper's worked example; PBO against a plain loop, on noise and on a planted strategy."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest

from fx_assets.evaluation.inference.overfitting import (
    backtest_overfitting,
    deflated_sharpe,
    expected_maximum,
    probabilistic_sharpe,
)
from fx_assets.metrics.losses import Floats

YEAR = 250


def of_the_paper(trials: int, skewness: float, kurtosis: float) -> float:
    """Bailey and Lopez de Prado (2014), numerical example: annual Sharpe 2.5 over 1,250 days, trials' variance 1/2."""
    return probabilistic_sharpe(
        2.5 / np.sqrt(YEAR),
        threshold=expected_maximum(trials, 0.5 / YEAR),
        n=1250,
        skewness=skewness,
        kurtosis=kurtosis,
    )


def test_worked_example_of_the_paper() -> None:
    assert expected_maximum(100, 0.5 / YEAR) == pytest.approx(0.1132, abs=5e-5)
    assert of_the_paper(100, -3, 10) == pytest.approx(0.9004, abs=5e-5)
    assert of_the_paper(46, -3, 10) == pytest.approx(0.9505, abs=5e-5)
    assert of_the_paper(88, 0, 3) == pytest.approx(0.9505, abs=5e-5)


def test_deflated_sharpe_of_returns() -> None:
    from scipy import stats

    rng = np.random.default_rng(0)
    returns, sharpes = 0.05 + rng.standard_t(6, 1000), rng.normal(0, 0.03, 40)
    found = deflated_sharpe(returns, sharpes, trials=60)
    sharpe = returns.mean() / returns.std(ddof=1)
    threshold = expected_maximum(60, sharpes.var(ddof=1))
    expected = probabilistic_sharpe(
        sharpe,
        threshold=threshold,
        n=1000,
        skewness=stats.skew(returns),
        kurtosis=stats.kurtosis(returns, fisher=False),
    )
    assert (found.sharpe, found.threshold, found.probability) == pytest.approx((sharpe, threshold, expected))
    assert (found.trials, found.n) == (60, 1000)


def test_expected_maximum_is_that_of_draws() -> None:
    draws = np.random.default_rng(1).normal(0, 0.1, (20_000, 50)).max(axis=1)
    assert expected_maximum(50, 0.01) == pytest.approx(draws.mean(), rel=0.02)
    assert expected_maximum(1, 0.01) == 0.0


def test_the_best_of_noise_is_deflated() -> None:
    """The best of 100 noise strategies looks good alone, and is even odds once their number is known."""
    alone, deflated = [], []
    for seed in range(60):
        table = np.random.default_rng(seed).normal(size=(500, 100))
        sharpes = table.mean(axis=0) / table.std(axis=0, ddof=1)
        best = table[:, sharpes.argmax()]
        alone.append(deflated_sharpe(best, [float(sharpes.max())]).probability)
        deflated.append(deflated_sharpe(best, sharpes).probability)
    assert np.mean(np.array(alone) > 0.95) > 0.9
    assert np.mean(np.array(deflated) > 0.95) < 0.1


def by_loops(table: Floats, blocks: int) -> list[float]:
    """The paper's procedure, step by step."""
    parts, logits = np.split(table, blocks), []
    for half in combinations(range(blocks), blocks // 2):
        inside = np.concatenate([parts[k] for k in half])
        outside = np.concatenate([parts[k] for k in range(blocks) if k not in half])
        best = np.argmax(inside.mean(axis=0) / inside.std(axis=0, ddof=1))
        sharpes = outside.mean(axis=0) / outside.std(axis=0, ddof=1)
        relative = (np.sum(sharpes < sharpes[best]) + 1) / (table.shape[1] + 1)
        logits.append(float(np.log(relative / (1 - relative))))
    return logits


def test_overfitting_is_that_of_plain_loops() -> None:
    table = np.random.default_rng(2).standard_t(5, (243, 9)) * np.linspace(1, 40, 9) + 0.1
    found = backtest_overfitting(table, blocks=6)
    expected = by_loops(table[3:], 6)
    assert found.logits.tolist() == pytest.approx(expected)
    assert found.probability == np.mean(np.array(expected) <= 0)
    assert (found.splits, found.n) == (20, 240)


def test_a_real_strategy_is_not_overfitted_and_noise_is() -> None:
    rng = np.random.default_rng(3)
    noise = [backtest_overfitting(rng.normal(size=(320, 50)), blocks=8) for _ in range(30)]
    assert 0.4 < np.mean([found.probability for found in noise]) < 0.65
    planted = rng.normal(size=(1600, 50))
    planted[:, 7] += 0.2
    found = backtest_overfitting(planted)
    assert found.splits == 12_870
    assert found.probability < 0.01
    assert found.share_of_losses < 0.01


def test_strategies_that_did_well_in_one_half_only() -> None:
    """Each wins in one block and pays it back in the others: what looks best is worst elsewhere."""
    table = np.random.default_rng(4).normal(0, 0.01, (160, 8))
    for k in range(8):
        table[:, k] -= 1 / 7
        table[20 * k : 20 * (k + 1), k] += 8 / 7
    found = backtest_overfitting(table, blocks=8)
    assert found.probability == 1.0
    assert found.share_of_losses == 1.0


def test_a_strategy_that_never_trades_has_a_ratio_of_zero() -> None:
    table = np.column_stack([np.zeros(64), np.full(64, 0.3), np.random.default_rng(5).normal(-5, 1, 64)])
    found = backtest_overfitting(table, blocks=4)
    # The two that never move tie above the loser: rank 2.5 of 3.
    assert found.logits.tolist() == pytest.approx([np.log(2.5 / 1.5)] * 6)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="returns: they never vary"):
        deflated_sharpe(np.full(10, 0.1), [0.1])
    with pytest.raises(ValueError, match="trials: expected 3 or more"):
        deflated_sharpe(np.arange(10.0), [0.1, 0.2, 0.3], trials=2)
    with pytest.raises(ValueError, match="trial_sharpes: 9 trials, but the variance"):
        deflated_sharpe(np.arange(10.0), [0.1], trials=9)
    with pytest.raises(ValueError, match="expected one trial or more"):
        expected_maximum(0, 0.1)
    with pytest.raises(ValueError, match="moments that leave a variance"):
        probabilistic_sharpe(1.0, threshold=0.0, n=10, skewness=5.0, kurtosis=3.0)
    with pytest.raises(ValueError, match=r"expected finite values of shape \(T, N\), N of 2 or more, got \(10, 1\)"):
        backtest_overfitting(np.ones((10, 1)))
    with pytest.raises(ValueError, match="blocks: expected an even number to 20, of two rows or more, got 5 of 100"):
        backtest_overfitting(np.ones((100, 2)), blocks=5)
