"""What an asset needs from the assets before it, or a failure that names the remedy."""

from __future__ import annotations

import dagster as dg

from fx_assets.orchestration.resources import Stores
from fx_assets.storage.control import ModelVersion
from fx_assets.storage.records import State


def require_state(stores: Stores, table: str, pair: str, asset: dg.AssetKey) -> State:
    """State of the last good version of an upstream table. Raises `dg.Failure` where there is none."""
    state = stores.lake.state(table, pair, asset=asset.to_user_string())
    if state is None:
        raise dg.Failure(
            description=f"{asset.to_user_string()} has no data for {pair} yet: materialize it first",
            allow_retries=False,
        )
    return state


def require_version(stores: Stores, model_id: str, scope: str) -> ModelVersion:
    """Newest registered checkpoint of a model. Raises `dg.Failure` where there is none."""
    versions = stores.control.versions(model_id, scope)
    if not versions:
        raise dg.Failure(
            description=f"checkpoints/{model_id} has no trained version for {scope} yet: materialize it first",
            allow_retries=False,
        )
    return versions[0]
