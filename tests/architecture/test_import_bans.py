"""What Dagster's definitions and the reader must never load, each in a fresh process."""

from __future__ import annotations

import subprocess
import sys

import pytest

TRAINING_ONLY = {
    *(
        "torch",
        "tsfresh",
        "featuretools",
        "autofeat",
        "pytorch_lightning",
        "sklearn",
        "skl2onnx",
        "arch",
        "statsmodels",
    ),
    *("optuna", "mlflow", "wandb"),
}
READER_NEVER = {
    *TRAINING_ONLY,
    *("dagster", "skops", "numba", "sympy", "matplotlib"),
}
LOADED = "import sys; {statement}; print(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"


def loaded(statement: str) -> set[str]:
    code = LOADED.format(statement=statement)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import fx_assets.definitions", TRAINING_ONLY),
        ("import serving.app", READER_NEVER),
        (
            "from fx_assets import settings; from fx_assets.models.catalog import load; load(settings.get_settings())",
            TRAINING_ONLY | {"dagster", "onnxruntime"},
        ),
    ],
    ids=["definitions", "serving", "validate"],
)
def test_nothing_heavy_is_loaded(statement: str, banned: set[str]) -> None:
    modules = loaded(statement)
    assert "fx_assets" in modules
    assert not modules & banned


ONLINE = """
import numpy as np
from tests.features.conftest import closes, daily, inputs_of
from fx_assets.features.pipeline import build
from fx_assets.features.plan import load_plan
from fx_assets.specs.schema import FeatureSetSpec
stages = [
    {"stage": "indicators", "options": {"returns": [1], "rsi": [14], "yang_zhang": [5], "kama_ratio": [10]}},
    {"stage": "tsfresh", "options": {"window": 96}},
]
bars = daily(closes(640))
for name in ("open", "high", "low"):
    bars = bars.append_column(name, bars.column("close"))
table = build(
    inputs_of(bars, columns=("close", "open", "high", "low")),
    FeatureSetSpec.model_validate({"name": "online", "stages": stages}),
)
assert table.num_columns > 500
plan = load_plan(
    b'{"format": 1, "given": ["a"], "reports": {}, "steps": [{"stage": "selection", '
    b'"params": {"keep": ["a"], "fill": {"a": 1.0}}}]}'
)
assert plan.apply(np.array([[np.nan]])).tolist() == [[1.0]]
"""


def test_features_of_a_request_are_computed_without_heavy_libraries() -> None:
    code = ONLINE + "\nimport sys; print(' '.join(sorted({name.split('.')[0] for name in sys.modules})))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    # The tests' own helpers load pytest; what computes must not load more than this.
    assert not set(done.stdout.split()) & READER_NEVER
