"""The presets against tsfresh's own: what is left out tells nothing, and all the rest is there and equal."""

from __future__ import annotations

import numpy as np
import pytest
from tsfresh.feature_extraction.settings import EfficientFCParameters, MinimalFCParameters

from fx_assets.features.kernels.base import column_of, compute, kernels
from fx_assets.features.tsfresh.parameters import PARAMETERS
from fx_assets.features.tsfresh.settings import _COSTS, _EFFICIENT, asked, cost, idle, preset
from tests.features.kernels.support import differences
from tests.features.tsfresh.support import STAGE, by_tsfresh, closes, frame, has_kernel, near_constant, options


def test_the_efficient_preset_is_that_of_tsfresh() -> None:
    theirs = dict(EfficientFCParameters())
    # These two take no column of a window at all.
    del theirs["linear_trend_timewise"], theirs["query_similarity_count"]
    for params in theirs["augmented_dickey_fuller"]:
        params["autolag"] = "AIC"  # the library's default, which it writes into its column names
    ours = {name: sets if PARAMETERS[name] else None for name, sets in _EFFICIENT.items()}
    assert ours == theirs


def test_the_minimal_preset_is_that_of_tsfresh_but_for_the_length() -> None:
    found = preset("minimal", window=96, prices=False, raw=False)
    assert set(found) == set(MinimalFCParameters()) - {"length"}
    assert all(sets == [{}] for sets in found.values())


@pytest.mark.parametrize(
    ("kind", "window", "count"),
    [("returns", 96, 16), ("close", 33, 16), ("log_close", 20, 16)],
    ids=["returns-96", "close-33", "log_close-20"],
)
def test_every_live_column_of_tsfresh_is_there_and_equal(kind: str, window: int, count: int) -> None:
    close = closes(1_200)
    found = STAGE.compute(frame(close), options(window=window, inputs=[kind]))
    rows = np.linspace(window, len(close) - 1, count).astype(int)
    values = {
        "returns": np.append(np.nan, np.diff(np.log(close)) * 1e4),
        "close": close,
        "log_close": np.log(close) * 1e4,
    }[kind]
    parameters = {name: sets for name, sets in EfficientFCParameters().items() if name in kernels()}
    theirs = by_tsfresh(values, list(rows), window, kind, parameters)
    finite = {name: np.where(np.isfinite(column), column, np.nan) for name, column in theirs.items()}
    live = {name: column for name, column in finite.items() if has_kernel(name) and not near_constant(column)}
    assert len(live) > 300
    assert live.keys() <= found.keys()
    compared = {name: column[rows] for name, column in found.items()}
    assert differences(compared, {name: finite[name] for name in found}) == []


def test_counts_of_the_efficient_preset() -> None:
    """As README and certificate would say it: columns for the default window, by kernels alone and with the rest."""
    by_kernels = sum(len(sets) for sets in preset("efficient", window=96, prices=False, raw=False).values())
    with_raw = sum(len(sets) for sets in preset("efficient", window=96, prices=False, raw=True).values())
    assert with_raw == 539
    assert by_kernels == with_raw - sum(len(sets) for name, sets in _EFFICIENT.items() if name not in kernels())


@pytest.mark.parametrize("prices", [False, True], ids=["returns", "prices"])
@pytest.mark.parametrize("window", [20, 21, 50, 96, 103, 200])
def test_what_is_left_out_tells_nothing(window: int, prices: bool) -> None:
    left_out = {
        name: [item for item in sets if idle(name, item, window, prices=prices)]
        for name, sets in _EFFICIENT.items()
        if name in kernels()
    }
    draw = np.random.default_rng(window)
    steps = draw.standard_t(3, (60, window)) * 8
    steps[:20] = np.round(steps[:20] / 8)
    steps[20, 2:] = 0.0
    values = 1.1 * np.exp(np.cumsum(steps, axis=1) / 1e4) if prices else steps
    found = compute(values, {name: sets for name, sets in left_out.items() if sets})
    assert len(found) > 20
    assert [name for name, column in found.items() if not near_constant(column)] == []


def test_fc_parameters_stand_in_place_of_the_preset() -> None:
    given = {"mean": [], "quantile": [{"q": 0.5}], "sample_entropy": None}
    allowed = {"window": 96, "prices": False, "raw": True}
    before = preset("efficient", **allowed)  # type: ignore[arg-type]
    after = asked("efficient", given, **allowed)  # type: ignore[arg-type]
    assert "mean" in before
    assert after == {name: sets for name, sets in before.items() if name != "mean"} | {
        "quantile": [{"q": 0.5}],
        "sample_entropy": [{}],
    }
    assert list(after)[-1] == "sample_entropy"
    # What is asked for by name is computed, idle or not.
    assert asked("none", {"length": None}, **allowed) == {"length": [{}]}  # type: ignore[arg-type]


def test_names_of_columns_are_no_two_the_same() -> None:
    names = [column_of(name, item) for name, sets in _EFFICIENT.items() for item in sets]
    assert len(set(names)) == len(names)


def test_costs_are_of_calculators_there_are() -> None:
    assert set(_COSTS) <= set(PARAMETERS)
    assert cost("benford_correlation") > cost("median") > cost("ar_coefficient") > cost("mean") == 1.0
    without = set(PARAMETERS) - set(kernels())
    assert min(cost(name) for name in without) == cost("number_cwt_peaks") > 100 * cost("benford_correlation")
