"""The models: their specs from the configs, and predictors loaded from checkpoints when first asked for."""

from __future__ import annotations

import logging
import math
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, Protocol

import pyarrow as pa
from pydantic import ValidationError

from fx_assets.models.base import BasePredictor
from fx_assets.models.errors import InvalidCheckpoint, ModelMismatch
from fx_assets.models.manifest import Manifest
from fx_assets.models.ranges import Ranges
from fx_assets.models.stored import predictor_of
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import ModelSpec
from fx_assets.storage.artifacts import ArtifactStore
from fx_assets.storage.control import ModelVersion
from fx_assets.storage.errors import CorruptArtifact, NoData, StorageError
from serving.control import LazyControl, answering_503
from serving.joined import Joined
from serving.problems import ProblemError
from serving.snapshot import Snapshot

log = logging.getLogger("serving")

_RETRY_SECONDS: Final = 30.0
_PAST_VERSIONS: Final = 8

Key = tuple[str, str]  # model_id, scope: a pair or "panel"


@dataclass(frozen=True)
class Loaded:
    """A predictor with the checkpoint it came from; `lock` is held while it predicts.

    By pair: what was worked out for the last prediction, for the next one.
    """

    predictor: BasePredictor
    version: ModelVersion
    manifest: Manifest
    lock: threading.Lock = field(default_factory=threading.Lock, repr=False, compare=False)
    joined: dict[str, Joined] = field(default_factory=dict, repr=False, compare=False)
    ranges: dict[str, Moved] = field(default_factory=dict, repr=False, compare=False)
    quick: dict[str, Snapshot] = field(default_factory=dict, repr=False, compare=False)
    """The picture of the lake under which the last one was quick, and after which nothing is left to be read."""


@dataclass(frozen=True, eq=False)
class Moved:
    """Ranges as `table` has them at `end`."""

    table: pa.Table | None
    end: datetime
    ranges: Ranges


class Versions(Protocol):
    """Who knows the registered versions: `storage.control.Control`, or `Opened`."""

    def versions(self, model_id: str, scope: str | None = None) -> Sequence[ModelVersion]:
        """Versions of a model and scope, newest first."""

    def version_at(self, model_id: str, scope: str, when: datetime) -> ModelVersion | None:
        """The newest version made at or before `when` (aware)."""


@dataclass(frozen=True)
class Opened:
    """The control database, opened only where it is asked. Raises `ProblemError` 503 while it cannot be."""

    control: LazyControl

    def versions(self, model_id: str, scope: str | None = None) -> Sequence[ModelVersion]:
        """Versions of a model and scope, newest first."""
        return self.control.open().versions(model_id, scope)

    def version_at(self, model_id: str, scope: str, when: datetime) -> ModelVersion | None:
        """The newest version made at or before `when` (aware)."""
        return self.control.open().version_at(model_id, scope, when)


@dataclass(frozen=True)
class Listed:
    """The versions of one model and scope, newest first, as the database had them; good until `until` (monotonic)."""

    versions: tuple[ModelVersion, ...]
    until: float


@dataclass(frozen=True)
class Refused:
    """A checkpoint that was not loaded: which, why, and when it may be tried again (monotonic seconds)."""

    version: str
    reason: str
    retry_at: float


