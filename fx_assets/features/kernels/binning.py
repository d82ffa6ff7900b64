"""The bin of each value, for bins of equal width between numpy's edges."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.kernels.base import FloatArray

# Up to this many bins, comparing with each edge is faster than a division.
FEW = 10
IntArray = NDArray[np.integer[Any]]


def bins_of(values: FloatArray, first: FloatArray, step: FloatArray, bins: int, *, edge_above: bool) -> IntArray:
    """(W, n): 0 to `bins` - 1, for values (W, n) from the edges `first` + k `step`, both (W,).

    A value on an edge belongs to the bin above it (as in `numpy.histogram`), or with `edge_above=False` below it.
    """
    first, step = first[:, None], step[:, None]
    beyond = np.greater_equal if edge_above else np.greater
    if bins <= FEW:
        found = np.zeros(values.shape, dtype=np.uint8)
        for edge in range(1, bins):
            found += beyond(values, edge * step + first)
        return found.astype(np.int32)
    places = np.floor((values - first) / np.where(step == 0, 1.0, step))
    places = np.minimum(places, bins - 1)
    # The edges decide, not the division: rounding may have put a value one bin off.
    places -= ~beyond(values, places * step + first) & (places > 0)
    places += beyond(values, (places + 1) * step + first) & (places < bins - 1)
    return np.asarray(places, dtype=np.int32)
