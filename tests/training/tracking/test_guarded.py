"""Trackers never decide: what their libraries raise costs the record; everything else goes its way."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fx_assets.settings import Settings
from fx_assets.storage.artifacts import ArtifactStore, new_version
from fx_assets.training.records import Event, Progress, Step
from fx_assets.training.tracking.base import Nobody, Tracked, TrackerMissing, recorded, tracker_for
from fx_assets.training.tracking.files import written
from fx_assets.training.tracking.mlflow_tracker import MlflowTracker, parameters
from fx_assets.training.tracking.wandb_tracker import WandbTracker

TRACKED = Tracked("net", "EURUSD", "itransformer", {"window": 16}, "run", "print")
EPOCH = Progress(epoch=1, max_epochs=2, train_loss=0.5, validation_loss=0.4, best=True)


class LibraryError(Exception):
    """What a library raises, which is this file."""


class InMemory:
    """A tracker that keeps what it is told, and fails at the calls it is asked to."""

    library = __name__.partition(".")[0]

    def __init__(self, failing: Mapping[str, Exception] | None = None) -> None:
        self.calls: list[str] = []
        self._failing = failing or {}

    def begin(self, tracked: Tracked) -> None:
        self._called("begin", tracked.model_id)

    def event(self, event: Event) -> None:
        self._called("event", str(event))

    def registered(self, manifest: Mapping[str, Any], files: Mapping[str, bytes]) -> Mapping[str, Any]:
        self._called("registered", f"{manifest['version']} {','.join(files)}")
        return {"where": "here"}

    def close(self, *, failed: bool) -> None:
        self._called("close", "failed" if failed else "finished")

    def _called(self, name: str, told: str) -> None:
        self.calls.append(f"{name} {told}")
        if name in self._failing:
            raise self._failing[name]


def whole(tracker: InMemory, warnings: list[str]) -> Mapping[str, Any]:
    """A training that goes well, as the asset does it."""
    with recorded(tracker, TRACKED, warnings.append) as recording:
        recording.begin()
        recording.event(EPOCH)
        recording.event(Step("member two"))
        return recording.registered({"version": "v"}, {"params.json": b"{}"})


def test_a_recording_hears_of_everything_in_order() -> None:
    warnings: list[str] = []
    tracker = InMemory()
    assert whole(tracker, warnings) == {"where": "here"}
    told = ["begin net", f"event {EPOCH}", "event member two", "registered v params.json", "close finished"]
    assert tracker.calls == told
    assert warnings == []


def test_a_version_that_is_reused_is_not_on_record_again() -> None:
    tracker = InMemory()
    with recorded(tracker, TRACKED, pytest.fail):
        pass
    assert tracker.calls == []


@pytest.mark.parametrize("error", [LibraryError("down"), ConnectionError("down")], ids=["library", "machine"])
@pytest.mark.parametrize("call", ["begin", "event", "registered", "close"])
def test_a_tracker_that_fails_says_so_once_and_is_told_nothing_more(call: str, error: Exception) -> None:
    warnings: list[str] = []
    tracker = InMemory({"close": LibraryError("still down"), call: error})
    facts = whole(tracker, warnings)
    assert facts["tracking"] == f"failed: {type(error).__name__}: down"
    names = [told.split()[0] for told in tracker.calls]
    expected = ["begin", *(["event"] if call != "begin" else [])]
    if call in {"registered", "close"}:
        expected = ["begin", "event", "event", "registered", *(["close"] if call == "close" else [])]
    assert names == [*expected, "close"]
    assert tracker.calls[-1] == "close failed"
    # Closing what failed may fail too, which is said as well; the fact is the first reason.
    assert len(warnings) == 2
    assert all(warning.startswith("not recorded by InMemory: ") for warning in warnings)


def test_an_error_that_is_not_the_librarys_is_not_forgiven() -> None:
    with pytest.raises(ZeroDivisionError):
        whole(InMemory({"event": ZeroDivisionError()}), [])


@pytest.mark.parametrize("raised", [OSError("disk of the training"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_a_training_raises_its_own_error_and_is_on_record_as_failed(raised: BaseException) -> None:
    tracker = InMemory({"close": LibraryError("down")})

    def training() -> None:
        with recorded(tracker, TRACKED, lambda _: None) as recording:
            recording.begin()
            raise raised

    with pytest.raises(type(raised)) as found:
        training()
    assert found.value is raised
    assert tracker.calls == ["begin net", "close failed"]


def test_a_reason_is_short_and_tells_no_password() -> None:
    warnings: list[str] = []
    facts = whole(InMemory({"begin": OSError("no answer from http://me:secret@host:1/ \n" + "x " * 900)}), warnings)
    for text in (*warnings, facts["tracking"]):
        assert "http://host:1/" in text
        assert "secret" not in text
        assert "\n" not in text
        assert len(text) < 700


@pytest.mark.parametrize(
    ("chosen", "tracker"),
    [
        ({}, Nobody),
        ({"tracker": "wandb"}, WandbTracker),
        ({"tracker": "mlflow", "mlflow_url": "http://127.0.0.1:5000"}, MlflowTracker),
    ],
    ids=["none", "wandb", "mlflow"],
)
def test_the_settings_choose(chosen: dict[str, Any], tracker: type) -> None:
    assert type(tracker_for(Settings(home=Path("home"), **chosen))) is tracker


@pytest.mark.parametrize("library", ["mlflow", "wandb"])
def test_a_missing_library_is_named_with_its_extra(library: Any, tmp_path: Path, monkeypatch: Any) -> None:
    settings = Settings(home=tmp_path, tracker=library, mlflow_url="http://127.0.0.1:5000")
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(TrackerMissing, match=rf"pip install 'fx-assets\[{library}\]'"):
        tracker_for(settings)
    monkeypatch.delitem(sys.modules, library)
    # A folder of that name in the working directory, as W&B leaves them, is found by Python and is no library.
    (tmp_path / library).mkdir()
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    with pytest.raises(TrackerMissing, match=rf"pip install 'fx-assets\[{library}\]'"):
        tracker_for(settings)


def test_mlflow_needs_an_address(tmp_path: Path) -> None:
    with pytest.raises(TrackerMissing, match="FX_MLFLOW_URL"):
        tracker_for(Settings(home=tmp_path, tracker="mlflow", mlflow_url=None))


def test_files_are_written_as_the_store_has_them(tmp_path: Path) -> None:
    files = {"params.json": b'{"a": 1}', "model.onnx": bytes(range(256))}
    version = new_version(datetime(2026, 11, 21, tzinfo=UTC))
    staged = ArtifactStore(tmp_path / "store").stage("net", "EURUSD", version, files, {"metrics": {"b": 0.1, "a": 2.0}})
    with written(staged.manifest, files, tmp_path / "scratch") as folder:
        found = {path.name: path.read_bytes() for path in folder.iterdir()}
    assert found == {path.name: path.read_bytes() for path in staged.staging.iterdir()}
    assert set(found) == {*files, "manifest.json"}
    assert list((tmp_path / "scratch").iterdir()) == []


def test_a_config_becomes_params_within_mlflows_limits() -> None:
    config = {
        "window": 16,
        "training": {"learning_rate": 1e-3, "empty": {}},
        "members": [{"kind": "har"}, {"kind": "ridge"}],
        "quantiles": [0.1, 0.5],
        "odd/nämé": None,
        "": "",
        "long" * 200: "x" * 99_999,
    }
    found = parameters(config)
    assert {name: found[name] for name in found if len(name) < 100} == {
        "window": "16",
        "training.learning_rate": "0.001",
        "training.empty": "{}",
        "members.0.kind": "har",
        "members.1.kind": "ridge",
        "quantiles": "[0.1, 0.5]",
        "odd_n_m_": "null",
        "_": "",
    }
    assert max(len(name) for name in found) == 250
    assert max(len(value) for value in found.values()) == 6000


UNTRACKED = """
import sys
from pathlib import Path
from tests.training.tracking.installation import CHEAP, installation, train
outcome = train(installation(Path(sys.argv[1])), CHEAP)
assert outcome.success and outcome.facts["reused"] is False and outcome.warnings == (), outcome
assert not [name for name in outcome.facts if name.startswith(("mlflow", "wandb", "tracking"))], outcome.facts
print(" ".join(sorted({name.split(".")[0] for name in sys.modules})))
"""


def test_by_default_no_tracker_is_loaded(tmp_path: Path) -> None:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FX_")}
    done = subprocess.run(
        [sys.executable, "-c", UNTRACKED, str(tmp_path)], capture_output=True, text=True, check=True, env=kept
    )
    modules = set(done.stdout.split())
    assert {"fx_assets", "dagster"} <= modules
    assert not modules & {"mlflow", "mlflow_skinny", "wandb"}
