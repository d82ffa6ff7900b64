from __future__ import annotations

import re
from typing import Any

import pytest

from fx_assets.features.kernels.base import Params, Windows, kernels
from tests.features.kernels.agreement import disagreements, efficient
from tests.features.kernels.support import families

# A width that tsfresh's own set has too, one wider than the window, and places at and behind its end.
OTHERS: list[Params] = [
    {"widths": (1, 5, 30), "coeff": coeff, "w": w} for coeff in (0, 7, 50, 95, 96, 200, 299, 300) for w in (1, 5, 30)
]


def test_is_tsfreshs_value_whatever_the_other_windows() -> None:
    assert disagreements("cwt_coefficients", efficient("cwt_coefficients") + OTHERS, 3) == {}


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"widths": (2, 5), "coeff": 1, "w": 3}, "cwt_coefficients: w is 3; known are its widths (2, 5)"),
        ({"widths": (2, 0), "coeff": 1, "w": 2}, "cwt_coefficients: widths are (2, 0); give numbers above 0"),
        (
            {"widths": (2, 5), "coeff": -1, "w": 2},
            "cwt_coefficients: coeff is -1; give a whole number of 0 or more",
        ),
    ],
)
def test_refuses_what_has_no_value(params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kernels()["cwt_coefficients"](Windows(families()["returns"]), [params])
