"""Trainings on record as offline runs of Weights & Biases: real files, read back."""

from __future__ import annotations

import json
import os
import struct
import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
import pytest

from fx_assets.settings import Settings
from fx_assets.storage.hashing import sha256_bytes
from fx_assets.training.records import Progress, Step, Trial
from fx_assets.training.tracking.base import Tracked, recorded, tracker_for
from tests.training.tracking.installation import CHEAP, PAIR, installation, train

TRACKED = Tracked("net", PAIR, "itransformer", {"window": 16}, "dagster", "print")
UNTRAINED = Progress(epoch=0, max_epochs=2, train_loss=None, validation_loss=0.6, best=True)
EPOCH = Progress(epoch=1, max_epochs=2, train_loss=0.5, validation_loss=0.4, best=True)
NOW = datetime(2026, 11, 21, tzinfo=UTC)
TRIED = Trial("study", 3, {"l2": 0.1}, "complete", 0.5, (0.4, 0.6), NOW, NOW)
BLOCK, FULL, LAST = 32768, 1, 4
MANIFEST = {"version": "1", "config_hash": "2", "trained_until": "3", "metrics": {"windows": 1.0}}


def services() -> list[psutil.Process]:
    """W&B's own processes, of this one."""
    return [child for child in psutil.Process().children(recursive=True) if "wandb" in _name(child)]


def _name(process: psutil.Process) -> str:
    try:
        return process.name()
    except psutil.NoSuchProcess:  # it ended since it was listed
        return ""


def variables() -> Mapping[str, str]:
    """W&B's part of the environment."""
    return {name: value for name, value in os.environ.items() if name.startswith("WANDB")}


def records(folder: Path) -> list[Any]:
    """What the offline run's file holds: W&B's header of 7 bytes, then a log of records in LevelDB's format.

    https://github.com/google/leveldb/blob/main/doc/log_format.md; W&B ships no reader for Python any more.
    """
    from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]

    (file,) = folder.glob("*.wandb")
    content, at, whole, found = file.read_bytes(), 7, b"", []
    assert content.startswith(b":W&B")
    while at + 7 <= len(content):
        if BLOCK - at % BLOCK < 7:  # no header fits: the rest of a block is padding
            at += BLOCK - at % BLOCK
            continue
        _, length, part = struct.unpack("<IHB", content[at : at + 7])
        whole += content[at + 7 : at + 7 + length]
        at += 7 + length
        if part in {FULL, LAST}:
            record = Record()
            record.ParseFromString(whole)
            found.append(record)
            whole = b""
    return found


def values(items: Any) -> dict[str, Any]:
    return {item.key or ".".join(item.nested_key): json.loads(item.value_json) for item in items}


def summary(found: list[Any]) -> dict[str, Any]:
    last: dict[str, Any] = {}
    for record in found:
        if record.HasField("summary"):
            last |= values(record.summary.update)
    return last


@pytest.mark.slow
def test_a_training_leaves_an_offline_run_with_its_files_and_no_process(tmp_path: Path) -> None:
    before = variables()
    tiny = installation(tmp_path / "installation", tracker="wandb", tracker_project="fx-tests")
    outcome = train(tiny, CHEAP)
    assert outcome.success
    assert outcome.warnings == ()
    assert services() == []
    assert variables() == before
    folder = Path(outcome.facts["wandb/run"])
    assert folder.is_relative_to(tiny.settings.tracking_path)
    assert outcome.facts["wandb/artifact"] == f"{CHEAP}-{PAIR}:newest"
    found = records(folder)
    (run,) = [record.run for record in found if record.HasField("run")]
    assert run.project == "fx-tests"
    config = values(run.config.update)
    assert config["dagster_run_id"] == outcome.run_id
    assert config["config"]["window"] == 30
    artifact = tiny.artifacts.load(CHEAP, PAIR, outcome.facts["version"])
    final = {name: value for name, value in summary(found).items() if name.startswith("checkpoint/")}
    assert final == {f"checkpoint/{name}": value for name, value in artifact.manifest["metrics"].items()}
    (logged,) = [record.artifact for record in found if record.HasField("artifact")]
    assert (logged.name, logged.type) == (f"{CHEAP}-{PAIR}", "model")
    assert set(logged.aliases) == {"newest", "latest"}  # the second is W&B's own
    stored = {entry.path: sha256_bytes(Path(entry.local_path).read_bytes()) for entry in logged.manifest.contents}
    files = {name: entry["sha256"] for name, entry in artifact.manifest["files"].items()}
    assert stored == {**files, "manifest.json": artifact.manifest_sha256}
    assert [record.exit.exit_code for record in found if record.HasField("exit")] == [0]
    # Nothing of this machine and of its user beside it: no packages, no git, no hardware.
    assert {path.name for path in (folder / "files").rglob("*")} <= {"config.yaml", "wandb-summary.json"}
    again = train(tiny, CHEAP)
    assert again.facts["reused"] is True
    assert [path.name for path in folder.parent.glob("offline-run-*")] == [folder.name]


