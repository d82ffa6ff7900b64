"""Features for one prediction: the stored ones, and those of bars that came since, computed here and now."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.features.errors import NotOnlineError
from fx_assets.features.pipeline import arrow_schema, block_of_set
from fx_assets.features.sets import feature_schema, lookback, steps, table_name
from fx_assets.features.stored import StoredInputs
from fx_assets.specs.schema import FeatureSetSpec, PairSpec
from fx_assets.storage.errors import NoData
from fx_assets.storage.lake import Lake


def features_at(
    lake: Lake, spec: FeatureSetSpec, pair: PairSpec, pairs: Sequence[str], times: pa.ChunkedArray, *, when: datetime
) -> pa.Table:
    """Features of the bars that begin at `times` (increasing) and were known at `when`, as far as they have any.

    `pairs`: those with bars of the set's frequency. A feature is known with its bar and never changes, so stored ones
    are those that were known then; what is not stored yet is computed, to the same bits. Raises `NotOnlineError` where
    that would need a stage that cannot run here, and errors as `pipeline.block_of_set`.
    """
    stored = _stored(lake, spec, pair.pair)
    bare = pc.filter(times, pc.invert(pc.is_in(times, value_set=stored.column("time").combine_chunks())))
    if stored.num_rows:
        # Before the first stored row lies the warm-up, which has no features.
        bare = pc.filter(bare, pc.greater(bare, stored.column("time")[0]))
    if not len(bare):
        return stored
    offline = [step.name for step in steps(spec) if not step.stage.online(step.options)]
    if offline:
        raise NotOnlineError(
            f"the features of {len(bare)} bars, first the one from {bare[0].as_py():%Y-%m-%d %H:%M} UTC, are not "
            f"stored yet, and the stage {', '.join(offline)} does not run here; materialize features/{spec.name} first"
        )
    inputs = StoredInputs(lake, pair, pairs, steps(spec), spec.frequency, when=when)
    fresh = [
        block_of_set(spec, inputs.of_block(block, lookback(spec)), block)
        for block in inputs.blocks(since=bare[0].as_py().date())
    ]
    rows = pa.concat_tables([arrow_schema(feature_schema(spec)).empty_table(), *fresh])
    rows = rows.filter(pc.is_in(rows.column("time"), value_set=bare.combine_chunks()))
    return pa.concat_tables([stored.select(rows.column_names), rows]).sort_by("time")


def _stored(lake: Lake, spec: FeatureSetSpec, pair: str) -> pa.Table:
    try:
        return lake.read(table_name(spec), pair)
    except NoData:
        return arrow_schema(feature_schema(spec)).empty_table()
