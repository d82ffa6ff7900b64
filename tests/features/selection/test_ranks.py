"""Rank correlations: those of scipy, to the bit the same whatever the order."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from fx_assets.features import redundancy
from fx_assets.features.redundancy import MAX_ROWS, correlations
from tests.features.selection.samples import reference


def test_they_are_those_of_scipy_with_ties_and_without() -> None:
    rng = np.random.default_rng(3)
    smooth = rng.standard_normal((700, 5))
    values = np.column_stack([smooth, np.round(smooth * 2), smooth[:, 0] > 1, rng.integers(0, 3, 700)]).astype(float)
    expected = stats.spearmanr(values).statistic
    assert np.abs(correlations(values) - expected).max() < 1e-12


def test_one_means_equal_ranks() -> None:
    rng = np.random.default_rng(4)
    for n in (2, 3, 17, 1_000):
        column = rng.standard_normal(n)
        column[: n // 3] = column[0]
        found = correlations(np.column_stack([column, np.exp(column), -(column**3)]))
        assert found.tolist() == [[1.0, 1.0, -1.0], [1.0, 1.0, -1.0], [-1.0, -1.0, 1.0]]


def test_never_over_one() -> None:
    rng = np.random.default_rng(5)
    column = np.repeat(np.arange(500.0), 2)
    values = np.column_stack([column + rng.standard_normal(1_000) * 1e-3 * i for i in range(1, 200)])
    assert np.abs(correlations(values)).max() == 1.0


def test_sums_stay_whole_numbers_in_float64() -> None:
    def largest(n: int) -> int:
        return n * (n * n - 1) // 3  # the sum of squares without ties; ties only lower it

    assert largest(300_079) < 2**53 <= largest(300_080)
    assert MAX_ROWS < 300_079


def test_the_largest_sum_is_exact() -> None:
    rng = np.random.default_rng(6)
    first = rng.standard_normal(MAX_ROWS)
    second = np.round(first * 50 + rng.standard_normal(MAX_ROWS))
    ranks = [(2 * stats.rankdata(column)).astype(np.int64) - MAX_ROWS - 1 for column in (first, second)]
    products = [float(int(a @ b)) for a, b in ((ranks[0], ranks[1]), (ranks[0], ranks[0]), (ranks[1], ranks[1]))]
    expected = products[0] / np.sqrt(products[1] * products[2])
    assert correlations(np.column_stack([first, second]))[0, 1] == expected


def test_order_changes_no_bit() -> None:
    rng = np.random.default_rng(7)
    values = rng.standard_normal((3_000, 2)) @ rng.standard_normal((2, 30)) + rng.standard_normal((3_000, 30))
    values[rng.random(values.shape) < 0.05] = np.nan
    groups = rng.integers(0, 3, 3_000)
    found = correlations(values, groups)
    rows, columns = rng.permutation(3_000), rng.permutation(30)
    shuffled = correlations(values[np.ix_(rows, columns)], groups[rows])
    assert np.array_equal(shuffled, found[np.ix_(columns, columns)])


def test_ranks_are_taken_within_each_pair() -> None:
    rng = np.random.default_rng(8)
    groups = np.repeat(np.array([7, 2, 5], dtype=np.int64), [400, 100, 300])
    level = np.array([0.0, 0, 50, 0, 0, 100, 0, 0])[groups]
    first, second = rng.standard_normal((2, 800)) + level
    assert correlations(np.column_stack([first, second]))[0, 1] > 0.8
    found = correlations(np.column_stack([first, second, first * (1 + level)]), groups)
    assert abs(found[0, 1]) < 0.1
    assert found[0, 2] == 1.0
    assert np.abs(found - reference(np.column_stack([first, second, first * (1 + level)]), groups)).max() < 1e-12


def test_what_never_changes_has_no_correlation() -> None:
    values = np.column_stack([np.arange(9.0), np.full(9, 3.0), np.full(9, np.nan), 1e6 + np.arange(9) * 1e-10])
    found = correlations(values)
    assert found[0, 0] == 1.0
    assert np.isnan(found[1:]).all()
    assert np.isnan(found[:, 1:]).all()


def test_of_too_many_rows_one_of_each_stretch_is_ranked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redundancy, "MAX_ROWS", 500)
    rng = np.random.default_rng(9)
    hour = np.arange(12_000) % 24.0  # every 24th row would be of one hour
    noise = rng.standard_normal(12_000)
    found = correlations(np.column_stack([hour, hour + 1e-3 * noise, noise]))
    assert found[0, 0] == 1.0
    assert found[0, 1] > 0.99
    assert abs(found[0, 2]) < 0.15
    for n in (501, 750, 999, 1_000, 12_001):
        rows, _ = redundancy._rows(np.zeros(n, dtype=np.int64))
        assert len(np.unique(rows)) == len(rows) == 500
        assert (np.diff(rows) > 0).all()
        assert rows.max() < n
