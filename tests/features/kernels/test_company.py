from __future__ import annotations

import numpy as np
import pytest

from fx_assets.features.kernels.base import CHUNK, Windows, kernels
from tests.features.kernels.agreement import efficient

CALCULATORS = (
    "agg_autocorrelation",
    "agg_linear_trend",
    "ar_coefficient",
    "autocorrelation",
    "binned_entropy",
    "cwt_coefficients",
    "fft_aggregated",
    "fft_coefficient",
    "fourier_entropy",
    "lempel_ziv_complexity",
    "linear_trend",
    "partial_autocorrelation",
    "permutation_entropy",
    "spkt_welch_density",
)


@pytest.mark.parametrize("calculator", CALCULATORS)
def test_a_window_of_a_whole_chunk_is_computed_as_alone(calculator: str) -> None:
    """numpy works in blocks of some thousand values: a few windows do not fill one."""
    draw = np.random.default_rng(20260103)
    values = np.round(draw.standard_t(4, (CHUNK, 96)) * 8, 1)
    values[::50] = 0.1  # takes the way of windows without variance
    whole = kernels()[calculator](Windows(values), efficient(calculator))
    for rows in (slice(0, 1), slice(500, 501), slice(CHUNK - 1, CHUNK), slice(3, None, 70), slice(100, 357)):
        part = kernels()[calculator](Windows(values[rows]), efficient(calculator))
        unlike = [
            item
            for item, one, other in zip(efficient(calculator), part, whole, strict=True)
            if one.tobytes() != other[rows].tobytes()
        ]
        assert unlike == []
