"""What the paths say: losses at the tails, correlations, levels that are touched, and a score of the whole.

Losses are positive. All results have horizons on their own axis, H of them.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

RISK_LEVELS = (0.01, 0.025, 0.05)


def value_at_risk(profit: Floats, levels: Sequence[float] = RISK_LEVELS) -> Floats:
    """Loss that is exceeded with probability `level` at most, (levels, ...), from profits (draws, ...).

    The ceil(level x draws)-th smallest profit with its sign turned: below 0 where even that is a gain. Of the book
    turned round (the other side) it is `value_at_risk(-profit)`. Raises `ValueError` for a level outside (0, .5], too
    few draws for it, or a value that is not finite.
    """
    worst, ranks, _ = _worst(profit, levels)
    return -np.stack([worst[rank - 1] for rank in ranks])


def expected_shortfall(profit: Floats, levels: Sequence[float] = RISK_LEVELS) -> Floats:
    """Mean loss in the worst share `level` of the draws, (levels, ...); arguments and errors as `value_at_risk`.

    The draw at the quantile counts with the share of it that is wanted. Source: Acerbi and Tasche (2002), "On the
    coherence of expected shortfall", doi 10.1016/S0378-4266(02)00283-2, definition 2.6 and proposition 4.1.
    """
    worst, ranks, shares = _worst(profit, levels)
    means = []
    for rank, share in zip(ranks, shares, strict=True):
        whole = worst[: rank - 1].sum(axis=0)
        means.append(-(whole + (share - (rank - 1)) * worst[rank - 1]) / share)
    return np.stack(means)


@dataclass(frozen=True, eq=False)
class Aggregation:
    """VaR of one book three ways, each (2, levels, H): of the book as held, and turned round.

    `joint` is the book's own; the others show what a short cut would say. `summed`: of each position alone, added up,
    as if all had their worst day together. `independent`: as if positions knew nothing of each other.
    """

    joint: Floats
    summed: Floats
    independent: Floats


def aggregation(profits: Floats, *, seed: int, levels: Sequence[float] = RISK_LEVELS) -> Aggregation:
    """VaR of a book from the profits of its positions (draws, H, K); `seed` shuffles the paths of each position."""
    rng = np.random.default_rng(seed)
    apart = np.zeros(profits.shape[:2])
    for position in range(profits.shape[2]):
        apart += profits[rng.permutation(len(profits)), :, position]
    return Aggregation(
        joint=both_sides(profits.sum(axis=2), levels),
        summed=both_sides(profits, levels).sum(axis=-1),
        independent=both_sides(apart, levels),
    )


def both_sides(profit: Floats, levels: Sequence[float] = RISK_LEVELS) -> Floats:
    """`value_at_risk` of the book as held and turned round, (2, levels, ...)."""
    return np.stack([value_at_risk(profit, levels), value_at_risk(-profit, levels)])


def correlations(paths: Floats) -> Floats:
    """Implied correlations (H, P, P) of the cumulative log returns in paths (draws, H, P).

    Raises `ValueError` for fewer than two draws, or a pair that stands still on all paths.
    """
    if paths.ndim != 3 or len(paths) < 2:
        raise ValueError(f"paths: expected (draws, H, P) with two draws or more, got {paths.shape}")
    still = (np.ptp(paths, axis=0) == 0).any(axis=0)
    if still.any():
        raise ValueError(f"pair {int(np.argmax(still))} of the paths has the same value in all draws: no correlation")
    result = np.stack([np.atleast_2d(np.corrcoef(paths[:, h], rowvar=False)) for h in range(paths.shape[1])])
    # Rounding leaves 1 by a bit or two, which no correlation does.
    symmetric: Floats = np.clip((result + result.swapaxes(1, 2)) / 2, -1.0, 1.0)
    symmetric[:, np.arange(symmetric.shape[1]), np.arange(symmetric.shape[1])] = 1.0
    return symmetric


def touched(path: Floats, *, last: float, level: float) -> Floats:
    """Probability (H,) that the price has been at or beyond `level` at the end of one of the first h steps.

    `path` (draws, H): cumulative log returns of one pair, of its mid price without bid and ask; `last`: price at the
    origin. A level above it is touched from below, one below it from above. Prices are looked at only at the end of
    each step, so this **understates** how often a price that is quoted all day touches the level; Broadie, Glasserman
    and Kou (1997), doi 10.1111/1467-9965.00035: by as much as a level .5826 deviations of one step nearer would be
    touched more often. Raises `ValueError` for prices not above 0, or a level that is the price at the origin.
    """
    distance = _distance(path, last, level)
    furthest = np.maximum.accumulate(path * np.sign(distance), axis=1)
    return np.asarray(np.mean(furthest >= abs(distance), axis=0), dtype=np.float64)


def ended_beyond(path: Floats, *, last: float, level: float) -> Floats:
    """Probability (H,) that the price is at or beyond `level` at the end of step h; arguments as `touched`."""
    distance = _distance(path, last, level)
    return np.asarray(np.mean(path * np.sign(distance) >= abs(distance), axis=0), dtype=np.float64)


def _distance(path: Floats, last: float, level: float) -> float:
    if path.ndim != 2 or not len(path):
        raise ValueError(f"path: expected (draws, H), got {path.shape}")
    if not (math.isfinite(last) and math.isfinite(level) and last > 0 and level > 0):
        raise ValueError(f"expected prices above 0, got last {last} and level {level}")
    if level == last:
        raise ValueError(f"level {level} is the last price: it is touched already")
    return math.log(level / last)


def _worst(profit: Floats, levels: Sequence[float]) -> tuple[Floats, list[int], list[float]]:
    """The smallest profits in order, and for each level the rank of its quantile and level x draws."""
    profit = np.asarray(profit, dtype=np.float64)
    if not profit.ndim or not len(profit) or not np.isfinite(profit).all():
        raise ValueError(f"profit: expected finite values, draws on the first axis; got shape {profit.shape}")
    if not levels:
        raise ValueError("levels: expected at least one")
    for level in levels:
        if not 0 < level <= 0.5:
            raise ValueError(f"level {level}: expected a share above 0 and at most .5")
    # .07 x 100 is 7.000000000000001 in floats: a rank too far without the rounding.
    shares = [round(level * len(profit), 9) for level in levels]
    if min(shares) < 1:
        raise ValueError(
            f"{len(profit)} draws say nothing of the worst {min(levels):g}; draw at least {1 / min(levels):g}"
        )
    ranks = [math.ceil(share) for share in shares]
    return np.sort(np.partition(profit, max(ranks) - 1, axis=0)[: max(ranks)], axis=0), ranks, shares
