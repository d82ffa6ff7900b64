"""Whether features still look as they did where a model learned: bins that fill otherwise, medians that moved."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.frames import FloatArray

BINS = 10
# Usual limits of the index: below the first a feature is stable, from the second on it is another one.
SOME, LARGE = 0.1, 0.25
_CHI_SQUARED = 16.919  # 95 % of a chi-squared variable with BINS - 1 degrees of freedom lie below


@dataclass(frozen=True, eq=False)
class Drift:
    """`index` and `shift` (k,) of each feature; NaN where it cannot be said. `rows`, `latest`: rows compared."""

    index: FloatArray
    shift: FloatArray
    rows: int
    latest: int

    @property
    def chance(self) -> float:
        """What the index of 19 in 20 features that did not change stays under, if rows were independent.

        Of k bins it is then (1 / n + 1 / m) times a chi-squared variable with k - 1 degrees of freedom (Yurdakul and
        Naranjo 2020, Statistical properties of the population stability index, Journal of Risk Model Validation 14(4)).
        Measured on normal values: 1 in 20 exceed it with 60 latest rows or more, 3 in 1,000 with 22, because of the
        half counts.
        """
        return _CHI_SQUARED * (1 / self.rows + 1 / self.latest)

    @property
    def worst(self) -> NDArray[np.int64]:
        """Features by falling index, those without one last; of equal ones in their order."""
        return np.argsort(np.where(np.isnan(self.index), np.inf, -self.index), kind="stable")


def drift(training: FloatArray, latest: FloatArray) -> Drift:
    """Compare the columns of `latest` (m, k) with those of `training` (n, k), n and m at least 1; both may hold NaN.

    `shift`: median of the latest rows less that of the training rows, in standard deviations of the training rows. NaN
    of a feature that has no value or never changes in the training rows; the shift also of one without a latest value.
    """
    columns = training.shape[1]
    index, shift = np.full(columns, np.nan), np.full(columns, np.nan)
    for column in range(columns):
        before = training[np.isfinite(training[:, column]), column]
        after = latest[np.isfinite(latest[:, column]), column]
        if not len(before) or before.min() == before.max():
            continue
        edges = _edges(before)
        expected = np.append(_counts(before, edges), len(training) - len(before))
        found = np.append(_counts(after, edges), len(latest) - len(after))
        # Gaps are a bin of their own, but only where there are any: with few rows an empty bin is not free.
        bins = slice(None) if expected[-1] or found[-1] else slice(-1)
        index[column] = stability_index(expected[bins], found[bins])
        if len(after):
            # A range so small that its squares vanish leaves no deviation to measure by.
            deviation = float(before.std())
            shift[column] = (np.median(after) - np.median(before)) / deviation if deviation else np.nan
    return Drift(index, shift, len(training), len(latest))


def stability_index(expected: NDArray[np.int64], found: NDArray[np.int64]) -> float:
    """Population stability index of two histograms over the same bins: sum of (q - p) ln(q / p).

    p and q are the shares of `expected` and `found` (both (b,)) in each bin, with half a count added to each so that an
    empty bin does not count without bound. Usual limits: under .1 stable, .1 to .25 some change, from .25 on a large
    one (Siddiqi 2006, Credit Risk Scorecards, Wiley).
    """
    p = (expected + 0.5) / (expected.sum() + 0.5 * len(expected))
    q = (found + 0.5) / (found.sum() + 0.5 * len(found))
    return float(((q - p) * np.log(q / p)).sum())


def _edges(values: FloatArray) -> FloatArray:
    """Upper edges of all bins but the last: the deciles, each once; a feature of few values has fewer bins."""
    deciles = np.quantile(values, np.arange(1, BINS) / BINS)
    return np.unique(np.minimum(deciles, values[values < values.max()].max()))


def _counts(values: FloatArray, edges: FloatArray) -> NDArray[np.int64]:
    return np.bincount(np.searchsorted(edges, values, side="left"), minlength=len(edges) + 1)
