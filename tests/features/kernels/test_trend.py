from __future__ import annotations

import re
from itertools import product
from typing import Any

import numpy as np
import pytest

from fx_assets.features.kernels.base import Windows, kernels
from tests.features.kernels.agreement import disagreements, efficient
from tests.features.kernels.support import by_kernel, by_tsfresh, differences, families

# Parts of one value, of two and three that numpy adds differently, two parts, a part for the whole, and beyond.
SIZES = (1, 7, 31, 95, 96, 250)


def test_is_tsfreshs_line_whatever_the_other_windows() -> None:
    assert disagreements("linear_trend", efficient("linear_trend"), 3) == {}


def test_is_tsfreshs_line_through_aggregates_whatever_the_other_windows() -> None:
    assert disagreements("agg_linear_trend", efficient("agg_linear_trend"), 1) == {}


@pytest.mark.parametrize("aggregate", ["max", "mean", "min", "std", "sum", "var"])
def test_is_tsfreshs_line_through_parts_of_other_sizes(aggregate: str) -> None:
    params = [{"attr": a, "chunk_len": n, "f_agg": aggregate} for a, n in product(("pvalue", "rvalue", "slope"), SIZES)]
    for family, values in families(count=1).items():
        ours = by_kernel(values, "agg_linear_trend", params)
        assert (family, differences(ours, by_tsfresh(values, "agg_linear_trend", params))) == (family, [])


@pytest.mark.parametrize("size", [5, 8, 10, 50, 128, 129, 150])
def test_parts_are_added_as_numpy_adds_them(size: int) -> None:
    """Parts of a constant vary by rounding alone, and r is the direction of that: any other order turns it."""
    windows = np.array([[0.1], [1.10347], [110.347]]) * np.ones(310)
    params = [{"attr": "rvalue", "chunk_len": size, "f_agg": f_agg} for f_agg in ("mean", "sum", "var")]
    ours = by_kernel(windows, "agg_linear_trend", params)
    assert differences(ours, by_tsfresh(windows, "agg_linear_trend", params)) == []


@pytest.mark.parametrize(
    ("calculator", "params", "message"),
    [
        (
            "linear_trend",
            {"attr": "rise"},
            "linear_trend: attr is 'rise'; known are intercept, pvalue, rvalue, slope, stderr",
        ),
        (
            "agg_linear_trend",
            {"attr": "slope", "chunk_len": 5, "f_agg": "median"},
            "agg_linear_trend: f_agg is 'median'; known are max, mean, min, std, sum, var",
        ),
        (
            "agg_linear_trend",
            {"attr": "slope", "chunk_len": 0, "f_agg": "mean"},
            "agg_linear_trend: chunk_len is 0; give a whole number of 1 or more",
        ),
    ],
)
def test_refuses_what_has_no_value(calculator: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(message)}$"):
        kernels()[calculator](Windows(families()["returns"]), [params])
