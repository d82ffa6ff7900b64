"""Ranges follow outcomes: they hold what they say in a world that changes, on both sides, and stay finite."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from fx_assets.models.calibration import Calibration, fit_calibration
from fx_assets.models.ranges import GAIN, LEAN, MOST, Ranges, follow, narrowed

Floats = NDArray[np.float64]
RNG = np.random.default_rng(11)


def calibration(horizons: int = 1, n: int = 500) -> Calibration:
    return Calibration.from_json(fit_calibration(np.abs(np.random.default_rng(3).standard_normal((n, horizons)))))


def covers(path: list[Ranges], y: Floats, mass: int) -> NDArray[np.bool_]:
    """Whether each outcome (n,) lay inside the range of that central mass, as it stood at the origin."""
    held = [-r.below[0, mass - 1] <= value <= r.above[0, mass - 1] for r, value in zip(path, y.tolist(), strict=False)]
    return np.array(held)


def test_nothing_followed_is_the_calibration() -> None:
    fitted = calibration(3)
    ranges = Ranges.from_calibration(fitted)
    location, scale = np.array([0.1, 0.2, -0.1]), np.array([1.0, 2.0, 3.0])
    levels = [0.01, 0.1, 0.5, 0.9, 0.99]
    assert np.array_equal(ranges.quantiles(levels, location, scale), fitted.quantiles(levels, location, scale))
    assert np.array_equal(ranges.dense(location, scale)[1], fitted.dense(location, scale)[1])


def test_what_is_kept_for_some_levels_is_not_said_of_others() -> None:
    ranges = Ranges.from_calibration(calibration(3)).updated(np.zeros(3), np.ones(3), np.full(3, 9.0))
    location, scale = np.array([0.1, 0.2, -0.1]), np.array([1.0, 2.0, 3.0])
    few, many = [0.1, 0.5, 0.9], [0.05, 0.1, 0.5, 0.9, 0.95]
    for levels in (few, many, few, np.array(many), many):
        fresh = Ranges(ranges.calibration, ranges.width, ranges.lean, ranges.matured)
        assert ranges.quantiles(levels, location, scale).tobytes() == fresh.quantiles(levels, location, scale).tobytes()
    assert ranges.quantiles(many, location, scale)[:, 1:4].tobytes() == ranges.quantiles(few, location, scale).tobytes()
    moved = ranges.updated(location, scale, np.full(3, 9.0))
    assert (moved.quantiles(few, location, scale)[:, 2] > ranges.quantiles(few, location, scale)[:, 2]).all()


def test_one_miss_and_one_hit_by_hand() -> None:
    start = Ranges.from_calibration(calibration())
    zero, one = np.zeros(1), np.ones(1)
    missed = start.updated(zero, one, np.array([100.0]))
    assert missed.width[0, 79] == pytest.approx(GAIN * (1 - 0.2))
    assert missed.width[0, 79] + missed.lean[0, 79] > missed.width[0, 79] - missed.lean[0, 79]
    held = start.updated(zero, one, np.array([0.0]))
    assert held.width[0, 79] == pytest.approx(-GAIN * 0.2)
    assert np.all(held.lean == 0)
    unknown = start.updated(zero, one, np.array([np.nan]))
    assert np.all(unknown.width == 0)
    assert unknown.matured == (0,)
    assert missed.matured == (1,)


def test_what_a_miss_moves_by_hand_at_other_masses_and_steps() -> None:
    """Wide ranges move by the whole gain and lean more; outcomes several bars ahead, which overlap, move them less."""
    start = Ranges.from_calibration(calibration(3))
    missed = start.updated(np.zeros(3), np.ones(3), np.full(3, 100.0), steps=(1, 2, 20))
    for column, (halved, bars) in enumerate([(1, 1), (2, 2), (2, 20)]):
        for mass, gain in ((50, GAIN * 0.2 / 0.5), (80, GAIN), (98, GAIN)):
            assert missed.width[column, mass - 1] == pytest.approx(gain / halved * mass / 100), (mass, bars)
            assert missed.lean[column, mass - 1] == pytest.approx(LEAN / (1 - mass / 100) / bars), (mass, bars)
    by_default = start.updated(np.zeros(3), np.ones(3), np.full(3, 100.0))
    same = start.updated(np.zeros(3), np.ones(3), np.full(3, 100.0), steps=(1, 2, 3))
    assert np.array_equal(by_default.width, same.width)
    assert np.array_equal(by_default.lean, same.lean)
    assert not np.array_equal(by_default.lean, missed.lean)
    always = np.full((21, 3), 100.0)
    one = list(follow(start, np.zeros((21, 3)), np.ones((21, 3)), always, steps=(1, 2, 20)))[20]
    assert one.lean[2, 79] == pytest.approx(LEAN / 0.2 / 20)  # one outcome 20 bars ahead has matured


def test_both_tails_of_one_percent_miss_alike_where_outcomes_lean() -> None:
    """Three years of a skewed world, told apart from ranges that lean as slowly in the tails as in the middle."""
    y = np.random.default_rng(9).exponential(size=4000) - 1.0
    path = walked(y)
    over = np.array([v > r.above[0, 97] for r, v in zip(path, y.tolist(), strict=False)])[1000:]
    under = np.array([v < -r.below[0, 97] for r, v in zip(path, y.tolist(), strict=False)])[1000:]
    assert over.mean() == pytest.approx(0.01, abs=0.003)
    assert under.mean() == pytest.approx(0.01, abs=0.003)


def walked(y: Floats) -> list[Ranges]:
    n = len(y)
    return list(follow(Ranges.from_calibration(calibration()), np.zeros((n, 1)), np.ones((n, 1)), y[:, None]))


@pytest.fixture(scope="module")
def changing() -> tuple[list[Ranges], Floats]:
    """A world that widens and calms, and the ranges on their way through it."""
    n = 6000
    spread = np.concatenate([np.full(n // 3, 1.0), np.full(n // 3, 1.6), np.full(n // 3, 0.7)])
    y = np.random.default_rng(5).standard_normal(n) * spread
    return walked(y), y


@pytest.mark.parametrize("mass", [50, 80, 90, 98])
def test_coverage_holds_where_the_world_widens_and_calms(changing: tuple[list[Ranges], Floats], mass: int) -> None:
    path, y = changing
    n = len(y)
    assert len(path) == n + 1
    held = covers(path, y, mass)[500:]
    assert abs(held.mean() - mass / 100) < 0.01
    # Without following, the same ranges are off by far more somewhere: the test can fail.
    still = covers([path[0]] * n, y, mass)[500:]
    thirds = [part.mean() for part in np.array_split(still, 3)]
    assert max(abs(share - mass / 100) for share in thirds) > 0.015


def test_both_sides_miss_alike_where_outcomes_lean() -> None:
    y = np.random.default_rng(6).exponential(size=8000) - 1.0
    path = walked(y)
    under = np.array([v < -r.below[0, 89] for r, v in zip(path, y.tolist(), strict=False)])[2500:]
    over = np.array([v > r.above[0, 89] for r, v in zip(path, y.tolist(), strict=False)])[2500:]
    assert under.mean() == pytest.approx(0.05, abs=0.01)
    assert over.mean() == pytest.approx(0.05, abs=0.01)


def test_only_matured_outcomes_are_followed() -> None:
    n, steps = 60, (1, 5)
    rng = np.random.default_rng(7)
    location, scale, y = np.zeros((n, 2)), np.ones((n, 2)), rng.standard_normal((n, 2))
    start = Ranges.from_calibration(calibration(2))
    path = list(follow(start, location, scale, y, steps=steps))
    assert path[0].matured == (0, 0)
    assert path[4].matured == (4, 0)
    assert path[5].matured == (5, 1)
    for at in (7, 23):
        spoilt = y.copy()
        for column, step in enumerate(steps):
            spoilt[at - step + 1 :, column] = 1e6  # all that has not matured at origin `at`
        other = list(follow(start, location, scale, spoilt, steps=steps))
        assert np.array_equal(other[at].width, path[at].width)
        assert np.array_equal(other[at].lean, path[at].lean)
        assert not np.array_equal(other[at + 1].width, path[at + 1].width)


def test_in_parts_is_as_in_one() -> None:
    n, steps = 200, (1, 5, 20)
    rng = np.random.default_rng(8)
    location, scale, y = rng.standard_normal((n, 3)) * 0.1, np.ones((n, 3)), rng.standard_normal((n, 3))
    start = Ranges.from_calibration(calibration(3))
    whole = list(follow(start, location, scale, y, steps=steps))
    stored = Ranges.from_state(start.calibration, whole[120].state)
    # The last 20 rows before the stored state are all that can still mature.
    second = list(follow(stored, location[100:], scale[100:], y[100:], steps=steps, at=20))
    assert len(second) == n - 120 + 1
    assert np.array_equal(second[-1].width, whole[-1].width)
    assert np.array_equal(second[-1].lean, whole[-1].lean)
    assert second[-1].matured == whole[-1].matured


@pytest.mark.parametrize("value", [0.0, 1e9, -1e9])
def test_half_widths_stay_finite_and_in_order(value: float) -> None:
    *_, last = walked(np.full(3500, value))
    for side in (last.below, last.above):
        assert np.isfinite(side).all()
        assert (side > 0).all()
        assert (np.diff(side, axis=1) >= 0).all()
        assert np.all(side <= last.calibration.z[:, -1:] * np.exp(MOST) * (1 + 1e-12))
    quantiles = last.dense(np.zeros(1), np.ones(1))[1]
    assert np.isfinite(quantiles).all()
    assert (np.diff(quantiles, axis=1) >= 0).all()


def test_a_stored_state_of_another_shape_is_refused() -> None:
    start = Ranges.from_calibration(calibration(2))
    state = start.state
    with pytest.raises(ValueError, match="width"):
        Ranges.from_state(start.calibration, {**state, "width": state["width"][:-1]})
    with pytest.raises(ValueError, match="lean"):
        Ranges.from_state(start.calibration, {**state, "lean": [float("nan")] * len(state["lean"])})
    with pytest.raises(ValueError, match="matured"):
        Ranges.from_state(start.calibration, {**state, "matured": [1]})
    with pytest.raises(ValueError, match="expected location"):
        next(follow(start, np.zeros((5, 1)), np.ones((5, 1)), np.zeros((5, 1))))
    assert narrowed(start.calibration, (2,)).horizons == 1
