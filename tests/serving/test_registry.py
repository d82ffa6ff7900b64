"""Checkpoints in the reader: loaded once, replaced by newer ones, and never replaced by a bad one."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fx_assets.storage.control import Control, ModelVersion
from serving import registry as registry_module
from serving.registry import Registry
from tests.support.running_api import Api, running
from tests.support.tiny_lake import TinyLake


def predicted_version(client: Api, pair: str = "EURUSD") -> str:
    client.refresh()
    answer = client.post("/random_walk/predict", json={"pair": pair})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["model_version"])


def problems(client: Api) -> list[str]:
    found: list[str] = client.get("/v1/models/random_walk").json()["problems"]
    return found


def folder(tiny: TinyLake, version: str) -> Path:
    return tiny.settings.artifacts_path / "random_walk" / "EURUSD" / version


def damage(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-5] + b"12345")


def test_a_checkpoint_is_loaded_once_and_a_newer_one_takes_its_place(tiny: TinyLake, client: Api) -> None:
    (first,) = tiny.control.versions("random_walk", "EURUSD")
    assert predicted_version(client) == first.version
    held = client.app.state.registry._current[("random_walk", "EURUSD")]
    assert predicted_version(client) == first.version
    assert client.app.state.registry._current[("random_walk", "EURUSD")] is held
    second = tiny.train("random_walk", "EURUSD")
    assert predicted_version(client) == second.version
    listed = client.get("/v1/models/random_walk").json()["versions"]
    assert listed["EURUSD"]["loaded"] == second.version
    assert listed["USDJPY"]["loaded"] is None


@pytest.mark.parametrize("name", ["params.json", "calibration.json", "manifest.json"])
def test_a_corrupt_newest_version_leaves_the_last_good_one_and_is_listed(
    tiny: TinyLake, client: Api, name: str
) -> None:
    first = predicted_version(client)
    second = tiny.train("random_walk", "EURUSD").version
    damage(folder(tiny, second) / name)
    assert predicted_version(client) == first
    (problem,) = problems(client)
    assert f"EURUSD {second}" in problem
    assert str(tiny.settings.home) not in problem
    third = tiny.train("random_walk", "EURUSD").version
    assert predicted_version(client) == third


def test_a_process_that_starts_with_a_corrupt_newest_version_takes_the_one_before(tiny: TinyLake) -> None:
    (first,) = tiny.control.versions("random_walk", "EURUSD")
    second = tiny.train("random_walk", "EURUSD").version
    damage(folder(tiny, second) / "params.json")
    with running(tiny) as client:
        assert predicted_version(client) == first.version
        assert len(problems(client)) == 1


def test_a_pickle_among_the_files_is_refused(tiny: TinyLake, client: Api) -> None:
    first = predicted_version(client)
    second = tiny.train("random_walk", "EURUSD").version
    (folder(tiny, second) / "weights.pt").write_bytes(b"\x80\x04.")
    assert predicted_version(client) == first


def test_a_sound_artifact_that_is_not_the_registered_one_is_refused(tiny: TinyLake, client: Api) -> None:
    first = predicted_version(client)
    second = tiny.train("random_walk", "EURUSD").version
    manifest = folder(tiny, second) / "manifest.json"
    # Another layout of the same JSON: every digest inside it still holds, the registered one does not.
    manifest.write_text(json.dumps(json.loads(manifest.read_text())))
    assert predicted_version(client) == first
    assert len(problems(client)) == 1


def test_a_repaired_checkpoint_is_tried_again(tiny: TinyLake, client: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry_module, "_RETRY_SECONDS", 0.0)
    first = predicted_version(client)
    second = tiny.train("random_walk", "EURUSD").version
    path = folder(tiny, second) / "params.json"
    kept = path.read_bytes()
    damage(path)
    assert predicted_version(client) == first
    path.write_bytes(kept)
    assert predicted_version(client) == second
    assert problems(client) == []


def test_a_refused_checkpoint_is_not_read_again_at_every_request(tiny: TinyLake, client: Api) -> None:
    first = predicted_version(client)
    second = tiny.train("random_walk", "EURUSD").version
    path = folder(tiny, second) / "params.json"
    kept = path.read_bytes()
    damage(path)
    predicted_version(client)
    path.write_bytes(kept)
    assert predicted_version(client) == first


def test_a_checkpoint_of_another_configuration_is_refused(tiny: TinyLake) -> None:
    path = tiny.settings.configs / "models" / "random_walk.yaml"
    path.write_text(path.read_text().replace("[0.1, 0.5, 0.9]", "[0.25, 0.5, 0.75]"))
    with running(tiny) as client:
        answer = client.post("/random_walk/predict", json={"pair": "EURUSD"})
        assert (answer.status_code, answer.json()["code"]) == (503, "model_unavailable")
        (problem,) = problems(client)
        assert "another configuration" in problem
        assert client.get("/v1/forecasts/EURUSD/latest").status_code == 200


def test_whatever_a_plug_in_raises_the_last_good_version_stays(
    tiny: TinyLake, client: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = predicted_version(client)
    tiny.train("random_walk", "EURUSD")

    def load(*_: Any) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Registry, "_load", load)
    assert predicted_version(client) == first
    assert "could not be loaded" in problems(client)[0]
    assert "secret" not in problems(client)[0]


def test_the_database_is_asked_again_only_after_a_while(
    tiny: TinyLake, client: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[tuple[str, ...]] = []
    versions = Control.versions

    def counted(self: Control, *key: str) -> list[ModelVersion]:
        asked.append(key)
        return versions(self, *key)

    monkeypatch.setattr(Control, "versions", counted)
    first = predicted_version(client)
    second = tiny.train("random_walk", "EURUSD").version
    del asked[:]
    client.app.state.registry._keep_seconds = 3600.0
    client.app.state.registry.refresh()
    for _ in range(3):
        assert client.post("/random_walk/predict", json={"pair": "EURUSD"}).json()["model_version"] == second
    assert asked == [("random_walk", "EURUSD")]
    tiny.train("random_walk", "EURUSD")
    assert client.post("/random_walk/predict", json={"pair": "EURUSD"}).json()["model_version"] == second != first
    client.app.state.registry._keep_seconds = 0.0
    assert len({predicted_version(client) for _ in range(2)} - {first, second}) == 1
