"""All four generators on real hourly bars, as docs/features.md has them, through the command line."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import pytest

from fx_assets.settings import project_root

PAIR = """\
pair: EURUSD
pip: 0.0001
source:
  kind: csv
  files: {file}
  clock: UTC
  resolution: 1h
calendar: fx
frequencies: [1h]
history_start: 2016-01-01
plausible_range: [0.8, 1.6]
"""
STAGES = ("indicators", "tsfresh", "featuretools")
ROOT = project_root()


def documented() -> str:
    """The example of docs/features.md."""
    text = (ROOT / "docs" / "features.md").read_text()
    found = re.search(r"^    # configs/features/everything\.yaml\n(?:(?:    .*)?\n)+?(?=\n?\S)", text, re.MULTILINE)
    assert found is not None
    return textwrap.dedent(found[0])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_documented_set_is_made_of_real_hours_proven_and_fitted(sample_data: Path, tmp_path: Path) -> None:
    configs = tmp_path / "configs"
    for section in ("pairs", "features", "models"):
        (configs / section).mkdir(parents=True)
    shutil.copyfile(ROOT / "configs" / "dagster.yaml", configs / "dagster.yaml")
    file = sample_data / "oanda_h1" / "EUR_USD_H1.csv.xz"
    (configs / "pairs" / "EURUSD.yaml").write_text(PAIR.format(file=file))
    (configs / "features" / "everything.yaml").write_text(documented())
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("FX_", "DAGSTER_"))}
    environ |= {"FX_CONFIGS": str(configs), "FX_HOME": str(tmp_path / "var"), "FX_LIVE": "false"}

    def run(*words: str) -> dict[str, Any]:
        command = [str(Path(sys.executable).with_name("fx-assets")), *words, "--json"]
        done = subprocess.run(command, cwd=tmp_path, env=environ, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        document: dict[str, Any] = json.loads(done.stdout)
        return document

    assert run("validate")["valid"] is True
    made = ["features/everything", *(f"features/everything/{stage}" for stage in STAGES)]
    done = run("materialize", "--pairs", "EURUSD", "--select", ",".join(["prices/raw", "bars/1h", *made]))
    assert done["failed"] == []
    assert len(done["computed"]) == 6

    described = run("features", "describe", "everything", "--pair", "EURUSD")
    by_stage = {stage: [f for f in described["features"] if f["stage"] == stage] for stage in STAGES}
    assert {stage: len(found) > 10 for stage, found in by_stage.items()} == dict.fromkeys(STAGES, True)
    assert len(by_stage["tsfresh"]) > 500

    proof = run("probe", "everything", "--pair", "EURUSD", "--n", "4")
    assert (proof["passed"], proof["probes"]) == (True, 4)

    fitted = run("features", "fit", "everything", "--pair", "EURUSD")
    assert fitted["candidates"] == len(described["features"])
    assert fitted["reports"]["autofeat"]["status"] in {"fitted", "nothing found"}
    dropped = {item["name"]: item for item in fitted["reports"]["selection"]["dropped"]}
    assert dropped
    stage_of = {f["name"]: f["stage"] for f in described["features"]}
    # A manual feature is never dropped for one of a generator.
    assert all(
        stage_of.get(item["keeper"], "autofeat") == "indicators"
        for name, item in dropped.items()
        if stage_of.get(name) == "indicators" and item["reason"] == "redundant"
    )
    # Nothing changed: nothing is made again.
    assert run("materialize", "--pairs", "EURUSD", "--select", ",".join(made))["computed"] == []
