"""The write path of checkpoints: artifact first, then the model version, both under the lease."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Protocol

import dagster as dg

from fx_assets.orchestration.publish import Event, guard
from fx_assets.orchestration.resources import Stores
from fx_assets.storage.artifacts import Artifact
from fx_assets.storage.control import ModelVersion
from fx_assets.storage.errors import CorruptArtifact, NoData


class Trained(Protocol):
    """What a training hands over: the files, and a manifest without the keys that the store writes."""

    @property
    def version(self) -> str:
        """Name of the version."""

    @property
    def files(self) -> Mapping[str, bytes]:
        """Bytes by file name."""

    @property
    def manifest(self) -> Mapping[str, Any]:
        """JSON for `manifest.json`."""


def publish_checkpoint(
    context: dg.AssetExecutionContext,
    stores: Stores,
    *,
    model_id: str,
    scope: str,
    fingerprint: str,
    newest: Artifact | None,
    train: Callable[[], Trained],
    facts: Mapping[str, Any],
    registered: Callable[[Mapping[str, Any], Mapping[str, bytes]], Mapping[str, Any]],
) -> Iterator[Event]:
    """Train and register a version, or say `reused` where `newest` has this fingerprint.

    `registered` hears of the manifest and files of a version once it is registered, and may add facts.
    Raises `LeaseLost` when a newer run or a cancel took over; then nothing is registered and the staged files are
    removed.
    """
    asset = context.asset_key.to_user_string()
    lease = stores.control.acquire(asset, scope, context.run.run_id)
    if newest is not None and newest.manifest["fingerprint"] == fingerprint:
        yield _result(newest.manifest, reused=True, facts=facts)
        return
    trained = train()
    staged = stores.artifacts.stage(model_id, scope, trained.version, trained.files, trained.manifest)
    try:
        with guard(context, stores, lease)() as transaction:
            staged.publish()
            transaction.register(ModelVersion.from_manifest(staged.manifest, staged.manifest_sha256))
    finally:
        staged.discard()
    yield _result(staged.manifest, reused=False, facts={**facts, **registered(staged.manifest, trained.files)})


def newest_version(context: dg.AssetExecutionContext, stores: Stores, model_id: str, scope: str) -> Artifact | None:
    """The newest registered version; None where there is none, or where its files do not verify, which is logged."""
    versions = stores.control.versions(model_id, scope)
    if not versions:
        return None
    try:
        return stores.artifacts.load(model_id, scope, versions[0].version)
    except (CorruptArtifact, NoData) as error:
        context.log.warning(f"trained again: {error}")
        return None


def _result(manifest: Mapping[str, Any], *, reused: bool, facts: Mapping[str, Any]) -> dg.MaterializeResult[Any]:
    sizes = [entry["size"] for entry in manifest["files"].values()]
    return dg.MaterializeResult(
        data_version=dg.DataVersion(manifest["version"]),
        metadata={
            "version": manifest["version"],
            "trained_until": manifest["trained_until"],
            "config_hash": manifest["config_hash"],
            "bytes": sum(sizes),
            "files": ", ".join(manifest["files"]),
            "written_by_run": dg.MetadataValue.dagster_run(manifest["run_id"]),
            **{f"metrics/{name}": value for name, value in manifest["metrics"].items()},
            **facts,
            "reused": reused,
        },
    )
