"""`features/<set>`: the candidate matrix of a feature set."""

from collections.abc import Iterator

import dagster as dg

from fx_assets.features.pipeline import build as build_features
from fx_assets.features.pipeline import feature_schema, schema_hash, table_name
from fx_assets.features.quality import CHECKS, check_features
from fx_assets.features.version import CODE_VERSION
from fx_assets.orchestration import keys, partitions
from fx_assets.orchestration.publish import Draft, Event, check_specs, publish_table
from fx_assets.orchestration.resources import LakeResource
from fx_assets.orchestration.upstream import require_state
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.two_times import current_rows


def build(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """One asset for each feature set."""
    return [_features(spec, catalog) for spec in catalog.features.values()]


def _features(spec: FeatureSetSpec, catalog: Catalog) -> dg.AssetsDefinition:
    key, source = keys.features(spec.name), keys.bars(spec.frequency)
    table = table_name(spec)
    columns = feature_schema(spec)

    @dg.asset(
        key=key,
        deps=[source],
        partitions_def=partitions.all_pairs(catalog),
        group_name="features",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        check_specs=check_specs(key, CHECKS),
        description=f"Features of the set `{spec.name}`: {', '.join(columns)}. "
        "Each is a function of what was known at the end of its bar; the leak probe proves it.",
        metadata={"feature_schema_hash": schema_hash(spec), "columns": len(columns)},
    )
    def features(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, pair = lake, context.partition_key
        bars = require_state(stores, f"bars/{spec.frequency}", pair, source)

        def compute() -> Draft:
            frame = current_rows(stores.lake.read(f"bars/{spec.frequency}", pair))
            matrix = build_features(frame, spec)
            return Draft(
                matrix,
                check_features(matrix, spec, bars=frame),
                {"features": len(columns)},
                {"dagster/column_lineage": _lineage(source, columns)},
            )

        yield from publish_table(
            context,
            stores,
            table=table,
            pair=pair,
            fingerprint=fingerprint(bars.content_hash, spec.model_dump(mode="json"), CODE_VERSION),
            compute=compute,
        )

    return features


def _lineage(source: dg.AssetKey, columns: tuple[str, ...]) -> dg.TableColumnLineage:
    close = [dg.TableColumnDep(asset_key=source, column_name="close")]
    return dg.TableColumnLineage(dict.fromkeys(columns, close))
