"""`features/<set>/<stage>`: what each stage makes of the bars; `features/<set>`: their joined candidate matrix."""

from collections.abc import Iterator, Mapping

import dagster as dg

from fx_assets.features import sets
from fx_assets.features.pictures.of_set import set_pictures
from fx_assets.features.quality import CHECKS, check_features
from fx_assets.features.sampling import sample_of
from fx_assets.features.sets import Step
from fx_assets.features.stored import StoredInputs, bars_table
from fx_assets.features.update import SetUpdate, StageUpdate
from fx_assets.features.version import CODE_VERSION
from fx_assets.orchestration import keys, partitions
from fx_assets.orchestration.publish import Event, check_specs, illustrated
from fx_assets.orchestration.publish_blocks import BlockDraft, Verdict, publish_blocks
from fx_assets.orchestration.resources import LakeResource, Stores
from fx_assets.orchestration.upstream import require_state
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.records import State


def build(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """For each feature set an asset of each enabled stateless stage, and one that joins them."""
    built = []
    for spec in catalog.features.values():
        built += [_stage(spec, step, catalog) for step in sets.steps(spec)]
        built.append(_set(spec, catalog))
    return built


def _stage(spec: FeatureSetSpec, step: Step, catalog: Catalog) -> dg.AssetsDefinition:
    key, source, table = keys.stage(spec.name, step.name), keys.bars(spec.frequency), sets.stage_table(spec, step)
    bars = dg.AssetDep(source, partition_mapping=dg.AllPartitionMapping()) if catalog.crosses(spec.name) else source
    groups = sorted({name.partition("/")[0] for name in step.stage.exog(step.options)})

    @dg.asset(
        key=key,
        deps=[bars, *(partitions.every_pair(keys.exog(name), tuple(catalog.exog[name].series)) for name in groups)],
        partitions_def=partitions.all_pairs(catalog),
        group_name="features",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        description=f"{len(step.columns)} features of the stage `{step.name}` for the set `{spec.name}`, in blocks: "
        "each value from what was known at the end of its bar, a corrected price changes later rows only.",
        metadata={"columns": len(step.columns), "lookback": step.lookback, "priority": step.stage.priority},
    )
    def features(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, pair = lake, catalog.pairs[context.partition_key]
        require_state(stores, bars_table(spec.frequency), pair.pair, source)
        inputs = StoredInputs(stores.lake, pair, catalog.pairs_with(spec.frequency), [step], spec.frequency)

        def compute(last: State | None) -> BlockDraft:
            update = StageUpdate(step, inputs, last)
            lineage = {"dagster/column_lineage": _stage_lineage(step, source)}
            return BlockDraft(update.blocks(), lambda: Verdict((), update.facts(), lineage))

        yield from publish_blocks(
            context,
            stores,
            table=table,
            pair=pair.pair,
            fingerprint=fingerprint(step.hash, pair.calendar, inputs.bar_blocks(), inputs.exog_hashes),
            compute=compute,
        )

    return features


def _set(spec: FeatureSetSpec, catalog: Catalog) -> dg.AssetsDefinition:
    key, table, columns = keys.features(spec.name), sets.table_name(spec), sets.feature_schema(spec)
    stages = {step.name: keys.stage(spec.name, step.name) for step in sets.steps(spec)}
    fitted = [found.name for found, _ in sets.fitted_steps(spec)]

    @dg.asset(
        key=key,
        deps=list(stages.values()),
        partitions_def=partitions.all_pairs(catalog),
        group_name="features",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        check_specs=check_specs(key, CHECKS),
        description=f"Candidate features of the set `{spec.name}`: {len(columns)} columns of {', '.join(stages)}. "
        "The leak probe proves that none looks ahead."
        + (f" Fitted inside each training: {', '.join(fitted)}." if fitted else ""),
        metadata={"feature_schema_hash": sets.schema_hash(spec), "columns": len(columns)},
    )
    def features(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, pair = lake, context.partition_key
        states = {
            step.name: require_state(stores, sets.stage_table(spec, step), pair, stages[step.name])
            for step in sets.steps(spec)
        }

        def compute(last: State | None) -> BlockDraft:
            update = SetUpdate(spec, stores.lake, pair, last)
            return BlockDraft(update.blocks(), lambda: _verdict(spec, catalog, stores, pair, update, states))

        hashes = {name: state.content_hash for name, state in states.items()}
        yield from publish_blocks(
            context,
            stores,
            table=table,
            pair=pair,
            fingerprint=fingerprint(hashes, sets.schema_hash(spec), CODE_VERSION),
            compute=compute,
        )

    return features


def _verdict(
    spec: FeatureSetSpec,
    catalog: Catalog,
    stores: Stores,
    pair: str,
    update: SetUpdate,
    states: Mapping[str, State],
) -> Verdict:
    chosen = sets.steps(spec)
    inputs = StoredInputs(stores.lake, catalog.pairs[pair], catalog.pairs_with(spec.frequency), chosen, spec.frequency)
    sample = sample_of(spec, stores.lake, pair)
    checks = check_features(
        update.touched,
        spec,
        lambda block: inputs.of_block(block, sets.lookback(spec)),
        sample,
        seed=int(fingerprint(update.inputs)[:8], 16),
    )
    facts = {
        **update.facts(),
        "features": len(sets.feature_schema(spec)),
        **{f"ms_per_1000_rows/{name}": state.metadata["ms_per_1000_rows"] for name, state in states.items()},
    }
    pictures, tables = set_pictures(spec, sample, {name: state.metadata for name, state in states.items()})
    lineage = {"dagster/column_lineage": _set_lineage(spec)}
    return Verdict(checks, facts, {**illustrated(pictures, tables), **lineage})


def _stage_lineage(step: Step, source: dg.AssetKey) -> dg.TableColumnLineage:
    def dep(name: str) -> dg.TableColumnDep:
        if name.startswith("exog/"):
            return dg.TableColumnDep(asset_key=keys.exog(name.split("/")[1]), column_name="value")
        return dg.TableColumnDep(asset_key=source, column_name="close" if name == "others" else name)

    return dg.TableColumnLineage({c.name: list(dict.fromkeys(map(dep, c.sources))) for c in step.columns})


def _set_lineage(spec: FeatureSetSpec) -> dg.TableColumnLineage:
    return dg.TableColumnLineage(
        {
            name: [dg.TableColumnDep(asset_key=keys.stage(spec.name, step.name), column_name=name)]
            for name, (step, _) in sets.origins_of(spec).items()
        }
    )
