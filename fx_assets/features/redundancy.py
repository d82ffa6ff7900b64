"""Which columns tell the same thing: rank correlations in whole numbers, and a greedy choice upon them.

Average ranks, doubled and less n + 1, are whole numbers of at most n - 1. By Cauchy and Schwarz no sum of products of
two columns' ranks, over whichever rows, exceeds n (n^2 - 1) / 3, below 2^53 up to n = 300,079: float64 holds them all.
So a correlation has the same bits whatever the threads, the BLAS, the blocks and the order of rows and columns.

Ranks are taken within each pair: columns are redundant where they say the same of a pair over time. Pooled ranks would
see how far pairs lie apart: in 16 ECB rates the volatilities of 60 and 120 days correlate by .95 pooled, by .88 within
the pairs. A pair of m rows weighs about m^3. A missing value counts as what a fitted `transform` puts in its place, the
column's median, so that the correlations are those of the columns that a model sees.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.errors import FeatureError
from fx_assets.features.frames import FloatArray
from fx_assets.features.stages.base import Sample

Ranks = NDArray[np.int32]
Reason = Literal["redundant", "constant", "missing", "cap"]

# Of more rows that many are taken: within the bound above, and enough to know a correlation to .005.
MAX_ROWS = 200_000
# How much is worked on at once; no result depends on it.
COLUMN_BLOCK = 64
ROW_BLOCK = 8_192
# The standard deviation, relative to the largest value, from which on a scaler divides by it.
_LEAST_DEVIATION = 1e-12
_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True)
class Dropped:
    """A column that is not kept; of a redundant one also `keeper`, the nearest kept before, and their correlation."""

    name: str
    reason: Reason
    keeper: str | None = None
    correlation: float | None = None


@dataclass(frozen=True)
class Choice:
    """`medians` of the kept columns, in the order given; `dropped` in the order of candidates; `rows`: ranked ones."""

    medians: dict[str, float]
    dropped: tuple[Dropped, ...]
    rows: int


def choose(
    sample: Sample,
    *,
    threshold: float,
    max_missing: float,
    max_features: int | None = None,
    column_block: int = COLUMN_BLOCK,
    row_block: int = ROW_BLOCK,
) -> Choice:
    """Keep a column while its |Spearman correlation| with each kept so far is below `threshold`.

    Candidates by priority of their stage, cost, number of missing values, name: neither the order of columns nor that
    of rows counts (but see `MAX_ROWS`). Not among them: columns without a finite value in a share of more than
    `max_missing` of the rows, and those that never change within a pair or by too little to be scaled.
    At most `max_features` are kept. Raises `FeatureError` where two columns have one name.
    """
    names = sample.names
    if len(set(names)) != len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise FeatureError(f"columns {twice} stand twice in the sample; rename one of each")
    n = len(sample.values)
    missing = [n - int(np.count_nonzero(np.isfinite(sample.values[:, j]))) for j in range(len(names))]
    order = sorted(range(len(names)), key=lambda j: (sample.stages[j], sample.costs[j], missing[j], names[j]))
    dropped = {j: Dropped(names[j], "missing") for j in order if missing[j] > max_missing * n}
    candidates = [j for j in order if j not in dropped]
    rows, sections = _rows(sample.groups)
    medians: dict[int, float] = {}
    kept = _Kept(threshold, max_features, row_block)
    for start in range(0, len(candidates), column_block):
        block = candidates[start : start + column_block]
        ranks = np.empty((len(block), len(rows)), dtype=np.int32)
        for place, j in enumerate(block):
            ranks[place], medians[j] = _ranked(sample.values[:, j], rows, sections)
        verdicts = kept.add([names[j] for j in block], ranks)
        dropped |= {j: verdict for j, verdict in zip(block, verdicts, strict=True) if verdict is not None}
    return Choice(
        medians={name: medians[j] for j, name in enumerate(names) if j not in dropped},
        dropped=tuple(dropped[j] for j in order if j in dropped),
        rows=len(rows),
    )


def correlations(values: FloatArray, groups: NDArray[np.int64] | None = None) -> FloatArray:
    """Spearman correlations (k, k) of columns (n, k), ranked as `choose` ranks them; NaN of one that never changes.

    `groups` (n,): which pair a row belongs to; without it all are of one.
    """
    rows, sections = _rows(np.zeros(len(values), dtype=np.int64) if groups is None else groups)
    ranks = np.empty((values.shape[1], len(rows)), dtype=np.int32)
    for j in range(len(ranks)):
        ranks[j], _ = _ranked(values[:, j], rows, sections)
    products = _products(ranks, ranks, ROW_BLOCK)
    squares = np.diagonal(products)
    result = _normalised(products, squares, squares)
    result[squares == 0], result[:, squares == 0] = np.nan, np.nan
    return result


class _Kept:
    """The columns kept so far."""

    def __init__(self, threshold: float, limit: int | None, row_block: int) -> None:
        self._threshold, self._limit, self._row_block = threshold, limit, row_block
        self._names: list[str] = []
        self._ranks: list[Ranks] = []
        self._squares: list[FloatArray] = []

    def add(self, names: Sequence[str], ranks: Ranks) -> list[Dropped | None]:
        """Keep of the next candidates (b,), with ranks (b, n), those that may be: None for each of them."""
        own = _products(ranks, ranks, self._row_block)
        squares = np.diagonal(own)
        found = [
            _normalised(_products(ranks, others, self._row_block), squares, theirs)
            for others, theirs in zip(self._ranks, self._squares, strict=True)
        ]
        found.append(_normalised(own, squares, squares))
        against, before = [*self._names, *names], len(self._names)
        keep = np.arange(len(against)) < before
        verdicts: list[Dropped | None] = []
        for place, row in enumerate(np.concatenate(found, axis=1)):
            nearest = int(np.argmax(np.where(keep, np.abs(row), -1.0)))
            if not squares[place]:
                verdicts.append(Dropped(names[place], "constant"))
            elif keep[nearest] and abs(row[nearest]) >= self._threshold:
                verdicts.append(Dropped(names[place], "redundant", against[nearest], float(row[nearest])))
            elif np.count_nonzero(keep) == self._limit:
                verdicts.append(Dropped(names[place], "cap"))
            else:
                keep[before + place] = True
                verdicts.append(None)
        self._names = [name for name, kept in zip(against, keep, strict=True) if kept]
        self._ranks.append(ranks[keep[before:]])
        self._squares.append(squares[keep[before:]])
        return verdicts


def spread(n: int, most: int) -> NDArray[np.int64]:
    """At most `most` of the numbers below `n`: one of each of as many equal stretches.

    Not the same place in each stretch, for a fixed step may see one hour of the day only.
    """
    if n <= most:
        return np.arange(n)
    edges = np.arange(most + 1) * n // most
    places = np.arange(most) * _GOLDEN % 1.0
    return edges[:-1] + (places * np.diff(edges)).astype(np.int64)


def _rows(groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], list[slice]]:
    """The rows to rank, pair after pair, and where each pair's lie among them."""
    rows = np.argsort(groups, kind="stable")
    rows = rows[spread(len(rows), MAX_ROWS)]
    found = groups[rows]
    edges = np.concatenate([[0], np.flatnonzero(found[1:] != found[:-1]) + 1, [len(rows)]])
    return rows, [slice(int(first), int(last)) for first, last in pairwise(edges)]


