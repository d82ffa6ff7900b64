"""Trained checkpoints: folders of files that appear whole, with a manifest that proves them.

    root/{model_id}/{pair|panel}/{version}/manifest.json + files

Nothing here decodes a file, and a pickle is neither stored nor returned.
"""

from __future__ import annotations

import json
import re
import shutil
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from fx_assets.storage.durable import make_folders, naming, sync_folder, write_new
from fx_assets.storage.errors import CorruptArtifact, FormatError, NoData, WriteFailed
from fx_assets.storage.hashing import canonical_json, fingerprint, sha256_bytes
from fx_assets.storage.pickles import refuse_pickle

__all__ = ["Artifact", "ArtifactStore", "CorruptArtifact", "StagedArtifact", "new_version"]

MANIFEST = "manifest.json"
MANIFEST_FORMAT = 1
STAGING = ".staging-"
LEFTOVER_SECONDS = 3600.0

_RULES = {
    "model_id": re.compile(r"[a-z][a-z0-9_]{0,62}"),
    "scope": re.compile(r"[A-Z]{6}|panel"),
    "version": re.compile(r"[0-9]{8}T[0-9]{12}Z"),
    "file name": re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}(\.[A-Za-z0-9_-]{1,32}){0,3}"),
}
# What the store itself says in a manifest; a caller may not.
_OWN_KEYS = frozenset({"format", "model_id", "scope", "version", "files", "digest"})


def new_version(now: datetime) -> str:
    """Name of a version made at `now` (aware), e.g. `20261121T031500123456Z`; sorts by time."""
    if now.tzinfo is None:
        raise ValueError(f"version of {now}: no time zone; use UTC")
    return now.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")


@dataclass(frozen=True)
class Artifact:
    """A verified checkpoint in memory: each of `files` had the SHA-256 its manifest states."""

    manifest: dict[str, Any]
    files: dict[str, bytes]
    path: Path
    manifest_sha256: str


@dataclass(frozen=True)
class StagedArtifact:
    """A whole checkpoint on disk that nobody can find yet."""

    manifest: dict[str, Any]
    manifest_sha256: str
    path: Path
    staging: Path

    def publish(self) -> Path:
        """Rename into place and sync; WriteFailed when the version exists. Call it under the lease."""
        if self.path.exists():
            raise WriteFailed(f"{self.path} exists already: versions are never overwritten; stage a new one")
        with naming(self.path, "publish"):
            self.staging.rename(self.path)
            sync_folder(self.path.parent)
        return self.path

    def discard(self) -> None:
        """Remove the staged files; harmless after `publish`."""
        with naming(self.staging, "remove"):
            if self.staging.exists():
                shutil.rmtree(self.staging)


