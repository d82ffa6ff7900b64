"""A sample of a feature set's rows: enough to draw and to describe it by, however long its history."""

from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa

from fx_assets.features.pipeline import arrow_schema, joined
from fx_assets.features.sets import feature_schema, stage_table, steps
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.storage.lake import Lake
from fx_assets.timegrid.blocks import dates_of

BLOCKS, ROWS = 24, 6_000


def sample_of(spec: FeatureSetSpec, lake: Lake, pair: str, *, before: date | None = None) -> pa.Table:
    """At most `ROWS` rows of the pair's candidate matrix, by time, evenly spaced in at most `BLOCKS` of its blocks.

    The blocks are spread over the history and the newest is always among them; with `before`, only blocks that end
    before that date. Read from the tables of the stages, which are on record before the set is.
    """
    tables = {step.name: lake.snapshot(stage_table(spec, step)) for step in steps(spec)}
    held = [set(table.blocks(pair)) for table in tables.values()]
    names = sorted(set.intersection(*held))
    if before is not None:
        names = [name for name in names if dates_of(name)[1] < before]
    if not names:
        return arrow_schema(feature_schema(spec)).empty_table()
    chosen = sorted({names[int(i)] for i in np.linspace(len(names) - 1, 0, min(BLOCKS, len(names)))})
    parts = []
    for name in chosen:
        table = joined(spec, {stage: stored.read(pair, blocks=[name]) for stage, stored in tables.items()})
        step = max(1, -(-len(table) * len(chosen) // ROWS))
        parts.append(table.take(np.arange(0, len(table), step)) if step > 1 else table)
    return pa.concat_tables(parts).combine_chunks()
