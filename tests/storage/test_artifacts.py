"""The artifact store: whole or absent, verified, free of pickles."""

from __future__ import annotations

import io
import json
import os
import pickle
import time
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fx_assets.storage.artifacts import ArtifactStore, CorruptArtifact, StagedArtifact, new_version
from fx_assets.storage.errors import FormatError, NoData, WriteFailed

VERSION = "20261121T031500123456Z"
FILES = {"params.json": b'{"a": 1}', "model.onnx": b"\x08\x07onnx", "weights.safetensors": b"\x80\x02" + b"\0" * 700}


@pytest.fixture
def store(tmp_path: Path) -> ArtifactStore:
    return ArtifactStore(tmp_path / "artifacts")


def stage(store: ArtifactStore, files: dict[str, bytes] | None = None, version: str = VERSION) -> StagedArtifact:
    return store.stage("usdjpy", "USDJPY", version, FILES if files is None else files, {"kind": "har", "n": 3})


def zipped(member: str) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr(member, b"x")
    return buffer.getvalue()


def test_round_trip(store: ArtifactStore) -> None:
    staged = stage(store)
    path = staged.publish()
    found = store.load("usdjpy", "USDJPY", VERSION)
    assert found.files == FILES
    assert (found.manifest, found.path) == (staged.manifest, path)
    assert found.manifest_sha256 == staged.manifest_sha256
    assert {k: found.manifest[k] for k in ("kind", "n", "model_id", "scope", "version", "format")} == {
        "kind": "har",
        "n": 3,
        "model_id": "usdjpy",
        "scope": "USDJPY",
        "version": VERSION,
        "format": 1,
    }
    assert store.published() == [("usdjpy", "USDJPY", VERSION)]


def test_what_is_staged_is_not_found_until_published(store: ArtifactStore) -> None:
    staged = stage(store)
    assert store.published() == []
    with pytest.raises(NoData):
        store.load("usdjpy", "USDJPY", VERSION)
    staged.discard()
    assert list((store.root / "usdjpy" / "USDJPY").iterdir()) == []


def test_a_version_is_never_overwritten(store: ArtifactStore) -> None:
    stage(store).publish()
    with pytest.raises(WriteFailed, match="exists already"):
        stage(store, {"params.json": b"{}"}).publish()
    assert store.load("usdjpy", "USDJPY", VERSION).files == FILES


@pytest.mark.parametrize("name", sorted(FILES))
@pytest.mark.parametrize("damage", ["flip", "truncate", "zero", "missing", "link"])
def test_a_damaged_file_is_refused_by_name(store: ArtifactStore, name: str, damage: str, tmp_path: Path) -> None:
    path = stage(store).publish() / name
    content = path.read_bytes()
    path.unlink()
    if damage == "link":
        elsewhere = tmp_path / "elsewhere"
        elsewhere.write_bytes(content)
        path.symlink_to(elsewhere)
    elif damage != "missing":
        path.write_bytes({"flip": bytes([content[0] ^ 4]) + content[1:], "truncate": content[:-1], "zero": b""}[damage])
    with pytest.raises(CorruptArtifact, match=name):
        store.load("usdjpy", "USDJPY", VERSION)


def test_an_extra_file_is_refused_by_name(store: ArtifactStore) -> None:
    path = stage(store).publish()
    (path / "extra.json").write_bytes(b"{}")
    with pytest.raises(CorruptArtifact, match=r"extra\.json"):
        store.load("usdjpy", "USDJPY", VERSION)


def test_no_bit_flip_of_the_manifest_is_read(store: ArtifactStore) -> None:
    path = stage(store).publish() / "manifest.json"
    content = path.read_bytes()
    wanted = json.loads(content)
    for index in range(len(content)):
        path.write_bytes(content[:index] + bytes([content[index] ^ 1]) + content[index + 1 :])
        try:
            assert store.load("usdjpy", "USDJPY", VERSION).manifest == wanted, "white space at most"
        except (CorruptArtifact, FormatError) as error:
            assert "manifest.json" in str(error)  # noqa: PT017


