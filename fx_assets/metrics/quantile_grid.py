"""What a grid of quantiles says between and beyond its levels: the place of an outcome in it, and the width of a tail.

Between two levels the distribution is linear. Beyond the outermost one it falls off exponentially: the share left is
the outermost level times exp(-distance / `tail_width`), the curve through the two outermost quantiles. So it never
reaches 0, and 1 only by rounding, however far out an outcome lies. Arguments as in `losses`.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fx_assets.metrics.losses import Floats, _quantile_arguments, _require_uncrossed

Side = Literal["lower", "upper"]


def pit_quantiles(*, y: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> Floats:
    """Probability integral transform: the share of the forecast distribution below y, (n,) in [0, 1].

    `y` (n,), `quantiles` (n, q) that do not cross, `levels` (q,) increasing, two or more; the dense grid has 199. On a
    quantile it is that one's level, on several equal ones the mean of the lowest and highest of theirs: nothing is
    drawn. Where the two outermost quantiles are equal, what lies beyond is 0 or 1. Each window has the same bits
    whichever others it is computed with. Uniform if the forecast is right: Diebold, Gunther and Tay (1998), doi
    10.2307/2527342.
    """
    actual, forecast, level = grid_arguments(y, quantiles, levels)
    below = (forecast < actual[:, None]).sum(axis=1)
    up_to = (forecast <= actual[:, None]).sum(axis=1)
    widths = {side: tail_width(quantiles=forecast, levels=level, side=side) for side in ("lower", "upper")}
    pit = np.empty(len(actual))

    at = up_to > below
    pit[at] = (level[below[at]] + level[up_to[at] - 1]) / 2

    between = np.flatnonzero(~at & (below > 0) & (below < len(level)))
    right = below[between]
    low, high = forecast[between, right - 1], forecast[between, right]
    step = (actual[between] - low) / (high - low) * (level[right] - level[right - 1])
    # The sum may round to just above the next level.
    pit[between] = np.minimum(level[right - 1] + step, level[right])

    for i in np.flatnonzero(up_to == 0):
        pit[i] = level[0] * _left(forecast[i, 0] - actual[i], widths["lower"][i])
    for i in np.flatnonzero(below == len(level)):
        pit[i] = 1 - (1 - level[-1]) * _left(actual[i] - forecast[i, -1], widths["upper"][i])
    return pit


def tail_width(*, quantiles: ArrayLike, levels: ArrayLike, side: Side) -> Floats:
    """Distance over which the share beyond the outermost quantile falls by the factor e: (n,) in y's unit, 0 or more.

    `quantiles` (n, q) that do not cross, `levels` (q,), two or more. It is also by how much what lies beyond the
    outermost quantile exceeds it on average. From two quantiles: their distance over the logarithm of the ratio of the
    shares that lie beyond them.
    """
    _, forecast, level = lower_tail_first(quantiles, levels, side)
    return np.asarray((forecast[:, 1] - forecast[:, 0]) / math.log(level[1] / level[0]))


def lower_tail_first(quantiles: ArrayLike, levels: ArrayLike, side: Side) -> tuple[int, Floats, Floats]:
    """Sign, quantiles and levels in which the tail of that side is the lower one; the upper one is turned over."""
    forecast = np.asarray(quantiles, dtype=np.float64)
    _, forecast, level = grid_arguments(np.zeros(forecast.shape[:1]), forecast, levels)
    if check_side(side) == "lower":
        return 1, forecast, level
    return -1, -forecast[:, ::-1], 1 - level[::-1]


def grid_arguments(y: ArrayLike, quantiles: ArrayLike, levels: ArrayLike) -> tuple[Floats, Floats, Floats]:
    """As arrays: y (n,), quantiles (n, q), levels (q,); raises `ValueError` where they cross or q is below 2."""
    actual, forecast, level = _quantile_arguments(y, quantiles, levels)
    if len(level) < 2:
        raise ValueError("levels: expected two or more; one tells nothing of the width of a tail")
    _require_uncrossed(forecast)
    return actual, forecast, level


def check_side(side: Side) -> Side:
    """The side given; raises `ValueError` for anything but "lower" and "upper"."""
    if side not in ("lower", "upper"):
        raise ValueError(f'side: expected "lower" or "upper", got {side!r}')
    return side


def _left(distance: float, width: float) -> float:
    # The C library's exp of one number: numpy's may differ in the last bit with the place in an array.
    return math.exp(-float(distance) / float(width)) if width > 0 else 0.0
