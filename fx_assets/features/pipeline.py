"""From inputs to the candidate matrix: the blocks of each stage, put side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from fx_assets.features.blocks import KEY_FIELDS, Inputs, Segment, compute, segments
from fx_assets.features.errors import FeatureError
from fx_assets.features.sets import Step, feature_schema, lookback, steps
from fx_assets.specs.schema import FeatureSetSpec

KEYS = tuple(key.name for key in KEY_FIELDS)


def arrow_schema(columns: Sequence[str]) -> pa.Schema:
    """Schema of a feature table with these columns."""
    return pa.schema([*KEY_FIELDS, *(pa.field(column, pa.float64()) for column in columns)])


def stage_schema(step: Step) -> pa.Schema:
    """Schema of the table that a stage's asset writes."""
    return arrow_schema([column.name for column in step.columns])


def block_of_set(spec: FeatureSetSpec, inputs: Inputs, block: str) -> pa.Table:
    """The candidate matrix of one block, computed from `inputs`; errors as `blocks.compute`."""
    cut: dict[int, list[Segment]] = {}
    parts = {}
    for step in steps(spec):
        if step.lookback not in cut:
            cut[step.lookback] = segments(inputs, block, step.lookback)
        parts[step.name] = compute(step.stage, step.options, cut[step.lookback], block, stage_schema(step))
    return joined(spec, parts)


def joined(spec: FeatureSetSpec, parts: Mapping[str, pa.Table]) -> pa.Table:
    """One block of the candidate matrix from the tables of its stages: the rows that all of them have, by time.

    Stages with a shorter look-back begin earlier; later on each has every row, or `FeatureError` says which has not.
    """
    order = [step.name for step in steps(spec)]
    shortest = min((parts[name] for name in order), key=len)
    times = shortest.column("time")
    columns = []
    for step in steps(spec):
        table = parts[step.name]
        table = table.filter(pc.greater_equal(table.column("time"), times[0])) if len(times) else table.slice(0, 0)
        if not table.column("time").equals(times):
            raise FeatureError(
                f"feature set {spec.name!r}: the rows of stage {step.name!r} are not those of the others; "
                "materialize its stages again"
            )
        columns += [table.column(column.name) for column in step.columns]
    keys = [shortest.column(key) for key in KEYS]
    return pa.table([*keys, *columns], schema=arrow_schema(feature_schema(spec))).combine_chunks()


def build(inputs: Inputs, spec: FeatureSetSpec) -> pa.Table:
    """The candidate matrix of all of `inputs`, one row per bar that was ever said after the warm-up, by time.

    Raises `FeatureError` for too short a history, a stage that cannot run, and a value that is not finite.
    """
    first = lookback(spec)
    tables = [block_of_set(spec, inputs, block) for block in inputs.blocks()]
    table = pa.concat_tables(tables) if tables else arrow_schema(feature_schema(spec)).empty_table()
    if not table.num_rows:
        raise FeatureError(
            f"insufficient_history: feature set {spec.name!r} needs more than {first} bars before its first row; "
            f"there are {len(inputs.rows.time)}. Take a longer history or shorter periods"
        )
    return table.combine_chunks()


def values_of(table: pa.Table, name: str) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    """One column (n,) as float64."""
    return np.asarray(table.column(name).to_numpy(zero_copy_only=False), dtype=np.float64)
