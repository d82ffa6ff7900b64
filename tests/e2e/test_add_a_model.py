"""docs/add-a-model.md, followed to the letter in a copy of the project: its files written, its commands run."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from fx_assets.settings import project_root

ROOT = project_root()
PAGE = ROOT / "docs" / "add-a-model.md"
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def blocks() -> list[tuple[str, str]]:
    """Language and text of each block of the page, in order."""
    return [(match[1], match[2]) for match in BLOCK.finditer(PAGE.read_text())]


def copy_of_the_project(folder: Path) -> Path:
    """What git would hand to somebody who clones it now."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.splitlines()
    for name in listed:
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / name, folder / name)
    return folder


def test_the_page_is_files_and_commands() -> None:
    languages = [language for language, _ in blocks()]
    assert languages == ["yaml", "console", "python", "yaml", "console"]
    assert all(text.startswith(("# configs/", "# fx_assets/", "$ ")) for _, text in blocks())
    assert PAGE.read_text().count("\n") < 125, "one page"


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_the_page_works_as_it_stands(tmp_path: Path) -> None:
    project = copy_of_the_project(tmp_path / "project")
    binaries = str(Path(sys.executable).parent)
    environ = {
        **{name: value for name, value in os.environ.items() if not name.startswith(("FX_", "DAGSTER_", "PYTEST_"))},
        "PATH": f"{binaries}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(project),  # before the checkout that the environment was installed from
        "FX_HOME": str(tmp_path / "var"),
        "FX_LIVE": "false",
    }
    said: dict[str, str] = {}
    for language, text in blocks():
        if language != "console":
            path = project / text.splitlines()[0].removeprefix("# ")
            path.write_text(text)
            continue
        for line in text.splitlines():
            command = line.removeprefix("$ ")
            done = subprocess.run(
                command.split(), cwd=project, env=environ, capture_output=True, text=True, check=False
            )
            assert done.returncode == 0, f"{command}\n{done.stdout}\n{done.stderr}"
            said[command] = done.stdout
    assert "all valid" in said["fx-assets validate"]
    assert re.search(r"\b[1-9][0-9]* passed", said["python -m pytest tests/models/test_conformance.py -k momentum"])
    assert "6" in said["fx-assets trials --model momentum"]
    for model in ("eurusd_ridge", "momentum"):
        assert "80 %" in said[f"fx-assets forecast EURUSD --model {model}"], said
