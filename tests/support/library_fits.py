"""One small real fit of a library, in a process of its own: `python -m tests.support.library_fits NAME`.

Prints one JSON document. A process each, because autofeat keeps what it took and three of them warn of their own
use of pandas.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd


def tsfresh() -> dict[str, Any]:
    """Four features of three short series, beside the same by hand."""
    from tsfresh import extract_features

    series = np.random.default_rng(0).normal(size=(3, 20))
    long = pd.DataFrame({"id": np.repeat(range(3), 20), "time": np.tile(range(20), 3), "x": series.ravel()})
    wanted: dict[str, Any] = {
        "mean": None,
        "standard_deviation": None,
        "autocorrelation": [{"lag": 1}],
        "fft_coefficient": [{"coeff": 1, "attr": "abs"}],
    }
    found = extract_features(
        long, column_id="id", column_sort="time", n_jobs=0, disable_progressbar=True, default_fc_parameters=wanted
    )
    centred = series - series.mean(axis=1, keepdims=True)
    lagged = (centred[:, 1:] * centred[:, :-1]).sum(axis=1) / 19 / series.var(axis=1)
    by_hand = {
        "x__mean": series.mean(axis=1),
        "x__standard_deviation": series.std(axis=1),
        "x__autocorrelation__lag_1": lagged,
        'x__fft_coefficient__attr_"abs"__coeff_1': np.abs(np.fft.rfft(series)[:, 1]),
    }
    return {
        "columns": sorted(found.columns) == sorted(by_hand),
        "off_by": max(float(np.abs(found[name].to_numpy() - value).max()) for name, value in by_hand.items()),
    }


def featuretools() -> dict[str, Any]:
    """Deep feature synthesis from twelve bars to three days, beside the same by hand."""
    import featuretools as ft

    closes = np.random.default_rng(0).normal(1.1, 0.01, size=(3, 4))
    bars = pd.DataFrame(
        {
            "bar": range(12),
            "day": np.repeat(range(3), 4),
            "time": pd.date_range("2026-01-05", periods=12, freq="h"),
            "close": closes.ravel(),
        }
    )
    entities = ft.EntitySet("prices")
    entities.add_dataframe(dataframe_name="days", dataframe=pd.DataFrame({"day": range(3)}), index="day")
    entities.add_dataframe(dataframe_name="bars", dataframe=bars, index="bar", time_index="time")
    entities.add_relationship("days", "day", "bars", "day")
    matrix, definitions = ft.dfs(
        entityset=entities,
        target_dataframe_name="days",
        agg_primitives=["mean", "max", "std"],
        trans_primitives=[],
        n_jobs=1,
    )
    by_hand = {
        "MEAN(bars.close)": closes.mean(axis=1),
        "MAX(bars.close)": closes.max(axis=1),
        "STD(bars.close)": closes.std(axis=1, ddof=1),
    }
    return {
        "columns": sorted(matrix.columns) == sorted(by_hand),
        "off_by": max(float(np.abs(matrix[name].to_numpy() - value).max()) for name, value in by_hand.items()),
        # Definitions saved as JSON are what a feature set of step 3 keeps.
        "saved": len(ft.load_features(ft.save_features(definitions))),
    }


def autofeat() -> dict[str, Any]:
    """A fit that must find a square: y is linear in a squared, and in nothing that it was given."""
    from autofeat import AutoFeatRegressor

    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"a": rng.uniform(-3, 3, 60), "b": rng.uniform(-3, 3, 60)})
    target = 2.0 * rows["a"] ** 2 + rng.normal(0, 0.01, 60)
    model = AutoFeatRegressor(feateng_steps=1, featsel_runs=1, n_jobs=1, verbose=0)
    made = model.fit_transform(rows, target)
    unseen = pd.DataFrame({"a": [-2.5, 0.5, 1.5], "b": [0.0, 1.0, -1.0]})
    return {
        "columns": [str(name) for name in made.columns],
        "score": float(model.score(rows, target)),
        "off_by": float(np.abs(model.predict(unseen) - 2.0 * unseen["a"].to_numpy() ** 2).max()),
    }


def skl2onnx() -> dict[str, Any]:
    """A scaled ridge regression, through ONNX Runtime and through scikit-learn."""
    import onnxruntime
    from skl2onnx import to_onnx
    from sklearn.linear_model import Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    rows = np.random.default_rng(0).normal(size=(50, 3)).astype(np.float32)
    model = make_pipeline(StandardScaler(), Ridge()).fit(rows, rows @ np.array([1.0, -2.0, 3.0]))
    graph = to_onnx(model, rows[:1]).SerializeToString()
    session = onnxruntime.InferenceSession(graph, providers=["CPUExecutionProvider"])
    (answer,) = session.run(None, {session.get_inputs()[0].name: rows})
    expected = model.predict(rows)
    return {"off_by": float(np.abs(answer.ravel() - expected).max()), "spread": float(expected.std())}


FITS: dict[str, Callable[[], dict[str, Any]]] = {
    fit.__name__: fit for fit in (tsfresh, featuretools, autofeat, skl2onnx)
}


if __name__ == "__main__":
    json.dump(FITS[sys.argv[1]](), sys.stdout)
