"""Reads pytest's output: every skip must be named in expected_skips.txt. `check_skips.py LOG`."""

from __future__ import annotations

import re
import sys
from pathlib import Path

SKIP = re.compile(r"^SKIPPED \[(?P<count>\d+)\] (?P<place>\S+?)(:\d+)?: (?P<reason>.*)$")
COLOUR = re.compile(r"\x1b\[[0-9;]*m")
EXPECTED = Path(__file__).parent / "expected_skips.txt"


def unexpected(log: str, expected: str) -> tuple[list[str], list[str]]:
    """All skips of a log, and those that no line of `expected` (part of file and reason) names."""
    named = [line.strip() for line in expected.splitlines() if line.strip() and not line.startswith("#")]
    skips = [
        f"{match['place']}: {match['reason']}" for match in map(SKIP.match, COLOUR.sub("", log).splitlines()) if match
    ]
    return skips, [skip for skip in skips if not any(skip.startswith(name) for name in named)]


def main() -> int:
    """Print every skip; 1 where one is not expected."""
    skips, bad = unexpected(Path(sys.argv[1]).read_text(), EXPECTED.read_text())
    for skip in skips:
        print(f"{'NOT EXPECTED' if skip in bad else 'expected'} skip: {skip}")
    print(f"{len(skips)} skips, {len(bad)} of them not named in tests/expected_skips.txt")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
