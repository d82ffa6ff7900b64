"""Long-run variances against statsmodels and by hand; sizes under overlap, exactly; published fixed-b values."""

from __future__ import annotations

from importlib import import_module

import numpy as np
import pytest
from scipy import optimize, stats

from fx_assets.evaluation.inference import fixed_b, long_run
from fx_assets.metrics.losses import Floats


def exact_size(n: int, horizon: int, count: int, level: float) -> float:
    """Of the test with `count` cosines on Gaussian gains of triangular autocovariance, without simulation."""
    angles = np.pi * np.arange(1, count + 1)[:, None] * (np.arange(n) + 0.5) / n
    basis = np.vstack([np.full(n, 1 / np.sqrt(n)), np.sqrt(2 / n) * np.cos(angles)])
    # Gains are sums of `horizon` neighbouring shocks, so the covariance of the transforms is that of summed weights.
    spread = np.stack([np.convolve(row, np.ones(horizon)) for row in basis])
    critical = stats.t.isf(level, count)
    root = np.linalg.cholesky(spread @ spread.T)
    form = root.T @ np.diag([1.0, *[-(critical**2) / count] * count]) @ root
    return 0.5 * fixed_b.positive_share(np.linalg.eigvalsh(form))


def ar(n: int, slope: float, seed: int) -> Floats:
    rng = np.random.default_rng(seed)
    out = rng.normal(size=n)
    for t in range(1, n):
        out[t] += slope * out[t - 1]
    return out


def test_cosines_by_hand() -> None:
    values, count = ar(301, 0.5, 0) + 3.0, 9
    terms = [
        np.sqrt(2 / 301) * sum(x * np.cos(np.pi * j * (t + 0.5) / 301) for t, x in enumerate(values))
        for j in range(1, count + 1)
    ]
    assert long_run.cosine_variance(values, count) == pytest.approx(np.mean(np.square(terms)), rel=1e-10)


def test_cosine_variance_finds_the_long_run_variance() -> None:
    many = np.stack([ar(2000, 0.5, seed) for seed in range(60)])
    assert long_run.cosine_variance(many, 60).mean() == pytest.approx(1 / (1 - 0.5) ** 2, rel=0.05)


@pytest.mark.parametrize(
    ("n", "horizon", "count"), [(20, 1, 2), (1500, 1, 52), (400, 20, 5), (3800, 20, 47), (8, 5, 1)]
)
def test_number_of_cosines(n: int, horizon: int, count: int) -> None:
    assert long_run.cosines(n, horizon) == count


@pytest.mark.parametrize("width", [1, 5, 40])
def test_bartlett_is_the_hac_of_statsmodels(width: int) -> None:
    sm = import_module("statsmodels.api")
    values = ar(240, 0.6, 1)
    fit = sm.OLS(values, np.ones(240)).fit(cov_type="HAC", cov_kwds={"maxlags": width - 1, "use_correction": False})
    assert long_run.bartlett_variance(values, width) / 240 == pytest.approx(float(fit.bse[0]) ** 2, rel=1e-9)


@pytest.mark.parametrize(
    ("n", "horizon", "plain", "used"), [(400, 20, 0.079, 0.053), (2000, 100, 0.190, 0.053), (250, 10, 0.060, 0.053)]
)
def test_size_under_overlap_is_the_documented_one(n: int, horizon: int, plain: float, used: float) -> None:
    """At 20 windows that do not overlap, the fewest of a verdict, the paper's own number of cosines calls too much."""
    assert exact_size(n, horizon, int(0.4 * n ** (2 / 3)), 0.05) == pytest.approx(plain, abs=0.002)
    assert exact_size(n, horizon, long_run.cosines(n, horizon), 0.05) == pytest.approx(used, abs=0.001)


def test_exact_size_of_independent_values_is_the_level() -> None:
    assert exact_size(300, 1, 17, 0.05) == pytest.approx(0.05, abs=1e-5)


@pytest.mark.parametrize(("width", "size"), [(26, 0.082), (80, 0.063)], ids=["without_the_floor", "used"])
def test_size_of_the_bartlett_way_is_the_documented_one(width: int, size: float) -> None:
    n, lags = 400, np.abs(np.subtract.outer(np.arange(400), np.arange(400)))
    kernel = np.maximum(0.0, 1.0 - lags / width)
    centred = np.eye(n) - 1 / n
    critical = optimize.brentq(lambda x: fixed_b.p_value(x, width / n) - 0.05, 0.5, 30.0)
    root = np.linalg.cholesky(np.maximum(0.0, 1.0 - lags / 20) + 1e-9 * np.eye(n))
    form = root.T @ (np.ones((n, n)) / n - critical**2 * centred @ kernel @ centred / n) @ root
    assert 0.5 * fixed_b.positive_share(np.linalg.eigvalsh(form)) == pytest.approx(size, abs=0.001)


