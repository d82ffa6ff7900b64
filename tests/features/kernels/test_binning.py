from __future__ import annotations

import numpy as np
import pytest

from fx_assets.features.kernels.binning import bins_of


@pytest.mark.parametrize("bins", [1, 2, 3, 7, 10, 11, 30, 100])
@pytest.mark.parametrize("scale", [1.0, 0.1, 1.10347e-4])
def test_values_on_edges_fall_where_numpy_puts_them(bins: int, scale: float) -> None:
    """Every edge is a value, with its neighbours in float64: half of them a rounded division puts beside their bin."""
    edges = np.linspace(0.3 * scale, 7.7 * scale, bins + 1)
    values = np.concatenate([edges, np.nextafter(edges, 9), np.nextafter(edges, -9)]).clip(edges[0], edges[-1])
    first, step = edges[:1], (edges[-1:] - edges[:1]) / bins
    above = bins_of(values[None], first, step, bins, edge_above=True)[0]
    assert np.bincount(above, minlength=bins).tolist() == np.histogram(values, bins)[0].tolist()
    below = bins_of(values[None], first, step, bins, edge_above=False)[0]
    assert below.tolist() == np.searchsorted(edges[1:], values, side="left").tolist()


@pytest.mark.parametrize("bins", [2, 100])
def test_a_constant_falls_in_one_bin(bins: int) -> None:
    assert not bins_of(np.full((2, 5), 0.1), np.full(2, 0.1), np.zeros(2), bins, edge_above=False).any()
