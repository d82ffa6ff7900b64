from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from fx_assets.features.kernels.base import Windows, kernels
from tests.features.kernels.agreement import disagreements, efficient
from tests.features.kernels.support import by_kernel, families

# By calculator, the parameter sets asked besides tsfresh's own.
ASKED: dict[str, list[dict[str, Any]]] = {
    "count_above_mean": [],
    "count_below_mean": [],
    "longest_strike_above_mean": [],
    "longest_strike_below_mean": [],
    "count_above": [{"t": 1.25}, {"t": -3}],
    "count_below": [{"t": 1.25}, {"t": -3}],
    "value_count": [{"value": 1.25}, {"value": float("nan")}],
    "range_count": [{"min": -2, "max": 1}, {"min": 1.25, "max": 1.25}, {"min": 3, "max": -3}],
    "ratio_beyond_r_sigma": [{"r": 0}, {"r": 1.25}, {"r": -1}],
    "number_crossing_m": [{"m": 1.25}, {"m": -2}],
    "number_peaks": [{"n": n} for n in (2, 47, 48, 7, 9)],
}


@pytest.mark.parametrize("calculator", ASKED)
def test_is_tsfreshs_value_whatever_the_other_windows(calculator: str) -> None:
    assert disagreements(calculator, efficient(calculator) + list(ASKED[calculator])) == {}


def test_a_run_ends_with_its_window() -> None:
    """The first ends above its mean and the second begins there: two runs of three, not one of six."""
    windows = np.array([[0.0, 0.0, 0.0, 9.0, 9.0, 9.0], [9.0, 9.0, 9.0, 0.0, 0.0, 0.0]])
    assert by_kernel(windows, "longest_strike_above_mean", [{}])["value__longest_strike_above_mean"].tolist() == [3, 3]
    assert by_kernel(windows, "longest_strike_below_mean", [{}])["value__longest_strike_below_mean"].tolist() == [3, 3]


def test_refuses_peaks_without_neighbours() -> None:
    with pytest.raises(ValueError, match=r"^number_peaks: n is 0; give a whole number of 1 or more$"):
        kernels()["number_peaks"](Windows(families()["returns"]), [{"n": 0}])
