"""What people see of a feature set: which pictures there are, what the tables say, and on which rows."""

from __future__ import annotations

import struct
from datetime import date
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from fx_assets.features.pictures.charts import MAX_BYTES, drift_chart, missing_chart
from fx_assets.features.pictures.of_set import set_pictures
from fx_assets.features.pictures.tables import cost_table
from fx_assets.features.pipeline import arrow_schema, build
from fx_assets.features.sets import feature_schema
from fx_assets.specs.schema import FeatureSetSpec
from tests.features.conftest import CORE, closes, daily, inputs_of

Said = tuple[dict[str, bytes], dict[str, str]]
FACTS: dict[str, dict[str, Any]] = {"indicators": {"ms_per_1000_rows": 12.0, "rows": 4_321, "features": 10}}
# Rows of the sample that a model learns from; one year of test and two of validation follow.
TRAINING = 1012


def made(*more: dict[str, Any], **options: Any) -> FeatureSetSpec:
    stages = [{"stage": "indicators", "options": options}, *more]
    return FeatureSetSpec.model_validate({"name": "probe", "stages": stages})


SPEC = made(**{**CORE, "roc": [5]})


@pytest.fixture(scope="module")
def sample() -> pa.Table:
    """Seven years of days."""
    return build(inputs_of(daily(closes(2300), date(2015, 1, 1))), SPEC)


def changed(sample: pa.Table, name: str, values: Any, rows: slice) -> pa.Table:
    place = sample.column_names.index(name)
    column = sample.column(name).to_numpy().copy()
    column[rows] = values
    return sample.set_column(place, name, pa.array(column))


def said(spec: FeatureSetSpec, sample: pa.Table) -> Said:
    return set_pictures(spec, sample, FACTS)


@pytest.fixture(scope="module")
def drawn(sample: pa.Table) -> Said:
    return said(SPEC, sample)


def test_there_are_pictures_where_there_is_something_to_see(sample: pa.Table, drawn: Said) -> None:
    pictures, tables = drawn
    assert sorted(pictures) == ["drift", "redundancy"]
    assert sorted(tables) == ["cost", "drift", "dropped", "missing"]
    for picture in pictures.values():
        assert picture[:8] == b"\x89PNG\r\n\x1a\n"
        assert len(picture) < MAX_BYTES
    assert tables["missing"] == "No value is missing in 1,800 sampled rows of 11 features."
    assert said(SPEC, sample) == (pictures, tables)


def test_what_would_be_dropped_is_a_preview_on_training_rows(sample: pa.Table, drawn: Said) -> None:
    pictures, tables = drawn
    begins = "Preview on 1,012 training rows up to 2020-11-27. The set has no stage `selection`: this is what its"
    assert tables["dropped"].startswith(begins)
    assert "| `roc_5` | `returns_5` | 1.0000 |" in tables["dropped"]
    # What a model is judged by changes nothing in the choice, and what it learns from does.
    later = changed(sample, "roc_5", 7.0, slice(TRAINING + 1, None))
    same_pictures, same_tables = said(SPEC, later)
    assert same_pictures["redundancy"] == pictures["redundancy"]
    assert same_tables["dropped"] == tables["dropped"]
    noise = np.random.default_rng(1).standard_normal(1000)
    other = said(SPEC, changed(sample, "roc_5", noise, slice(0, 1000)))
    assert "`roc_5`" not in other[1]["dropped"]
    assert other[0]["redundancy"] != pictures["redundancy"]


def test_the_sets_own_selection_is_what_is_previewed(sample: pa.Table) -> None:
    options = {**CORE, "roc": [5]}
    selection = {"stage": "selection", "options": {"threshold": 0.6}}
    _, tables = said(made({"stage": "autofeat"}, selection, **options), sample)
    assert "The live checkpoint's own choice is at selection/<model_id>." in tables["dropped"]
    assert "What autofeat would add in a training is not among these." in tables["dropped"]
    assert "threshold 0.6." in tables["dropped"]
    _, tables = said(made({**selection, "enabled": False}, **options), sample)
    assert "The set has no stage `selection`" in tables["dropped"]
    assert "threshold 0.95." in tables["dropped"]


