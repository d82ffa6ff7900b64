"""What parent and child hand each other: files in one scratch folder, none of them a pickle.

task.json and histories.npz go in; result/* and done.json, which holds their digests, come out.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from fx_assets.models.inputs import PairHistory
from fx_assets.specs.schema import FeatureSetSpec, ModelSpec
from fx_assets.timegrid.windows import EvaluationWindow
from fx_assets.training.materials import Base, Materials
from fx_assets.training.records import Progress, TrainedModel, TrainingFailed, event_from_json, event_to_json

FORMAT = 3
TASK, HISTORIES, BASE, RESULT, DONE = "task.json", "histories.npz", "base", "result", "done.json"
_ARRAYS = ("ends", "trading_dates", "closes", "features")
_CUTS = ("train_until", "validate_until", "test_until")
_FILE_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,100}")


@dataclass(frozen=True)
class Task:
    """What to train, and with what."""

    spec: ModelSpec
    materials: Materials
    window: EvaluationWindow


def write_task(folder: Path, task: Task) -> None:
    """Write the task into `folder`, which must exist."""
    materials = task.materials
    histories, base = materials.histories, materials.base
    arrays = {f"{pair}/{name}": getattr(history, name) for pair, history in histories.items() for name in _ARRAYS}
    np.savez(folder / HISTORIES, allow_pickle=False, **arrays)
    if base is not None:
        (folder / BASE).mkdir()
        for name, content in base.files.items():
            (folder / BASE / _checked(name)).write_bytes(content)
    document = {
        "format": FORMAT,
        "spec": task.spec.model_dump(mode="json"),
        "window": {cut: getattr(task.window, cut).isoformat() for cut in _CUTS},
        "features": None if materials.features is None else materials.features.model_dump(mode="json"),
        "columns": {pair: history.feature_names for pair, history in histories.items()},
        "calendars": {pair: history.calendar for pair, history in histories.items()},
        "resume": None if materials.resume is None else str(materials.resume),
        "device": materials.device,
        "base": None if base is None else [base.version, base.trained_until.isoformat()],
    }
    (folder / TASK).write_text(json.dumps(document))


def read_task(folder: Path) -> Task:
    """With `folder` as scratch. Raises `ValueError` for another format, `OSError` where a file is missing."""
    document = json.loads((folder / TASK).read_text())
    if document["format"] != FORMAT:
        raise ValueError(f"{TASK} has format {document['format']!r}, this version reads {FORMAT}")
    with np.load(folder / HISTORIES, allow_pickle=False) as arrays:
        histories = {
            pair: PairHistory(
                pair=pair,
                feature_names=tuple(names),
                calendar=document["calendars"][pair],
                **{name: arrays[f"{pair}/{name}"] for name in _ARRAYS},
            )
            for pair, names in document["columns"].items()
        }
    base = None
    if document["base"] is not None:
        version, until = document["base"]
        files = {path.name: path.read_bytes() for path in (folder / BASE).iterdir()}
        base = Base(version, files, datetime.fromisoformat(until))
    return Task(
        spec=ModelSpec.model_validate(document["spec"]),
        materials=Materials(
            histories=histories,
            scratch=folder,
            features=None if document["features"] is None else FeatureSetSpec.model_validate(document["features"]),
            resume=None if document["resume"] is None else Path(document["resume"]),
            device=document["device"],
            base=base,
        ),
        window=EvaluationWindow(**{cut: datetime.fromisoformat(document["window"][cut]) for cut in _CUTS}),
    )


def write_result(folder: Path, trained: TrainedModel) -> str:
    """Write files, then `done.json`; return the SHA-256 of the latter, which vouches for all."""
    result = folder / RESULT
    result.mkdir()
    for name, content in trained.files.items():
        (result / _checked(name)).write_bytes(content)
    document = {
        "format": FORMAT,
        "files": {name: _sha256(content) for name, content in trained.files.items()},
        "metrics": dict(trained.metrics),
        "history": [event_to_json(event) for event in trained.history],
        "trained_until": trained.trained_until.isoformat(),
        "epochs": trained.epochs,
    }
    content = json.dumps(document, allow_nan=False).encode()
    (folder / DONE).write_bytes(content)
    return _sha256(content)


def read_result(folder: Path, digest: str) -> TrainedModel:
    """The result, if it is to the last bit what the child wrote. Raises `TrainingFailed` naming the file."""
    if not (folder / DONE).is_file():
        raise TrainingFailed(f"{DONE} is missing")
    document = json.loads(_verified(folder / DONE, digest))
    if document["format"] != FORMAT:
        raise TrainingFailed(f"{DONE} has format {document['format']!r}, this version reads {FORMAT}")
    expected: dict[str, Any] = document["files"]
    found = {path.name for path in (folder / RESULT).iterdir()}
    if found != set(expected):
        raise TrainingFailed(f"result files {sorted(found)}, but {DONE} names {sorted(expected)}")
    return TrainedModel(
        files={name: _verified(folder / RESULT / _checked(name), expected[name]) for name in sorted(expected)},
        metrics=document["metrics"],
        history=tuple(_progress(event) for event in document["history"]),
        trained_until=datetime.fromisoformat(document["trained_until"]),
        epochs=document["epochs"],
    )


def _progress(value: Mapping[str, Any]) -> Progress:
    event = event_from_json(value)
    if not isinstance(event, Progress):
        raise TrainingFailed(f"{DONE}: an epoch of the history is a {type(event).__name__}")
    return event


def _checked(name: str) -> str:
    if not _FILE_NAME.fullmatch(name):
        raise TrainingFailed(f"result file name {name!r}: expected letters, digits, dot, dash and underscore")
    return name


def _verified(path: Path, digest: str) -> bytes:
    content = path.read_bytes()
    if _sha256(content) != digest:
        raise TrainingFailed(f"{path.name} is not what the training process wrote; its scratch folder was changed")
    return content


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()
