"""The saved definitions are those of the installed library, and its cutoffs are in force."""

from __future__ import annotations

import json
import subprocess
import sys
import warnings
from datetime import date
from typing import get_args

import numpy as np
import pandas as pd
import pytest

from fx_assets.features.aggregates.compute import Stretch, aggregate
from fx_assets.features.aggregates.definitions import FILE, PRIMITIVES, define, feature_name, load
from fx_assets.features.aggregates.remarks import known_remarks, library
from fx_assets.features.aggregates.values import VALUES
from fx_assets.features.stages.featuretools import Featuretools, FeaturetoolsOptions, Primitive, Value
from fx_assets.settings import project_root
from tests.features.aggregates.support import bars

ALL = [feature_name(primitive, value) for value in VALUES for primitive in PRIMITIVES]


def test_the_file_is_what_the_installed_library_defines() -> None:
    assert FILE.read_text(encoding="utf-8") == define(), "run python -m fx_assets.features.aggregates.definitions"


def test_the_options_name_all_that_is_defined() -> None:
    assert get_args(Primitive) == PRIMITIVES
    assert get_args(Value) == tuple(VALUES)
    assert [feature.get_name() for feature in load(ALL)] == ALL
    saved = json.loads(FILE.read_text(encoding="utf-8"))
    assert saved["feature_list"] == [f"periods: {name}" for name in ALL]


def test_columns_are_the_library_s_names_in_our_words() -> None:
    options = FeaturetoolsOptions(
        groups=["day", "session"], primitives=["mean", "trend"], columns=["close", "spread"], windows=[1, 5]
    )
    expected = [
        f"{primitive}_{value}_{kind}_{window}"
        for window in (1, 5)
        for kind in ("day", "tokyo", "london", "new_york")
        for value in ("close", "spread")
        for primitive in ("mean", "trend")
    ]
    columns = Featuretools().columns(options)
    assert [column.name for column in columns] == expected
    assert len(set(expected)) == len(expected) == 32
    parts = [column.name.split("_", 2) for column in columns[:4]]
    definitions = load([feature_name(primitive, value) for primitive, value, _ in parts])
    read = [(feature.primitive.name, feature.base_features[0].get_name()) for feature in definitions]
    assert read == [(primitive, value) for primitive, value, _ in parts]


def test_a_bar_that_closes_after_its_period_is_left_out_by_the_cutoff() -> None:
    rng = np.random.default_rng(1)
    closed = np.datetime64("2026-01-05T23", "us") + np.arange(30) * np.timedelta64(1, "h")
    values = {"returns": rng.normal(size=30)}
    features = load([feature_name(primitive, "returns") for primitive in PRIMITIVES])
    end = closed[19]
    leaking, whole = Stretch(np.arange(10, 30), end), Stretch(np.arange(10, 20), end)
    found = aggregate(features, [leaking, whole], closed, values)
    for name, column in found.items():
        assert column[0] == column[1], name
    assert found["LAST(bars.returns)"][0] == values["returns"][19]


def test_clocks_of_their_own_give_the_bits_of_cutoffs_on_the_common_clock() -> None:
    frame = bars(date(2026, 3, 5), date(2026, 3, 11))
    ft = library()
    day = np.unique(frame.trading_date, return_inverse=True)[1]
    ends = np.array([frame.end[day == number][-1] for number in range(5)])
    values = {"close": np.log(frame.columns["close"]), "spread": frame.columns["spread"]}
    # All but the trend, whose unit goes by what the common clock shows.
    features = load([feature_name(p, value) for value in values for p in PRIMITIVES if p != "trend"])
    entities = ft.EntitySet("prices")
    entities.add_dataframe(dataframe_name="periods", dataframe=pd.DataFrame({"period": range(5)}), index="period")
    entities.add_dataframe(
        dataframe_name="bars",
        dataframe=pd.DataFrame({"bar": range(len(frame)), "period": day, "closed": frame.end, **values}),
        index="bar",
        time_index="closed",
    )
    entities.add_relationship("periods", "period", "bars", "period")
    with known_remarks(features):
        matrix = ft.calculate_feature_matrix(
            features, entityset=entities, cutoff_time=pd.DataFrame({"period": range(5), "time": ends})
        )
    found = aggregate(
        features, [Stretch(np.flatnonzero(day == number), ends[number]) for number in range(5)], frame.end, values
    )
    for name, column in found.items():
        np.testing.assert_array_equal(column, matrix[name].to_numpy(), err_msg=name)


def test_many_bars_are_given_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    closed = np.datetime64("2026-01-05", "us") + np.arange(40) * np.timedelta64(1, "h")
    values = {"ticks": np.random.default_rng(2).normal(size=40)}
    stretches = [
        Stretch(np.arange(first, first + size), closed[39]) for first, size in [(0, 9), (9, 2), (3, 30), (5, 0)]
    ]
    features = load([feature_name("mean", "ticks"), feature_name("skew", "ticks")])
    whole = aggregate(features, stretches, closed, values)
    monkeypatch.setattr("fx_assets.features.aggregates.compute._CHUNK", 11)
    for name, column in aggregate(features, stretches, closed, values).items():
        np.testing.assert_array_equal(column, whole[name])


def test_nothing_is_said_and_nothing_of_others_is_renamed() -> None:
    frame = bars(date(2026, 1, 5), date(2026, 1, 7))
    options = FeaturetoolsOptions(primitives=list(get_args(Primitive)), windows=[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Featuretools().compute(frame, options)
    # featuretools would leave the addresses of these functions as their names, for the whole process.
    names = [function.__name__ for function in (np.mean, np.std, np.min, np.max, pd.Series.median, pd.Series.skew)]
    assert names == ["mean", "std", "min", "max", "median", "skew"]


@pytest.mark.slow
def test_the_library_is_imported_late_and_in_silence() -> None:
    script = """
import sys
from fx_assets.features.stages.featuretools import Featuretools, FeaturetoolsOptions
Featuretools().columns(FeaturetoolsOptions())
assert "featuretools" not in sys.modules and "pandas" not in sys.modules, "imported at module level"
from fx_assets.features.aggregates.remarks import known_remarks, library
library()
assert "featuretools" in sys.modules
"""
    done = subprocess.run(
        [sys.executable, "-W", "default", "-c", script], cwd=project_root(), capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
