"""Each benchmark runs by itself and says what it measured in the one form that others rely on."""

from __future__ import annotations

import json
import math
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from fx_assets.settings import project_root

FOLDER = project_root() / "benchmarks"
RATIOS = {
    # And that of the selection where feature-engine, which is no dependency, is on the path.
    "features": {
        "faster_than_tsfresh",
        "faster_than_roll_and_extract",
        "columns_equal",
        "extra_memory_mb",
        "cost_growth",
        "whole_of_increment",
    },
    "ingest": {
        "read_faster_than_pandas",
        "to_lake_of_pandas",
        "bi5_of_bare_numpy",
        "append_growth",
        "append_bytes_growth",
    },
    "nightly": {"warm_of_cold", "orchestration_share"},
    "resample": {"faster_than_pandas", "memory_share_of_pandas", "of_bare_polars"},
    "serving": {
        "read_of_raw_asgi",
        "not_modified_of_raw_asgi",
        "predict_of_bare_forward",
        "cheaper_than_idiomatic",
        "read_p99_under_load",
        "read_p99_of_another_server",
    },
    # And that against neuralforecast where an environment with it is named.
    "training": {"of_bare_loop"},
}


def run(script: Path, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """In an empty folder: a benchmark depends on nothing beside it."""
    return subprocess.run(
        [sys.executable, str(script), *words], cwd=folder, capture_output=True, text=True, timeout=240, check=False
    )


def test_every_benchmark_is_listed_with_its_purpose(tmp_path: Path) -> None:
    done = run(FOLDER / "list.py", tmp_path)
    assert done.returncode == 0, done.stderr
    listed = done.stdout.splitlines()
    assert [line.split()[0] for line in listed[::2]] == [f"benchmarks/{name}.py" for name in sorted(RATIOS)]
    assert all(line.startswith("    ") and line.strip() for line in listed[1::2])


@pytest.mark.slow
@pytest.mark.parametrize("name", RATIOS)
def test_a_quick_run_gives_one_object(name: str, tmp_path: Path) -> None:
    done = run(FOLDER / f"{name}.py", tmp_path, "--quick", "--json")
    assert done.returncode == 0, done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    assert set(document) == {"name", "ratios", "equal", "machine", "versions"}
    assert document["name"] == name
    assert document["equal"] is True
    assert set(document["ratios"]) == RATIOS[name]
    assert all(math.isfinite(value) and value > 0 for value in document["ratios"].values())
    assert document["machine"]
    assert document["versions"]["fx-assets"] == metadata.version("fx-assets")
    assert list(tmp_path.iterdir()) == []