@pytest.mark.slow
def test_a_training_that_fails_leaves_a_failed_run_and_no_process(tmp_path: Path) -> None:
    settings = Settings(home=tmp_path, tracker="wandb")

    def training() -> None:
        with recorded(tracker_for(settings), TRACKED, pytest.fail) as recording:
            recording.begin()
            for event in (UNTRAINED, EPOCH, TRIED, Step("member two")):
                recording.event(event)
            raise OSError("the training's own")

    with pytest.raises(OSError, match="the training's own"):
        training()
    assert services() == []
    (folder,) = (settings.tracking_path / "wandb").glob("offline-run-*")
    found = records(folder)
    assert [record.exit.exit_code for record in found if record.HasField("exit")] == [1]
    history = [values(record.history.item) for record in found if record.HasField("history")]
    told = [{name: entry[name] for name in entry if not name.startswith("_")} for entry in history]
    assert told == [
        {"epoch": 0, "validation_loss": 0.6},
        {"epoch": 1, "train_loss": 0.5, "validation_loss": 0.4},
        {"trial": 3, "trial_loss": 0.5, "trial_state": "complete", "trial_values.l2": 0.1},
    ]
    assert summary(found)["step"] == "member two"


@pytest.mark.slow
def test_its_process_may_die_and_the_version_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings: list[str] = []
    before = variables()
    # A killed process leaves its socket, whose path must be short.
    with tempfile.TemporaryDirectory() as temporary:
        monkeypatch.setenv("TMPDIR", temporary)
        facts = _killed(tmp_path, warnings)
    assert facts["tracking"].startswith("failed: ")
    assert warnings
    assert services() == []
    assert variables() == before


def _killed(home: Path, warnings: list[str]) -> Mapping[str, Any]:
    """The facts of a recording whose W&B process is killed in the middle."""
    with recorded(tracker_for(Settings(home=home, tracker="wandb")), TRACKED, warnings.append) as recording:
        recording.begin()
        recording.event(EPOCH)
        (service,) = services()
        service.kill()
        service.wait(10)
        return recording.registered(MANIFEST, {"params.json": b"{}"})


@pytest.mark.slow
def test_a_disk_that_refuses_costs_the_record_and_not_the_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(elsewhere))
    tiny = installation(tmp_path / "installation", tracker="wandb")
    tiny.settings.tracking_path.write_text("a file")
    outcome = train(tiny, CHEAP)
    assert outcome.success
    assert outcome.facts["tracking"].startswith(("failed: FileExistsError", "failed: NotADirectoryError"))
    assert len(outcome.warnings) == 1
    assert [item.version for item in tiny.control.versions(CHEAP, PAIR)] == [outcome.facts["version"]]
    assert services() == []
    # W&B would quietly write there.
    assert list(elsewhere.glob("wandb*")) == []


@pytest.mark.slow
def test_online_without_a_key_asks_nobody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in variables():
        monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))  # and so no key of whoever runs this
    warnings: list[str] = []
    settings = Settings(home=tmp_path, tracker="wandb", wandb_mode="online")
    with recorded(tracker_for(settings), TRACKED, warnings.append) as recording:
        recording.begin()
        facts = recording.registered(MANIFEST, {"params.json": b"{}"})
    assert facts["tracking"].startswith("failed: UsageError: ")
    assert len(warnings) == 1
    assert services() == []
