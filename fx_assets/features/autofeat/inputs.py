"""Which columns and rows of a training part autofeat is given: few, chosen by rule and never by chance."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.frames import FloatArray
from fx_assets.features.redundancy import choose, correlations, spread
from fx_assets.features.stages.base import Sample

# Of columns nearer to each other than this one is enough: their formulas are twins too.
TWINS = 0.9
# A column with more gaps would cost all the others these rows.
MOST_MISSING = 0.05
# Five-fold cross-validation on fewer finds anything.
LEAST_ROWS = 100


@dataclass(frozen=True, eq=False)
class Given:
    """What goes to autofeat: `columns` (m,) of the sample by number, their `values` (n, m), the `target` (n,)."""

    columns: tuple[int, ...]
    values: FloatArray
    target: FloatArray


def given_to_autofeat(sample: Sample, *, inputs: int, rows: int) -> Given:
    """At most `inputs` columns, those first that say most of the target, and at most `rows` rows without a gap.

    A column's strength is the larger of |Spearman(x, y)| and |Spearman(|x|, y)|, within pairs: what a monotone and what
    a symmetric formula of it could use, for autofeat's first step is one of these two. Of twins the one that selection
    would keep stands for both. Equal strengths go by name.
    """
    known = np.flatnonzero(np.isfinite(sample.target))
    some = known[spread(len(known), rows)]
    names = choose(_part(sample, some), threshold=TWINS, max_missing=MOST_MISSING).medians if len(some) else {}
    singles = np.flatnonzero([name in names for name in sample.names])
    values = sample.values[np.ix_(some, singles)]
    found = correlations(np.column_stack([values, np.abs(values), sample.target[some]]), sample.groups[some])
    of_target = np.nan_to_num(np.abs(found[-1, :-1])).reshape(2, len(singles)).max(axis=0)
    order = sorted(range(len(singles)), key=lambda place: (-of_target[place], sample.names[singles[place]]))
    columns = np.sort(singles[order[:inputs]])
    whole = known[np.isfinite(sample.values[np.ix_(known, columns)]).all(axis=1)]
    taken = whole[spread(len(whole), rows)]
    return Given(tuple(columns.tolist()), sample.values[np.ix_(taken, columns)], sample.target[taken])


def _part(sample: Sample, rows: NDArray[np.int64]) -> Sample:
    return Sample(
        names=sample.names,
        values=sample.values[rows],
        target=sample.target[rows],
        groups=sample.groups[rows],
        stages=sample.stages,
        costs=sample.costs,
    )
