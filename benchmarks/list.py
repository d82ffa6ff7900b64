"""`make bench`: the benchmarks there are, with the first line of what each says of itself."""

from __future__ import annotations

import ast
from pathlib import Path


def benchmarks() -> dict[str, str]:
    """Name to purpose of every script beside this one."""
    found = {}
    for path in sorted(Path(__file__).parent.glob("*.py")):
        text = path.read_text()
        # What others share has no main of its own.
        if path.stem != "list" and '__name__ == "__main__"' in text:
            found[path.stem] = (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]
    return found


if __name__ == "__main__":
    for name, purpose in benchmarks().items():
        print(f"benchmarks/{name}.py [--quick] [--json]\n    {purpose}")
