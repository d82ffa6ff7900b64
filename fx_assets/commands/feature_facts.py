"""What there is to say of a feature set: its features, their values for one pair, and which checkpoints keep them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from fx_assets.features.pipeline import values_of
from fx_assets.features.plan import PLAN, load_plan
from fx_assets.features.sampling import sample_of
from fx_assets.features.sets import feature_schema, fitted_steps, lookback, origins_of, schema_hash, steps, table_name
from fx_assets.storage.errors import NoData

if TYPE_CHECKING:
    from fx_assets.orchestration.resources import Stores
    from fx_assets.specs.loader import Catalog
    from fx_assets.specs.schema import FeatureSetSpec
    from fx_assets.storage.lake import Lake

Json = dict[str, Any]
PANEL = "panel"


def described(spec: FeatureSetSpec) -> Json:
    """The set, its stages and its candidate features, as configured."""
    return {
        "set": spec.name,
        "frequency": spec.frequency,
        "table": table_name(spec),
        "lookback": lookback(spec),
        "stages": [
            {
                "stage": step.name,
                "features": len(step.columns),
                "lookback": step.lookback,
                "priority": step.stage.priority,
            }
            for step in steps(spec)
        ],
        "fitted": [found.name for found, _ in fitted_steps(spec)],
        "features": [
            {
                "name": name,
                "stage": step.name,
                "about": column.about,
                "sources": list(column.sources),
                "lookback": step.lookback,
                "cost": column.cost,
                "priority": step.stage.priority,
                "missing": column.missing,
            }
            for name, (step, column) in origins_of(spec).items()
        ],
    }


def measured(lake: Lake, spec: FeatureSetSpec, pair: str) -> Json:
    """What the lake holds of a pair's features: `rows`, the bar the `latest` values are of, and numbers by feature.

    Share of missing values, mean and standard deviation are those of a sample of at most 6,000 rows. Raises `NoData`
    where the set has no table for the pair.
    """
    table = lake.snapshot(table_name(spec))
    blocks = table.blocks(pair)
    if not blocks:
        raise NoData(table_name(spec), pair)
    newest = table.read(pair, blocks=[max(blocks)])
    sample = sample_of(spec, lake, pair)
    return {
        "pair": pair,
        "rows": len(table.read(pair, columns=["time"])),
        "sampled": len(sample),
        "latest_end": newest.column("end")[-1].as_py().isoformat(),
        "values": {
            name: _numbers(values_of(sample, name)) | {"latest": _number(values_of(newest, name)[-1])}
            for name in feature_schema(spec)
        },
    }


def kept(stores: Stores, catalog: Catalog, spec: FeatureSetSpec, pair: str) -> Iterator[Json]:
    """For each model of the set that forecasts the pair: its newest checkpoint, and which features that one keeps.

    `current`: whether it was trained on the set as it is now; `made`: features that its fitted stages made; `dropped`:
    by feature why, and for which other. Without a checkpoint `version` is None and nothing is said of features.
    """
    for model in catalog.models.values():
        if model.features != spec.name or pair not in catalog.pairs_of(model):
            continue
        scope = PANEL if model.scope == PANEL else pair
        versions = stores.control.versions(model.model_id, scope)
        if not versions:
            yield {"model_id": model.model_id, "scope": scope, "version": None}
            continue
        artifact = stores.artifacts.load(model.model_id, scope, versions[0].version)
        plan = load_plan(artifact.files[PLAN]) if PLAN in artifact.files else None
        given = feature_schema(spec) if plan is None else plan.given
        names = given if plan is None else plan.names
        reports = [] if plan is None else plan.reports.values()
        yield {
            "model_id": model.model_id,
            "scope": scope,
            "version": versions[0].version,
            "trained_until": versions[0].trained_until.isoformat(),
            "current": artifact.manifest.get("feature_schema_hash") == schema_hash(spec),
            "kept": [name for name in names if name in given],
            "made": [name for name in names if name not in given],
            "dropped": {
                item["name"]: {key: item.get(key) for key in ("reason", "keeper", "correlation")}
                for report in reports
                for item in report.get("dropped", [])
            },
        }


def _numbers(values: np.ndarray[tuple[int], np.dtype[np.float64]]) -> Json:
    there = values[np.isfinite(values)]
    return {
        "missing_share": _number(1 - len(there) / len(values)) if len(values) else None,
        "mean": _number(there.mean()) if len(there) else None,
        "std": _number(there.std()) if len(there) else None,
    }


def _number(value: float) -> float | None:
    """JSON knows no NaN."""
    return float(value) if np.isfinite(value) else None
