"""The repository as a stranger gets it: a lock that is whole, no address of any registry, what the documents name."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
import zipfile
from functools import cache
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

from fx_assets.settings import project_root
from tests.check_skips import unexpected

ROOT = project_root()
TARGETS = ("install", "demo", "test", "test-slow", "soak", "up", "lint", "bench")
PACKAGES = ("fx_assets", "serving")
COMMANDS = ("validate", "materialize", "train", "forecast", "convert", "ingest", "export", "serve")
# What pip and its like call an index, the hosts of the public ones, and folders of one machine.
REGISTRY = re.compile(
    r"index[-_]url|find[-_]links|trusted[-_]host|PIP_INDEX|UV_INDEX|pypi\.org|pythonhosted|download\.pytorch\.org|pypi/simple"
    r"|(?<![\w.])/(work|root|home(?!/you/))/\w",
    re.IGNORECASE,
)
PIN = re.compile(r"(?P<name>[A-Za-z0-9][A-Za-z0-9._-]*)==(?P<version>[0-9][A-Za-z0-9.!]*)")


@cache
def tracked() -> tuple[Path, ...]:
    """Every file that git knows or would add."""
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file())


@cache
def project() -> dict[str, Any]:
    return tomllib.loads((ROOT / "pyproject.toml").read_text())


@cache
def lock() -> dict[str, str]:
    """Name to version; lines that are no pin are left to their own test."""
    pins = map(PIN.fullmatch, (ROOT / "requirements.lock").read_text().splitlines())
    return {canonicalize_name(pin["name"]): pin["version"] for pin in pins if pin}


def asked() -> list[Requirement]:
    """What pyproject asks for in a checkout: the dependencies and the development tools."""
    table = project()["project"]
    return [Requirement(text) for text in (*table["dependencies"], *table["optional-dependencies"]["dev"])]


def test_no_file_names_a_registry_or_a_folder_of_one_machine() -> None:
    found = []
    for path in tracked():
        if path == Path(__file__) or path.suffix == ".png":
            continue
        for number, line in enumerate(path.read_text().splitlines(), 1):
            if REGISTRY.search(line):
                found.append(f"{path.relative_to(ROOT)}:{number}: {line.strip()}")
    assert len(tracked()) > 100
    assert found == []


def test_the_lock_is_pins_and_nothing_else() -> None:
    lines = (ROOT / "requirements.lock").read_text().splitlines()
    assert [line for line in lines if not PIN.fullmatch(line)] == []
    assert len(lock()) == len(lines), "a package is pinned twice"


def test_the_lock_keeps_the_bounds_of_pyproject() -> None:
    table = project()["project"]
    optional = [Requirement(text) for group in table["optional-dependencies"].values() for text in group]
    for requirement in (*asked(), *optional, *map(Requirement, project()["build-system"]["requires"])):
        locked = lock().get(canonicalize_name(requirement.name))
        if locked is not None:
            assert requirement.specifier.contains(locked), f"{requirement}, locked {locked}"
    assert lock()["torch"] == "2.13.0"


@pytest.mark.parametrize("python", ["3.11", "3.12", "3.13"])
def test_the_lock_is_whole(python: str) -> None:
    # It is installed with --no-deps: what it leaves out is not there.
    assert python in project()["project"]["requires-python"] or f"Python :: {python}" in str(project()["project"])
    todo = [(requirement, "pyproject") for requirement in asked()]
    seen: set[tuple[str, frozenset[str]]] = set()
    absent, refused = set(), set()
    while todo:
        requirement, wanted_by = todo.pop()
        name = canonicalize_name(requirement.name)
        if name not in lock():
            absent.add(f"{name} (for {wanted_by})")
            continue
        if not requirement.specifier.contains(lock()[name], prereleases=True):
            refused.add(f"{wanted_by} wants {requirement}, locked {lock()[name]}")
        if (name, frozenset(requirement.extras)) in seen:
            continue
        seen.add((name, frozenset(requirement.extras)))
        for text in metadata.requires(name) or ():
            further = Requirement(text)
            if applies(further, requirement.extras, python):
                todo.append((further, name))
    assert (sorted(absent), sorted(refused)) == ([], [])
    assert len(seen) > 100


def applies(requirement: Requirement, extras: set[str], python: str) -> bool:
    """Whether a dependency holds on this platform, on a Python version, with these extras of its owner."""
    if requirement.marker is None:
        return True
    here = {"python_version": python, "python_full_version": f"{python}.9"}
    return any(requirement.marker.evaluate({**here, "extra": extra}) for extra in (*extras, ""))


def test_the_environment_is_the_locks() -> None:
    installed = {name: Version(metadata.version(name)).public for name in lock()}
    assert {name: version for name, version in installed.items() if version != Version(lock()[name]).public} == {}


def test_the_wheel_holds_every_file_of_the_packages(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        packed = set(archive.namelist())
    own = {str(path.relative_to(ROOT)) for path in tracked() if path.relative_to(ROOT).parts[0] in PACKAGES}
    assert own <= packed, sorted(own - packed)
    assert {"fx_assets/schemas/forecast.schema.json", "fx_assets/schemas/manifest.schema.json"} <= packed
    assert any(name.endswith("licenses/LICENSE") for name in packed)


@pytest.mark.parametrize("target", TARGETS)
def test_make_knows_the_target(target: str) -> None:
    def make(*words: str) -> subprocess.CompletedProcess[str]:
        clean = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
        return subprocess.run(["make", *words], cwd=ROOT, env=clean, capture_output=True, text=True, check=False)

    # -n prints what it would do, -B as if nothing had been built yet.
    done = make("-n", "-B", target)
    assert done.returncode == 0, done.stderr
    assert "pip install" in done.stdout, "it builds the environment where that is missing"
    assert re.search(rf"^{target}\s+\w", make("help").stdout, re.MULTILINE)


def test_ci_runs_what_the_readme_says() -> None:
    script = ROOT / ".ci" / "run"
    assert os.access(script, os.X_OK)
    assert "make lint test test-slow" in script.read_text()
    readme = (ROOT / "README.md").read_text()
    assert "make lint test test-slow" in readme
    for command in ("make demo", "make test", "make up", *(f"fx-assets {command}" for command in COMMANDS)):
        assert command in readme, command
    assert re.findall(r"^[A-Z_]{6,}$", readme, re.MULTILINE) == [], "a place that was left to be filled in"


def test_the_links_of_the_documents_lead_somewhere() -> None:
    found = 0
    for path in (ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *(ROOT / "docs").glob("*.md")):
        for target in re.findall(r"\]\(([^)#]+)\)", path.read_text()):
            if "://" not in target:
                found += 1
                assert (path.parent / target).exists(), f"{path.name}: {target}"
    assert found > 0


LOG = """\
.s..                                                                     [100%]
SKIPPED [1] tests/e2e/test_pictures.py:41: no chromium on this machine
SKIPPED [2] tests/storage/test_lake.py:9: too lazy
1 passed, 3 skipped in 0.10s
"""


def test_a_skip_that_is_not_named_is_found() -> None:
    named = "# comment\n\ntests/e2e/test_pictures.py: no chromium\n"
    skips, bad = unexpected(LOG, named)
    assert skips == [
        "tests/e2e/test_pictures.py: no chromium on this machine",
        "tests/storage/test_lake.py: too lazy",
    ]
    assert bad == ["tests/storage/test_lake.py: too lazy"]
    assert unexpected(LOG, "")[1] == skips
    assert unexpected(LOG, named + "tests/storage/test_lake.py: too lazy\n")[1] == []
    # The same reason in another file is another skip.
    assert unexpected(LOG, named + "tests/storage/test_control.py: too lazy\n")[1] == bad
    assert unexpected("4 passed in 0.10s\n", "") == ([], [])


SKIPPING = """
import pytest

@pytest.mark.skip(reason="no reason that anybody wrote down")
def test_one(): ...

def test_two():
    pytest.skip("another")

def test_three(): ...
"""


def test_skips_are_read_from_what_pytest_prints(tmp_path: Path) -> None:
    (tmp_path / "test_skipping.py").write_text(SKIPPING)
    (tmp_path / "pytest.ini").write_text("[pytest]\naddopts = -ra\n")
    ran = subprocess.run(
        [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--color=yes"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    (tmp_path / "log").write_text(ran.stdout)
    done = subprocess.run(
        [sys.executable, str(ROOT / "tests" / "check_skips.py"), str(tmp_path / "log")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert "NOT EXPECTED skip: test_skipping.py: no reason that anybody wrote down" in done.stdout
    assert "NOT EXPECTED skip: test_skipping.py: another" in done.stdout
    assert "2 skips, 2 of them not named" in done.stdout
    (tmp_path / "log").write_text("1 passed in 0.01s\n")
    subprocess.run([sys.executable, str(ROOT / "tests" / "check_skips.py"), str(tmp_path / "log")], check=True)
