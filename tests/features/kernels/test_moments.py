from __future__ import annotations

import numpy as np
import pytest

from tests.features.kernels.agreement import disagreements, efficient
from tests.features.kernels.support import by_kernel, by_tsfresh, differences

# By calculator, the parameter sets asked besides tsfresh's own.
ASKED: dict[str, list[dict[str, float]]] = {
    "sum_values": [],
    "abs_energy": [],
    "mean": [],
    "length": [],
    "variance": [],
    "standard_deviation": [],
    "variance_larger_than_standard_deviation": [],
    "variation_coefficient": [],
    "root_mean_square": [],
    "skewness": [],
    "kurtosis": [],
    "large_standard_deviation": [{"r": 0.0}, {"r": -1.0}, {"r": 0.275}],
}


@pytest.mark.parametrize("calculator", ASKED)
def test_is_tsfreshs_value_whatever_the_other_windows(calculator: str) -> None:
    assert disagreements(calculator, efficient(calculator) + list(ASKED[calculator])) == {}


@pytest.mark.parametrize("calculator", ["skewness", "kurtosis"])
def test_a_window_of_next_to_no_variance_is_constant_as_for_pandas(calculator: str) -> None:
    """Scales on both sides of where pandas takes sums of powers for rounding."""
    shape = np.random.default_rng(3).standard_normal((1, 96)) ** 3
    windows = np.concatenate([shape * 10.0**-power for power in range(1, 12)])
    ours = by_kernel(windows, calculator, [{}])
    assert differences(ours, by_tsfresh(windows, calculator, [{}])) == []
    zeros = ours[f"value__{calculator}"] == 0
    assert 0 < zeros.sum() < len(windows)
