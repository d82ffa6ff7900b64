"""The energy score against its definition and scoringrules."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import scoringrules

from fx_assets.metrics.joint import energy_score


def test_energy_score_by_hand() -> None:
    # Two draws, 5 apart, the outcome on one of them: 5 / 2 less half of 5.
    draws = np.array([[[0.0, 0.0]], [[3.0, 4.0]]])
    assert energy_score(draws, np.zeros((1, 2))) == pytest.approx([0.0])
    # Between them, at 2.5 of both: 2.5 less 2.5; beside them, 10 from the one and 5 from the other.
    assert energy_score(draws, np.array([[1.5, 2.0]])) == pytest.approx([0.0])
    assert energy_score(draws, np.array([[6.0, 8.0]])) == pytest.approx([5.0])


def test_energy_score_is_that_of_scoringrules() -> None:
    rng = np.random.default_rng(10)
    outcome, draws = rng.normal(size=(4, 3)), rng.normal(size=(12, 4, 3))
    theirs = scoringrules.es_ensemble(outcome, np.moveaxis(draws, 0, 1), estimator="akr", backend="numpy")
    assert energy_score(draws, outcome) == pytest.approx(theirs, rel=1e-12)
    # Any memory layout will do.
    assert energy_score(np.asfortranarray(draws), outcome) == pytest.approx(theirs, rel=1e-12)


def test_draws_of_the_true_dependence_score_best() -> None:
    rng = np.random.default_rng(12)
    outcome = rng.multivariate_normal([0, 0], [[1, 0.9], [0.9, 1]], 200)
    scores = {
        correlation: energy_score(
            rng.multivariate_normal([0, 0], [[1, correlation], [correlation, 1]], (600, 200)), outcome
        ).mean()
        for correlation in (-0.9, 0.0, 0.9)
    }
    assert scores[0.9] < scores[0.0] < scores[-0.9]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: energy_score(np.zeros((3, 1, 2)), np.zeros((1, 1))), r"expected paths .*\(3, 1, 2\), \(1, 1\)"),
        (lambda: energy_score(np.zeros((3, 1)), np.zeros(1)), r"expected paths .*\(3, 1\), \(1,\)"),
        (lambda: energy_score(np.zeros((1, 1, 1)), np.zeros((1, 1))), "two draws or more"),
        (lambda: energy_score(np.zeros((2, 1, 1)), np.full((1, 1), math.nan)), "have not come due"),
    ],
)
def test_wrong_arguments_are_named(call: Callable[[], object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        call()
