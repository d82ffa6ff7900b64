from __future__ import annotations

from itertools import product

import numpy as np
import pytest

from fx_assets.features.kernels.base import Windows, kernels
from tests.features.kernels.agreement import disagreements, edges, efficient
from tests.features.kernels.support import COUNT, by_kernel, by_tsfresh, differences, families

# Quantiles on, beside and outside values of the window, in turned order, and with both ends the same.
PAIRS = [(0.0, 1.0), (0.05, 0.5), (1 / 3, 0.95), (0.6, 0.2), (0.5, 0.5), (-0.1, 0.5), (0.2, 1.2)]
OTHERS = [
    {"ql": ql, "qh": qh, "isabs": sign, "f_agg": f_agg}
    for (ql, qh), sign, f_agg in product(PAIRS, (False, True), ("mean", "var", "std", "median"))
]


# tsfresh takes a millisecond for each of these values.
@pytest.mark.parametrize("count", [1, pytest.param(COUNT, marks=pytest.mark.slow)])
def test_is_tsfreshs_value_for_its_own_parameters(count: int) -> None:
    params = efficient("change_quantiles")
    assert len(params) == 60
    assert disagreements("change_quantiles", params, count) == {}


@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_is_tsfreshs_value_for_other_corridors_and_aggregates(pair: tuple[float, float]) -> None:
    params = [item for item in OTHERS if (item["ql"], item["qh"]) == pair]
    found = {
        name: differences(by_kernel(values, "change_quantiles", params), by_tsfresh(values, "change_quantiles", params))
        for name, values in (families(count=1) | edges(count=1)).items()
    }
    assert {name: lines for name, lines in found.items() if lines} == {}


def test_an_edge_at_a_value_takes_it_in_where_pandas_does() -> None:
    """Of 96 values these quantiles are values themselves, until pandas goes by percent and the last bit changes."""
    params = [
        {"ql": ql / 95, "qh": qh / 95, "isabs": False, "f_agg": "mean"} for ql, qh in product((0, 9, 36), (46, 71, 92))
    ]
    values = families()["returns"]
    ours = by_kernel(values, "change_quantiles", params)
    assert differences(ours, by_tsfresh(values, "change_quantiles", params)) == []


def test_a_value_does_not_depend_on_what_else_is_asked() -> None:
    windows = Windows(families()["tied"])
    params = [*OTHERS, *efficient("change_quantiles")]
    together = kernels()["change_quantiles"](windows, params)
    for item, column in zip(params, together, strict=True):
        (alone,) = kernels()["change_quantiles"](windows, [item])
        np.testing.assert_allclose(alone, column, rtol=1e-13, atol=1e-13)


def test_changes_within_large_levels_keep_their_variance() -> None:
    """Changes of 1e6 that differ by 1e-3: a difference of sums of squares would lose all of it."""
    noise = np.random.default_rng(5).standard_normal((3, 96)) * 1e-3
    windows = np.arange(96) * 1e6 + noise
    params = [{"ql": 0.0, "qh": qh, "isabs": False, "f_agg": "var"} for qh in (0.5, 1.0)]
    ours = by_kernel(windows, "change_quantiles", params)
    for name, column in by_tsfresh(windows, "change_quantiles", params).items():
        np.testing.assert_allclose(ours[name], column, rtol=1e-8)


def test_refuses_an_unknown_aggregate() -> None:
    params = [{"ql": 0.0, "qh": 0.5, "isabs": False, "f_agg": "prod"}]
    with pytest.raises(ValueError, match=r"^change_quantiles: f_agg is 'prod'; known are mean, median, std, var$"):
        kernels()["change_quantiles"](Windows(families()["returns"]), params)
