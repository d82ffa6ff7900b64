"""Arithmetic on runs of neighbouring rows: the rows of one bar, in order of time.

Every result is a function of the run's own values, bit for bit: a sum adds the same numbers in the same order wherever
the run stands in its column, however long the column is and however many threads there are. Grouping engines promise
less (a hash-grouped sum follows the split among threads), and a bar that changes in its last bit each time its block
is made anew would be a correction that never happened. Hence `ufunc.reduceat` of numpy, which is also twice as fast.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import polars as pl
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

# Of 2 artanh(z), z = (after - before) / (after + before), squared: 4 (z^2 + 2/3 z^4 + 23/45 z^6 + 44/105 z^8 ...).
_FAR = 1e-6  # up to this z^2, a move of 20 basis points, what is cut off is below the last bit


@dataclass(frozen=True)
class Runs:
    """Neighbouring rows that belong together: `starts` (n,) is the first row of each run, of `rows` rows in all."""

    starts: Rows
    rows: int

    @cached_property
    def ends(self) -> Rows:
        """Last row of each run, that row included."""
        return np.append(self.starts[1:], self.rows) - 1

    @cached_property
    def counts(self) -> NDArray[np.int64]:
        """Rows in each run."""
        return np.diff(self.starts, append=self.rows).astype(np.int64)

    def sum(self, values: Floats) -> Floats:
        """Sum of each run; NaN where the run has one."""
        return np.add.reduceat(values, self.starts)

    def max(self, values: Floats) -> Floats:
        """Highest of each run; NaN where the run has one."""
        return np.maximum.reduceat(values, self.starts)

    def min(self, values: Floats) -> Floats:
        """Lowest of each run; NaN where the run has one."""
        return np.minimum.reduceat(values, self.starts)

    def any(self, flags: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether any row of each run has the flag."""
        return np.logical_or.reduceat(flags, self.starts)

    def spread(self, values: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Each run's value, on each of its rows."""
        return np.repeat(values, self.counts)

    def among(self, kept: NDArray[np.bool_]) -> Runs:
        """The runs that are left where only the rows `kept` are (at least one); a run without any is no run."""
        runs = np.repeat(np.arange(len(self.starts)), self.counts)
        return runs_of(runs[kept])

    def fill_forward(self, values: Floats) -> Floats:
        """In place of NaN, the last value before it in the same run; NaN where there is none."""
        rows = np.arange(self.rows)
        last = np.maximum.accumulate(np.where(np.isnan(values), -1, rows))
        inside = last >= np.repeat(self.starts, self.counts)
        return np.where(inside, values[last], np.nan)

    def sum_of_known(self, values: Floats) -> Floats:
        """Sum of each run over what is not NaN; NaN where nothing is known."""
        known = ~np.isnan(values)
        return np.where(self.any(known), self.sum(np.where(known, values, 0.0)), np.nan)


def runs_of(*keys: NDArray[np.int64]) -> Runs:
    """A run as long as all `keys` (each (rows,), at least one row) stay what they are."""
    changes = keys[0][1:] != keys[0][:-1]
    for key in keys[1:]:
        changes |= key[1:] != key[:-1]
    return Runs(np.append(0, np.flatnonzero(changes) + 1), len(keys[0]))


def microseconds(times: pl.Series) -> NDArray[np.int64]:
    """Datetime[us] without nulls as the numbers it is made of; of a column in one piece, without a copy."""
    # `to_physical` runs the query engine, which takes longer than the arithmetic on a block.
    return times.to_numpy().view(np.int64)


def squared_returns(before: Floats, after: Floats) -> Floats:
    """`log(after / before) ** 2`, correct to a few units of the last bit however small the move; NaN stays NaN.

    The difference of two logarithms keeps only five or six digits of a move of a tenth of a pip.
    """
    square = after - before
    result = after + before
    square /= result
    square *= square
    np.multiply(square, 23 / 45, out=result)
    result += 2 / 3
    result *= square
    result += 1.0
    result *= square
    result *= 4.0
    far = np.flatnonzero(square > _FAR)
    if far.size:
        # Polars' logarithm, since it goes value by value: numpy's may differ in the last bit between the vectorised
        # middle and the end of an array, so with where the array was cut.
        move = pl.Series((after[far] - before[far]) / before[far]).log1p().to_numpy()
        result[far] = move * move
    return result


def variance(prices: Floats, runs: Runs, first: Floats | None = None) -> Floats:
    """Sum of squared log returns inside each run: of each price upon the one before it.

    The return of a run's first price is that upon `first` (one a run; NaN makes the sum NaN), or none.
    """
    returns = np.empty_like(prices)
    returns[1:] = squared_returns(prices[:-1], prices[1:])
    returns[runs.starts] = 0.0 if first is None else squared_returns(first, prices[runs.starts])
    return runs.sum(returns)
