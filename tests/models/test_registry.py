from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from fx_assets.models import registry
from fx_assets.models.base import BasePredictor
from fx_assets.models.inputs import FloatArray
from fx_assets.models.registry import UnknownKind, check_model, kinds, predictor_class
from tests.models import example_drift
from tests.models.simulated import model_spec

PROJECT = Path(__file__).resolve().parents[2]
EXAMPLE = Path(example_drift.__file__)


def python(code: str, *path: Path) -> str:
    """Standard output of `code` in a fresh process that finds packages in `path` first."""
    environ = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, path)), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, env=environ, cwd=path[0], timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_known_kinds() -> None:
    assert {"random_walk", "har"} <= set(kinds())
    assert predictor_class("har").kind == "har"
    assert registry.broken_modules() == {}


def test_an_unknown_kind_names_the_nearest() -> None:
    with pytest.raises(UnknownKind, match=r"unknown kind 'random_wlak'\. Did you mean 'random_walk'\?"):
        predictor_class("random_wlak")
    assert check_model(model_spec("random_wlak")) == [
        ("kind", "unknown kind 'random_wlak'. Did you mean 'random_walk'?")
    ]


def test_two_classes_of_one_kind_are_refused() -> None:
    with pytest.raises(ValueError, match=r"kind 'har' of .*Other is already taken by .*predictors\.har\.Har"):

        class Other(BasePredictor):
            kind = "har"

            def _fit(self, histories: Any, rng: Any) -> dict[str, Any]:
                return {"rows": len(histories), "chance": rng.random()}

            def _predict(self, window: FloatArray) -> tuple[FloatArray, FloatArray]:
                return window[0], window[1]

    assert predictor_class("har").__module__ == "fx_assets.models.predictors.har"


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ({}, "needs _fit"),
        ({"trainer": "lightning"}, "needs network"),
        ({"_fit": lambda *_: {}, "Hyperparameters": BaseModel}, "forbid extra keys"),
    ],
)
def test_a_class_that_cannot_work_is_refused_where_it_is_written(body: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        type("Half", (BasePredictor,), {"kind": "half", **body})
    assert "half" not in kinds()


def test_a_base_without_a_kind_registers_nothing() -> None:
    before = kinds()
    type("Shared", (BasePredictor,), {})
    assert kinds() == before


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"hyperparameters": {"alhpa": 0.1}}, ("hyperparameters.alhpa", "unknown key. Did you mean 'alpha'?")),
        ({"hyperparameters": {"alpha": 2}}, ("hyperparameters.alpha", "Input should be less than 1, found 2")),
        ({"hyperparameters": {"alpha": []}}, ("hyperparameters.alpha", "Input should be a valid number")),
        (
            {"target": "volatility"},
            ("target", "kind 'random_walk' has no target 'volatility'; choose level or log_return"),
        ),
        (
            {"kind": "har", "target": "volatility", "scope": "panel"},
            ("scope", "kind 'har' has no scope 'panel'; choose pair"),
        ),
        ({"kind": "har", "window": 22}, ("window", "22 bars have 21 returns; the longest lag needs 22")),
        (
            {"kind": "har", "hyperparameters": {"lags": [5, 1]}},
            ("hyperparameters.lags", "expected rising whole numbers from 1"),
        ),
    ],
)
def test_problems_name_the_field_and_the_remedy(changes: dict[str, Any], expected: tuple[str, str]) -> None:
    assert check_model(model_spec(**{"kind": "random_walk", **changes})) == [expected]


