"""Whether exceptions come as often as they should, and one by one: coverage tests of value at risk and of ranges.

`exceptions` (n,), oldest first: whether each outcome lay beyond the forecast limit (`metrics.tails.exceptions`, or not
`covered`); `level`: the share of them that the forecast means, .01 for a 1 % value at risk. All tests take windows that
do not overlap: at a horizon of h bars give every h-th. Raises `ValueError` naming the argument.

A p-value is that of the chi-squared distribution, which few exceptions follow badly. At a nominal 5 % Kupiec's test
rejects 9.5 % of right forecasts at 250 windows and 1 % (no exception at all, 8.1 %, is among what it rejects), 4.8 to
5.3 % at 3,795 windows; independence 1.3 to 9.2 % (levels of 1 to 5 %, 250 to 3,795 windows), both at once .7 to 6.1 %.
`expected_counts` and `exact_interval` are exact.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

Zone = Literal["green", "yellow", "red"]

# Cumulative probabilities at which Basel's zones begin.
_YELLOW, _RED = 0.95, 0.9999


@dataclass(frozen=True)
class LikelihoodRatio:
    """A likelihood-ratio statistic, its degrees of freedom, and its p-value: None where the data say nothing."""

    statistic: float
    degrees: int
    p_value: float | None


@dataclass(frozen=True)
class Transitions:
    """How often window and next window were no exception (0) or one (1): `n01` is one after none."""

    n00: int
    n01: int
    n10: int
    n11: int


def kupiec(*, exceptions: ArrayLike, level: float) -> LikelihoodRatio:
    """Unconditional coverage: is the share of exceptions `level`? One degree of freedom; n of 1 or more.

    Source: Kupiec (1995), doi 10.3905/jod.1995.407942, the proportion of failures. With no exception the statistic is
    -2 n log(1 - level), as its formula says.
    """
    happened, share = _exceptions(exceptions, least=1), _level(level)
    ones = int(happened.sum())
    zeros = len(happened) - ones
    observed = ones / len(happened)
    return _ratio(_log_likelihood(zeros, ones, observed) - _log_likelihood(zeros, ones, share), 1)


def transitions(*, exceptions: ArrayLike) -> Transitions:
    """Counts of what follows what in (n,) exceptions, n - 1 in all; n of 2 or more."""
    happened = _exceptions(exceptions, least=2)
    before, after = happened[:-1], happened[1:]
    counts = np.bincount(2 * before.astype(np.int64) + after, minlength=4).tolist()
    return Transitions(*counts)


def christoffersen_independence(*, exceptions: ArrayLike) -> LikelihoodRatio:
    """Independence: is an exception as likely after one as after none? One degree of freedom; n of 2 or more.

    Against a Markov chain of order one; 0 log 0 counts as 0, so that exceptions of which no two are neighbours give a
    statistic (small where they are few). Where no window follows an exception, or none follows a calm one, there is
    nothing to compare: statistic 0, no p-value. Source: Christoffersen (1998), doi 10.2307/2527341, section 3.2;
    without neighbours: Christoffersen and Pelletier (2004), doi 10.1093/jjfinec/nbh004.
    """
    n = transitions(exceptions=exceptions)
    after_none, after_one = n.n00 + n.n01, n.n10 + n.n11
    if not after_none or not after_one:
        return LikelihoodRatio(0.0, 1, None)
    chain = _log_likelihood(n.n00, n.n01, n.n01 / after_none) + _log_likelihood(n.n10, n.n11, n.n11 / after_one)
    zeros, ones = n.n00 + n.n10, n.n01 + n.n11
    return _ratio(chain - _log_likelihood(zeros, ones, ones / (zeros + ones)), 1)


def christoffersen_conditional_coverage(*, exceptions: ArrayLike, level: float) -> LikelihoodRatio:
    """Both at once: the sum of the two statistics above, two degrees of freedom; n of 2 or more.

    Where independence has nothing to compare, its part is 0 and the p-value is on the safe side (too large). Source:
    Christoffersen (1998), section 3.3; the first window counts in Kupiec's part alone.
    """
    independence = christoffersen_independence(exceptions=exceptions)
    return _ratio((kupiec(exceptions=exceptions, level=level).statistic + independence.statistic) / 2, 2)


def exact_interval(*, count: int, n: int, confidence: float = 0.95) -> tuple[float, float]:
    """Two-sided interval for the true share after `count` exceptions in `n`, exact (Clopper and Pearson 1934)."""
    from scipy.stats import binomtest

    _counted(count, n)
    interval = binomtest(count, n).proportion_ci(confidence_level=_level(confidence, "confidence"), method="exact")
    return float(interval.low), float(interval.high)


def expected_counts(*, n: int, level: float, confidence: float = 0.95) -> tuple[int, int]:
    """Fewest and most exceptions in `n` that a right forecast shows with probability `confidence` or more, both sides.

    Less than (1 - confidence) / 2 lies below the fewest, and above the most. At 1 % in 3,795: 26 and 50, .69 to 1.32 %.
    """
    from scipy.stats import binom

    _counted(0, n)
    outside = (1 - _level(confidence, "confidence")) / 2
    low, high = binom.ppf([outside, 1 - outside], n, _level(level))
    return int(low), int(high)


def zones(*, n: int, level: float) -> tuple[int, int]:
    """The counts at which the yellow and the red zone begin among `n` windows; 5 and 10 for 250 at 1 %.

    Where the binomial probability of that many or fewer reaches 95 % and 99.99 %; but no exception is always green, and
    yellow is never empty, which matters below 6 windows at 1 %. Source: Basel Committee on Banking Supervision (1996),
    Supervisory framework for the use of "backtesting", table 2.
    """
    from scipy.stats import binom

    _counted(0, n)
    yellow, red = (int(count) for count in binom.ppf([_YELLOW, _RED], n, _level(level)))
    yellow = max(yellow, 1)
    return yellow, max(red, yellow + 1)


def traffic_light(*, count: int, n: int, level: float) -> Zone:
    """Basel's zone of `count` exceptions among `n` windows: see `zones`. Too few exceptions are green, too."""
    _counted(count, n)
    yellow, red = zones(n=n, level=level)
    return "green" if count < yellow else "yellow" if count < red else "red"


def _log_likelihood(zeros: int, ones: int, share: float) -> float:
    from scipy.special import xlog1py, xlogy

    return float(xlog1py(zeros, -share) + xlogy(ones, share))


def _ratio(gain: float, degrees: int) -> LikelihoodRatio:
    """From a difference of log likelihoods."""
    from scipy.stats import chi2

    # Rounding may leave a fit a hair below what it contains.
    statistic = max(2 * gain, 0.0)
    return LikelihoodRatio(statistic, degrees, float(chi2.sf(statistic, degrees)))


def _exceptions(exceptions: ArrayLike, *, least: int) -> NDArray[np.bool_]:
    values = np.asarray(exceptions)
    if values.ndim != 1 or len(values) < least:
        raise ValueError(f"exceptions: expected (n,) with n of {least} or more, got shape {values.shape}")
    if not ((values == 0) | (values == 1)).all():
        raise ValueError("exceptions: expected nothing but true and false (or 1 and 0)")
    return values.astype(np.bool_)


def _level(level: float, name: str = "level") -> float:
    if not 0 < level < 1:
        raise ValueError(f"{name}: expected a share between 0 and 1, got {level}")
    return level


def _counted(count: int, n: int) -> None:
    if n < 1 or not 0 <= count <= n:
        raise ValueError(f"count, n: expected 0 <= count <= n with n of 1 or more, got {count} and {n}")
