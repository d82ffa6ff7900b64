"""What Dagster's definitions and the reader must never load, each in a fresh process."""

from __future__ import annotations

import subprocess
import sys

import pytest

LOADED = "import sys; {statement}; print(' '.join(sorted({{name.split('.')[0] for name in sys.modules}})))"


def loaded(statement: str) -> set[str]:
    code = LOADED.format(statement=statement)
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize(
    ("statement", "banned"),
    [
        ("import fx_assets.definitions", {"torch", "tsfresh", "featuretools", "autofeat", "pytorch_lightning"}),
        ("import serving.app", {"dagster", "torch", "sklearn", "skops", "arch", "statsmodels", "pytorch_lightning"}),
        (
            "from fx_assets import settings; from fx_assets.models.catalog import load; load(settings.get_settings())",
            {"dagster", "torch", "sklearn", "pytorch_lightning", "onnxruntime"},
        ),
    ],
    ids=["definitions", "serving", "validate"],
)
def test_nothing_heavy_is_loaded(statement: str, banned: set[str]) -> None:
    modules = loaded(statement)
    assert "fx_assets" in modules
    assert not modules & banned