def _ranked(column: FloatArray, rows: NDArray[np.int64], sections: Sequence[slice]) -> tuple[Ranks, float]:
    """Doubled centred average ranks of `rows` within each section, all 0 of a constant column; its median."""
    column = np.ascontiguousarray(column)
    finite = np.isfinite(column)
    present = column[finite]
    median = float(np.median(present)) if len(present) else 0.0
    result = np.zeros(len(rows), dtype=np.int32)
    least = 2 * _LEAST_DEVIATION * np.sqrt(len(column)) * (1 + np.abs(present).max(initial=0.0))
    # Columns of this range have a deviation of at least range / sqrt(2 n).
    if len(present) and np.ptp(present) > least:
        ranked = np.where(finite, column, median)[rows]
        for section in sections:
            result[section] = _ranks(ranked[section])
    return result, median


def _ranks(values: FloatArray) -> NDArray[np.int64]:
    order = np.argsort(values)
    ordered = values[order]
    first = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    after = np.append(first[1:], len(values))
    result = np.empty(len(values), dtype=np.int64)
    # From first + 1 to after, these are the ranks of equal values; their mean, doubled, less n + 1.
    result[order] = np.repeat(first + after - len(values), after - first)
    return result


def _products(left: Ranks, right: Ranks, row_block: int) -> FloatArray:
    """Sums of products (a, b) of ranks (a, n) and (b, n), without rounding."""
    result = np.zeros((len(left), len(right)))
    for start in range(0, left.shape[1], row_block):
        block = slice(start, start + row_block)
        first = left[:, block].astype(np.float64)
        second = first if right is left else right[:, block].astype(np.float64)
        result += first @ second.T
    return result


def _normalised(products: FloatArray, left: FloatArray, right: FloatArray) -> FloatArray:
    """Correlations (a, b) of sums of products and of squares; 0 of a constant. Of equal ranks exactly 1, never more."""
    # The root of a rounded square is the number itself, and rounding keeps order: the bound survives both.
    scale = np.sqrt(np.outer(left, right))
    return np.divide(products, scale, out=np.zeros_like(products), where=scale > 0)
