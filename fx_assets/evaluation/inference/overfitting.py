"""How much of a back-test's Sharpe ratio is the number of tries? Deflated Sharpe ratio, and PBO by CSCV.

Returns are per period (a day, say), not annual, and so are Sharpe ratios.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import ArrayLike

from fx_assets.evaluation.inference.outcome import series
from fx_assets.metrics.losses import Floats


@dataclass(frozen=True)
class Deflated:
    """`sharpe` of the chosen trial, `threshold` the best of `trials` reaches by luck, `probability` to be above."""

    sharpe: float
    threshold: float
    probability: float
    trials: int
    n: int


@dataclass(frozen=True)
class Overfitting:
    """`probability` that the best trial of one half is no better than the median in the other, over `splits` halvings.

    `logits` (splits,) of its relative rank there, `share_of_losses` (splits) in which it lost money there, `n` periods
    used.
    """

    probability: float
    logits: Floats
    share_of_losses: float
    splits: int
    n: int


def expected_maximum(trials: int, variance: float) -> float:
    """Sharpe ratio that the best of `trials` without skill is expected to have; `variance` of theirs, per period.

    One trial has a threshold of 0. Source: Bailey and Lopez de Prado, "The deflated Sharpe ratio", Journal of Portfolio
    Management 40(5) (2014), 94-107, equation 1.
    """
    from scipy.special import ndtri

    if trials < 1 or not variance >= 0 or not np.isfinite(variance):
        raise ValueError(f"expected one trial or more and a variance of 0 or more, got {trials} and {variance}")
    if trials == 1:
        return 0.0
    luck = (1 - np.euler_gamma) * ndtri(1 - 1 / trials) + np.euler_gamma * ndtri(1 - 1 / (trials * np.e))
    return float(np.sqrt(variance) * luck)


def probabilistic_sharpe(sharpe: float, *, threshold: float, n: int, skewness: float, kurtosis: float) -> float:
    """Probability that the true Sharpe ratio is above `threshold`; all per period, `kurtosis` of a normal is 3.

    Source: as above, equation 2. Raises `ValueError` where the moments leave no variance.
    """
    from scipy.special import ndtr

    variance = 1 - skewness * sharpe + (kurtosis - 1) / 4 * sharpe**2
    if n < 2 or not variance > 0:
        raise ValueError(
            f"expected 2 returns or more and moments that leave a variance, got {n} returns, Sharpe {sharpe}, "
            f"skewness {skewness}, kurtosis {kurtosis}"
        )
    return float(ndtr((sharpe - threshold) * np.sqrt(n - 1) / np.sqrt(variance)))


def deflated_sharpe(returns: ArrayLike, trial_sharpes: ArrayLike, *, trials: int | None = None) -> Deflated:
    """Of the chosen trial's `returns` (n,), given the Sharpe ratios per period of all trials (k,) in the ledger.

    `trials` counts all ever made, also those whose returns were not kept: k or more, by default k. They are taken for
    independent, which errs on the strict side. Raises `ValueError` for returns that never vary or are not finite.
    """
    chosen, others = series("returns", returns, least=3), series("trial_sharpes", trial_sharpes, least=1)
    count = len(others) if trials is None else trials
    if count < len(others):
        raise ValueError(f"trials: expected {len(others)} or more, as many as there are Sharpe ratios, got {count}")
    centred = chosen - chosen.mean()
    deviation = float(np.sqrt(np.square(centred).mean()))
    if deviation <= 1e-13 * float(np.abs(chosen).max()):
        raise ValueError("returns: they never vary, so there is no Sharpe ratio")
    if count > 1 and len(others) < 2:
        raise ValueError(f"trial_sharpes: {count} trials, but the variance of their Sharpe ratios needs two or more")
    sharpe = float(chosen.mean() / chosen.std(ddof=1))
    threshold = expected_maximum(count, float(others.var(ddof=1)) if len(others) > 1 else 0.0)
    skewness, kurtosis = (float(np.power(centred / deviation, power).mean()) for power in (3, 4))
    probability = probabilistic_sharpe(sharpe, threshold=threshold, n=len(chosen), skewness=skewness, kurtosis=kurtosis)
    return Deflated(sharpe, threshold, probability, count, len(chosen))


def backtest_overfitting(returns: ArrayLike, *, blocks: int = 16) -> Overfitting:
    """Combinatorially symmetric cross-validation of all trials' `returns` (T, N), N of 2 or more, per period.

    The rows are cut into `blocks` (even) of equal length, the oldest T mod `blocks` rows left out. For every half of
    the blocks the trial with the best Sharpe ratio is looked up in the other half; a tie there counts half. A trial
    that never trades in a half has a Sharpe ratio of 0. Raises `ValueError` for wrong shapes or values that are not
    finite. Source: Bailey, Borwein, Lopez de Prado and Zhu, "The probability of backtest overfitting", Journal of
    Computational Finance 20(4) (2017), 39-69.
    """
    table = np.asarray(returns, dtype=np.float64)
    if table.ndim != 2 or table.shape[1] < 2 or not np.isfinite(table).all():
        raise ValueError(f"returns: expected finite values of shape (T, N), N of 2 or more, got {table.shape}")
    if blocks < 2 or blocks % 2 or blocks > 20 or len(table) < 2 * blocks:
        raise ValueError(
            f"blocks: expected an even number to 20, of two rows or more, got {blocks} of {len(table)} rows"
        )
    length, trials = len(table) // blocks, table.shape[1]
    table = table[len(table) - length * blocks :]
    # From the mean of all, so that squares of tiny deviations do not drown; it is put back in the means.
    centre = table.mean(axis=0)
    parts = (table - centre).reshape(blocks, length, trials)
    sums, squares = parts.sum(axis=1), np.square(parts).sum(axis=1)
    halves = np.array(list(combinations(range(blocks), blocks // 2)))
    chosen = np.zeros((len(halves), blocks))
    chosen[np.arange(len(halves))[:, None], halves] = 1.0
    rows = length * blocks // 2
    ranks, lost = np.empty(len(halves)), np.empty(len(halves), dtype=np.bool_)
    # In pieces: 12,870 halvings of 1,000 trials are 100 MB an array.
    for piece in np.array_split(np.arange(len(halves)), max(1, len(halves) * trials // 2_000_000)):
        inside = _sharpes(chosen[piece], sums, squares, centre, rows)
        outside = _sharpes(1.0 - chosen[piece], sums, squares, centre, rows)
        best = np.take_along_axis(outside, inside.argmax(axis=1)[:, None], axis=1)
        ranks[piece] = (outside < best).sum(axis=1) + 0.5 * ((outside == best).sum(axis=1) + 1)
        lost[piece] = best[:, 0] < 0
    logits = np.log(ranks / (trials + 1 - ranks))
    return Overfitting(float(np.mean(logits <= 0)), logits, float(lost.mean()), len(halves), length * blocks)


def _sharpes(chosen: Floats, sums: Floats, squares: Floats, centre: Floats, rows: int) -> Floats:
    """Sharpe ratios (splits, N) over the blocks that `chosen` (splits, blocks) picks, `rows` rows in all."""
    shift = chosen @ sums / rows
    variance = (chosen @ squares / rows - np.square(shift)) * rows / (rows - 1)
    # What is left of a trial that does not move is rounding.
    moves = variance > 1e-20 * np.maximum(np.square(centre), squares.sum(axis=0) / rows)
    ratio: Floats = np.where(moves, (shift + centre) / np.sqrt(np.where(moves, variance, 1.0)), 0.0)
    return ratio
