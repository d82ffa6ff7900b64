from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fx_assets.features.kernels.base import Windows, kernels
from tests.features.kernels.agreement import disagreements, efficient
from tests.features.kernels.support import by_kernel, by_tsfresh, differences, families

# By calculator, the parameter sets asked besides tsfresh's own.
ASKED: dict[str, list[dict[str, Any]]] = {
    "absolute_sum_of_changes": [],
    "mean_abs_change": [],
    "mean_change": [],
    "mean_second_derivative_central": [],
    "cid_ce": [],
    "c3": [{"lag": lag} for lag in (0, 10, 47, 48, 500)],
    "time_reversal_asymmetry_statistic": [{"lag": lag} for lag in (0, 10, 47, 48, 500)],
    "index_mass_quantile": [{"q": q} for q in (0.0, 0.5, 0.999, 1.0, 1.5)],
    "energy_ratio_by_chunks": [
        {"num_segments": segments, "segment_focus": focus} for segments in (1, 7, 100) for focus in {0, segments - 1}
    ],
}


@pytest.mark.parametrize("calculator", ASKED)
def test_is_tsfreshs_value_whatever_the_other_windows(calculator: str) -> None:
    assert disagreements(calculator, efficient(calculator) + list(ASKED[calculator])) == {}


def test_mass_that_rounding_keeps_below_the_whole_is_where_tsfresh_finds_it() -> None:
    """Summed one by one, some windows come to less than their sum: tsfresh then answers with the first place."""
    windows = np.random.default_rng(11).standard_normal((200, 96))
    ours = by_kernel(windows, "index_mass_quantile", [{"q": 1.0}])
    assert differences(ours, by_tsfresh(windows, "index_mass_quantile", [{"q": 1.0}])) == []
    first = ours["value__index_mass_quantile__q_1.0"] == 1 / 96
    assert 0 < first.sum() < len(windows)


@pytest.mark.parametrize(
    ("calculator", "params", "message"),
    [
        ("c3", {"lag": -1}, "c3: lag is -1; give a whole number of 0 or more"),
        (
            "time_reversal_asymmetry_statistic",
            {"lag": -1},
            "time_reversal_asymmetry_statistic: lag is -1; give a whole number of 0 or more",
        ),
        (
            "energy_ratio_by_chunks",
            {"num_segments": 3, "segment_focus": 3},
            "energy_ratio_by_chunks: segment_focus is 3 of num_segments 3; "
            "give a segment_focus from 0 to one less than num_segments",
        ),
    ],
)
def test_refuses_what_has_no_value(calculator: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kernels()[calculator](Windows(families()["returns"]), [params])
