"""Jobs of the night, each over assets of one partitioning, selected by key."""

from __future__ import annotations

import dagster as dg
from dagster._core.definitions.unresolved_asset_job_definition import UnresolvedAssetJobDefinition

from fx_assets.orchestration import keys, nights
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import ModelSpec

# What `define_asset_job` returns; Dagster names it in no public module.
Job = UnresolvedAssetJobDefinition

FRESHNESS = dg.AssetCheckKey(keys.RAW, "freshness")


def build(catalog: Catalog) -> list[Job]:
    """All jobs of a catalog: one over all pairs, one or two for each other model, and freshness."""
    return [
        _pairs_job(catalog),
        *([_crossing_job(catalog)] if catalog.crossing else []),
        *(
            dg.define_asset_job(
                keys.exog_job(group),
                selection=dg.AssetSelection.assets(keys.exog(group)),
                description=f"One series of {group}, from its files.",
            )
            for group in catalog.exog
        ),
        *(job for spec in catalog.models.values() for job in _own_jobs(spec)),
        *(_closing_jobs(catalog) if catalog.models else []),
        dg.define_asset_job(
            keys.INGEST_JOB,
            selection=_prices_and_bars(catalog) - dg.AssetSelection.checks(FRESHNESS),
            description="New prices of one pair, and the bars made of them.",
        ),
        dg.define_asset_job(
            nights.FRESHNESS_JOB,
            selection=dg.AssetSelection.checks(FRESHNESS),
            description="Which pairs are stale or missing. Warns, never blocks.",
        ),
    ]


def _pairs_job(catalog: Catalog) -> Job:
    bars = [keys.RAW, *(keys.bars(f) for f in catalog.frequencies())]
    measured = [keys.references(f) for f in catalog.forecast_frequencies()]
    return dg.define_asset_job(
        nights.PAIRS_JOB,
        # An asset brings its checks along; this one judges the whole night, so it runs when that is over.
        selection=(dg.AssetSelection.assets(*bars, *measured) | _shared(catalog, crossing=False))
        - dg.AssetSelection.checks(FRESHNESS),
        description="Wave 1 of the night: prices, bars, features and the models for all pairs.",
    )


def _closing_jobs(catalog: Catalog) -> list[Job]:
    """What is made of all models of a pair, and then of all pairs."""
    asked = catalog.forecast_frequencies()
    board = dg.AssetSelection.assets(*(keys.leaderboard(f) for f in asked))
    return [
        *(
            dg.define_asset_job(
                nights.close_job(f),
                selection=dg.AssetSelection.assets(keys.scorecard(f), keys.champions(f)),
                description=f"Closes the night of a pair at {f}: forecasts that came due, and who serves from now on.",
            )
            for f in asked
        ),
        dg.define_asset_job(
            nights.BOARD_JOB,
            # Not every catalog has pairs to join.
            selection=board | dg.AssetSelection.key_prefixes(["joint"]),
            description="Closes the night of all pairs: the joint forecast and the leaderboard.",
        ),
    ]


def _crossing_job(catalog: Catalog) -> Job:
    return dg.define_asset_job(
        nights.CROSSING_JOB,
        selection=_shared(catalog, crossing=True),
        description="Wave 2 of the night, when every pair has its bars: features that read other pairs, and the "
        "models for all pairs on them.",
    )


def _shared(catalog: Catalog, *, crossing: bool) -> dg.AssetSelection:
    """Feature sets that read other pairs (or do not), and the models for all pairs on them."""
    selected: dg.AssetSelection = dg.AssetSelection.assets()
    for name in catalog.features:
        if catalog.crosses(name) == crossing:
            selected |= dg.AssetSelection.key_prefixes(list(keys.features(name).path))
    for spec in nights.nightly_models(catalog):
        if nights.is_shared(spec) and catalog.crosses(spec.features) == crossing:
            selected |= _of(spec)
    return selected


def _prices_and_bars(catalog: Catalog) -> dg.AssetSelection:
    return dg.AssetSelection.assets(keys.RAW, *(keys.bars(f) for f in catalog.frequencies()))


def _own_jobs(spec: ModelSpec) -> list[Job]:
    if nights.is_shared(spec):
        return []
    if spec.scope == "pair":
        return [
            dg.define_asset_job(
                nights.list_job(spec.model_id),
                selection=_of(spec),
                description=f"Wave 2 of the night: {spec.model_id}, trained and forecast for each of its pairs.",
            )
        ]
    return [
        dg.define_asset_job(
            nights.panel_train_job(spec.model_id),
            selection=_trained(spec),
            description=f"Wave 2 of the night: {spec.model_id}, trained once on all of its pairs.",
        ),
        dg.define_asset_job(
            nights.panel_forecast_job(spec.model_id),
            selection=_said(spec),
            description=f"Wave 3 of the night: {spec.model_id}, forecast for each of its pairs.",
        ),
    ]


def _trained(spec: ModelSpec) -> dg.AssetSelection:
    """A model's checkpoint, what that kept of its features where it has fitted stages, and its earlier selves."""
    learned: dg.AssetSelection = dg.AssetSelection.assets(keys.checkpoint(spec.model_id))
    for key in (keys.selection(spec.model_id), keys.walk(spec.model_id)):  # not every model has these
        learned |= dg.AssetSelection.key_prefixes(list(key.path))
    return learned


def _said(spec: ModelSpec) -> dg.AssetSelection:
    """What is made of a checkpoint for each pair."""
    made = (keys.ranges, keys.scores, keys.certificate, keys.forecast)
    return dg.AssetSelection.assets(*(key(spec.model_id) for key in made))


def _of(spec: ModelSpec) -> dg.AssetSelection:
    return _trained(spec) | _said(spec)
