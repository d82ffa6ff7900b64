"""Trainings through Dagster on record at a real MLflow server, and at one that is not there."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fx_assets.settings import Settings
from fx_assets.storage.hashing import sha256_bytes
from fx_assets.training.records import Progress, Step, Trial
from fx_assets.training.tracking.base import Tracked, recorded, tracker_for
from tests.support.tiny_lake import TinyLake
from tests.training.tracking.installation import CHEAP, NETWORK, PAIR, Outcome, installation, train
from tests.training.tracking.mlflow_server import free_port, mlflow_server

PROJECT = "fx-tests"
MODEL = f"{PROJECT}.{NETWORK}.{PAIR}"


@dataclass(frozen=True)
class Recorded:
    """A server, an installation that records there, and what its first training said."""

    url: str
    tiny: TinyLake
    first: Outcome

    @property
    def client(self) -> Any:
        """MLflow's own view of it all."""
        from mlflow import MlflowClient

        return MlflowClient(tracking_uri=self.url, registry_uri=self.url)

    def runs(self) -> list[Any]:
        """Every run of the project, the newest first."""
        experiment = self.client.get_experiment_by_name(PROJECT)
        return list(self.client.search_runs([experiment.experiment_id]))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with mlflow_server(tmp_path_factory.mktemp("mlflow")) as url:
        yield url


@pytest.fixture(scope="module")
def recording(server: str, tmp_path_factory: pytest.TempPathFactory) -> Recorded:
    folder = tmp_path_factory.mktemp("installation") / "one"
    tiny = installation(folder, tracker="mlflow", mlflow_url=server, tracker_project=PROJECT)
    return Recorded(server, tiny, train(tiny, NETWORK))


def only(found: list[Any]) -> Any:
    assert len(found) == 1
    return found[0]


@pytest.mark.slow
def test_a_training_leaves_a_finished_run_that_says_what_it_was(recording: Recorded) -> None:
    first = recording.first
    assert first.success
    assert first.warnings == ()
    run = only([run for run in recording.runs() if run.data.tags["model_id"] == NETWORK])
    assert run.info.status == "FINISHED"
    assert first.facts["mlflow/run"] == (
        f"{recording.url}/#/experiments/{run.info.experiment_id}/runs/{run.info.run_id}"
    )
    artifact = recording.tiny.artifacts.load(NETWORK, PAIR, first.facts["version"])
    tags = {name: run.data.tags[name] for name in ("dagster_run_id", "scope", "kind", "fingerprint")}
    assert tags == {
        "dagster_run_id": first.run_id,
        "scope": PAIR,
        "kind": "itransformer",
        "fingerprint": artifact.manifest["fingerprint"],
    }
    assert run.data.params["hyperparameters.width"] == "8"
    assert run.data.params["training.max_epochs"] == "2"
    final = {name: value for name, value in run.data.metrics.items() if name.startswith("checkpoint/")}
    assert final == {f"checkpoint/{name}": value for name, value in artifact.manifest["metrics"].items()}
    # The loss of the weights that were kept, beside the last epoch's.
    assert {"validation_loss", "checkpoint/validation_loss"} <= set(run.data.metrics)


@pytest.mark.slow
def test_losses_stand_by_epoch_as_the_run_logged_them(recording: Recorded) -> None:
    run = only([run for run in recording.runs() if run.data.tags["model_id"] == NETWORK])
    kept = {}
    for name in ("train_loss", "validation_loss"):
        history = recording.client.get_metric_history(run.info.run_id, name)
        kept[name] = {entry.step: round(entry.value, 5) for entry in history}
    logged = recording.first.epochs
    assert len(logged) == 2
    # Epoch 0, the network before training, has no training loss.
    assert kept["train_loss"] == {epoch: train for epoch, (train, _) in enumerate(logged, start=1)}
    assert {epoch: kept["validation_loss"][epoch] for epoch in (1, 2)} == {
        epoch: loss for epoch, (_, loss) in enumerate(logged, start=1)
    }
    assert sorted(kept["validation_loss"]) == [0, 1, 2]


@pytest.mark.slow
def test_the_registered_model_version_leads_to_the_checkpoints_own_bytes(recording: Recorded, tmp_path: Path) -> None:
    from mlflow.artifacts import download_artifacts

    client, first = recording.client, recording.first
    version = client.get_model_version_by_alias(MODEL, "newest")
    assert int(version.version) == first.facts["mlflow/model_version"] == 1
    artifact = recording.tiny.artifacts.load(NETWORK, PAIR, first.facts["version"])
    expected = {name: artifact.manifest[name] for name in ("version", "config_hash", "trained_until")}
    assert version.tags == expected
    run = only([run for run in recording.runs() if run.data.tags["model_id"] == NETWORK])
    assert version.run_id == run.info.run_id
    source = client.get_model_version_download_uri(MODEL, version.version)
    assert source == f"{run.info.artifact_uri}/checkpoint"
    folder = Path(download_artifacts(artifact_uri=source, dst_path=str(tmp_path), tracking_uri=recording.url))
    found = {path.name: sha256_bytes(path.read_bytes()) for path in folder.iterdir()}
    files = {name: entry["sha256"] for name, entry in artifact.manifest["files"].items()}
    assert "model.onnx" in files
    assert found == {**files, "manifest.json": artifact.manifest_sha256}
    assert not list(recording.tiny.settings.scratch_path.glob("tracked-*"))


