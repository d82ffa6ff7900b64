"""tsfresh's own functions, a window at a time, for calculators that have no kernel. Slow, and imports tsfresh."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from fx_assets.features.kernels.base import FloatArray, Params, column_of


def compute(values: FloatArray, asked: Mapping[str, Sequence[Params]]) -> dict[str, FloatArray]:
    """Columns `value__...` (W,) of all windows (W, n), as the kernels' `compute` gives them.

    Not for several threads: Python's warning filters belong to the process.
    """
    from tsfresh.feature_extraction import feature_calculators

    result: dict[str, FloatArray] = {}
    # tsfresh divides by zero and fits polynomials to too few points where a window says nothing, and calls pandas and
    # statsmodels in ways of which they warn that they will change: on every window anew.
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        for category in (RuntimeWarning, np.exceptions.RankWarning, FutureWarning):
            warnings.simplefilter("ignore", category)
        for calculator, sets in asked.items():
            found = _of_calculator(getattr(feature_calculators, calculator), values, sets)
            result |= {column_of(calculator, params): column for params, column in zip(sets, found, strict=True)}
    return result


def _of_calculator(function: Any, values: FloatArray, sets: Sequence[Params]) -> FloatArray:
    """(sets, W): one row for each parameter set."""
    import pandas as pd

    result = np.empty((len(sets), len(values)))
    as_series = getattr(function, "input", None) == "pd.Series"
    for place, row in enumerate(values):
        window: Any = pd.Series(row) if as_series else np.ascontiguousarray(row)
        if function.fctype == "combiner":
            result[:, place] = [value for _, value in function(window, param=sets)]
        else:
            result[:, place] = [function(window, **params) for params in sets]
    return result
