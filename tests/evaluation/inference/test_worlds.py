"""Does the rule call luck skill? A few worlds each time, more of them slowly, all 2,000 in the soak."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fx_assets.evaluation.inference import worlds
from fx_assets.metrics.losses import Floats


def test_worlds_are_what_they_say() -> None:
    iid, garch = (worlds.returns(kind, worlds=200, n=1000, seed=1) for kind in ("iid", "garch"))
    for r in (iid, garch):
        assert r.shape == (200, 1000)
        assert r.var() == pytest.approx(1, abs=0.1)
        assert abs(lagged(r)) < 0.01
    assert abs(lagged(np.square(iid))) < 0.02
    assert lagged(np.square(garch)) > 0.1
    assert stats.kurtosis(iid.ravel()) == pytest.approx(3, abs=1)
    assert lagged(worlds.returns("iid", worlds=200, n=1000, seed=1, signal=0.2)) == pytest.approx(0.2, abs=0.01)
    assert (worlds.returns("garch", worlds=2, n=50, seed=4) == worlds.returns("garch", worlds=2, n=50, seed=4)).all()


def lagged(r: Floats) -> float:
    return float(np.corrcoef(r[:, 1:].ravel(), r[:, :-1].ravel())[0, 1])


def test_cumulative_returns_by_hand() -> None:
    assert worlds.cumulative(np.array([[1.0, 2.0, 4.0, 8.0]]), 2).tolist() == [[6.0, 12.0]]


@pytest.mark.parametrize("horizon", [1, 5])
def test_rules_by_hand(horizon: int) -> None:
    """Each forecast is what a person would fit on the rows up to its origin."""
    r = worlds.returns("garch", worlds=2, n=160, seed=2)
    origin, row = 140, r[1, :141]
    found = {rule: worlds.forecasts(rule, r, horizon)[1, origin] for rule in worlds.LOCATION_RULES}
    assert found["drift"] == pytest.approx(horizon * row.mean())
    slope = (np.mean(row[1:] * row[:-1]) - row.mean() ** 2) / row.var()
    ahead, path = row[-1] - row.mean(), []
    for _ in range(horizon):
        ahead *= slope
        path.append(row.mean() + ahead)
    assert found["autoregression"] == pytest.approx(sum(path))
    signs = [np.sign(row[max(0, t - 19) : t + 1].sum()) for t in range(141)]
    followed = [signs[t] * row[t + 1 : t + 1 + horizon].sum() for t in range(141 - horizon)]
    assert found["momentum"] == pytest.approx(signs[-1] * np.mean(followed))
    assert found["whisper"] == pytest.approx(0.001 * signs[-1])


@pytest.mark.parametrize("skill", [*worlds.LOCATION_RULES, "volatility", "density"])
@pytest.mark.parametrize("horizon", [1, 5])
def test_no_rule_sees_what_is_to_come(skill: str, horizon: int) -> None:
    """Losses up to an origin stay, whatever comes after its target."""
    r = worlds.returns("garch", worlds=3, n=300, seed=3)
    changed = r.copy()
    changed[:, 200:] *= 7
    until = 200 - horizon - 100  # origins from 100 whose targets end before row 200
    for before, after in zip(
        worlds.losses(skill, r, horizon, first=100), worlds.losses(skill, changed, horizon, first=100), strict=True
    ):
        assert before.shape == (3, 300 - horizon - 100)
        assert (before[:, :until] == after[:, :until]).all()
        assert (before[:, until:] != after[:, until:]).any()


def test_volatility_benchmark_is_constant_variance_so_far() -> None:
    r = worlds.returns("garch", worlds=1, n=120, seed=4)
    _, constant = worlds.losses("volatility", r, 5, first=100)
    variance = 5 * np.mean(np.square(r[0, :101]))
    assert constant[0, 0] == pytest.approx(np.log(variance) + r[0, 101:106].sum() ** 2 / variance)


def test_largest_share_is_the_binomial_bound() -> None:
    for count in (60, 2000):
        most = round(worlds.largest_share(count) * count)
        assert stats.binom.sf(most, count, 0.05) <= 0.05 < stats.binom.sf(most - 1, count, 0.05)
    assert worlds.largest_share(2000) <= 0.059


def test_luck_is_not_skill_in_a_few_worlds() -> None:
    found = worlds.share_shown(worlds.LOCATION_RULES, worlds=60, seed=11)
    assert max(found.values()) <= worlds.largest_share(60)


def test_garch_shows_volatility_and_a_planted_signal_is_found() -> None:
    garch = worlds.share_shown(("drift", "volatility", "density"), worlds=16, seed=12, kinds=("garch",), origins=3000)
    assert garch["drift"] == 0
    assert min(garch["volatility"], garch["density"]) > 0.8
    assert worlds.share_shown(("autoregression",), worlds=20, seed=13, signal=0.25)["autoregression"] > 0.8


@pytest.mark.slow
def test_luck_is_not_skill_in_many_worlds() -> None:
    found = worlds.share_shown(worlds.LOCATION_RULES, worlds=600, seed=14)
    assert max(found.values()) <= worlds.largest_share(600)


@pytest.mark.slow
def test_constant_variance_shows_no_volatility_skill_and_garch_does() -> None:
    skills = ("volatility", "density")
    iid = worlds.share_shown(skills, worlds=150, seed=15, kinds=("iid",), origins=3000)
    assert max(iid.values()) <= worlds.largest_share(150)
    garch = worlds.share_shown((*skills, "whisper"), worlds=150, seed=16, kinds=("garch",), origins=3000)
    assert min(garch[skill] for skill in skills) > 0.9
    assert garch["whisper"] <= worlds.largest_share(150)


@pytest.mark.soak
def test_luck_is_not_skill_in_2000_worlds() -> None:
    """At most 5 %; above the one-sided 95 % binomial bound of 5.8 % it is not the sampling."""
    found = worlds.share_shown(worlds.LOCATION_RULES, worlds=2000, seed=2026)
    assert max(found.values()) <= worlds.largest_share(2000)
    # The hardest rule is not refused for want of any power.
    assert found["whisper"] > 0.01


def test_refusals() -> None:
    r = np.zeros((1, 150))
    with pytest.raises(ValueError, match="kind: expected iid or garch, got 'arch'"):
        worlds.returns("arch", worlds=1, n=2, seed=0)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="rule: expected one of"):
        worlds.forecasts("tea_leaves", r, 1)
    with pytest.raises(ValueError, match="skill: expected volatility, density or one of"):
        worlds.losses("tea_leaves", r + 1, 1, first=100)
    with pytest.raises(ValueError, match="worlds: expected a multiple of 2, got 5"):
        worlds.share_shown(("drift",), worlds=5, seed=0)
