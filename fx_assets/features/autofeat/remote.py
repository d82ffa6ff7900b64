"""The parent's side of an autofeat fit: a fresh child with limits, for the library keeps 15 MB of each fit."""

from __future__ import annotations

import json
import logging
import os
import re
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np

from fx_assets.children.supervisor import ChildFailed, TimeLimitPassed, confined_to, supervise
from fx_assets.features.autofeat.child import ROWS, TASK
from fx_assets.features.frames import FloatArray
from fx_assets.settings import environment

Status = Literal["fitted", "nothing found", "time limit", "memory limit", "failed"]

_log = logging.getLogger(__name__)
CHILD = "fx_assets.features.autofeat.child"
# The child has nothing to put in order and ends at SIGTERM.
GRACE_S = 1.0
_OUT_OF_MEMORY = re.compile(
    r"MemoryError|cannot allocate memory|memory allocation|failed to map segment|bad_alloc|out of memory", re.IGNORECASE
)


@dataclass(frozen=True)
class Outcome:
    """How a fit went. `reason`: empty where formulas were found; `refused`: formulas that could not be verified."""

    status: Status
    reason: str
    expressions: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()


def search_formulas(
    values: FloatArray,
    target: FloatArray,
    *,
    steps: int,
    transformations: Sequence[str],
    max_features: int,
    time_limit_s: float,
    memory_mb: int,
    scratch: Path,
) -> Outcome:
    """Let autofeat look for formulas of columns (n, k) that say something of the target (n,), both without gaps.

    A child that fails, dies or meets a limit gives an outcome without formulas, and a warning in the log. What is
    raised here meanwhile (an interrupt) goes on once the child is gone. Equal rows give equal formulas, unless a limit
    is met: those are of this machine. `scratch` is left as it was.
    """
    lines: list[bytes] = []
    with tempfile.TemporaryDirectory(prefix="autofeat-", dir=scratch) as name:
        folder = Path(name)
        np.savez(folder / ROWS, allow_pickle=False, values=values, target=target)
        task = {
            "steps": steps,
            "transformations": list(transformations),
            "max_features": max_features,
            "memory_mb": memory_mb,
        }
        (folder / TASK).write_text(json.dumps(task))
        try:
            ended = supervise(
                [sys.executable, "-P", "-m", CHILD, name, str(os.getpid())],
                folder=folder,
                environ=environment() | _surroundings(folder),
                time_limit_s=time_limit_s,
                grace_s=GRACE_S,
                on_line=lines.append,
            )
        except TimeLimitPassed as error:
            return _without("time limit", str(error))
        except ChildFailed as error:
            return _without("failed", str(error))
    said = _parsed(lines)
    if not said.keys() >= {"formulas", "refused"}:
        reason = str(said.get("failed", ended.reason))
        memory = _OUT_OF_MEMORY.search(f"{reason}\n{ended.stderr}")
        if memory:
            return _without("memory limit", f"limit of {memory_mb} MB met: {reason}", ended.stderr)
        return _without("failed", reason, ended.stderr)
    formulas, refused = tuple(said["formulas"]), tuple(said["refused"])
    if not formulas:
        return Outcome("nothing found", "no formula says more than noise does", refused=refused)
    return Outcome("fitted", "", formulas, refused)


def _surroundings(folder: Path) -> dict[str, str]:
    """Without what changes its result, its threads, or leaves a trace.

    Its order of features follows that of sets of names. Without numba's compiler, numpy computes the same in less time:
    compiling takes 3 to 10 seconds.
    """
    threads = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMBA_NUM_THREADS")
    return {
        **confined_to(folder),
        **dict.fromkeys(threads, "1"),
        "PYTHONHASHSEED": "0",
        "NUMBA_DISABLE_JIT": "1",
    }


def _parsed(lines: list[bytes]) -> dict[str, Any]:
    """The one line that was said; empty where there is none, or what is none of the child's."""
    try:
        (line,) = lines
        said = json.loads(line)
    except ValueError:
        return {}
    return said if isinstance(said, dict) else {}


def _without(status: Status, reason: str, stderr: str = "") -> Outcome:
    _log.warning("autofeat gives no features (%s): %s\n%s", status, reason, stderr)
    return Outcome(status, reason)