class Registry:
    """Specs and loaded predictors by model and scope. Thread safe; loads each checkpoint once.

    The database is asked for the versions of a model and scope every `keep_seconds` at most; where it cannot answer,
    what it said last goes on being served.
    """

    def __init__(self, catalog: Catalog, artifacts: ArtifactStore, *, keep_seconds: float = 2.0) -> None:
        self.catalog = catalog
        self._artifacts = artifacts
        self._keep_seconds = keep_seconds
        self._listed: dict[Key, Listed] = {}
        self._lock = threading.Lock()
        self._locks: dict[Key, threading.Lock] = {}
        self._current: dict[Key, Loaded] = {}
        self._past: OrderedDict[tuple[str, str, str], Loaded] = OrderedDict()
        self._refused: dict[Key, dict[str, Refused]] = {}
        self._invalid: Counter[str] = Counter()

    def spec(self, model_id: str) -> ModelSpec:
        """The model's spec. Raises `ProblemError`: 404 for an unknown model, 503 for one whose file is broken."""
        spec = self.catalog.models.get(model_id)
        if spec is not None:
            return spec
        if f"models/{model_id}" in self.catalog.broken:
            detail = "The configuration file of this model has problems; /v1/models lists them."
            raise ProblemError(503, "model_failed", detail)
        raise ProblemError(404, "unknown_model", "There is no such model; /v1/models lists them.")

    def columns(self, spec: ModelSpec) -> tuple[str, ...]:
        """Columns of a row of the model's window, in order."""
        return predictor_of(spec, self.catalog.features).columns

    def versions(self, model_id: str) -> dict[str, str]:
        """Loaded version by scope."""
        with self._lock:
            return {scope: item.version.version for (name, scope), item in self._current.items() if name == model_id}

    def problems(self, model_id: str) -> list[str]:
        """Why checkpoints of this model were refused; empty where none was."""
        with self._lock:
            return [
                f"{scope} {refused.version}: {refused.reason}"
                for (name, scope), group in sorted(self._refused.items())
                if name == model_id
                for refused in group.values()
            ]

    def count_invalid(self, model_id: str) -> None:
        """Count a forecast that could not be used."""
        with self._lock:
            self._invalid[model_id] += 1

    def invalid_outputs(self, model_id: str) -> int:
        """How many forecasts of the model could not be used since the start."""
        with self._lock:
            return self._invalid[model_id]

    def refresh(self) -> None:
        """Ask the database again when a model is next asked for."""
        with self._lock:
            self._listed = {key: replace(listed, until=-math.inf) for key, listed in self._listed.items()}

    def newest(self, spec: ModelSpec, pair: str, control: Versions) -> Loaded:
        """The newest registered checkpoint that loads; one that does not is listed and passed over.

        Raises `ProblemError` 503 where no checkpoint loads, or where the control database is gone before it has ever
        told the versions.
        """
        key = (spec.model_id, spec.kept_under(pair))
        versions = self._versions(key, control)
        current = self._current.get(key)
        if versions and current is not None and current.version.version == versions[0].version:
            return current
        with self._lock_of(key):
            for version in versions:
                current = self._current.get(key)
                if current is not None and current.version.version == version.version:
                    return current
                loaded = self._try(spec, key, version)
                if loaded is not None:
                    with self._lock:
                        self._current[key] = loaded
                    return loaded
        if not versions:
            raise ProblemError(503, "model_untrained", "This model has no trained version for the pair yet.")
        raise ProblemError(503, "model_unavailable", "No version of this model can be loaded; /v1/models says why.")

    def at_hand(self, spec: ModelSpec, pair: str) -> Loaded | None:
        """As `newest`, where no file and no database has to be asked; None where one has to be."""
        key = (spec.model_id, spec.kept_under(pair))
        listed, current = self._listed.get(key), self._current.get(key)
        if listed is None or current is None or not listed.versions or time.monotonic() >= listed.until:
            return None
        return current if current.version.version == listed.versions[0].version else None

    def _versions(self, key: Key, control: Versions) -> tuple[ModelVersion, ...]:
        listed = self._listed.get(key)
        now = time.monotonic()
        if listed is not None and now < listed.until:
            return listed.versions
        try:
            with answering_503():
                versions = tuple(control.versions(*key))
        except ProblemError:  # which answering_503 has put into the log
            if listed is None:
                raise
            versions = listed.versions
        with self._lock:
            self._listed[key] = Listed(versions, time.monotonic() + self._keep_seconds)
        if listed is None or versions != listed.versions:
            self._forget(key, {version.version for version in versions})
        return versions

    def at(self, spec: ModelSpec, pair: str, when: datetime, control: Versions) -> Loaded:
        """The checkpoint that was newest at `when`; before the first one, the oldest there is.

        Raises `ProblemError`: 410 where that version is no longer kept or no longer fits the
        configuration, 503 where there is none at all.
        """
        key = (spec.model_id, spec.kept_under(pair))
        with answering_503():
            version = control.version_at(*key, when) or next(reversed(control.versions(*key)), None)
        if version is None:
            raise ProblemError(503, "model_untrained", "This model has no trained version for the pair yet.")
        with self._lock_of(key):
            current = self._current.get(key)
            if current is not None and current.version.version == version.version:
                return current
            past = (*key, version.version)
            with self._lock:
                if past in self._past:
                    self._past.move_to_end(past)
                    return self._past[past]
            try:
                loaded = self._load(spec, version)
            except (NoData, ModelMismatch) as error:
                log.warning("%s %s of that moment: %s", *past[:2], error)
                detail = "The version of that moment is no longer kept, or belongs to another configuration."
                raise ProblemError(410, "version_gone", detail) from error
            except (StorageError, InvalidCheckpoint) as error:
                log.exception("checkpoint %s/%s/%s refused", *past)
                detail = "The version of that moment cannot be loaded; the log of the service says why."
                raise ProblemError(503, "model_unavailable", detail) from error
            with self._lock:
                self._past[past] = loaded
                while len(self._past) > _PAST_VERSIONS:
                    self._past.popitem(last=False)
            return loaded

    def _lock_of(self, key: Key) -> threading.Lock:
        with self._lock:
            return self._locks.setdefault(key, threading.Lock())

    def _forget(self, key: Key, known: set[str]) -> None:
        """Drop refusals of versions that are no longer registered."""
        with self._lock:
            group = self._refused.get(key, {})
            self._refused[key] = {name: refused for name, refused in group.items() if name in known}

    def _try(self, spec: ModelSpec, key: Key, version: ModelVersion) -> Loaded | None:
        refused = self._refused.get(key, {}).get(version.version)
        if refused is not None and time.monotonic() < refused.retry_at:
            return None
        try:
            loaded = self._load(spec, version)
        except Exception as error:  # a plug-in may raise anything, and must not take the last good one down
            log.exception("checkpoint %s/%s/%s refused", *key, version.version)
            reason = next(said for kind, said in _REASONS.items() if isinstance(error, kind))
            retry_at = time.monotonic() + _RETRY_SECONDS
            with self._lock:
                self._refused.setdefault(key, {})[version.version] = Refused(version.version, reason, retry_at)
            return None
        with self._lock:
            self._refused.get(key, {}).pop(version.version, None)
        return loaded

    def _load(self, spec: ModelSpec, version: ModelVersion) -> Loaded:
        artifact = self._artifacts.load(version.model_id, version.scope, version.version)
        if artifact.manifest_sha256 != version.manifest_sha256:
            raise CorruptArtifact(f"{artifact.path}: its manifest is not the one that was registered")
        predictor = predictor_of(spec, self.catalog.features)
        predictor.load_model(artifact)
        try:
            manifest = Manifest.model_validate(artifact.manifest)
        except ValidationError as error:
            raise InvalidCheckpoint(f"{artifact.path}: its manifest has other fields; train again") from error
        return Loaded(predictor, version, manifest)


# What may be said of a refused checkpoint to anyone; file names and differences are in the log.
_REASONS: Mapping[type[Exception], str] = {
    NoData: "its files are gone",
    ModelMismatch: "it was trained with another configuration; train again",
    InvalidCheckpoint: "its parameters are unusable; train again",
    StorageError: "its files are corrupt or of another format; train again",
    Exception: "it could not be loaded",
}