def test_an_artifact_moved_to_another_model_is_refused(store: ArtifactStore) -> None:
    path = stage(store).publish()
    target = store.root / "eurusd" / "USDJPY"
    target.mkdir(parents=True)
    path.rename(target / VERSION)
    with pytest.raises(CorruptArtifact, match="is of model_id 'usdjpy'"):
        store.load("eurusd", "USDJPY", VERSION)


def test_another_format_is_refused_by_name(store: ArtifactStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fx_assets.storage.artifacts.MANIFEST_FORMAT", 0)
    stage(store).publish()
    monkeypatch.undo()
    with pytest.raises(FormatError, match="format 0, this version reads 1"):
        store.load("usdjpy", "USDJPY", VERSION)


@pytest.mark.parametrize("suffix", ["pkl", "PKL", "pickle", "pt", "pth", "ckpt", "joblib", "pkl.json"])
def test_names_of_pickles_are_refused(store: ArtifactStore, suffix: str) -> None:
    with pytest.raises(CorruptArtifact, match=f"model.{suffix}"):
        stage(store, {f"model.{suffix}": b"harmless"})
    assert not store.root.exists()


@pytest.mark.parametrize("protocol", [2, 3, 4, 5])
def test_pickled_bytes_are_refused_whatever_their_name(store: ArtifactStore, protocol: int) -> None:
    with pytest.raises(CorruptArtifact, match=r"params\.json is a pickle"):
        stage(store, {"params.json": pickle.dumps({"a": [1, 2]}, protocol=protocol)})


def test_a_torch_zip_is_refused_and_another_zip_is_not(store: ArtifactStore) -> None:
    with pytest.raises(CorruptArtifact, match=r"weights\.bin is a pickle"):
        stage(store, {"weights.bin": zipped("archive/data.pkl")})
    stage(store, {"arrays.npz": zipped("a.npy")}).publish()
    assert store.load("usdjpy", "USDJPY", VERSION).files == {"arrays.npz": zipped("a.npy")}


def test_a_pickle_in_a_published_artifact_is_refused_though_its_digest_fits(
    store: ArtifactStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fx_assets.storage.artifacts.refuse_pickle", lambda *_: None)
    stage(store, {"params.json": pickle.dumps([1])}).publish()
    monkeypatch.undo()
    with pytest.raises(CorruptArtifact, match=r"params\.json is a pickle"):
        store.load("usdjpy", "USDJPY", VERSION)


ODD = ["..", "../x", "a/b", "a\\b", "/etc/passwd", "", ".hidden", "a\0b", "a\n", "x" * 5000, "%2e%2e"]


@pytest.mark.parametrize("name", ODD)
def test_no_path_is_built_from_an_odd_name(store: ArtifactStore, name: str) -> None:
    for ids in ((name, "USDJPY", VERSION), ("usdjpy", name, VERSION), ("usdjpy", "USDJPY", name)):
        with pytest.raises(ValueError, match="does not match"):
            store.load(*ids)
        with pytest.raises(ValueError, match="does not match"):
            store.stage(*ids, FILES, {})
    with pytest.raises(ValueError, match="does not match"):
        stage(store, {name: b"{}"})
    assert not store.root.exists()


def test_own_names_of_the_store_are_refused(store: ArtifactStore) -> None:
    with pytest.raises(ValueError, match=r"manifest\.json"):
        stage(store, {"manifest.json": b"{}"})
    with pytest.raises(ValueError, match="files"):
        store.stage("usdjpy", "USDJPY", VERSION, FILES, {"files": {}})


def test_leftovers_of_crashed_runs_go_after_an_hour(store: ArtifactStore) -> None:
    crashed, running = stage(store), stage(store)
    hours_ago = time.time() - 7200
    os.utime(crashed.staging, (hours_ago, hours_ago))
    stage(store).publish()
    assert (crashed.staging.exists(), running.staging.exists()) == (False, True)


def test_versions_sort_by_time_and_need_a_zone() -> None:
    early, late = datetime(2026, 11, 21, 3, 15, 0, 123456, UTC), datetime(2026, 11, 21, 3, 15, 1, tzinfo=UTC)
    assert new_version(early) == ArtifactStore.new_version(early) == VERSION
    assert new_version(early) < new_version(late)
    with pytest.raises(ValueError, match="no time zone"):
        new_version(datetime(2026, 11, 21))
