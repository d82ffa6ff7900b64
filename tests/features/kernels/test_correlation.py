from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from fx_assets.features.kernels.base import Windows, kernels
from tests.features.kernels.agreement import disagreements, efficient
from tests.features.kernels.support import by_kernel, by_tsfresh, differences, families

# By calculator, the parameter sets asked besides tsfresh's own: up to and behind the ends of the windows.
ASKED: dict[str, list[dict[str, Any]]] = {
    "autocorrelation": [{"lag": lag} for lag in (40, 95, 96, 97, 500)],
    "agg_autocorrelation": [
        {"f_agg": f_agg, "maxlag": maxlag}
        for f_agg in ("max", "mean", "median", "min", "std", "sum", "var")
        for maxlag in (1, 2, 19, 500)
    ],
    "partial_autocorrelation": [{"lag": lag} for lag in (16, 40, 46, 47, 48, 500)],
}


@pytest.mark.parametrize("calculator", ASKED)
def test_is_tsfreshs_value_whatever_the_other_windows(calculator: str) -> None:
    assert disagreements(calculator, efficient(calculator) + list(ASKED[calculator]), 3) == {}


def test_partial_autocorrelation_rounds_as_statsmodels_does() -> None:
    """A window that alternates leaves nothing to explain after lag 1: what follows is rounding over rounding."""
    windows = np.tile([0.3, -0.3], (2, 48))
    params = [{"lag": lag} for lag in range(48)]
    ours = by_kernel(windows, "partial_autocorrelation", params)
    assert differences(ours, by_tsfresh(windows, "partial_autocorrelation", params)) == []
    # At which lags it rounds to what no correlation can be is the processor's doing; that it does is what is tried.
    assert max(abs(column[0]) for column in ours.values()) > 1


def test_a_lag_does_not_depend_on_the_longest_asked() -> None:
    windows = Windows(families()["levels"])
    for calculator in ("autocorrelation", "partial_autocorrelation"):
        together = kernels()[calculator](windows, [{"lag": lag} for lag in range(40)])
        (alone,) = kernels()[calculator](windows, [{"lag": 7}])
        assert alone.tobytes() == together[7].tobytes()


@pytest.mark.parametrize(
    ("calculator", "params", "message"),
    [
        ("autocorrelation", {"lag": -1}, "lag is -1; give a whole number of 0 or more"),
        ("partial_autocorrelation", {"lag": True}, "lag is True; give a whole number of 0 or more"),
        ("agg_autocorrelation", {"f_agg": "mean", "maxlag": 0}, "maxlag is 0; give a whole number of 1 or more"),
        (
            "agg_autocorrelation",
            {"f_agg": "mode", "maxlag": 5},
            "f_agg is 'mode'; known are max, mean, median, min, std, sum, var",
        ),
    ],
)
def test_refuses_what_has_no_value(calculator: str, params: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{calculator}: {re.escape(message)}$"):
        kernels()[calculator](Windows(families()["returns"]), [params])
