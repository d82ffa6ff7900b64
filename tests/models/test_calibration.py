from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fx_assets.models.calibration import DENSE_LEVELS, Calibration, fit_calibration
from fx_assets.models.params import dump_params


def calibrated(scores: object) -> Calibration:
    stored = dump_params(fit_calibration(np.asarray(scores, dtype=float)))
    return Calibration.from_json(json.loads(stored))


def test_a_small_example_by_hand() -> None:
    # 9 scores: the half-width of mass p is the ceil(10 p)-th smallest.
    calibration = calibrated([[9.0], [1.0], [8.0], [2.0], [7.0], [3.0], [6.0], [4.0], [5.0]])
    location, scale = np.array([0.5]), np.array([2.0])
    found = calibration.quantiles([0.05, 0.1, 0.25, 0.45, 0.5, 0.55, 0.9, 0.95], location, scale)
    # masses .9, .8, .5, .1, 0, .1, .8, .9 take the 9th, 8th, 5th, 1st, none, 1st, 8th and 9th
    assert found.tolist() == [[0.5 - 18, 0.5 - 16, 0.5 - 10, 0.5 - 2, 0.5, 0.5 + 2, 0.5 + 16, 0.5 + 18]]
    # mass .91 is the ceil(9.1) = 10th of 9: there is none
    with pytest.raises(ValueError, match=r"level 0\.045 needs at least 11 validation windows, calibrated on 9"):
        calibration.quantiles([0.045], location, scale)


def test_ranks_are_whole_numbers_not_floats() -> None:
    # (n + 1) p is whole: 100 x .29 in floats is 28.999999999999996, 100 x .57 is 56.99999999999999.
    scores = np.arange(1.0, 100.0)[:, None]
    calibration = calibrated(scores)
    assert calibration.z[0].tolist() == list(range(1, 100))


def test_each_horizon_has_its_own_widths() -> None:
    calibration = calibrated(np.column_stack([np.arange(1.0, 100.0), 10 * np.arange(1.0, 100.0)]))
    found = calibration.quantiles([0.1, 0.9], np.array([0.0, 1.0]), np.array([1.0, 2.0]))
    assert found.tolist() == [[-80, 80], [1 - 1600, 1 + 1600]]


@pytest.mark.parametrize("n", [99, 250, 501])
@pytest.mark.parametrize("mass", [50, 80, 90])
def test_coverage_of_exchangeable_scores_is_within_the_finite_sample_band(n: int, mass: int) -> None:
    rng = np.random.default_rng(n + mass)
    trials = 4_000  # each a horizon of its own
    scores = np.abs(rng.standard_t(4, size=(n + 1, trials)))  # fat tails: the theorem does not ask for a normal
    calibration = Calibration.from_json(fit_calibration(scores[:n]))
    level = (1 - mass / 100) / 2
    widths = calibration.quantiles([1 - level], np.zeros(trials), np.ones(trials))[:, 0]
    coverage = float(np.mean(scores[n] <= widths))
    exact = -(-(n + 1) * mass // 100) / (n + 1)  # the expectation: rank / (n + 1)
    assert mass / 100 <= exact <= mass / 100 + 1 / (n + 1)
    assert abs(coverage - exact) <= 4 * np.sqrt(exact * (1 - exact) / trials)
    # Where the future is known to be as the past, the widths cover at least the nominal share of it.
    assert np.mean(scores[:n] <= widths, axis=0).min() >= mass / 100


def test_dense_grid_has_199_levels_and_agrees_with_single_ones() -> None:
    rng = np.random.default_rng(1)
    calibration = calibrated(np.abs(rng.normal(size=(300, 4))))
    location, scale = rng.normal(size=4), rng.uniform(1, 2, 4)
    levels, dense = calibration.dense(location, scale)
    assert levels.shape == (199,)
    assert (levels[0], levels[99], levels[-1]) == (0.005, 0.5, 0.995)
    assert dense.shape == (4, 199)
    assert (np.diff(dense, axis=1) >= 0).all()
    assert dense[:, 99].tobytes() == location.tobytes()
    single = calibration.quantiles([0.05, 0.29, 0.5, 0.645, 0.95], location, scale)
    assert single.tobytes() == np.ascontiguousarray(dense[:, [9, 57, 99, 128, 189]]).tobytes()


def test_the_dense_grid_needs_99_windows_and_says_so() -> None:
    calibrated(np.ones((99, 1))).dense(np.zeros(1), np.ones(1))
    with pytest.raises(ValueError, match="at least 99 validation windows, calibrated on 98"):
        calibrated(np.ones((98, 1))).dense(np.zeros(1), np.ones(1))


@pytest.mark.parametrize("level", [0.0, 1.0, 0.0525, -0.1, 1.2, float("nan"), 0.1001])
def test_levels_off_the_grid_are_refused(level: float) -> None:
    with pytest.raises(ValueError, match=r"multiple of 0\.005"):
        calibrated(np.ones((200, 1))).quantiles([level], np.zeros(1), np.ones(1))


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=60), st.integers(1, 199))
def test_levels_are_symmetric_and_ordered(scores: list[float], step: int) -> None:
    calibration = calibrated(np.array(scores)[:, None])
    low, high = sorted([step, 200 - step])
    try:
        found = calibration.quantiles([low / 200, 0.5, high / 200], np.zeros(1), np.ones(1))[0]
    except ValueError:
        mass = 100 - low
        assert -(-(len(scores) + 1) * mass // 100) > len(scores)
    else:
        assert found[0] == -found[2]
        assert found[1] == 0


@pytest.mark.parametrize(
    ("scores", "message"),
    [
        (np.empty((0, 3)), "at least one"),
        (np.ones(3), r"expected \(windows, horizons\)"),
        (np.array([[1.0, np.nan]]), "window 0, horizon 2"),
        (np.array([[1.0], [-0.1]]), "window 1, horizon 1"),
    ],
)
def test_scores_that_mean_nothing_are_refused(
    scores: np.ndarray[tuple[int, ...], np.dtype[np.float64]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        fit_calibration(scores)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 2}, "format 2"),
        ({"n": 0}, "whole number"),
        ({"n": True}, "whole number"),
        ({"n": 50}, "50 windows give"),
        ({"z": [[1.0, 2.0], [1.0]]}, "all of one length"),
        ({"z": "no"}, "one list"),
        ({"z": [[2.0, *[1.0] * 98]]}, "rise with the mass"),
        ({"z": [[-1.0, *[1.0] * 98]]}, "not negative"),
    ],
)
def test_a_stored_calibration_that_is_not_one_is_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Calibration.from_json({**fit_calibration(np.ones((200, 1))), **change})


def test_wrong_number_of_horizons_is_refused() -> None:
    with pytest.raises(ValueError, match=r"expected \(2,\)"):
        calibrated(np.ones((200, 2))).quantiles([0.5], np.zeros(3), np.ones(3))


def test_dense_levels_are_the_shortest_decimals() -> None:
    assert [repr(float(level)) for level in DENSE_LEVELS[[0, 57, 188]]] == ["0.005", "0.29", "0.945"]