def test_bandwidth() -> None:
    assert [long_run.bandwidth(*at) for at in ((400, 1), (400, 20), (3800, 20), (30, 20))] == [26, 80, 81, 30]


def test_simulated_size_under_overlap() -> None:
    """The whole chain, on overlapping sums of heavy-tailed returns."""
    rng = np.random.default_rng(3)
    total = np.cumsum(rng.standard_t(6, (1500, 420)), axis=1)
    gains = total[:, 20:] - total[:, :-20]
    share = np.mean([long_run.mean_test(gain, horizon=20).p_value < 0.05 for gain in gains])
    assert 0.035 < share < 0.065


@pytest.mark.parametrize("b", [0.02, 0.1, 0.5, 1.0])
@pytest.mark.parametrize("level", [0.1, 0.05, 0.025, 0.01])
def test_fixed_b_p_values_are_those_of_the_paper(b: float, level: float) -> None:
    """The paper's are simulated and smoothed by a cubic: equal to .0025."""
    assert fixed_b.p_value(fixed_b.critical_value(b, level), b) == pytest.approx(level, abs=0.0025)


def test_fixed_b_p_values_of_either_sign_add_up() -> None:
    assert fixed_b.p_value(1.3, 0.2) + fixed_b.p_value(-1.3, 0.2) == pytest.approx(1)
    assert fixed_b.p_value(0.0, 0.2) == 0.5


@pytest.mark.parametrize("degrees", [2, 5, 30])
def test_weighted_chi_squares_contain_student(degrees: int) -> None:
    weights = np.append(np.full(degrees, -(1.7**2) / degrees), 1.0)
    assert 0.5 * fixed_b.positive_share(weights) == pytest.approx(stats.t.sf(1.7, degrees), abs=1e-6)


def test_weights_of_one_sign() -> None:
    assert fixed_b.positive_share(np.array([1.0, 2.0])) == 1
    assert fixed_b.positive_share(np.array([-1.0, -2.0])) == 0


def test_says_what_it_assumed() -> None:
    found = long_run.mean_test(ar(400, 0.0, 5), horizon=20, name="gain")
    assert (found.degrees, found.n) == ((5.0,), 400)
    assert found.assumed == (
        "mean of gain at most 0, one-sided; overlap of 19 origins; 5 equal-weighted cosines, Student t of 5 degrees"
    )
    assert "bandwidth 80" in long_run.mean_test(ar(400, 0.0, 5), horizon=20, way="bartlett").assumed


@pytest.mark.parametrize(("value", "p"), [(0.0, 1.0), (0.1, 0.0), (-0.1, 1.0)])
@pytest.mark.parametrize("way", ["cosines", "bartlett"])
def test_a_series_that_never_varies(value: float, p: float, way: long_run.Way) -> None:
    assert long_run.mean_test(np.full(50, value), horizon=1, way=way).p_value == p


@pytest.mark.parametrize(
    ("values", "horizon", "said"),
    [
        ([1.0, np.nan, np.inf], 1, "gain: 2 of 3 windows are not finite, the first is 1"),
        ([1.0], 1, "gain: expected 2 windows or more, got 1"),
        ([[1.0, 2.0]], 1, r"gain: expected one value per window, shape \(n,\), got \(1, 2\)"),
        ([1.0, 2.0], 0, "horizon: expected a whole number of 1 or more, got 0"),
    ],
    ids=["not_finite", "one", "two_axes", "horizon"],
)
def test_refusals(values: list[float], horizon: int, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        long_run.mean_test(values, horizon=horizon, name="gain")


def test_refused_settings() -> None:
    with pytest.raises(ValueError, match="count: expected 1 to 9 cosines of 10 values, got 10"):
        long_run.cosine_variance(np.ones(10), 10)
    with pytest.raises(ValueError, match="width: expected 1 to 10, got 11"):
        long_run.bartlett_variance(np.ones(10), 11)
    with pytest.raises(ValueError, match="level: the paper gives"):
        fixed_b.critical_value(0.1, 0.2)
    with pytest.raises(ValueError, match="b: expected a share"):
        fixed_b.p_value(1.0, 1.5)
    with pytest.raises(ValueError, match="way: expected cosines or bartlett, got 'hac'"):
        long_run.mean_test([1.0, 2.0, 4.0], horizon=1, way="hac")  # type: ignore[arg-type]
