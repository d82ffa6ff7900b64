"""`checkpoints/<model_id>`: trained models, registered as the last step; `selection/<model_id>`: what they kept."""

from collections.abc import Iterator

import dagster as dg

from fx_assets.features.sets import fitted_steps
from fx_assets.models.registry import predictor_class
from fx_assets.orchestration import keys, partitions
from fx_assets.orchestration.checkpoints import newest_version, publish_checkpoint
from fx_assets.orchestration.publish import Draft, Event, illustrated, publish_table
from fx_assets.orchestration.resources import LakeResource, Stores
from fx_assets.orchestration.upstream import require_version
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import ModelSpec
from fx_assets.storage.artifacts import Artifact
from fx_assets.storage.hashing import fingerprint
from fx_assets.training.audience import Audience
from fx_assets.training.kept import kept_features
from fx_assets.training.request import Request, prepare
from fx_assets.training.tracking.base import Tracked, recorded, tracker_for
from fx_assets.training.trainers import needs_child
from fx_assets.training.version import CODE_VERSION

PANEL = "panel"


def build(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """One checkpoint asset for each model, by pair or one for the whole panel; and what it kept of its features."""
    fitted = [
        spec
        for spec in catalog.models.values()
        if spec.features is not None and fitted_steps(catalog.features[spec.features])
    ]
    return [
        *(_checkpoint(spec, catalog) for spec in catalog.models.values()),
        *(_selection(spec, catalog) for spec in fitted),
    ]


def _checkpoint(spec: ModelSpec, catalog: Catalog) -> dg.AssetsDefinition:
    panel = spec.scope == "panel"
    upstream = [keys.bars(spec.frequency), *([keys.features(spec.features)] if spec.features else [])]
    pairs = catalog.pairs_of(spec)

    @dg.asset(
        key=keys.checkpoint(spec.model_id),
        deps=[partitions.every_pair(key, pairs) if panel else partitions.same_pair(key) for key in upstream],
        partitions_def=None if panel else partitions.of_model(spec, catalog),
        group_name="checkpoints",
        kinds=set(predictor_class(spec.kind).made_with),
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        # Trainings take turns: the pool has one slot.
        pool="gpu" if needs_child(spec) else None,
        description=f"{spec.description or spec.kind}. Trained on the rows before the held-out last year; "
        f"trained again when a new {spec.training.refit_every} begins, or when data, config or code change.",
        metadata={"kind": spec.kind, "scope": spec.scope, "horizon": spec.horizon, "window": spec.window},
    )
    def checkpoint(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, scope = lake, PANEL if panel else context.partition_key
        newest = newest_version(context, stores, spec.model_id, scope)
        request = _request(context, stores, catalog, spec, pairs if panel else (scope,), newest)
        config, run_id = spec.training_config(), context.run.run_id
        tracked = Tracked(spec.model_id, scope, spec.kind, config, run_id, request.fingerprint)
        with recorded(tracker_for(stores.settings), tracked, context.log.warning) as recording:
            audience = Audience(
                request,
                recording,
                run_id=run_id,
                say=context.log.info,
                record=stores.control.record_trial,
            )
            yield from publish_checkpoint(
                context,
                stores,
                model_id=spec.model_id,
                scope=scope,
                fingerprint=request.fingerprint,
                newest=newest,
                train=lambda: audience.train(stores.settings),
                facts={"pairs": ", ".join(request.histories), **_extent(request)},
                registered=lambda manifest, files: {
                    **audience.registered(manifest, files),
                    **illustrated(audience.kept.pictures(), audience.kept.tables()),
                },
            )

    return checkpoint


def _selection(spec: ModelSpec, catalog: Catalog) -> dg.AssetsDefinition:
    panel, trained = spec.scope == "panel", keys.checkpoint(spec.model_id)

    @dg.asset(
        key=keys.selection(spec.model_id),
        deps=[trained if panel else partitions.same_pair(trained)],
        partitions_def=None if panel else partitions.of_model(spec, catalog),
        group_name="selection",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        description=f"What the live checkpoint of `{spec.model_id}` kept of the feature set `{spec.features}`, fitted "
        "on its training rows alone, and what it dropped for what.",
    )
    def selection(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores = lake
        scope = PANEL if panel else context.partition_key
        version = require_version(stores, spec.model_id, scope)

        def compute() -> Draft:
            artifact = stores.artifacts.load(spec.model_id, scope, version.version)
            kept = kept_features(artifact, catalog.features[spec.features or ""])
            return Draft(kept.table, facts=kept.facts, shown=illustrated({}, kept.tables))

        yield from publish_table(
            context,
            stores,
            table=f"selection/{spec.model_id}",
            pair=scope.upper(),
            fingerprint=fingerprint(version.version, CODE_VERSION),
            compute=compute,
        )

    return selection


def _extent(request: Request) -> dict[str, str]:
    """How far each pair's data go: one that failed tonight stays in a panel with its last good ones."""
    return {
        f"data_until/{pair}": str(history.trading_dates[-1].astype("datetime64[D]"))
        for pair, history in request.histories.items()
    }


def _request(
    context: dg.AssetExecutionContext,
    stores: Stores,
    catalog: Catalog,
    spec: ModelSpec,
    pairs: tuple[str, ...],
    newest: Artifact | None,
) -> Request:
    request = prepare(stores.lake, catalog, spec, pairs, newest=newest)
    for pair, reason in request.missing.items():
        context.log.warning(f"{spec.model_id} is trained without {pair}: {reason}")
    return request
