"""How often a window repeats itself: the phrases of its binned values.

Source: tsfresh 0.21; Lempel and Ziv 1978.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel
from fx_assets.features.kernels.binning import IntArray, bins_of
from fx_assets.features.kernels.checks import at_least


@kernel("lempel_ziv_complexity")
def lempel_ziv_complexity(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Phrases per value that Lempel and Ziv's 1978 parsing finds, the values being cut into `bins` of equal width."""
    at_least("lempel_ziv_complexity", params, "bins", 1)
    span = windows.maximum - windows.minimum
    columns = {}
    for bins in {item["bins"] for item in params}:
        symbols = bins_of(windows.values, windows.minimum, span / bins, bins, edge_above=False)
        columns[bins] = _phrases(symbols, bins) / windows.length
    return [columns[item["bins"]] for item in params]


def _phrases(symbols: IntArray, bins: int) -> FloatArray:
    """(W,): how many phrases each row of symbols (W, n) below `bins` has.

    A phrase is a known one, or none, and a symbol: a key, held in the place of the step that found it. All rows go
    through their symbols together, and look for a key by comparing it with those of every step before.
    """
    rows, length = symbols.shape
    numbers = np.arange(1, length + 1, dtype=np.min_scalar_type(length))
    keys = np.zeros((length, rows), dtype=np.min_scalar_type((length + 1) * bins))
    known = np.zeros(rows, dtype=numbers.dtype)
    steps = symbols.T.astype(keys.dtype, order="C") + keys.dtype.type(1)  # 0 is no key
    for step, key in enumerate(steps):
        key += known * keys.dtype.type(bins)
        known = np.einsum("sw,s->w", (keys[:step] == key).view(np.uint8), numbers[:step])
        np.multiply(key, known == 0, out=keys[step])
    return np.asarray((keys != 0).sum(axis=0), dtype=np.float64)
