"""Is a forecast better than its benchmark? Diebold-Mariano, which decides; Clark-West and Giacomini-White beside it.

All on neighbouring origins in the order of time, with the long-run variances of `long_run.py`. statsmodels 0.15 has a
Diebold-Mariano with plain HAC and normal values: the same statistic with the same bandwidth (a test holds them equal),
but not the same size.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fx_assets.evaluation.inference.long_run import Way, cosines, mean_test, transforms
from fx_assets.evaluation.inference.outcome import Test, checked_horizon, series
from fx_assets.metrics.losses import Floats


def diebold_mariano(gain: ArrayLike, *, horizon: int, way: Way = "cosines") -> Test:
    """One-sided: is the benchmark worse? `gain` (n,), benchmark loss less model loss, any unit.

    Null: the mean gain is at most 0. Raises `ValueError` for under 2 windows or one that is not finite. Source: Diebold
    and Mariano, Journal of Business and Economic Statistics 13 (1995), 253-263.
    """
    return mean_test(gain, horizon=horizon, way=way, name="gain")


def clark_west(y: ArrayLike, benchmark: ArrayLike, forecast: ArrayLike, *, horizon: int, way: Way = "cosines") -> Test:
    """One-sided: would the larger model beat the nested benchmark in MSE, had its parameters cost nothing?

    `y`, `benchmark`, `forecast` (n,), one unit. Tests the mean of (y - b)^2 - (y - f)^2 + (b - f)^2. It says "skill" of
    forecasts whose own MSE is the worse one (58 % of the time at a loss ratio of 1.07): to be printed, never to decide.
    Source: Clark and West, Journal of Econometrics 138 (2007), 291-311, section 2; values there are normal.
    """
    actual, ours, theirs = series("y", y), series("forecast", forecast), series("benchmark", benchmark)
    if not actual.shape == ours.shape == theirs.shape:
        raise ValueError(f"expected one shape, got y {len(actual)}, benchmark {len(theirs)}, forecast {len(ours)}")
    adjusted = np.square(actual - theirs) - np.square(actual - ours) + np.square(theirs - ours)
    return mean_test(adjusted, horizon=horizon, way=way, name="gain adjusted for estimation")


def giacomini_white(gain: ArrayLike, *, horizon: int, instruments: ArrayLike | None = None) -> Test:
    """Two-sided: can the gain be told in advance, its mean included, from what was known at the origin?

    `gain` (n,); `instruments` (n, q) known at each origin, by default a constant and the newest gain that had matured
    (that of `horizon` origins before; those without one are left out). Null: E[instrument * gain] = 0. A small p says
    that one of the two is better at times, not which, nor that it is the model. The Wald statistic is scaled to
    F(q, B - q + 1) of B cosines (Lazarus, Lewis, Stock and Watson 2018); the source, Giacomini and White, Econometrica
    74 (2006), 1545-1578, section 3, has chi-squared values.

    Raises `ValueError` for wrong shapes, windows that are not finite, or too few windows for the instruments.
    """
    horizon = checked_horizon(horizon)
    gains = series("gain", gain)
    if instruments is None:
        if len(gains) <= horizon + 1:
            raise ValueError(f"gain: {len(gains)} windows leave none whose gain {horizon} origins before is known")
        gains, known = gains[horizon:], np.column_stack([np.ones(len(gains) - horizon), gains[:-horizon]])
    else:
        known = np.asarray(instruments, dtype=np.float64)
        if known.ndim != 2 or len(known) != len(gains) or not known.shape[1] or not np.isfinite(known).all():
            raise ValueError(f"instruments: expected finite values of shape ({len(gains)}, q), got {known.shape}")
    moments: Floats = gains[:, None] * known
    n, q = moments.shape
    count = cosines(n, horizon)
    if count < q:
        raise ValueError(f"gain: {n} windows at horizon {horizon} give {count} cosines, too few for {q} instruments")
    terms = transforms(np.ascontiguousarray(moments.T), count)
    covariance = terms @ terms.T / count
    mean = moments.mean(axis=0)
    # A gain, or an instrument, that is always 0 tells nothing; the others still may.
    wald = float(n * mean @ np.linalg.pinv(covariance, hermitian=True) @ mean)
    degrees = (float(q), float(count - q + 1))
    from scipy.special import fdtrc

    statistic = wald * degrees[1] / (count * q)
    said = f"E[gain times each of {q} instruments] is 0, two-sided; {count} equal-weighted cosines, F of {degrees}"
    return Test(statistic, float(fdtrc(*degrees, statistic)), degrees, n, said)
