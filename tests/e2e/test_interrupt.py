"""A night from the command line ends when it is told to, and goes on from there the next time."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from fx_assets.settings import project_root
from tests.support.tiny_lake import tiny_lake

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_night_and_the_next_one_goes_on(tmp_path: Path, number: signal.Signals) -> None:
    configs = tiny_lake(tmp_path).settings.configs
    shutil.copyfile(project_root() / "configs" / "dagster.yaml", configs / "dagster.yaml")
    for file in (configs / "pairs").iterdir():
        file.write_text(file.read_text().replace("history_start: 1999-01-04", "history_start: 2018-01-02"))
    home = tmp_path / "home"
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("FX_", "DAGSTER_"))}
    environ |= {"FX_CONFIGS": str(configs), "FX_HOME": str(home), "FX_LIVE": "false"}
    command = [str(Path(sys.executable).with_name("fx-assets")), "materialize", "--json"]
    told = subprocess.Popen(
        command, env=environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=tmp_path
    )
    # The first steps are behind it, and many are to come.
    while told.poll() is None and not (home / "lake" / "prices" / "raw").is_dir():
        time.sleep(0.02)
    told.send_signal(number)
    printed, said = told.communicate()
    assert told.returncode == 130, said
    first = json.loads(printed)
    assert first["interrupted"] is True
    assert len(first["failed"]) == 1
    assert "goes on from there" in said

    again = [*command, "--select", "prices/raw,bars/1d"]
    done = subprocess.run(again, env=environ, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    after = json.loads(done.stdout)
    assert (after["interrupted"], after["failed"]) == (False, [])
    assert set(first["computed"]) <= set(after["reused"])
    assert len(after["computed"]) + len(after["reused"]) == 4
