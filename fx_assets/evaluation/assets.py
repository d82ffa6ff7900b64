"""`scores/<model_id>`: the losses of every held-out window, beside those of the random walk."""

from collections.abc import Iterator

import dagster as dg
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.evaluation.holdout import held_out, score_holdout
from fx_assets.evaluation.quality import CHECKS, check_scores
from fx_assets.evaluation.version import CODE_VERSION
from fx_assets.models.inputs import history
from fx_assets.models.manifest import Manifest
from fx_assets.models.stored import Inputs, bars_table, data_version, load_inputs
from fx_assets.orchestration import keys, partitions
from fx_assets.orchestration.publish import Draft, Event, check_specs, publish_table
from fx_assets.orchestration.resources import LakeResource, Stores
from fx_assets.orchestration.upstream import require_version
from fx_assets.specs.loader import Catalog
from fx_assets.specs.schema import ModelSpec
from fx_assets.storage.errors import NoData
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.two_times import current_rows

TABLE = "scores"


def build(catalog: Catalog) -> list[dg.AssetsDefinition]:
    """One score asset for each model."""
    return [_scores(spec, catalog) for spec in catalog.models.values()]


def _scores(spec: ModelSpec, catalog: Catalog) -> dg.AssetsDefinition:
    key, panel = keys.scores(spec.model_id), spec.scope == "panel"
    forecast = keys.forecast(spec.model_id)
    trained = keys.checkpoint(spec.model_id)

    @dg.asset(
        key=key,
        deps=[partitions.same_pair(forecast), trained if panel else partitions.same_pair(trained)],
        partitions_def=partitions.of_model(spec, catalog),
        group_name="scores",
        kinds={"numpy", "deltalake"},
        owners=keys.OWNERS,
        code_version=str(CODE_VERSION),
        check_specs=check_specs(key, CHECKS),
        description="CRPS of each window of the held-out last year, which the checkpoint has never seen, against a "
        "random walk with constant volatility, 1, 5 and 20 bars ahead. A night adds its new windows.",
    )
    def scores(context: dg.AssetExecutionContext, lake: LakeResource) -> Iterator[Event]:
        stores, pair = lake, context.partition_key
        version = require_version(stores, spec.model_id, "panel" if panel else pair)
        data = data_version(stores.lake, pair, spec, catalog.features)
        yield from publish_table(
            context,
            stores,
            table=TABLE,
            pair=pair,
            fingerprint=fingerprint(version.version, data, CODE_VERSION),
            compute=lambda: _draft(
                stores, spec, load_inputs(stores.lake, stores.artifacts, version, pair, spec, catalog)
            ),
            mode="append",
        )

    return scores


def _draft(stores: Stores, spec: ModelSpec, inputs: Inputs) -> Draft:
    manifest = Manifest.model_validate(inputs.manifest)
    pair = inputs.history.pair
    window = held_out(inputs.history, spec, manifest)
    closes = history(pair, current_rows(stores.lake.read(bars_table(spec), pair)))
    scored = score_holdout(inputs.predictor, inputs.history, window, manifest=manifest, baseline=closes)
    facts = {
        f"h{h}/{name}": figures[name]
        for h, figures in scored.summary.items()
        for name in ("crps", "crps_random_walk", "ratio", "coverage_80", "independent_windows")
    }
    fresh = _unseen(stores, scored.table, pair)
    return Draft(
        fresh, check_scores(scored.table), {**facts, "version": manifest.version}, unchanged=not fresh.num_rows
    )


def _unseen(stores: Stores, table: pa.Table, pair: str) -> pa.Table:
    """Rows of windows that are not on record for this model version yet: a score is never rewritten."""
    try:
        known = stores.lake.read(TABLE, pair)
    except NoData:
        return table
    version = table.column("model_version")[0].as_py()
    model = table.column("model_id")[0].as_py()
    rows = known.filter(
        pc.and_(pc.equal(known.column("model_version"), version), pc.equal(known.column("model_id"), model))
    )
    return table.join(rows.select(["horizon", "origin"]), keys=["horizon", "origin"], join_type="left anti").select(
        table.column_names
    )
