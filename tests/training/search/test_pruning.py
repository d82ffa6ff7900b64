"""The median rule over folds: cases by hand."""

from __future__ import annotations

import math

from fx_assets.training.search.pruning import COMPLETE_FIRST, hopeless, mean_loss


def test_a_mean_is_exact_and_finite() -> None:
    assert mean_loss([0.1] * 10) == 0.1
    assert mean_loss([1e308, 1e308]) == 1e308
    assert mean_loss([3.0]) == 3.0


def test_a_trial_is_hopeless_above_the_median_of_the_same_folds() -> None:
    complete = [(1.0, 9.0, 5.0), (2.0, 9.0, 5.0), (3.0, 9.0, 5.0), (4.0, 9.0, 5.0), (5.0, 9.0, 5.0)]
    assert not hopeless([3.0], complete)
    assert hopeless([math.nextafter(3.0, 4.0)], complete)
    # The mean of both folds counts: (3 + 9) / 2 is the median after two.
    assert not hopeless([3.5, 8.5], complete)
    assert hopeless([3.5, 8.6], complete)


def test_a_calm_fold_does_not_hide_a_bad_one() -> None:
    """Optuna's rule compares the lowest fold so far, 1.0, with the second fold's median, 9.0, and goes on."""
    complete = [(1.0, 9.0, 5.0)] * COMPLETE_FIRST
    assert hopeless([1.0, 20.0], complete)


def test_the_first_trials_run_to_the_end() -> None:
    assert not hopeless([100.0], [(1.0, 1.0)] * (COMPLETE_FIRST - 1))
    assert hopeless([100.0], [(1.0, 1.0)] * COMPLETE_FIRST)
