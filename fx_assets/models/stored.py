"""A model's inputs as they lie in the lake."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fx_assets.features import stored
from fx_assets.features.sets import feature_schema, schema_hash, table_name
from fx_assets.models.base import BasePredictor
from fx_assets.models.inputs import PairHistory, history
from fx_assets.models.registry import predictor_class
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import FeatureSetSpec, ModelSpec
from fx_assets.storage.artifacts import ArtifactStore
from fx_assets.storage.control import ModelVersion
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.lake import Lake, Snapshot
from fx_assets.storage.two_times import current_rows


def bars_table(spec: ModelSpec) -> str:
    """Lake table of the bars a model reads."""
    return stored.bars_table(spec.frequency)


def features_table(spec: ModelSpec, features: Mapping[str, FeatureSetSpec]) -> str | None:
    """Lake table of the features a model reads, or None where it reads closes only."""
    return None if spec.features is None else table_name(features[spec.features])


def stored_history(lake: Lake, pair: str, spec: ModelSpec, catalog: Catalog) -> PairHistory:
    """Bars of a pair joined with the model's features. Raises `NoData` where a table has no such pair."""
    return _versioned(lake, pair, spec, catalog)[0]


def data_version(lake: Lake, pair: str, spec: ModelSpec, features: Mapping[str, FeatureSetSpec]) -> str:
    """Name of the content that a model reads of `pair`, without reading it; equal content has equal names."""
    return _name(pair, *_snapshots(lake, spec, features))


def _versioned(lake: Lake, pair: str, spec: ModelSpec, catalog: Catalog) -> tuple[PairHistory, str]:
    """The history and the name of its content, both from one version of each table."""
    bars, extra = _snapshots(lake, spec, catalog.features)
    rows = history(
        pair,
        current_rows(bars.read(pair)),
        None if extra is None else extra.read(pair),
        calendar=catalog.pairs[pair].calendar,
        frequency=spec.frequency,
    )
    return rows, _name(pair, bars, extra)


def _snapshots(lake: Lake, spec: ModelSpec, features: Mapping[str, FeatureSetSpec]) -> tuple[Snapshot, Snapshot | None]:
    table = features_table(spec, features)
    return lake.snapshot(bars_table(spec)), None if table is None else lake.snapshot(table)


def _name(pair: str, *snapshots: Snapshot | None) -> str:
    states = [snapshot.state(pair) for snapshot in snapshots if snapshot is not None]
    return fingerprint(*(None if state is None else state.content_hash for state in states))


def predictor_of(spec: ModelSpec, features: Mapping[str, FeatureSetSpec]) -> BasePredictor:
    """An empty predictor of a model: its kind, the columns of its windows, the schema of its features."""
    if spec.features is None:
        return predictor_class(spec.kind)(spec)
    chosen = features[spec.features]
    columns = ("close", *feature_schema(chosen))
    return predictor_class(spec.kind)(spec, columns, feature_schema=schema_hash(chosen))


@dataclass(frozen=True)
class Inputs:
    """All that a forecast or a score of one pair is made from.

    `data_version` names the content of bars and features, as the function of that name does.
    """

    predictor: BasePredictor
    history: PairHistory
    manifest: Mapping[str, Any]
    data_version: str


def load_inputs(
    lake: Lake,
    artifacts: ArtifactStore,
    version: ModelVersion,
    pair: str,
    spec: ModelSpec,
    catalog: Catalog,
) -> Inputs:
    """A registered version, loaded and verified, and the history of `pair` it forecasts from.

    Raises `NoData`, `CorruptArtifact` or `ModelMismatch`, each saying what to do.
    """
    artifact = artifacts.load(version.model_id, version.scope, version.version)
    predictor = predictor_of(spec, catalog.features)
    predictor.load_model(artifact)
    rows, name = _versioned(lake, pair, spec, catalog)
    return Inputs(predictor=predictor, history=rows, manifest=artifact.manifest, data_version=name)
