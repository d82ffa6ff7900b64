"""Samples for the selection, and its rules written a second time, slowly and with scipy."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.frames import FloatArray
from fx_assets.features.stages.base import Sample

MANUAL, TSFRESH = 10, 20


def sample(
    columns: Mapping[str, FloatArray],
    *,
    stages: Mapping[str, int] | None = None,
    costs: Mapping[str, float] | None = None,
    groups: NDArray[np.int64] | None = None,
) -> Sample:
    """Columns of one pair unless there are `groups`; of the manual stage and of cost 1 where nothing else is said."""
    values = np.column_stack(list(columns.values()))
    return Sample(
        names=tuple(columns),
        values=values,
        target=np.zeros(len(values)),
        groups=np.zeros(len(values), dtype=np.int64) if groups is None else groups,
        stages=np.array([(stages or {}).get(name, MANUAL) for name in columns], dtype=np.int64),
        costs=np.array([(costs or {}).get(name, 1.0) for name in columns]),
    )


def part(given: Sample, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> Sample:
    """Some rows and columns of it, in this order."""
    return Sample(
        names=tuple(given.names[j] for j in columns),
        values=given.values[np.ix_(rows, columns)],
        target=given.target[rows],
        groups=given.groups[rows],
        stages=given.stages[columns],
        costs=given.costs[columns],
    )


def reference(values: FloatArray, groups: NDArray[np.int64]) -> FloatArray:
    """Correlations (k, k) of ranks within each group, medians in the place of what is missing; NaN of constants."""
    from scipy.stats import rankdata

    ranks = np.zeros(values.shape)
    for j in range(values.shape[1]):
        column = values[:, j]
        finite = np.isfinite(column)
        filled = np.where(finite, column, np.median(column[finite]) if finite.any() else 0.0)
        for group in np.unique(groups):
            rows = groups == group
            ranks[rows, j] = rankdata(filled[rows]) - (rows.sum() + 1) / 2
    products = ranks.T @ ranks
    scale = np.sqrt(np.diagonal(products))
    with np.errstate(invalid="ignore"):
        return np.asarray(products / np.outer(scale, scale))
