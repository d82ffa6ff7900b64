"""The energy score against its definition, worked out pair by pair."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scoringrules
from numpy.typing import NDArray

from fx_assets.metrics.joint import energy_score

Floats = NDArray[np.float64]


def brute_force(y: Floats, draws: Floats) -> float:
    m = len(draws)
    near = sum(math.dist(draw, y) for draw in draws) / m
    spread = sum(math.dist(one, other) for one in draws for other in draws) / m**2
    return near - spread / 2


def test_energy_score_by_hand() -> None:
    # Two draws, 5 apart, the outcome on one of them: 5 / 2 less half of 10 / 4.
    score = energy_score(y=[[0.0, 0.0]], draws=[[[0.0, 0.0], [3.0, 4.0]]])
    assert score == pytest.approx([1.25])
    assert energy_score(y=[[3.0, 4.0]], draws=[[[0.0, 0.0]]]) == pytest.approx([5.0])


def test_energy_score_is_its_definition() -> None:
    rng = np.random.default_rng(10)
    y, draws = rng.normal(size=(4, 3)), rng.normal(size=(4, 12, 3))
    expected = [brute_force(y[i], draws[i]) for i in range(4)]
    assert energy_score(y=y, draws=draws) == pytest.approx(expected)
    # Any memory layout will do.
    turned = np.asfortranarray(draws)[:, ::-1]
    assert energy_score(y=y, draws=turned) == pytest.approx(expected)


def test_energy_score_of_one_quantity_is_the_crps_of_the_draws() -> None:
    rng = np.random.default_rng(11)
    y, draws = rng.normal(size=5), rng.normal(size=(5, 30))
    crps = scoringrules.crps_ensemble(y, draws, estimator="nrg", backend="numpy")
    assert energy_score(y=y[:, None], draws=draws[:, :, None]) == pytest.approx(crps)


def test_draws_of_the_true_dependence_score_best() -> None:
    rng = np.random.default_rng(12)
    y = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 200)
    scores = {
        correlation: energy_score(
            y=y, draws=rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], (200, 60))
        ).mean()
        for correlation in (-0.9, 0.0, 0.9)
    }
    assert scores[0.9] < scores[0.0] < scores[-0.9]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: energy_score(y=[[0.0]], draws=[[[0.0, 1.0]]]), r"got \(1, 1\) and \(1, 1, 2\)"),
        (lambda: energy_score(y=[0.0], draws=[[0.0]]), r"got \(1,\) and \(1, 1\)"),
        (lambda: energy_score(y=[[0.0]], draws=np.zeros((1, 0, 1))), r"at least one draw .* got \(1, 0, 1\)"),
        (lambda: energy_score(y=[[math.nan]], draws=[[[0.0]]]), "y: expected finite values; 1 of 1"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
