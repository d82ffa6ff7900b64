"""Value at risk and expected shortfall of quantile forecasts, both sides, and what they are judged by.

Both are returns, in y's unit: below 0 on the lower side (what a holder of base currency fears), above 0 on the upper
(what a seller fears), unless the forecast is far off centre. `tail` is the share beyond, on that side. Windows are on
the first axis, arguments as in `losses`. How often exceptions may happen: `evaluation.inference.tails`.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fx_assets.metrics.losses import Floats, _alike
from fx_assets.metrics.quantile_grid import Side, check_side, lower_tail_first, tail_width

TAILS = (0.01, 0.025, 0.05)


def value_at_risk(*, quantiles: ArrayLike, levels: ArrayLike, tail: float, side: Side) -> Floats:
    """The quantile beyond which a share of `tail` lies: that of level `tail`, or 1 - `tail` on the upper side; (n,).

    `quantiles` (n, q) that do not cross, `levels` (q,) among which that one must be.
    """
    sign, forecast, level = lower_tail_first(quantiles, levels, side)
    return np.asarray(sign * forecast[:, _column(level, tail, side)])


def expected_shortfall(*, quantiles: ArrayLike, levels: ArrayLike, tail: float, side: Side) -> Floats:
    """Mean of all quantiles beyond the value at risk, (n,); arguments as there, two levels or more.

    The quantile function is taken as linear between levels (trapezoids) and as exponential beyond the outermost one,
    as by `pit_quantiles`. On the dense grid of 199 levels it is off at 1 / 2.5 / 5 % by +1.1 / +.6 / +.3 % of its size
    for a normal distribution, -1.5 / -.6 / -.3 % for a Student t of 6 degrees of freedom, -4.1 / -2.0 / -1.2 % for one
    of 4. A bare mean of the grid's quantiles, which stops at the level .005, is off by -8, -15 and -20 % at 1 %.
    """
    sign, forecast, level = lower_tail_first(quantiles, levels, side)
    last = _column(level, tail, side)
    beyond = level[0] * (forecast[:, 0] - tail_width(quantiles=forecast, levels=level, side="lower"))
    between = np.trapezoid(forecast[:, : last + 1], level[: last + 1], axis=1)
    # Where all quantiles are equal, rounding would leave it short of the value at risk.
    return np.asarray(sign * np.minimum((beyond + between) / level[last], forecast[:, last]))


def exceptions(*, y: ArrayLike, value_at_risk: ArrayLike, side: Side) -> NDArray[np.bool_]:
    """Whether y lies beyond the value at risk, on it not yet; both (n,), returns (n,)."""
    actual, limit = _alike(y=y, value_at_risk=value_at_risk)
    return actual < limit if check_side(side) == "lower" else actual > limit


def fz0(*, y: ArrayLike, value_at_risk: ArrayLike, expected_shortfall: ArrayLike, tail: float, side: Side) -> Floats:
    """Joint loss of value at risk v and expected shortfall e, least on average where both are right; (n,).

    -1{y <= v} (v - y) / (tail e) + v / e + log(-e) - 1, mirrored for the upper side. All (n,), in one unit; e must lie
    beyond 0 on its side, and v not beyond e. A change of unit adds a constant: only differences mean something. Source:
    Patton, Ziegel and Chen (2019), doi 10.1016/j.jeconom.2018.10.008, proposition 1.
    """
    arrays = _alike(y=y, value_at_risk=value_at_risk, expected_shortfall=expected_shortfall)
    if not 0 < tail < 1:
        raise ValueError(f"tail: expected a share between 0 and 1, got {tail}")
    sign = 1 if check_side(side) == "lower" else -1
    actual, limit, shortfall = (sign * array for array in arrays)
    if (shortfall >= 0).any():
        raise ValueError(
            f"expected_shortfall: expected values {'below' if sign == 1 else 'above'} 0 on the {side} side"
        )
    if (limit < shortfall).any():
        raise ValueError("value_at_risk: expected none beyond the expected shortfall")
    excess = np.maximum(limit - actual, 0)
    return np.asarray(-excess / (tail * shortfall) + limit / shortfall + np.log(-shortfall) - 1)


def _column(levels: Floats, tail: float, side: Side) -> int:
    found = np.flatnonzero(np.abs(levels - tail) < 1e-9)
    if not len(found):
        level = tail if side == "lower" else 1 - tail
        raise ValueError(f"levels: {level:g} is not among the {len(levels)}; take a tail that is, or a denser grid")
    return int(found[0])
