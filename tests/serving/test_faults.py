"""docs/faults.md names a test for every hostile input and fault of the reader, and each of them is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from fx_assets.settings import project_root

ROWS = {
    row.split("|")[1].strip(): re.findall(r"`([\w/]+\.py)::(\w+)`", row)
    for row in (project_root() / "docs" / "faults.md").read_text().splitlines()
    if re.match(r"\| \d+ \|", row)
}


def functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}


def test_every_row_of_the_reader_is_there() -> None:
    assert list(ROWS) == [str(number) for number in range(36, 50)]


@pytest.mark.parametrize("row", ROWS)
def test_its_tests_exist(row: str) -> None:
    assert ROWS[row], "no test is named"
    for file, name in ROWS[row]:
        assert name in functions(Path(__file__).parent / file), f"{file} has no {name}"
