from __future__ import annotations

import re
from typing import Any

import pytest

from fx_assets.features.kernels.base import Windows, kernels
from tests.features.kernels.agreement import disagreements, efficient
from tests.features.kernels.support import families

# By calculator, the parameter sets asked besides tsfresh's own.
ASKED: dict[str, list[dict[str, Any]]] = {
    "binned_entropy": [{"max_bins": bins} for bins in (1, 2, 9, 11, 37, 100)],
    "fourier_entropy": [{"bins": bins} for bins in (1, 11, 37)],
    "permutation_entropy": [
        *({"tau": 1, "dimension": dimension} for dimension in (2,)),
        *({"tau": tau, "dimension": dimension} for tau in (2, 5, 100) for dimension in (2, 3, 7)),
    ],
}


@pytest.mark.parametrize("calculator", ASKED)
def test_is_tsfreshs_value_whatever_the_other_windows(calculator: str) -> None:
    assert disagreements(calculator, efficient(calculator) + list(ASKED[calculator]), 3) == {}


@pytest.mark.parametrize(
    ("calculator", "params", "message"),
    [
        ("binned_entropy", {"max_bins": 0}, "max_bins is 0; give a whole number of 1 or more"),
        ("fourier_entropy", {"bins": 2.0}, "bins is 2.0; give a whole number of 1 or more"),
        ("permutation_entropy", {"tau": 0, "dimension": 3}, "tau is 0; give a whole number of 1 or more"),
        ("permutation_entropy", {"tau": 1, "dimension": 8}, "dimension is 8; known are 2, 3, 4, 5, 6, 7"),
    ],
)
def test_refuses_what_has_no_value(calculator: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{calculator}: {re.escape(message)}$"):
        kernels()[calculator](Windows(families()["returns"]), [params])
