"""Coverage tests against published examples, scipy, and their own size in simulated worlds."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import stats

from fx_assets.evaluation.inference.tails import (
    Transitions,
    christoffersen_conditional_coverage,
    christoffersen_independence,
    exact_interval,
    expected_counts,
    kupiec,
    traffic_light,
    transitions,
    zones,
)

Flags = NDArray[np.bool_]


def first(count: int, n: int) -> Flags:
    return np.arange(n) < count


def chain(n00: int, n01: int, n10: int, n11: int) -> Flags:
    """A series that has just these transitions, and begins without an exception."""
    # Each excursion into exceptions leaves once and returns once, the last one perhaps not.
    assert n10 in (n01, n01 - 1)
    runs = [1] * n01
    runs[0] += n11
    series = [0] * (n00 + 1)
    for run in runs:
        series += [1] * run + [0]
    return np.array(series[: 1 + n00 + n01 + n10 + n11], dtype=bool)


def test_kupiec_in_published_examples() -> None:
    # Jorion, Value at Risk, 3rd ed., chapter 6: J.P. Morgan 1998, 20 exceptions in 252 days at 95 %.
    assert kupiec(exceptions=first(20, 252), level=0.05).statistic == pytest.approx(3.91, abs=0.005)
    # The same, question 10: 6 in 252 at 99 %, "3.498", not rejected at 3.84.
    six = kupiec(exceptions=first(6, 252), level=0.01)
    assert six.statistic == pytest.approx(3.498, abs=0.001)
    assert six.p_value is not None
    assert six.p_value > 0.05
    assert six.degrees == 1


# Kupiec (1995), table 3: counts that are not rejected at 5 %, exclusive. Of 255 at .01 it prints "below 7", although
# its own formula rejects 0.
REGIONS = {
    (0.01, 510): (1, 11),
    (0.01, 1000): (4, 17),
    (0.025, 255): (2, 12),
    (0.025, 510): (6, 21),
    (0.025, 1000): (15, 36),
    (0.05, 255): (6, 21),
    (0.05, 510): (16, 36),
    (0.05, 1000): (37, 65),
    (0.1, 255): (16, 36),
    (0.1, 510): (38, 65),
    (0.1, 1000): (81, 120),
}


@pytest.mark.parametrize(("level", "n"), list(REGIONS))
def test_kupiec_rejects_what_his_table_does(level: float, n: int) -> None:
    low, high = REGIONS[level, n]
    limit = stats.chi2.ppf(0.95, 1)
    statistic = {x: kupiec(exceptions=first(x, n), level=level).statistic for x in (low, low + 1, high - 1, high)}
    assert statistic[low] > limit > statistic[low + 1]
    assert statistic[high] > limit > statistic[high - 1]


@settings(max_examples=50)
@given(st.integers(1, 400), st.floats(0.005, 0.5), st.data())
def test_kupiec_is_the_likelihood_ratio(n: int, level: float, data: Any) -> None:
    count = data.draw(st.integers(0, n))
    found = kupiec(exceptions=first(count, n), level=level)
    fitted = stats.binom.logpmf(count, n, count / n)
    assert found.statistic == pytest.approx(2 * (fitted - stats.binom.logpmf(count, n, level)), rel=1e-6, abs=1e-8)
    assert found.p_value == pytest.approx(stats.chi2.sf(found.statistic, 1))
    theirs = stats.power_divergence([count, n - count], [n * level, n * (1 - level)], lambda_="log-likelihood")
    assert found.statistic == pytest.approx(theirs.statistic, rel=1e-6, abs=1e-8)


def test_kupiec_without_and_with_nothing_but_exceptions() -> None:
    assert kupiec(exceptions=first(0, 250), level=0.01).statistic == pytest.approx(-500 * math.log(0.99))
    assert kupiec(exceptions=first(30, 30), level=0.2).statistic == pytest.approx(-60 * math.log(0.2))


def test_transitions_by_hand() -> None:
    assert transitions(exceptions=[0, 0, 1, 1, 1, 0, 1]) == Transitions(n00=1, n01=2, n10=1, n11=2)
    assert transitions(exceptions=chain(218, 14, 14, 6)) == Transitions(218, 14, 14, 6)
    assert transitions(exceptions=chain(5, 2, 1, 3)) == Transitions(5, 2, 1, 3)


def test_independence_in_published_examples() -> None:
    # Jorion, table 6-5: of J.P. Morgan's 20 exceptions 6 followed another; "9.53".
    jorion = christoffersen_independence(exceptions=chain(218, 14, 14, 6))
    assert jorion.statistic == pytest.approx(9.53, abs=0.005)
    # His question 10: 6 exceptions, 4 after another; "25.837".
    assert christoffersen_independence(exceptions=chain(244, 2, 2, 4)).statistic == pytest.approx(25.837, abs=0.001)
    # MathWorks, Risk Management Toolbox, varbacktest.cci: "Normal95" on 1,043 days.
    theirs = christoffersen_independence(exceptions=chain(932, 53, 53, 4))
    assert theirs.statistic == pytest.approx(0.25866, abs=5e-6)
    assert theirs.p_value == pytest.approx(0.61104, abs=5e-6)


@pytest.mark.parametrize("counts", [(218, 14, 14, 6), (932, 53, 53, 4), (5, 2, 1, 3), (200, 7, 7, 0), (1, 30, 29, 0)])
def test_independence_is_the_likelihood_ratio(counts: tuple[int, int, int, int]) -> None:
    n00, n01, n10, n11 = counts
    found = christoffersen_independence(exceptions=chain(*counts)).statistic

    def log(count: int, share: float) -> float:
        return count * math.log(share) if count else 0.0

    together = (n01 + n11) / sum(counts)
    apart = log(n00, n00 / (n00 + n01)) + log(n01, n01 / (n00 + n01))
    apart += log(n10, n10 / (n10 + n11)) + log(n11, n11 / (n10 + n11))
    assert found == pytest.approx(2 * (apart - log(n00 + n10, 1 - together) - log(n01 + n11, together)), abs=1e-9)
    table = stats.chi2_contingency([[n00, n01], [n10, n11]], correction=False, lambda_="log-likelihood")
    assert found == pytest.approx(table.statistic)


def test_no_neighbours_still_give_a_statistic() -> None:
    # 7 apart from each other: (1 - 7/207)^200 (7/207)^7 against independence.
    found = christoffersen_independence(exceptions=chain(200, 7, 7, 0))
    assert 0 < found.statistic < 1
    assert found.p_value is not None
    assert found.p_value > 0.3


def test_rounding_leaves_no_statistic_below_nothing() -> None:
    # One in three after either: the likelihoods are equal, their difference in floats is -4e-15.
    found = christoffersen_independence(exceptions=chain(20, 10, 10, 5))
    assert (found.statistic, found.p_value) == (0.0, 1.0)


@pytest.mark.parametrize(
    "exceptions",
    [first(0, 250), first(0, 250) | (np.arange(250) == 249), first(250, 250), [1, 0]],
    ids=["none", "only the last", "nothing else", "one window"],
)
def test_nothing_to_compare_has_no_p_value(exceptions: Any) -> None:
    found = christoffersen_independence(exceptions=exceptions)
    assert (found.statistic, found.degrees, found.p_value) == (0.0, 1, None)
    both = christoffersen_conditional_coverage(exceptions=exceptions, level=0.01)
    assert both.statistic == pytest.approx(kupiec(exceptions=exceptions, level=0.01).statistic)
    assert both.degrees == 2
    assert both.p_value == pytest.approx(stats.chi2.sf(both.statistic, 2))


def test_conditional_coverage_is_the_sum() -> None:
    series = chain(218, 14, 14, 6)
    both = christoffersen_conditional_coverage(exceptions=series, level=0.05)
    # Jorion: 3.91 + 9.53 = 13.44; his 252 transitions take 253 days here.
    assert both.statistic == pytest.approx(13.44, abs=0.07)
    parts = kupiec(exceptions=series, level=0.05).statistic + christoffersen_independence(exceptions=series).statistic
    assert both.statistic == pytest.approx(parts)
    assert both.p_value == pytest.approx(stats.chi2.sf(parts, 2))


@settings(max_examples=30)
@given(st.integers(1, 4000), st.sampled_from([0.5, 0.9, 0.95, 0.99]), st.data())
def test_the_exact_interval_is_that_of_clopper_and_pearson(n: int, confidence: float, data: Any) -> None:
    # scipy searches for the roots; the same ends are quantiles of beta distributions.
    count = data.draw(st.integers(0, n))
    outside = (1 - confidence) / 2
    low = stats.beta.ppf(outside, count, n - count + 1) if count else 0.0
    high = stats.beta.ppf(1 - outside, count + 1, n - count) if count < n else 1.0
    assert exact_interval(count=count, n=n, confidence=confidence) == pytest.approx((low, high), abs=1e-7)


def test_the_exact_interval_in_a_known_example() -> None:
    # None in n: the upper end solves (1 - p)^n = .025, about 3.69 / n ("rule of three", two-sided).
    low, high = exact_interval(count=0, n=100)
    assert low == 0
    assert high == pytest.approx(1 - 0.025 ** (1 / 100))


def test_expected_counts_are_those_of_the_issue() -> None:
    low, high = expected_counts(n=3795, level=0.01)
    assert (low, high) == (26, 50)
    assert (round(100 * low / 3795, 2), round(100 * high / 3795, 2)) == (0.69, 1.32)


@given(st.integers(1, 2000), st.sampled_from([0.01, 0.025, 0.05, 0.2]), st.sampled_from([0.9, 0.95]))
def test_expected_counts_hold_their_probability(n: int, level: float, confidence: float) -> None:
    low, high = expected_counts(n=n, level=level, confidence=confidence)
    outside = (1 - confidence) / 2 + 1e-9
    assert stats.binom.cdf(low - 1, n, level) <= outside
    assert stats.binom.sf(high, n, level) <= outside
    # And no narrower range would do.
    assert stats.binom.cdf(low, n, level) >= outside - 2e-9
    assert stats.binom.sf(high - 1, n, level) >= outside - 2e-9 or high == 0


def test_the_traffic_light_is_that_of_basel() -> None:
    lights = [traffic_light(count=count, n=250, level=0.01) for count in range(14)]
    assert lights == ["green"] * 5 + ["yellow"] * 5 + ["red"] * 4
    assert zones(n=250, level=0.01) == (5, 10)
    # MathWorks: 40 in 250 at 90 % is the second zone; 57 in 1,043 at 95 % the first.
    assert traffic_light(count=40, n=250, level=0.1) == "yellow"
    assert traffic_light(count=57, n=1043, level=0.05) == "green"


@given(st.integers(6, 3000), st.sampled_from([0.01, 0.025, 0.05]))
def test_zones_begin_where_the_cumulative_probability_says(n: int, level: float) -> None:
    yellow, red = zones(n=n, level=level)
    for begin, probability in ((yellow, 0.95), (red, 0.9999)):
        assert stats.binom.cdf(begin, n, level) >= probability - 1e-12
    assert stats.binom.cdf(yellow - 1, n, level) < 0.95 or yellow == 1
    assert stats.binom.cdf(red - 1, n, level) < 0.9999 or red == yellow + 1


def test_no_exception_is_green_however_few_the_windows() -> None:
    for n in (1, 2, 5, 6):
        assert traffic_light(count=0, n=n, level=0.01) == "green"
        assert traffic_light(count=1, n=n, level=0.01) == "yellow"


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: kupiec(exceptions=[], level=0.01),
            r"exceptions: expected \(n,\) with n of 1 or more, got shape \(0,\)",
        ),
        (lambda: kupiec(exceptions=[[True]], level=0.01), r"got shape \(1, 1\)"),
        (lambda: kupiec(exceptions=[0.0, math.nan], level=0.01), "nothing but true and false"),
        (lambda: kupiec(exceptions=[True], level=1), "level: expected a share between 0 and 1, got 1"),
        (lambda: christoffersen_independence(exceptions=[True]), "with n of 2 or more"),
        (lambda: exact_interval(count=3, n=2), "expected 0 <= count <= n with n of 1 or more, got 3 and 2"),
        (lambda: exact_interval(count=0, n=0), "got 0 and 0"),
        (lambda: exact_interval(count=1, n=2, confidence=95), "confidence: expected a share"),
        (lambda: expected_counts(n=10, level=0.0), "level: expected a share"),
        (lambda: zones(n=0, level=0.01), "got 0 and 0"),
        (lambda: traffic_light(count=-1, n=10, level=0.01), "got -1 and 10"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()


def rejected(p_value: float | None) -> bool:
    return p_value is not None and p_value < 0.05


@pytest.mark.parametrize(
    ("n", "level", "size"),
    [(250, 0.01, 0.0948), (1000, 0.05, 0.0514), (3795, 0.01, 0.0500), (3795, 0.025, 0.0482), (3795, 0.05, 0.0529)],
)
def test_the_size_of_kupiec_is_the_one_documented(n: int, level: float, size: float) -> None:
    """Exact: the binomial probabilities of all counts that are rejected."""
    counts = np.arange(int(stats.binom.ppf(1 - 1e-9, n, level)) + 1)
    rejects = [rejected(kupiec(exceptions=first(int(x), n), level=level).p_value) for x in counts]
    assert stats.binom.pmf(counts, n, level)[rejects].sum() == pytest.approx(size, abs=5e-5)


@pytest.mark.slow
def test_size_and_power_in_simulated_worlds() -> None:
    """Right forecasts are rejected about as often as documented, clustered exceptions nearly always."""
    rng = np.random.default_rng(13)
    worlds, n = 2000, 3795
    for level in (0.01, 0.025, 0.05):
        right = rng.random((worlds, n)) < level
        alone = np.mean([rejected(christoffersen_independence(exceptions=world).p_value) for world in right])
        both = np.mean(
            [rejected(christoffersen_conditional_coverage(exceptions=world, level=level).p_value) for world in right]
        )
        # Three standard errors of a share of 2,000 over what the docstring states.
        assert 0.01 < alone < 0.092 + 0.02, level
        assert 0.02 < both < 0.061 + 0.016, level
    # A constant limit in a world of volatility that lasts: as many exceptions as meant, but in clusters.
    found = 0
    for _ in range(200):
        log_variance = np.zeros(n)
        shocks = rng.normal(0, 0.3, n)
        for t in range(1, n):
            log_variance[t] = 0.95 * log_variance[t - 1] + shocks[t]
        y = np.exp(log_variance / 2) * rng.normal(size=n)
        found += rejected(christoffersen_independence(exceptions=y < np.quantile(y, 0.05)).p_value)
    assert found > 180
