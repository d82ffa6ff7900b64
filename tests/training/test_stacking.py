"""Greedy weights: cases to check by hand, and what must hold for any."""

from __future__ import annotations

import numpy as np
import pytest

from fx_assets.models.inputs import FloatArray
from fx_assets.models.members import moments
from fx_assets.training.stacking import greedy_weights, mixture_loss


def constant(*members: tuple[float, float], n: int = 2, horizons: int = 3) -> tuple[FloatArray, FloatArray]:
    """Location and scale (M, n, H) of members that always say the same."""
    values = np.array(members)[:, :, None, None] * np.ones((n, horizons))
    return values[:, 0], values[:, 1]


def weights(location: FloatArray, scale: FloatArray, y: FloatArray | float = 0.0, picks: int = 20) -> list[float]:
    """Weights where `y` came, in units of 1."""
    came = np.broadcast_to(np.asarray(y, dtype=float), location.shape[1:])
    found: list[float] = greedy_weights(location, scale, came, np.ones(came.shape), picks=picks).tolist()
    return found


def noisy(seed: int, members: int = 5, n: int = 80) -> tuple[FloatArray, FloatArray, FloatArray, FloatArray]:
    """Members that see the truth through noise of their own, wide or narrow; y and unit."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, 2))
    noise = rng.uniform(0.3, 3.0, members)[:, None, None]
    location = y + noise * rng.normal(size=(members, n, 2))
    return location, noise * rng.uniform(0.5, 2.0, (members, 1, 1)) * np.ones(location.shape), y, np.ones(y.shape)


def test_one_member_has_all() -> None:
    assert weights(*constant((0.3, 1.0))) == [1.0]


def test_members_that_err_to_either_side_share_equally() -> None:
    # Alone each loses .6024 (z = 1); the mixture of both, location 0 and variance 1 + 1, loses sqrt(2) x .2337 = .3305.
    location, scale = constant((1.0, 1.0), (-1.0, 1.0))
    came = np.zeros(location.shape[1:])
    assert weights(location, scale) == [0.5, 0.5]
    assert mixture_loss(np.array([1, 0]), location, scale, came, came + 1) == pytest.approx(0.60244, abs=1e-5)
    assert mixture_loss(np.array([1, 1]), location, scale, came, came + 1) == pytest.approx(0.33050, abs=1e-5)
    assert weights(location, scale, picks=1) == [1.0, 0.0]  # a tie goes to the earlier member


def test_a_useless_member_gets_nothing() -> None:
    assert weights(*constant((50.0, 1.0), (0.1, 1.0), (0.1, 60.0))) == [0.0, 1.0, 0.0]


def test_a_small_share_is_found_where_half_would_do_harm() -> None:
    # A tenth of the second centres the mixture; equal shares would lose more than the first alone.
    location, scale = constant((0.2, 0.1), (-1.0, 0.1))
    came = np.zeros(location.shape[1:])
    half, alone = (mixture_loss(np.array(w), location, scale, came, came + 1) for w in ([1, 1], [1, 0]))
    assert half > alone
    found = weights(location, scale)
    assert 0 < found[1] < 0.5
    assert mixture_loss(np.array(found), location, scale, came, came + 1) < alone


def test_twins_are_one_member() -> None:
    location, scale, y, unit = noisy(3)
    twice = greedy_weights(np.concatenate([location] * 2), np.concatenate([scale] * 2), y, unit, picks=20)
    once = greedy_weights(location, scale, y, unit, picks=20)
    assert twice.tolist() == [*once.tolist(), *[0.0] * len(once)]


def test_members_of_equal_worth_share_sensibly() -> None:
    rng = np.random.default_rng(5)
    y = rng.normal(size=(4000, 1))
    location = y + rng.normal(size=(4, 4000, 1))
    found = greedy_weights(location, np.ones(location.shape), y, np.ones(y.shape), picks=20)
    assert found.min() >= 0.15
    assert found.max() <= 0.35


@pytest.mark.parametrize("seed", range(12))
def test_never_worse_than_the_best_member(seed: int) -> None:
    location, scale, y, unit = noisy(seed, n=6)
    picks = 1 + seed
    found = greedy_weights(location, scale, y, unit, picks=picks)
    alone = [mixture_loss(one, location, scale, y, unit) for one in np.eye(len(location))]
    assert mixture_loss(found, location, scale, y, unit) <= min(alone) * (1 + 1e-12)
    assert found.sum() == pytest.approx(1)
    np.testing.assert_allclose(found * picks, np.round(found * picks), atol=1e-9)


def test_a_walk_that_ends_worse_than_it_began_is_given_up() -> None:
    # Found by trying 20 000 small cases: the third pick helps, the fourth has no pick that does not harm.
    location = np.array([[-1.1608, 1.0335, 1.6172], [-6.0626, 1.6098, -3.5391], [-0.2052, 0.0963, 0.1291]])
    location = np.concatenate([location, [[0.0350, 0.0949, 0.0314]]])[..., None]
    scale = np.array([[0.1733, 0.6188, 0.6998], [1.6655, 0.3677, 0.1625], [9.6508, 0.9604, 1.0290]])
    scale = np.concatenate([scale, [[9.4769, 0.4775, 1.5018]]])[..., None]
    y = np.array([-0.7329, -0.2663, -0.1637])[:, None]
    unit = np.ones(y.shape)
    assert greedy_weights(location, scale, y, unit, picks=3).max() < 1
    assert sorted(greedy_weights(location, scale, y, unit, picks=4).tolist()) == [0, 0, 0, 1]


def test_the_order_of_members_does_not_matter() -> None:
    location, scale, y, unit = noisy(1)
    order = np.array([3, 0, 4, 2, 1])
    found = greedy_weights(location, scale, y, unit, picks=20)
    assert greedy_weights(location[order], scale[order], y, unit, picks=20).tolist() == found[order].tolist()


def test_losses_count_in_units_of_the_walk() -> None:
    # Ten times wilder windows would decide alone; in units of their own walk they weigh as much as calm ones.
    location = np.array([[[0.0], [10.0]], [[1.0], [0.0]]])
    y, unit = np.zeros((2, 1)), np.array([[1.0], [1.0]])
    assert greedy_weights(location, np.ones((2, 2, 1)), y, unit, picks=1).tolist() == [0, 1]
    unit = np.array([[1.0], [100.0]])
    assert greedy_weights(location, np.ones((2, 2, 1)), y, unit, picks=1).tolist() == [1, 0]


def test_moments_are_those_of_the_mixture() -> None:
    rng = np.random.default_rng(2)
    shares, location, scale = np.array([0.2, 0.3, 0.5]), np.array([-1.0, 0.5, 2.0]), np.array([0.5, 1.0, 2.0])
    drawn = rng.choice(3, size=400_000, p=shares)
    sample = rng.normal(location[drawn], scale[drawn])
    mean, deviation = moments(shares, location, scale)
    assert mean == pytest.approx(sample.mean(), abs=0.01)
    assert deviation == pytest.approx(sample.std(), rel=0.01)


@pytest.mark.parametrize(
    ("shapes", "picks", "message"),
    [
        (((2, 4, 3), (2, 4, 3), (4, 3), (4, 3)), 0, "one pick or more"),
        (((0, 4, 3), (0, 4, 3), (4, 3), (4, 3)), 5, "expected location and scale"),
        (((2, 4, 3), (2, 4, 2), (4, 3), (4, 3)), 5, "expected location and scale"),
        (((2, 4, 3), (2, 4, 3), (5, 3), (5, 3)), 5, "expected location and scale"),
        (((2, 4, 3), (2, 4, 3), (4, 3), (4, 1)), 5, "expected location and scale"),
    ],
)
def test_other_shapes_are_refused(shapes: tuple[tuple[int, ...], ...], picks: int, message: str) -> None:
    location, scale, y, unit = (np.ones(shape) for shape in shapes)
    with pytest.raises(ValueError, match=message):
        greedy_weights(location, scale, y, unit, picks=picks)
