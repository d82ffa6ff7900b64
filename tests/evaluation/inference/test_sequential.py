"""The e-process: by hand, its error at any stopping time under heavy tails, GARCH, skew and overlap, and its power."""

from __future__ import annotations

import numpy as np
import pytest

from fx_assets.evaluation.inference import sequential
from fx_assets.evaluation.inference.sequential import crps_bounds, e_process, first_crossing, merging_factor
from fx_assets.evaluation.inference.worlds import cumulative, returns
from fx_assets.metrics.losses import Floats, pinball

LIMIT = -np.log(sequential.LEVEL)


def ever(log_e: Floats) -> float:
    """Share of paths (paths, n) that at some time refuse the null: the worst that any stopping rule can do."""
    return float((log_e.max(axis=1) >= LIMIT).mean())


def noise(kind: str, paths: int, n: int, seed: int) -> Floats:
    """Gains of mean 0 and about unit size."""
    rng = np.random.default_rng(seed)
    if kind == "t3":
        return rng.standard_t(3, (paths, n))
    if kind == "garch":
        return returns("garch", worlds=paths, n=n, seed=seed)
    if kind == "left":
        # Wins nearly always, and pays for it now and then.
        return 1.0 - rng.exponential(size=(paths, n))
    if kind == "spells":
        # Better for 100 origins and worse for as many, the worse ones first.
        return rng.normal(size=(paths, n)) + np.where(np.arange(n) // 100 % 2, 0.3, -0.3)
    raise AssertionError(kind)


def test_by_hand_with_bounds() -> None:
    gains, bounds = np.array([0.5, -1.0, 2.0]), np.array([1.0, 2.0, 2.0])
    x = gains / bounds
    stakes = np.geomspace(0.02, 0.9, 10)
    expected = [np.log(np.mean(np.prod(1 + stakes[:, None] * x[: k + 1], axis=1))) for k in range(3)]
    assert e_process(gains, bounds=bounds).tolist() == pytest.approx(expected)


def test_overlap_by_hand() -> None:
    """Each third gain makes its own wealth; after gain 3 the first has two, the others one."""
    gains, stakes = np.array([0.5, -0.2, 0.9, 0.4]), np.geomspace(0.02, 0.9, 10)
    wealth = [np.mean(np.prod(1 + stakes[:, None] * gains[k::3], axis=1)) for k in range(3)]
    found = e_process(gains, horizon=3, bounds=np.ones(4))
    assert found[3] == pytest.approx(np.log(np.mean(wealth) / merging_factor(3)))
    first = np.mean(1 + stakes * gains[0])
    assert found[0] == pytest.approx(np.log((first + 2) / 3 / merging_factor(3)))


def test_the_scale_is_known_at_the_origin() -> None:
    """A gain changes no value before it, and no scale before it has matured."""
    gains = np.random.default_rng(0).normal(0.1, 1, 200)
    for horizon in (1, 5):
        changed = gains.copy()
        changed[120:] *= 30
        before, after = e_process(gains, horizon=horizon), e_process(changed, horizon=horizon)
        assert (before[:120] == after[:120]).all()
        assert before[120] != after[120]
        # Five gains on, it is still capped by the scale of the calm.
        spike = np.where(np.arange(200) == 120, 1e6, gains)
        following = e_process(spike, horizon=horizon)
        same = np.diff(following)[120 : 120 + horizon - 1] == pytest.approx(
            np.diff(e_process(np.where(np.arange(200) == 120, 1e3, gains), horizon=horizon))[120 : 120 + horizon - 1]
        )
        assert same


def test_nothing_is_staked_before_the_warm_up() -> None:
    gains = np.random.default_rng(1).normal(1, 1, 60)
    assert e_process(gains)[: sequential.WARM_UP] == pytest.approx(0, abs=1e-12)
    assert e_process(gains)[sequential.WARM_UP] != pytest.approx(0, abs=1e-12)
    late = e_process(gains, horizon=5)
    assert late[: sequential.WARM_UP + 4] == pytest.approx(-np.log(merging_factor(5)))
    assert late[sequential.WARM_UP + 4] != pytest.approx(-np.log(merging_factor(5)))


@pytest.mark.parametrize("kind", ["t3", "garch", "left", "spells"])
def test_error_at_any_stopping_time(kind: str) -> None:
    """Exact binomial: a true 2.5 % is above 4 % of 400 paths in under 4 % of tests."""
    assert ever(e_process(noise(kind, 400, 1000, 2))) <= 0.04


@pytest.mark.slow
@pytest.mark.parametrize("horizon", [1, 5, 20])
@pytest.mark.parametrize("kind", ["t3", "garch"])
def test_error_at_any_stopping_time_under_overlap(kind: str, horizon: int) -> None:
    gains = cumulative(noise(kind, 1200, 1000, 3), horizon)
    assert ever(e_process(gains, horizon=horizon)) <= 0.025


def test_errors_with_known_bounds_and_rare_great_losses() -> None:
    """Mean 0 exactly: wins 1 in 99 of 100, loses 99 else. Bounds keep the null; a cap could not."""
    draws = np.random.default_rng(4).uniform(size=(300, 1000))
    gains = np.where(draws < 0.99, 1.0, -99.0)
    assert ever(e_process(gains, bounds=np.full(gains.shape, 99.0))) <= 0.047
    # What the module says of capped gains: here their mean is above 0, and the process rightly says so of *them*.
    assert ever(e_process(gains)) > 0.5


def test_wealth_is_a_fair_game() -> None:
    """Mean e-value of 1 at a fixed time, on bounded symmetric gains: nothing is given away, nothing made up."""
    gains = np.random.default_rng(5).choice([-1.0, 1.0], size=(20_000, 20))
    wealth = np.exp(e_process(gains, bounds=np.full(gains.shape, 4.0)))
    assert wealth[:, -1].mean() == pytest.approx(1, abs=0.03)


@pytest.mark.parametrize(("advantage", "n", "share"), [(0.1, 1500, 0.6), (0.2, 500, 0.7), (0.3, 250, 0.6)])
def test_a_better_challenger_is_found(advantage: float, n: int, share: float) -> None:
    """`advantage` in deviations of the gain; t(3) shocks."""
    gains = noise("t3", 200, n, 6) / np.sqrt(3) + advantage
    assert ever(e_process(gains)) > share


def test_a_worse_challenger_is_not() -> None:
    assert ever(e_process(noise("t3", 300, 800, 7) - 0.2)) == 0


@pytest.mark.parametrize(("count", "factor"), [(1, 1.0), (2, 2.0), (5, 2.214), (10, 1.980), (20, 1.828), (50, 1.693)])
def test_merging_factors_of_the_paper(count: int, factor: float) -> None:
    """Vovk and Wang (2020), table 1, divides those of 3 and more by the logarithm of their number."""
    assert merging_factor(count) == pytest.approx(factor * (np.log(count) if count > 2 else 1.0), abs=3e-3)


def crps(y: Floats, quantiles: Floats, levels: Floats) -> Floats:
    """As `crps_quantiles`, without the seconds that importing scoringrules takes."""
    score: Floats = 2 * pinball(y=y, quantiles=quantiles, levels=levels).mean(axis=1)
    return score


def test_crps_gains_never_leave_their_bounds() -> None:
    rng, levels = np.random.default_rng(8), np.arange(1, 200) / 200
    ours, theirs = (np.sort(rng.normal(0, scale, (400, 199)), axis=1) for scale in (1.0, 1.3))
    bounds = crps_bounds(ours, theirs, levels)
    for y in (rng.standard_t(2, 400), np.full(400, 1e6), np.full(400, -1e6)):
        gain = crps(y, theirs, levels) - crps(y, ours, levels)
        assert (np.abs(gain) <= bounds).all()
    # A shift seen from far away is all gain, but for the weights of the levels: nearly three quarters of the bound.
    shifted = ours + 1.0
    far = np.full(400, 1e6)
    gain = crps(far, ours, levels) - crps(far, shifted, levels)
    assert gain == pytest.approx(np.full(400, 1.0))
    assert crps_bounds(ours, shifted, levels) == pytest.approx(np.full(400, 1.5), abs=0.01)


def test_batches_are_paths_one_by_one() -> None:
    gains = noise("t3", 3, 150, 9)
    together = e_process(gains, horizon=5)
    assert all((together[k] == e_process(gains[k], horizon=5)).all() for k in range(3))


def test_first_crossing() -> None:
    assert first_crossing(np.array([0.0, 3.6, 3.7, 0.0, 9.0])) == 2
    assert first_crossing(np.array([0.0, 3.6])) is None
    assert first_crossing(np.array([0.0, 3.6]), level=0.05) == 1
    with pytest.raises(ValueError, match="level: expected a probability"):
        first_crossing(np.zeros(2), level=0.0)


@pytest.mark.parametrize("n", [0, 1, 19, 21])
@pytest.mark.parametrize("horizon", [1, 7, 30])
def test_short_streams(n: int, horizon: int) -> None:
    found = e_process(np.ones(n), horizon=horizon)
    assert found.shape == (n,)
    assert np.isfinite(found).all()


def test_equal_forecasts_are_worth_nothing() -> None:
    assert e_process(np.zeros(100)) == pytest.approx(0, abs=1e-12)
    assert e_process(np.zeros(100), bounds=np.zeros(100)) == pytest.approx(0, abs=1e-12)


def test_refusals() -> None:
    with pytest.raises(ValueError, match="gains: expected finite values"):
        e_process([0.0, np.nan])
    with pytest.raises(ValueError, match="gains: -3 of window 1 is above its bound of 2"):
        e_process([1.0, -3.0], bounds=[1.0, 2.0])
    with pytest.raises(ValueError, match="bounds: expected finite values of 0 or more"):
        e_process([1.0, -1.0], bounds=[1.0, -2.0])
    with pytest.raises(ValueError, match="horizon: expected a whole number"):
        e_process([1.0], horizon=0)
    with pytest.raises(ValueError, match=r"expected ours and theirs \(n, q\) and levels \(q,\)"):
        crps_bounds(np.ones((3, 2)), np.ones((3, 2)), [0.5])
    with pytest.raises(ValueError, match="ours, theirs: expected finite quantiles"):
        crps_bounds(np.full((3, 1), np.nan), np.ones((3, 1)), [0.5])
