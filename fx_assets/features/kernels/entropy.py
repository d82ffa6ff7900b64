"""Entropy of how often the values of a window fall in a bin, those of its spectrum, or stand in an order; in nats.

Source: tsfresh 0.21, `numpy.histogram`; Bandt and Pompe 2002.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel
from fx_assets.features.kernels.binning import IntArray, bins_of
from fx_assets.features.kernels.checks import at_least, one_of
from fx_assets.features.kernels.ordinal import DIMENSIONS, orders_of
from fx_assets.features.kernels.spectrum import welch_density


@kernel("binned_entropy")
def binned_entropy(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Entropy of the values over `max_bins` bins of equal width."""
    at_least("binned_entropy", params, "max_bins", 1)
    return [_over_bins(windows.values, windows.minimum, windows.maximum, item["max_bins"]) for item in params]


@kernel("fourier_entropy")
def fourier_entropy(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Entropy of Welch's density, of its highest, over `bins` bins of equal width; NaN where the density is 0."""
    at_least("fourier_entropy", params, "bins", 1)
    density = welch_density(windows)
    highest = density.max(axis=1)
    flat = highest == 0
    density = density / np.where(flat, 1.0, highest)[:, None]
    lowest, highest = density.min(axis=1), density.max(axis=1)
    return [np.where(flat, np.nan, _over_bins(density, lowest, highest, item["bins"])) for item in params]


@kernel("permutation_entropy")
def permutation_entropy(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Entropy of the orders of `dimension` neighbours, from every `tau`-th value on; NaN in too short windows.

    Equal neighbours are ranked by numpy's unstable sort, as in tsfresh: its answer for them goes by the processor.
    """
    at_least("permutation_entropy", params, "tau", 1)
    one_of("permutation_entropy", params, "dimension", DIMENSIONS)
    n = windows.length
    orders = orders_of(windows.values, {item["dimension"] for item in params if item["dimension"] <= n})
    columns = []
    for item in params:
        dimension = item["dimension"]
        if dimension > n:
            columns.append(windows.missing)
        else:
            columns.append(_entropy(orders[dimension][:, : n - dimension + 1 : item["tau"]]))
    return columns


def _over_bins(values: FloatArray, lowest: FloatArray, highest: FloatArray, bins: int) -> FloatArray:
    """(W,): over bins of equal width from the lowest to the highest value, or one wide if there is but one value."""
    alone = lowest == highest
    first, last = np.where(alone, lowest - 0.5, lowest), np.where(alone, highest + 0.5, highest)
    return _entropy(bins_of(values, first, (last - first) / bins, bins, edge_above=True))


def _entropy(numbers: IntArray) -> FloatArray:
    """(W,): of how often each number comes in its row of (W, places)."""
    rows, places = numbers.shape
    ordered = np.sort(numbers, axis=1)
    begins = np.ones((rows, places), dtype=np.bool_)
    begins[:, 1:] = ordered[:, 1:] != ordered[:, :-1]
    at = np.flatnonzero(begins)
    lengths = np.diff(at, append=rows * places)
    logs = np.arange(places + 1) * np.log(np.maximum(np.arange(places + 1), 1))
    repeated = np.add.reduceat(logs.take(lengths), np.searchsorted(at, np.arange(0, rows * places, places)))
    return np.asarray((logs[places] - repeated) / places)
