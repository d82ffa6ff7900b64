"""Is the mean of an autocorrelated series above 0? Long-run variances with the reference laws that go with them.

The first way is the equal-weighted cosine estimator (EWC): the mean square of the series' first B cosine
transforms, with Student t values of B degrees: Lazarus, Lewis, Stock and Watson, "HAR inference: recommendations for
practice", Journal of Business and Economic Statistics 36 (2018), 541-559 (section 1: B = .4 n^(2/3)). The second is the
Bartlett kernel with fixed-b values (`fixed_b.py`). Plain HAC with normal values calls far too much significant.

Overlap. Gains of neighbouring origins at horizon h share h - 1 bars: they are MA(h - 1) with a triangular
autocovariance, whose spectrum first falls to 0 at frequency 2 pi / h. Cosine B lies at pi B / n, so B must stay small
against n / h, the number of windows that do not overlap, or the estimate misses variance. Exact sizes of a nominal
5 % one-sided test (Gaussian, triangular autocovariance, by `fixed_b.positive_share`; tests/evaluation/inference):

    n, h        .4 n^(2/3)    at most n / 2h    at most n / 3h    at most n / 4h    .4 (n / h)^(2/3)
    400, 20        .079           .057              .053              .053              .051
    3800, 20       .056           .056              .053              .052              .050
    2000, 100      .190           .057              .053              .053              .051
    cosines at 400, 20:  21        10                6                 5                 2

n / 4h is used: from 20 windows on the size stays under .053, and it leaves two to four times the degrees of freedom of
the rule on non-overlapping windows. Simulated worlds (`worlds.py`) with heavy tails and GARCH agree.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from fx_assets.evaluation.inference import fixed_b
from fx_assets.evaluation.inference.outcome import Test, checked_horizon, series
from fx_assets.metrics.losses import Floats

Way = Literal["cosines", "bartlett"]

# Below this share of its largest value a series' deviation is rounding.
_ROUNDING = 1e-13


def cosines(n: int, horizon: int) -> int:
    """Number of cosines, and degrees of freedom, for `n` gains of neighbouring origins at `horizon`; at least 1."""
    return max(1, min(int(0.4 * n ** (2 / 3)), n // (4 * checked_horizon(horizon))))


def bandwidth(n: int, horizon: int) -> int:
    """Bartlett bandwidth (one more than the lags used): 1.3 sqrt(n), but 4 horizons at least, and n at most.

    Source: Lazarus, Lewis, Stock and Watson (2018), section 1. The floor is there for the reason that `cosines` has: at
    n 400 and h 20 the exact size of a nominal 5 % is .082 without it, .063 with it (1500 and 20: .059). EWC is nearer.
    """
    return min(n, max(int(np.ceil(1.3 * np.sqrt(n))), 4 * checked_horizon(horizon) if horizon > 1 else 1))


def transforms(values: Floats, count: int) -> Floats:
    """Cosine transforms 1..`count` of `values` (..., n): (..., count), each with the long-run variance as variance."""
    from scipy.fft import dct

    n = values.shape[-1]
    if not 0 < count < n:
        raise ValueError(f"count: expected 1 to {n - 1} cosines of {n} values, got {count}")
    found: Floats = dct(values, type=2, axis=-1)[..., 1 : count + 1] / np.sqrt(2 * n)
    return found


def cosine_variance(values: Floats, count: int) -> Floats:
    """EWC long-run variance of `values` (..., n) from `count` cosines: (...); the mean need not be taken off."""
    variance: Floats = np.square(transforms(values, count)).mean(axis=-1)
    return variance


def bartlett_variance(values: Floats, width: int) -> float:
    """Long-run variance of `values` (n,): autocovariances to lag `width` - 1, weighted 1 - lag / `width`."""
    n = len(values)
    if not 0 < width <= n:
        raise ValueError(f"width: expected 1 to {n}, got {width}")
    # Autocovariances by FFT: for a thousand lags of ten thousand values this is what keeps it in milliseconds.
    power = np.square(np.abs(np.fft.rfft(values - values.mean(), 2 * n)))
    covariance = np.fft.irfft(power, 2 * n)[:width] / n
    weights = 1.0 - np.arange(width) / width
    return float(covariance[0] + 2 * (weights[1:] @ covariance[1:]))


def mean_test(values: ArrayLike, *, horizon: int, way: Way = "cosines", name: str = "values") -> Test:
    """One-sided test that the mean of `values` (n,) is at most 0, in the order of time, overlapping by `horizon`.

    A series that never varies has an infinite statistic: p is 0 where it lies above 0, else 1. Raises `ValueError`
    by `name` for a wrong shape, under 2 values, or one that is not finite.
    """
    array, horizon = series(name, values), checked_horizon(horizon)
    n, mean = len(array), float(array.mean())
    if way not in ("cosines", "bartlett"):
        raise ValueError(f"way: expected cosines or bartlett, got {way!r}")
    if float(np.ptp(array)) <= _ROUNDING * float(np.abs(array).max()):
        said = f"{name} never varies"
        return Test(float(np.sign(mean) * np.inf) if mean else 0.0, 0.0 if mean > 0 else 1.0, (), n, said)
    null = f"mean of {name} at most 0, one-sided; overlap of {horizon - 1} origins"
    if way == "bartlett":
        width = bandwidth(n, horizon)
        statistic = _ratio(mean, n, bartlett_variance(array, width))
        said = f"{null}; Bartlett kernel of bandwidth {width} with fixed-b values"
        return Test(statistic, fixed_b.p_value(statistic, width / n), (), n, said)
    from scipy.special import stdtr

    count = cosines(n, horizon)
    statistic = _ratio(mean, n, float(cosine_variance(array, count)))
    said = f"{null}; {count} equal-weighted cosines, Student t of {count} degrees"
    return Test(statistic, float(stdtr(count, -statistic)), (float(count),), n, said)


def _ratio(mean: float, n: int, variance: float) -> float:
    if variance > 0:
        return float(np.sqrt(n) * mean / np.sqrt(variance))
    # The series varies, but at none of the frequencies looked at: nothing speaks for luck, nothing against.
    return 0.0
