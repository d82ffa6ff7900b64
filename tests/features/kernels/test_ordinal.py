from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fx_assets.features.kernels.ordinal import orders_of


@pytest.mark.parametrize("dimension", [2, 3, 4, 5])
def test_numbers_are_the_same_where_numpy_sorts_the_same(dimension: int) -> None:
    """All orders that values can stand in, with all their ties."""
    values = np.array(list(product(range(dimension), repeat=dimension)), dtype=np.float64)
    numbers = orders_of(values, {dimension})[dimension][:, 0]
    sorting = np.argsort(values)
    pairs = {(int(number), tuple(order)) for number, order in zip(numbers, sorting.tolist(), strict=True)}
    assert len(pairs) == len({number for number, _ in pairs}) == len({order for _, order in pairs})


@pytest.mark.parametrize("dimension", [6, 7])
def test_numbers_of_long_orders_are_too(dimension: int) -> None:
    draw = np.random.default_rng(dimension)
    values = draw.integers(0, dimension, (20_000, dimension)).astype(np.float64)
    numbers = orders_of(values, {3, dimension})[dimension][:, 0]
    sorting = np.argsort(values)
    pairs = {(int(number), tuple(order)) for number, order in zip(numbers, sorting.tolist(), strict=True)}
    assert len(pairs) == len({number for number, _ in pairs}) == len({order for _, order in pairs})


def test_a_place_is_numbered_by_the_values_from_there_on() -> None:
    (row,) = orders_of(np.array([[3.0, 1.0, 2.0, 3.0, 1.0, 2.0, 0.0]]), {3})[3]
    places = [np.flatnonzero(row[:5] == number).tolist() for number in dict.fromkeys(row[:5].tolist())]
    assert places == [[0, 3], [1], [2, 4]]
