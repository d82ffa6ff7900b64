"""The stage: options, columns, and values that depend on their own window alone."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from fx_assets.features.errors import FeatureError
from fx_assets.features.kernels.base import CHUNK
from fx_assets.features.stages.base import stage
from fx_assets.features.stages.tsfresh import Tsfresh
from tests.features.tsfresh.support import STAGE, closes, frame, only, options

EVERY = ["returns", "close", "log_close"]


def test_it_is_found_by_name_and_follows_the_indicators() -> None:
    assert isinstance(stage("tsfresh"), Tsfresh)
    assert Tsfresh.priority == 20
    assert STAGE.needs(options()) == {"close"}


@pytest.mark.parametrize(
    ("words", "field", "message"),
    [
        ({"window": 19}, "window", "greater than or equal to 20"),
        ({"inputs": []}, "inputs", "at least 1 item"),
        ({"inputs": ["high"]}, "inputs", "'returns', 'close' or 'log_close'"),
        ({"inputs": ["close", "close"]}, "inputs", "each input may stand once"),
        ({"preset": "comprehensive"}, "preset", "'minimal', 'efficient' or 'none'"),
        ({"preset": "none"}, "fc_parameters", "give no feature"),
        ({"preset": "none", "fc_parameters": {"mean": []}}, "fc_parameters", "give no feature"),
        ({"fc_parameters": {"maen": None}}, "fc_parameters", "unknown calculator 'maen'. Did you mean 'mean'?"),
        (
            {"fc_parameters": {"energy_ratio_by_chunks": [{"num_segments": 4, "segment_focus": 4}]}},
            "fc_parameters",
            "energy_ratio_by_chunks: segment_focus is 4 of num_segments 4",
        ),
        (
            {"fc_parameters": {"change_quantiles": [{"ql": 0.0, "qh": 0.5, "isabs": True, "f_agg": "mode"}]}},
            "fc_parameters",
            "change_quantiles: f_agg is 'mode'",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_options_that_cannot_be_are_told(words: dict[str, Any], field: str, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        options(**words)
    (error,) = caught.value.errors()
    assert error["loc"][0] == field
    assert message in error["msg"]


def test_names_costs_and_words_of_columns() -> None:
    chosen = options(
        preset="none",
        inputs=["close", "returns"],
        fc_parameters={
            "mean": None,
            "quantile": [{"q": 0.1}],
            "fft_coefficient": [{"coeff": 3, "attr": "abs"}],
            "cwt_coefficients": [{"widths": [2, 5], "coeff": 4, "w": 5}],
        },
    )
    columns = STAGE.columns(chosen)
    assert [column.name for column in columns[:4]] == [
        "close__mean",
        "close__quantile__q_0.1",
        'close__fft_coefficient__attr_"abs"__coeff_3',
        "close__cwt_coefficients__coeff_4__w_5__widths_(2, 5)",
    ]
    assert [c.name.replace("close", "returns") for c in columns[:4]] == [c.name for c in columns[4:]]
    assert all(column.sources == ("close",) and column.missing and column.cost >= 1 for column in columns)
    assert columns[0].about == "tsfresh's mean of the last 96 closes"
    assert columns[5].about == "tsfresh's quantile (q 0.1) of the last 96 log returns in basis points"


def test_a_mean_by_hand() -> None:
    close = closes(60)
    found = STAGE.compute(frame(close), only("mean", "maximum", window=20, inputs=EVERY))
    assert list(found) == [f"{kind}__{name}" for kind in EVERY for name in ("mean", "maximum")]
    assert found["close__mean"][30] == pytest.approx(close[11:31].mean(), rel=1e-14)
    assert found["log_close__maximum"][30] == pytest.approx(np.log(close[11:31].max()) * 1e4, rel=1e-14)
    assert found["returns__mean"][30] == pytest.approx(np.log(close[30] / close[10]) * 1e4 / 20, rel=1e-9)
    assert np.isnan(found["close__mean"]).tolist() == [row < 19 for row in range(60)]
    assert np.isnan(found["returns__mean"]).tolist() == [row < 20 for row in range(60)]


def test_lookback_is_the_window_and_a_bar_for_its_first_return() -> None:
    assert STAGE.lookback(options(window=48), "1h") == 48
    assert STAGE.lookback(options(window=48, inputs=["close"]), "1h") == 47
    assert STAGE.lookback(options(window=48, inputs=["close", "returns"]), "1d") == 48


@pytest.mark.parametrize("rows", [1, 19, 20, 21, 22])
def test_frames_shorter_than_a_window(rows: int) -> None:
    found = STAGE.compute(frame(closes(rows)), only("mean", window=20, inputs=["returns", "close"]))
    assert np.isfinite(found["returns__mean"]).sum() == max(0, rows - 20)
    assert np.isfinite(found["close__mean"]).sum() == max(0, rows - 19)


def test_a_value_is_of_its_own_window_to_the_last_bit() -> None:
    chosen = options(window=32, inputs=EVERY)
    bars = frame(closes(CHUNK + 150))
    whole = STAGE.compute(bars, chosen)
    lookback = STAGE.lookback(chosen, "1h")
    for row in (lookback, 700, CHUNK + 40, len(bars) - 1):
        expected = np.array([column[row] for column in whole.values()])
        for begin in (0, row - lookback):
            part = STAGE.compute(bars.take(slice(begin, row + 1)), chosen, first=row - begin)
            assert np.array([column[-1] for column in part.values()]).tobytes() == expected.tobytes()


def test_rows_before_the_first_are_not_computed() -> None:
    found = STAGE.compute(frame(closes(100)), only("mean", window=20), first=70)
    assert np.isnan(found["returns__mean"]).tolist() == [row < 70 for row in range(100)]


def test_what_has_no_finite_value_is_nan() -> None:
    """A market that stands still: returns are all 0, so there is no autocorrelation."""
    found = STAGE.compute(frame(np.full(120, 1.25)), options(), first=96)
    assert np.isnan(found["returns__autocorrelation__lag_1"]).all()
    assert (found["returns__mean"][96:] == 0).all()
    assert not any(np.isinf(column).any() for column in found.values())


def test_infinities_become_nan() -> None:
    bars = frame(closes(30) * 1e200)
    with np.errstate(over="ignore"):
        found = STAGE.compute(bars, only("abs_energy", "mean", window=20, inputs=["close"]))
    assert np.isnan(found["close__abs_energy"]).all()
    assert np.isfinite(found["close__mean"][19:]).all()


def test_a_gap_in_the_closes_is_refused() -> None:
    close = closes(100)
    close[50] = np.nan
    with pytest.raises(FeatureError, match="needs column 'close' without gaps"):
        STAGE.compute(frame(close), options())


def test_checking_and_computing_load_no_heavy_library() -> None:
    code = """
import sys, numpy as np
from fx_assets.features.frames import Frame
from fx_assets.features.stages.tsfresh import Tsfresh, TsfreshOptions
options = TsfreshOptions(fc_parameters={'quantile': [{'q': 0.5}]})
close = 1.1 + np.cos(np.arange(200.0)) / 9
time = np.arange(200).astype('M8[us]')
Tsfresh().columns(options)
Tsfresh().compute(Frame('EURUSD', '1h', 'fx', time, time, time.astype('M8[D]'), {'close': close}), options)
print(*sorted({name.split('.')[0] for name in sys.modules}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "numpy" in loaded
    assert not loaded & {"tsfresh", "pandas", "statsmodels", "sklearn", "torch", "dagster", "numba", "stumpy"}
