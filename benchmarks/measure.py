"""What every benchmark says beside its ratios: the machine, the versions, one form for people and one for programs."""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from importlib import metadata
from pathlib import Path


def arguments(purpose: str) -> argparse.Namespace:
    """`--quick` and `--json`, which every benchmark takes."""
    parser = argparse.ArgumentParser(description=purpose)
    parser.add_argument("--quick", action="store_true", help="smaller, within 60 seconds")
    parser.add_argument("--json", action="store_true", help="one JSON object on standard output, nothing else")
    return parser.parse_args()


def seconds(work: Callable[[], object]) -> float:
    """How long one call takes on the wall's clock."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def median(values: Sequence[float]) -> float:
    """The middle one."""
    return statistics.median(values)


def machine() -> str:
    """Processor, cores and system, in words."""
    model = platform.processor() or platform.machine()
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        names = [line.partition(":")[2].strip() for line in cpuinfo.read_text().splitlines() if "model name" in line]
        model = names[0] if names else model
    return f"{model}, {len(os.sched_getaffinity(0))} cores, {platform.system()} {platform.release()}"


def versions(*packages: str) -> dict[str, str]:
    """Python's version and those of the packages that were measured."""
    return {"python": platform.python_version(), **{name: metadata.version(name) for name in packages}}


def report(
    name: str,
    *,
    ratios: Mapping[str, float],
    equal: bool,
    packages: Sequence[str],
    rows: Sequence[tuple[str, str]],
    as_json: bool,
) -> int:
    """Print the table, or the one object; return the exit code: 1 where the two sides did not do the same work."""
    if as_json:
        document = {
            "name": name,
            "ratios": dict(ratios),
            "equal": equal,
            "machine": machine(),
            "versions": versions(*packages),
        }
        sys.stdout.write(json.dumps(document, indent=2) + "\n")
        return 0 if equal else 1
    known = ", ".join(f"{package} {version}" for package, version in versions(*packages).items())
    lines = [*rows, *((label, f"{value:.3f}") for label, value in ratios.items()), ("equal", str(equal).lower())]
    width = max(len(label) for label, _ in lines)
    print(f"{name} on {machine()}\n{known}\n")
    print("\n".join(f"{label:<{width}}  {value}" for label, value in lines))
    return 0 if equal else 1
