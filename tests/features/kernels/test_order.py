from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fx_assets.features.kernels.base import Windows, kernels
from fx_assets.features.kernels.order import quantile_of
from tests.features.kernels.agreement import disagreements, edges, efficient
from tests.features.kernels.support import families

# By calculator, the parameter sets asked besides tsfresh's own.
ASKED: dict[str, list[dict[str, Any]]] = {
    "maximum": [],
    "minimum": [],
    "absolute_maximum": [],
    "mean_n_absolute_max": [{"number_of_maxima": n} for n in (1, 2, 40, 48, 95, 96, 97, 1000)],
    "first_location_of_maximum": [],
    "first_location_of_minimum": [],
    "last_location_of_maximum": [],
    "last_location_of_minimum": [],
    "median": [],
    "quantile": [{"q": q} for q in (0.0, 1 / 3, 0.5, 0.999, 1.0)],
    "symmetry_looking": [{"r": 0.001}, {"r": 1.0}],
    "has_duplicate": [],
    "has_duplicate_max": [],
    "has_duplicate_min": [],
    "ratio_value_number_to_time_series_length": [],
    "percentage_of_reoccurring_values_to_all_values": [],
    "percentage_of_reoccurring_datapoints_to_all_datapoints": [],
    "sum_of_reoccurring_values": [],
    "sum_of_reoccurring_data_points": [],
}


@pytest.mark.parametrize("calculator", ASKED)
def test_is_tsfreshs_value_whatever_the_other_windows(calculator: str) -> None:
    assert disagreements(calculator, efficient(calculator) + list(ASKED[calculator])) == {}


def test_a_quantile_is_numpys_to_the_last_bit() -> None:
    for name, values in (families() | edges()).items():
        for q in (*np.linspace(0, 1, 31), 0.2 * 100.0 / 100, 0.6 * 100.0 / 100):
            ours = quantile_of(Windows(values), float(q))
            assert (ours == np.quantile(values, float(q), axis=1)).all(), (name, q)


@pytest.mark.parametrize(
    ("calculator", "params", "message"),
    [
        ("quantile", {"q": 1.5}, "quantile: q is 1.5; give a number from 0 to 1"),
        (
            "mean_n_absolute_max",
            {"number_of_maxima": 0},
            "mean_n_absolute_max: number_of_maxima is 0; give a whole number of 1 or more",
        ),
    ],
)
def test_refuses_what_has_no_value(calculator: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kernels()[calculator](Windows(families()["returns"]), [params])
