"""Aggregates of stretches of bars, by featuretools from the saved definitions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fx_assets.features.aggregates.entities import CUTOFF, PERIOD, entity_set
from fx_assets.features.aggregates.periods import Rows
from fx_assets.features.aggregates.remarks import known_remarks, library
from fx_assets.features.frames import FloatArray, Times

# Bars given to featuretools at a time; it copies what it is given several times.
_CHUNK = 250_000


@dataclass(frozen=True, eq=False)
class Stretch:
    """What one aggregate is made of: rows of a frame, and when the last of its periods is finished (UTC)."""

    rows: Rows
    end: np.datetime64


def aggregate(
    features: Sequence[Any], stretches: Sequence[Stretch], closed: Times, values: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    """The aggregates `features` (from `definitions.load`) of each of k stretches, by their own names: (k,) each.

    `closed` (n,): closing times of the frame's bars, UTC; `values` (n,) of them by name. NaN where a stretch holds too
    few bars by its end: none at all, one for a deviation, under three for a skewness or a trend.
    """
    found = [_chunk(features, chunk, closed, values) for chunk in _chunks(stretches)]
    return {
        feature.get_name(): np.concatenate([np.empty(0), *(chunk[feature.get_name()] for chunk in found)])
        for feature in features
    }


def _chunks(stretches: Sequence[Stretch]) -> Iterator[Sequence[Stretch]]:
    first = held = 0
    for number, stretch in enumerate(stretches):
        if number > first and held + len(stretch.rows) > _CHUNK:
            yield stretches[first:number]
            first, held = number, 0
        held += len(stretch.rows)
    if first < len(stretches):
        yield stretches[first:]


def _chunk(
    features: Sequence[Any], stretches: Sequence[Stretch], closed: Times, values: Mapping[str, FloatArray]
) -> dict[str, FloatArray]:
    import pandas as pd

    rows = np.concatenate([stretch.rows for stretch in stretches])
    number = np.repeat(np.arange(len(stretches)), [len(stretch.rows) for stretch in stretches])
    ends = np.array([stretch.end for stretch in stretches])
    entities = entity_set(
        len(stretches), number, closed[rows] - ends[number], {name: column[rows] for name, column in values.items()}
    )
    with known_remarks(features):
        matrix = library().calculate_feature_matrix(
            list(features),
            entityset=entities,
            cutoff_time=pd.DataFrame({PERIOD: np.arange(len(stretches)), "time": CUTOFF}),
        )
    return {name: matrix[name].to_numpy(dtype=np.float64) for name in matrix.columns}
