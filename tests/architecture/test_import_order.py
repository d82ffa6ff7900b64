"""The house of DESIGN 2: a room imports only from rooms before it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from fx_assets.settings import project_root

ROOMS = (
    "settings",
    "children",
    "specs",
    "timegrid",
    "metrics",
    "storage",
    "prices",
    "bars",
    "features",
    "models",
    "training",
    "forecasting",
    "evaluation",
    "orchestration",
    "definitions",
    "commands",
    "cli",
)
DATA_ROOMS = frozenset(ROOMS[6:13])
SERVING_MAY = frozenset({"settings", "specs", "timegrid", "metrics", "storage", "features", "models", "forecasting"})
HEAVY = (
    *("torch", "tsfresh", "featuretools", "autofeat", "pytorch_lightning", "sklearn", "skops", "arch", "statsmodels"),
    *("optuna", "mlflow", "wandb", "skl2onnx"),
)
ROOT = project_root()


def imports(path: Path) -> Iterator[str]:
    """Every absolute module name that a file imports, inside functions too."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module or ""
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def module_level_imports(path: Path) -> Iterator[str]:
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def room_of(module: str) -> str | None:
    parts = module.split(".")
    return parts[1] if parts[0] == "fx_assets" and len(parts) > 1 else None


def room_of_file(path: Path) -> str:
    return path.relative_to(ROOT / "fx_assets").parts[0].removesuffix(".py")


FILES = sorted(p for p in (ROOT / "fx_assets").rglob("*.py") if p.name != "__init__.py")


def allowed(path: Path) -> set[str]:
    room = room_of_file(path)
    before = set(ROOMS[: ROOMS.index(room) + 1])
    if path.name == "assets.py":
        return before | {"orchestration"}
    if room == "orchestration":
        return before - DATA_ROOMS
    return before


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_go_one_way(path: Path) -> None:
    used = {room for module in imports(path) if (room := room_of(module)) in ROOMS}
    assert used <= allowed(path), f"{path.name} imports {sorted(used - allowed(path))}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_dagster_stays_at_the_front_doors(path: Path) -> None:
    dagster = any(module.split(".")[0].startswith("dagster") for module in imports(path))
    at_the_door = path.name == "assets.py" or room_of_file(path) in {"orchestration", "definitions", "commands", "cli"}
    assert at_the_door or not dagster


def test_serving_imports_only_its_rooms() -> None:
    for path in sorted((ROOT / "serving").rglob("*.py")):
        used = {room for module in imports(path) if (room := room_of(module)) in ROOMS}
        assert used <= SERVING_MAY, f"{path}: {sorted(used - SERVING_MAY)}"
        assert not any(module.endswith(".assets") or module.split(".")[0] == "dagster" for module in imports(path))


def test_heavy_libraries_are_imported_where_they_are_used() -> None:
    for path in FILES:
        # Files that are themselves only imported by a training may import it at the top.
        if room_of_file(path) == "training" or "networks" in path.parts:
            continue
        heavy = {module.split(".")[0] for module in module_level_imports(path)} & set(HEAVY)
        assert not heavy, f"{path}: {sorted(heavy)}"


def test_every_init_is_empty() -> None:
    for folder in ("fx_assets", "serving"):
        for path in (ROOT / folder).rglob("__init__.py"):
            assert path.read_text() == "", f"{path} is not empty"


def test_no_file_is_long() -> None:
    for path in (
        p for folder in ("fx_assets", "serving", "tests", "benchmarks") for p in (ROOT / folder).rglob("*.py")
    ):
        assert len(path.read_text().splitlines()) <= 400, f"{path} has over 400 lines"
