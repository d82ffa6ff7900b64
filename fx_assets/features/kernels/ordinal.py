"""The order in which neighbouring values stand, as a number.

Source: Bandt and Pompe 2002, as in tsfresh 0.21.
"""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.kernels.base import FloatArray
from fx_assets.features.kernels.binning import IntArray

# The table of orders of 7 values has 322,560 entries, that of 8 has 5 million.
DIMENSIONS = range(2, 8)


def orders_of(values: FloatArray, dimensions: set[int]) -> dict[int, IntArray]:
    """(W, n) by dimension: the number of the order in which that many values from each on stand.

    Numbers that reach over the window's end mean nothing. Among its forerunners in the order a value is told by how
    many are not above it, and whether one is its equal: mixed-radix digits, each worked out for all windows at once.
    """
    flat = values.ravel()
    longest = max(dimensions, default=1)
    shifted = range(1, min(longest, len(flat)))
    not_above = {lag: (flat[:-lag] <= flat[lag:]).view(np.uint8) for lag in shifted}
    equal = {lag: (flat[:-lag] == flat[lag:]).view(np.uint8) for lag in shifted}
    numbers = np.zeros(len(flat), dtype=np.int32)
    found: dict[int, IntArray] = {}
    for last in range(1, longest):
        places = np.zeros(len(flat) - last, dtype=np.uint8)
        ties = np.zeros(len(flat) - last, dtype=np.uint8)
        for lag in range(1, last + 1):
            start = last - lag
            places += not_above[lag][start : start + len(places)]
            ties |= equal[lag][start : start + len(ties)]
        numbers *= 2 * (last + 1)
        numbers[:-last] += places + np.uint8(last + 1) * ties
        if last + 1 in dimensions:
            found[last + 1] = _sorting(last + 1).take(numbers).reshape(values.shape)
    return found


@cache
def _sorting(dimension: int) -> NDArray[np.int32]:
    """The number of the order that numpy's sort gives, by the number of the order with its ties."""
    sizes = [2 * (last + 1) for last in range(1, dimension)]
    digits = np.stack(np.unravel_index(np.arange(np.prod(sizes)), sizes)).astype(np.int8)
    ranks = np.zeros((dimension, digits.shape[1]), dtype=np.int8)
    fresh = np.ones((dimension, digits.shape[1]), dtype=np.int8)
    for last, digit in enumerate(digits, start=1):
        ranks[last], fresh[last] = digit % (last + 1), digit <= last
        ranks[:last] += ranks[:last] >= ranks[last]
    # A value for each: how many different ones are not above it.
    values = np.zeros((digits.shape[1], dimension))
    for place in range(dimension):
        values[:, place] = ((ranks <= ranks[place]) * fresh).sum(axis=0, dtype=np.int8)
    order = np.argsort(values)  # tsfresh's own call, whose order of equals is not defined
    numbers = np.zeros(digits.shape[1], dtype=np.int32)
    for place in range(dimension):
        numbers = numbers * dimension + order[:, place].astype(np.int32)
    return numbers