@pytest.mark.parametrize("rows", [0, 1, 200])
def test_a_short_history_has_no_preview_and_says_so(rows: int, sample: pa.Table) -> None:
    pictures, tables = said(SPEC, sample.slice(len(sample) - rows))
    assert pictures == {}
    assert tables["dropped"].startswith("No preview of what would be dropped. insufficient_history: ")
    assert tables["drift"].startswith("Nothing to compare the latest rows with. insufficient_history: ")


def test_a_set_that_never_changes_is_said(sample: pa.Table) -> None:
    steady = sample
    for name in feature_schema(SPEC):
        steady = changed(steady, name, 1.0, slice(None))
    pictures, tables = said(SPEC, steady)
    assert pictures == {}
    assert "of 11 columns 11 never change" in tables["dropped"]
    assert "Left out: 11 features without two different values in the training rows." in tables["drift"]


def test_missing_values_are_counted_by_stage_and_feature(sample: pa.Table) -> None:
    holes = changed(changed(sample, "rsi_14", np.nan, slice(0, 450)), "macd", np.nan, slice(0, 18))
    pictures, tables = said(SPEC, holes)
    assert "missing" in pictures
    lines = tables["missing"].splitlines()
    assert lines[0] == "2 of 11 features have gaps in 1,800 sampled rows."
    assert "| indicators | 11 | 2 | 2.36 % |" in lines
    assert lines[-2:] == ["| `rsi_14` | indicators | 25.00 % |", "| `macd` | indicators | 1.00 % |"]


def test_costs_are_apportioned_by_what_a_stage_says_of_its_features(drawn: Said) -> None:
    assert "| indicators | 11 | 4,321 | 12 |" in drawn[1]["cost"]
    lines = cost_table(made(returns=[1], kama_ratio=[10]), FACTS).splitlines()
    shares = [float(line.split("|")[3]) for line in lines[-2:]]
    assert [line.split("|")[1].strip() for line in lines[-2:]] == ["`kama_ratio_10`", "`returns_1`"]
    assert shares[0] > shares[1]
    assert sum(shares) == pytest.approx(12.0, rel=0.01)


def test_drift_names_what_moved_and_the_rows_compared(sample: pa.Table) -> None:
    training = sample.column("rsi_14").to_numpy()[:TRAINING]
    moved = changed(sample, "rsi_14", np.median(training) + 3 * training.std(), slice(-40, None))
    _, tables = said(SPEC, moved)
    assert tables["drift"].startswith("22 sampled rows from 2023-11-21 to 2023-12-20 against 1,012 training rows up to")
    first = tables["drift"].splitlines()[4].split("|")
    assert first[1].strip() == "`rsi_14`"
    assert first[4].strip() == "+3.00 deviations"


def test_pictures_of_many_features_stay_small() -> None:
    periods = list(range(10, 310, 15))
    names = ("returns", "volatility", "rsi", "ema_ratio", "bollinger", "roc", "momentum", "sma_ratio", "slope", "trix")
    spec = made(**dict.fromkeys(names, periods))
    few = made(returns=[1])
    keys = build(inputs_of(daily(closes(1500), date(2018, 1, 1))), few).drop_columns(["returns_1"])
    rng = np.random.default_rng(2)
    columns = feature_schema(spec)
    values = np.cumsum(rng.standard_normal((len(keys), len(columns))), axis=0)
    values[:50, :100] = np.nan
    table = pa.table([*keys.columns, *(pa.array(column) for column in values.T)], schema=arrow_schema(columns))
    pictures, _ = said(spec, table)
    assert sorted(pictures) == ["drift", "missing", "redundancy"]
    sizes = {name: struct.unpack(">II", picture[16:24]) for name, picture in pictures.items()}
    assert all(width <= 830 and height <= 1100 for width, height in sizes.values()), sizes
    assert max(map(len, pictures.values())) < MAX_BYTES


def test_nothing_is_drawn_of_nothing() -> None:
    from fx_assets.features.pictures.drift import drift

    steady = drift(np.ones((5, 2)), np.ones((3, 2)))
    assert drift_chart("none", "", ["a", "b"], steady) is None
    assert missing_chart("none", "", ["a", "b"], np.zeros(2)) is None
