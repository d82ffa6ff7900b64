"""The parent's side of a training in a child process."""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from fx_assets.models.inputs import PairHistory
from fx_assets.settings import environment
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.exchange import Task, read_result, write_task
from fx_assets.training.records import Progress, TrainedModel, TrainingFailed
from fx_assets.training.supervisor import supervise

_log = logging.getLogger(__name__)
CHILD = "fx_assets.training.child"


def train_in_child(
    spec: ModelSpec,
    histories: Mapping[str, PairHistory],
    *,
    window: EvaluationWindow,
    folder: Path,
    seed: int,
    progress: Callable[[Progress], None],
    grace_s: float,
    command: tuple[str, ...] = (sys.executable, "-P", "-m", CHILD),
) -> TrainedModel:
    """Train in a process of its own, which works in `folder` alone; return what it verifiably left there.

    Raises `TrainingFailed` with the cause where the child fails, dies or takes over `training.time_limit_s`;
    an exception raised here meanwhile goes on once the child and all of its group are gone.
    """
    write_task(folder, Task(spec, histories, window, seed))
    temporary = folder / "tmp"
    temporary.mkdir()
    last: dict[str, Any] = {}

    def on_line(line: bytes) -> None:
        event = _parse(line)
        if event.keys() <= {"done", "failed"}:
            last.update(event)
        else:
            progress(Progress.from_json(event))

    try:
        ended = supervise(
            [*command, str(folder), str(os.getpid())],
            folder=folder,
            environ=environment() | _confined_to(temporary),
            time_limit_s=spec.training.time_limit_s,
            grace_s=grace_s,
            on_line=on_line,
        )
    except TrainingFailed as error:
        raise TrainingFailed(f"training of {spec.model_id}: {error}") from error
    if ended.exit_code != 0 or "done" not in last:
        cause = last.get("failed", ended.reason)
        raise TrainingFailed(f"training of {spec.model_id} failed: {cause}\n{ended.stderr}".rstrip())
    if ended.stderr:
        _log.warning("training of %s printed: %s", spec.model_id, ended.stderr)
    return read_result(folder, last["done"])


def _confined_to(folder: Path) -> dict[str, str]:
    """Libraries keep caches in these places, and ONNX Runtime a report to Microsoft: none of it outlives the run."""
    places = ("TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    caches = ("MPLCONFIGDIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    return {**dict.fromkeys(places + caches, str(folder)), "ORT_DISABLE_TELEMETRY": "1"}


def _parse(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise TrainingFailed(f"the training process wrote what is no event: {line[:200]!r}") from error
    if not isinstance(event, dict):
        raise TrainingFailed(f"the training process wrote what is no event: {line[:200]!r}")
    return event
