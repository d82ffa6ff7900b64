"""The stability index and the shift of medians, against numbers worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest

from fx_assets.features.pictures.drift import drift, stability_index


def test_the_index_is_that_of_the_formula() -> None:
    expected, found = np.array([10, 30]), np.array([3, 1])
    p, q = (10.5 / 41, 30.5 / 41), (3.5 / 5, 1.5 / 5)
    by_hand = sum((b - a) * math.log(b / a) for a, b in zip(p, q, strict=True))
    assert stability_index(expected, found) == pytest.approx(by_hand, rel=1e-14)
    assert stability_index(expected, expected) == 0.0
    assert math.isfinite(stability_index(np.array([5, 0]), np.array([0, 5])))


def test_tenths_of_the_training_rows_are_the_bins() -> None:
    training = np.arange(100.0)[:, None]
    same = drift(training, training)
    assert (same.index[0], same.shift[0], same.rows, same.latest) == (0.0, 0.0, 100, 100)
    # All latest rows in the highest tenth: p is .1 in each bin, q is nearly 1 in one.
    moved = drift(training, np.full((50, 1), 95.0))
    expected = stability_index(np.full(10, 10), np.array([0] * 9 + [50]))
    assert moved.index[0] == pytest.approx(expected, rel=1e-14)
    assert moved.shift[0] == pytest.approx((95.0 - 49.5) / training.std(), rel=1e-14)


@pytest.mark.parametrize("flag", [0.05, 0.95], ids=["mostly 0", "mostly 1"])
def test_a_flag_has_two_bins(flag: float) -> None:
    training = (np.arange(1000) < 1000 * flag).astype(float)[:, None]
    latest = 1.0 - training
    ones = int(1000 * flag)
    expected = stability_index(np.array([1000 - ones, ones]), np.array([ones, 1000 - ones]))
    assert drift(training, latest).index[0] == pytest.approx(expected, rel=1e-14)


def test_gaps_are_a_bin_of_their_own_where_there_are_any() -> None:
    training = np.arange(100.0)[:, None]
    latest = np.concatenate([np.arange(50.0), np.full(50, np.nan)])[:, None]
    counts = np.append(np.full(5, 10), np.zeros(5, int))
    expected = stability_index(np.append(np.full(10, 10), 0), np.append(counts, 50))
    assert drift(training, latest).index[0] == pytest.approx(expected, rel=1e-14)
    gone = drift(training, np.full((5, 1), np.nan))
    assert gone.index[0] > 1
    assert math.isnan(gone.shift[0])


def test_what_says_nothing_has_no_index_and_comes_last() -> None:
    steady, empty, moving = np.ones(60), np.full(60, np.nan), np.arange(60.0)
    training = np.column_stack([steady, empty, moving, moving])
    latest = np.column_stack([steady + 1, steady, moving, moving + 100])[:20]
    found = drift(training, latest)
    assert np.isnan(found.index).tolist() == [True, True, False, False]
    assert np.isnan(found.shift).tolist() == [True, True, False, False]
    assert found.worst.tolist() == [3, 2, 0, 1]


def test_chance_covers_what_did_not_change() -> None:
    rng = np.random.default_rng(7)
    found = drift(rng.standard_normal((500, 1500)), rng.standard_normal((200, 1500)))
    assert found.chance == pytest.approx(16.919 * (1 / 500 + 1 / 200))
    assert 0.03 < (found.index > found.chance).mean() < 0.06