class ArtifactStore:
    """The artifacts under one folder, made on first use."""

    new_version = staticmethod(new_version)

    def __init__(self, root: Path | str) -> None:
        self.root = Path(root)

    def stage(
        self, model_id: str, scope: str, version: str, files: Mapping[str, bytes], manifest: Mapping[str, Any]
    ) -> StagedArtifact:
        """Write `files`, then `manifest.json` with their digests, to a hidden folder beside the target.

        `manifest` is JSON; the store adds format, model_id, scope, version, files and a digest of it all.
        For `Control.rebuild_versions` it should hold what `ModelVersion.from_manifest` reads.
        Raises ValueError for a name that breaks its rule or an own key of the store, CorruptArtifact
        for a pickle, WriteFailed with the path when the disk refuses.
        """
        path = self._path(model_id, scope, version)
        if clash := sorted(_OWN_KEYS & set(manifest)):
            raise ValueError(f"manifest of {model_id}: keys {clash} are written by the store itself; leave them out")
        for name, data in files.items():
            _check("file name", name)
            if name == MANIFEST:
                raise ValueError(f"{MANIFEST} is written by the store itself; name the file otherwise")
            refuse_pickle(name, data, path / name)
        body: dict[str, Any] = {
            **json.loads(canonical_json(dict(manifest))),
            "format": MANIFEST_FORMAT,
            "model_id": model_id,
            "scope": scope,
            "version": version,
            "files": {name: {"sha256": sha256_bytes(data), "size": len(data)} for name, data in files.items()},
        }
        body["digest"] = fingerprint(body)
        text = (json.dumps(body, indent=2, sort_keys=True, allow_nan=False) + "\n").encode()
        make_folders(path.parent)
        self._clean(path.parent)
        staging = path.parent / f"{STAGING}{version}-{uuid.uuid4().hex}"
        staged = StagedArtifact(manifest=body, manifest_sha256=sha256_bytes(text), path=path, staging=staging)
        try:
            with naming(staging, "create the folder"):
                staging.mkdir()
            for name, data in files.items():
                write_new(staging / name, data)
            write_new(staging / MANIFEST, text)
        except BaseException:
            shutil.rmtree(staging, ignore_errors=True)  # the refusal itself is what the caller must see
            raise
        return staged

    def load(self, model_id: str, scope: str, version: str) -> Artifact:
        """The checkpoint, every digest checked before anything is returned.

        Raises NoData when there is none, FormatError for another manifest format, CorruptArtifact
        naming the file for anything missing, added, altered or pickled.
        """
        path = self._path(model_id, scope, version)
        if not path.is_dir():
            raise NoData(f"artifacts/{model_id}/{scope}/{version}")
        text = _bytes_of(path / MANIFEST)
        manifest = _verified_manifest(path / MANIFEST, text)
        for key, expected in (("model_id", model_id), ("scope", scope), ("version", version)):
            if manifest[key] != expected:
                raise CorruptArtifact(f"{path / MANIFEST} is of {key} {manifest[key]!r}, not of {expected!r}")
        listed: dict[str, dict[str, Any]] = manifest["files"]
        present = {entry.name for entry in path.iterdir()} - {MANIFEST}
        if extra := sorted(present - set(listed)):
            raise CorruptArtifact(f"{path / extra[0]} is not in the manifest: remove it, or train again")
        files = {}
        for name, entry in listed.items():
            data = _bytes_of(path / name)
            if len(data) != entry["size"] or sha256_bytes(data) != entry["sha256"]:
                raise CorruptArtifact(
                    f"{path / name} is not what was published ({len(data)} bytes, {entry['size']} expected, or "
                    f"another SHA-256): remove the version {version} and train again"
                )
            refuse_pickle(name, data, path / name)
            files[name] = data
        return Artifact(manifest=manifest, files=files, path=path, manifest_sha256=sha256_bytes(text))

    def published(self) -> list[tuple[str, str, str]]:
        """(model_id, scope, version) of every folder that is named like a version, sorted."""
        found = []
        for path in self.root.glob("*/*/*"):
            names = (path.parent.parent.name, path.parent.name, path.name)
            rules = ("model_id", "scope", "version")
            if path.is_dir() and all(_RULES[r].fullmatch(n) for r, n in zip(rules, names, strict=True)):
                found.append(names)
        return sorted(found)

    def _path(self, model_id: str, scope: str, version: str) -> Path:
        _check("model_id", model_id)
        _check("scope", scope)
        _check("version", version)
        return self.root / model_id / scope / version

    @staticmethod
    def _clean(folder: Path) -> None:
        """Remove what crashed runs staged here; an hour is longer than any staging takes."""
        for path in folder.glob(f"{STAGING}*"):
            if time.time() - path.stat().st_mtime > LEFTOVER_SECONDS:
                with naming(path, "remove the leftover"):
                    shutil.rmtree(path)


def _check(rule: str, name: str) -> None:
    # fullmatch: `$` would let a trailing newline through.
    if not _RULES[rule].fullmatch(name):
        raise ValueError(f"{rule} {name!r:.80} does not match {_RULES[rule].pattern}")


def _bytes_of(path: Path) -> bytes:
    if path.is_symlink() or not path.is_file():
        raise CorruptArtifact(f"{path} is missing or no plain file: remove the version and train again")
    return path.read_bytes()


def _verified_manifest(path: Path, text: bytes) -> dict[str, Any]:
    try:
        body = json.loads(text)
    except ValueError as error:
        raise CorruptArtifact(f"{path} is no JSON ({error}): remove the version and train again") from error
    if not isinstance(body, dict):
        raise CorruptArtifact(f"{path} is no JSON object: remove the version and train again")
    if body.get("format") != MANIFEST_FORMAT:
        raise FormatError(
            f"{path} has format {body.get('format')!r}, this version reads {MANIFEST_FORMAT}: train again"
        )
    digest = body.get("digest")
    if digest != fingerprint({key: value for key, value in body.items() if key != "digest"}):
        raise CorruptArtifact(f"{path} was altered after publication: remove the version and train again")
    return body
