"""Bars to compute on, and tsfresh's own run over windows of them."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from fx_assets.features.frames import Frame
from fx_assets.features.kernels.base import kernels
from fx_assets.features.stages.tsfresh import Tsfresh, TsfreshOptions

FloatArray = NDArray[np.float64]
STAGE = Tsfresh()
HOUR = np.timedelta64(1, "h")


def options(**words: Any) -> TsfreshOptions:
    return TsfreshOptions.model_validate(words)


def only(*calculators: str, **words: Any) -> TsfreshOptions:
    """No preset, and these calculators, which take no parameters."""
    return options(preset="none", fc_parameters=dict.fromkeys(calculators), **words)


def frame(close: FloatArray) -> Frame:
    """Hourly bars that have a close."""
    time = np.datetime64("2024-01-02T00:00", "us") + HOUR * np.arange(len(close))
    return Frame("EURUSD", "1h", "fx", time, time + HOUR, time.astype("M8[D]"), {"close": close})


def closes(n: int, seed: int = 20260101) -> FloatArray:
    """Quotes of five digits whose volatility comes in clusters, with some that stand still and some that jump."""
    draw = np.random.default_rng(seed)
    volatility = 4e-4 * np.exp(0.8 * np.sin(np.arange(n) / 40) + 0.3 * draw.standard_normal(n))
    steps = draw.standard_t(4, n) * volatility
    steps[draw.random(n) < 0.05] = 0.0
    return np.asarray(np.round(1.1 * np.exp(np.cumsum(steps)), 5))


def by_tsfresh(
    values: FloatArray, rows: Sequence[int], window: int, kind: str, parameters: Mapping[str, Any]
) -> dict[str, FloatArray]:
    """What `extract_features` makes of the windows that end at these rows, under the names it gives."""
    from tsfresh import extract_features

    parts = [
        pd.DataFrame({"id": place, "time": range(window), kind: values[row - window + 1 : row + 1]})
        for place, row in enumerate(rows)
    ]
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # tsfresh divides by zero, and says so each time
        found = extract_features(
            pd.concat(parts),
            column_id="id",
            column_sort="time",
            default_fc_parameters=parameters,
            n_jobs=0,
            disable_progressbar=True,
        )
    return {str(name): found[name].to_numpy(dtype=np.float64) for name in found}


def has_kernel(column: str) -> bool:
    return column.split("__")[1] in kernels()


def near_constant(values: FloatArray) -> bool:
    """NaN everywhere, or one number but for rounding."""
    known = values[np.isfinite(values)]
    return not len(known) or bool(np.ptp(known) <= 1e-9 * max(1.0, float(np.abs(known).max())))
