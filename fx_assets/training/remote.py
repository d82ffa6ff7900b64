"""The parent's side of a training in a child process."""

from __future__ import annotations

import json
import logging
import os
import sys
from typing import Any

from fx_assets.children.supervisor import ChildFailed, TimeLimitPassed, confined_to, supervise
from fx_assets.settings import environment
from fx_assets.specs.schema import ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.exchange import Task, read_result, write_task
from fx_assets.training.materials import Materials
from fx_assets.training.records import TrainedModel, TrainingFailed, event_from_json

_log = logging.getLogger(__name__)
CHILD = "fx_assets.training.child"


def train_in_child(
    spec: ModelSpec,
    materials: Materials,
    window: EvaluationWindow,
    *,
    grace_s: float,
    command: tuple[str, ...] = (sys.executable, "-P", "-m", CHILD),
) -> TrainedModel:
    """Train in a process of its own, which works in `materials.scratch` alone; return what it verifiably left there.

    Beside its scratch the child writes two things that must outlive it: last whole epochs under `materials.resume`, and
    trials of a search in the database of searches. Raises `TrainingFailed` with the cause where the child fails, dies
    or takes over `training.time_limit_s`; an exception raised here meanwhile goes on once the child and all of its
    group are gone.
    """
    folder = materials.scratch
    write_task(folder, Task(spec, materials, window))
    temporary = folder / "tmp"
    temporary.mkdir()
    last: dict[str, Any] = {}

    def on_line(line: bytes) -> None:
        event = _parse(line)
        if event.keys() <= {"done", "failed"}:
            last.update(event)
        else:
            materials.report(event_from_json(event))

    try:
        ended = supervise(
            [*command, str(folder), str(os.getpid())],
            folder=folder,
            environ=environment() | confined_to(temporary),
            time_limit_s=spec.training.time_limit_s,
            grace_s=grace_s,
            on_line=on_line,
        )
    except TimeLimitPassed as error:
        raise TrainingFailed(f"training of {spec.model_id}: {error}; raise training.time_limit_s") from error
    except (ChildFailed, TrainingFailed) as error:
        raise TrainingFailed(f"training of {spec.model_id}: {error}") from error
    if ended.exit_code != 0 or "done" not in last:
        cause = last.get("failed", ended.reason)
        raise TrainingFailed(f"training of {spec.model_id} failed: {cause}\n{ended.stderr}".rstrip())
    if ended.stderr:
        _log.warning("training of %s printed: %s", spec.model_id, ended.stderr)
    return read_result(folder, last["done"])


def _parse(line: bytes) -> dict[str, Any]:
    try:
        event = json.loads(line)
    except ValueError as error:
        raise TrainingFailed(f"the training process wrote what is no event: {line[:200]!r}") from error
    if not isinstance(event, dict):
        raise TrainingFailed(f"the training process wrote what is no event: {line[:200]!r}")
    return event