@pytest.mark.slow
def test_a_second_night_reuses_the_version_and_adds_nothing(recording: Recorded) -> None:
    before = len(recording.runs())
    again = train(recording.tiny, NETWORK)
    assert again.success
    assert again.facts["reused"] is True
    assert again.facts["version"] == recording.first.facts["version"]
    assert len(recording.runs()) == before
    assert len(recording.client.search_model_versions(f"name = '{MODEL}'")) == 1


@pytest.mark.slow
def test_a_training_that_fails_is_failed_there(recording: Recorded, server: str, tmp_path: Path) -> None:
    tiny = installation(tmp_path / "other", tracker="mlflow", mlflow_url=server, tracker_project=PROJECT)
    # A network trains in a folder under scratch, which cannot be made.
    tiny.settings.scratch_path.write_text("a file")
    failed = train(tiny, NETWORK)
    assert not failed.success
    run = only([run for run in recording.runs() if run.data.tags["dagster_run_id"] == failed.run_id])
    assert run.info.status == "FAILED"
    assert tiny.control.versions(NETWORK, PAIR) == []
    assert len(recording.client.search_model_versions(f"name = '{MODEL}'")) == 1


@pytest.mark.slow
def test_a_newer_version_takes_the_alias_and_nothing_odd_is_refused(server: str, tmp_path: Path) -> None:
    """What a long search may say: odd names, long values, hundreds of params, losses that are no numbers."""
    from mlflow import MlflowClient

    client = MlflowClient(tracking_uri=server, registry_uri=server)
    settings = Settings(home=tmp_path, tracker="mlflow", mlflow_url=server, tracker_project="odd/project: ä")
    config = {**{f"value_{number}": number for number in range(250)}, "long": "x" * 99_999, "ä/b": [{"": None}]}
    tracked = Tracked("net", "panel", "ridge", config, "dagster", "print")
    now = datetime(2026, 11, 21, tzinfo=UTC)
    tried = Trial("study of ä: 1", 3, {"l2": 0.1}, "complete", 0.5, (0.4, 0.6), now, now)
    failed = Trial("study of ä: 1", 4, {"l2": 9.0}, "failed", None, (), now, now, reason="x" * 99_999)
    manifest = {"version": "1", "config_hash": "2", "trained_until": "3", "metrics": {"loss (ä)": 1.0}}
    warnings: list[str] = []
    for expected in (1, 2):
        with recorded(tracker_for(settings), tracked, warnings.append) as told:
            told.begin()
            for event in (tried, failed, Step("y" * 99_999), Progress(1, 2, None, float("inf"), True)):
                told.event(event)
            facts = told.registered(manifest, {"params.json": b"{}"})
        assert facts.get("mlflow/model_version") == expected, warnings
    assert warnings == []
    version = client.get_model_version_by_alias("odd-project- ä.net.panel", "newest")
    assert int(version.version) == 2
    assert version.run_id is not None
    data = client.get_run(version.run_id).data
    assert len(data.params) == 252
    assert data.params["long"] == "x" * 6000
    assert [entry.step for entry in client.get_metric_history(version.run_id, "trial_loss")] == [3]
    assert data.tags["trial.study of __ 1.3"] == str(tried)
    assert data.tags["trial.study of __ 1.4"].startswith("trial 4 failed")
    assert data.tags["step"].startswith("yyy")


@pytest.mark.slow
def test_a_server_that_is_down_costs_the_record_and_not_the_version(tmp_path: Path) -> None:
    url = f"http://me:secret@127.0.0.1:{free_port()}"
    tiny = installation(tmp_path / "installation", tracker="mlflow", mlflow_url=url)
    outcome = train(tiny, CHEAP)
    assert outcome.success
    assert outcome.facts["reused"] is False
    assert outcome.facts["tracking"].startswith("failed: MlflowException: API request to http://127.0.0.1:")
    assert "secret" not in outcome.facts["tracking"]
    assert len(outcome.warnings) == 1
    assert outcome.warnings[0].startswith("not recorded by MlflowTracker: ")
    assert [item.version for item in tiny.control.versions(CHEAP, PAIR)] == [outcome.facts["version"]]
    assert not [name for name in outcome.facts if name.startswith("mlflow")]
