"""The libraries that no room uses yet still work together at the versions of the lock: each makes a small real fit.

An import would not show it: autofeat imports with scikit-learn 1.8 and breaks in `fit`.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

from fx_assets.settings import project_root


def fit(library: str) -> dict[str, Any]:
    """What the fit says of itself; its warnings stay in its own process."""
    done = subprocess.run(
        [sys.executable, "-m", "tests.support.library_fits", library],
        env={**os.environ, "PYTHONHASHSEED": "0"},  # autofeat's result depends on it
        cwd=project_root(),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said: dict[str, Any] = json.loads(done.stdout)
    return said


@pytest.mark.slow
def test_tsfresh_extracts() -> None:
    said = fit("tsfresh")
    assert said["columns"]
    assert said["off_by"] < 1e-9


def test_featuretools_synthesises() -> None:
    said = fit("featuretools")
    assert said["columns"]
    assert said["off_by"] < 1e-9
    assert said["saved"] == 3


@pytest.mark.slow
def test_autofeat_fits() -> None:
    said = fit("autofeat")
    assert "a**2" in said["columns"]
    assert said["score"] > 0.999
    assert said["off_by"] < 0.1


def test_scikit_learn_goes_to_onnx() -> None:
    said = fit("skl2onnx")
    assert said["off_by"] < 1e-5
    assert said["spread"] > 1.0