@pytest.mark.parametrize(
    ("changes", "field", "cannot", "able"),
    [
        ({"features": "core"}, "features", "looks at closes only; remove this key", "itransformer"),
        ({"known_ahead": ["weekday"]}, "known_ahead", "takes no inputs of the bars to come", "itransformer"),
        (
            {"training": {"update": "warm"}},
            "training.update",
            "cannot go on from a version; write none",
            "itransformer",
        ),
        ({"ensemble": {"members": [{"kind": "har"}]}}, "ensemble", "has no members", "kind: ensemble"),
        (
            {"search": {"space": {"hyperparameters.alhpa": {"choices": [0.1]}}}},
            "search.space.hyperparameters.alhpa",
            "has no such key",
            "Did you mean 'alpha'?",
        ),
    ],
)
def test_what_a_kind_cannot_do_is_refused_with_what_can(
    changes: dict[str, Any], field: str, cannot: str, able: str
) -> None:
    ((found, message),) = check_model(model_spec(kind="random_walk", **changes))
    assert found == field
    assert cannot in message
    assert able in message


def test_all_problems_are_told_at_once() -> None:
    spec = model_spec(target="volatility", hyperparameters={"alhpa": 1, "beta": 2})
    assert [path for path, _ in check_model(spec)] == ["hyperparameters.alhpa", "hyperparameters.beta", "target"]


def test_the_configured_window_may_be_as_short_as_har_allows() -> None:
    assert check_model(model_spec("har", window=23)) == []


# -- discovery, in fresh processes ------------------------------------------------------------------

ASK = "from fx_assets.models import registry as r; print(r.predictor_class('example_drift').__module__)"


def test_the_example_is_short() -> None:
    assert len(EXAMPLE.read_text().splitlines()) <= 50


def test_a_module_dropped_into_predictors_is_found(tmp_path: Path) -> None:
    copy = tmp_path / "fx_assets"
    shutil.copytree(PROJECT / "fx_assets", copy, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(EXAMPLE, copy / "models" / "predictors" / "my_drift.py")
    assert python(ASK, tmp_path) == "fx_assets.models.predictors.my_drift"


def installed(folder: Path, entries: str, **modules: str) -> Path:
    """A folder as pip leaves it: modules, and a dist-info with entry points."""
    info = folder / "drift_plugin-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: drift-plugin\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(f"[fx_assets.predictors]\n{entries}\n")
    for name, text in modules.items():
        (folder / f"{name}.py").write_text(text)
    return folder


@pytest.mark.parametrize("value", ["drift_plugin", "drift_plugin:Drift"])
def test_another_package_registers_by_entry_point(tmp_path: Path, value: str) -> None:
    site = installed(tmp_path, f"drift = {value}", drift_plugin=EXAMPLE.read_text())
    assert python(ASK, site, PROJECT) == "drift_plugin"


def test_a_broken_plug_in_leaves_the_others_and_is_named_where_it_is_missed(tmp_path: Path) -> None:
    site = installed(tmp_path, "bad = bad_plugin\ngone = gone_plugin", bad_plugin="1 / 0")
    code = (
        "from fx_assets.models import registry as r\n"
        "assert {'har', 'random_walk'} <= set(r.kinds())\n"
        "try: r.predictor_class('example_drift')\n"
        "except r.UnknownKind as error: print(error)"
    )
    said = python(code, site, PROJECT)
    assert "entry point bad = bad_plugin (ZeroDivisionError: division by zero)" in said
    assert "entry point gone = gone_plugin (ModuleNotFoundError: No module named 'gone_plugin')" in said


HEAVY = (
    "torch",
    "sklearn",
    "skops",
    "arch",
    "statsmodels",
    "pandas",
    "onnxruntime",
    "pytorch_lightning",
    "matplotlib",
    "tsfresh",
    "dagster",
)


def test_the_registry_and_all_predictors_import_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from fx_assets.models import base, inputs, registry, calibration, volatility\n"
        "found = registry.kinds()\n"
        "assert {'har', 'random_walk'} <= set(found) and not registry.broken_modules(), registry.broken_modules()\n"
        "for kind in found: registry.predictor_class(kind).Hyperparameters.model_json_schema()\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    assert python(code, PROJECT) == "[]"
