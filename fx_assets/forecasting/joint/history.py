"""Whole dates of standardised returns: what every leg did on one day, in units of what was then expected of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fx_assets.models.errors import InsufficientHistory
from fx_assets.models.volatility import DEFAULT_ALPHA, MIN_VARIANCE

Floats = NDArray[np.float64]

LEAST_DATES = 250
"""Fewer say nothing about what happens on one day in a hundred."""

WARM_UP = 60
"""Returns that the recursion of `ewma_volatilities` starts from."""


@dataclass(frozen=True, eq=False)
class WholeDates:
    """Standardised returns (m, L) of the dates on which all of `names` (L) have one, oldest first.

    `rows` (m,): rows of the history in which those returns end. `left_out`: rows from the first to the last of the
    stretch on which some were missing.
    """

    names: tuple[str, ...]
    values: Floats
    rows: NDArray[np.int64]
    left_out: int

    def centred(self, *, rescaled: bool = False) -> Floats:
        """(m, L) with the means taken out: where a path drifts is the forecast's location to say.

        `rescaled` also makes the root mean square of each 1, for volatilities of another model than those by which
        the paths will be scaled; without it, a model that says too little is made up for.
        """
        values: Floats = self.values - self.values.mean(axis=0)
        if rescaled:
            values /= np.sqrt(np.mean(np.square(values), axis=0))
        return values


def standardised(closes: Floats, volatility: Floats, names: Sequence[str], location: Floats | None = None) -> Floats:
    """One-step errors in units of the volatility that was forecast, (n, P); the first row is NaN.

    `closes` (n, P) on common dates, oldest first, NaN where there is none. `volatility` (n, P): standard deviation of
    the next log return as forecast **at** that row, NaN where there was no forecast; `location` (n, P) likewise, 0 if
    not given. Row i is (log(closes[i] / closes[i - 1]) - location[i - 1]) / volatility[i - 1] and so known at row i.
    Raises `ValueError` naming pair and row for a price or a volatility that is not above 0, and for other shapes.
    """
    closes = _positive("closes", closes, names)
    volatility = _positive("volatility", volatility, names)
    expected = np.zeros_like(closes) if location is None else np.asarray(location, dtype=np.float64)
    if not closes.shape == volatility.shape == expected.shape:
        raise ValueError(
            f"expected one shape, got closes {closes.shape}, volatility {volatility.shape}, location {expected.shape}"
        )
    result = np.full_like(closes, np.nan)
    result[1:] = (np.diff(np.log(closes), axis=0) - expected[:-1]) / volatility[:-1]
    return result


def whole_dates(
    errors: Floats, names: Sequence[str], *, until: int, most: int | None = None, least: int = LEAST_DATES
) -> WholeDates:
    """The dates of `errors` (n, L) up to and including row `until` on which none is missing, the last `most` of them.

    What lies after `until` is not looked at. Raises `InsufficientHistory` for fewer than `least`, and `ValueError`
    naming a leg that never moves or a row that does not exist.
    """
    errors = np.asarray(errors, dtype=np.float64)
    if errors.ndim != 2 or errors.shape[1] != len(names):
        raise ValueError(f"errors: expected (n, {len(names)}), got {errors.shape}")
    if not 0 <= until < len(errors):
        raise ValueError(f"row {until} is not among the {len(errors)} rows of the history")
    if most is not None and most < least:
        raise ValueError(f"most: expected at least {least} dates, got {most}")
    rows = np.flatnonzero(np.isfinite(errors[: until + 1]).all(axis=1))
    rows = rows if most is None else rows[-most:]
    if len(rows) < least:
        raise InsufficientHistory(
            f"{len(rows)} dates on which all of {', '.join(names)} have a return and a volatility, at least {least} "
            "are needed; give more history, or leave out the pair that has least"
        )
    values = errors[rows]
    still = ~(np.abs(values) > 0).any(axis=0)
    if still.any():
        raise ValueError(
            f"{names[int(np.argmax(still))]}: its price never moves on {len(rows)} dates; check its prices"
        )
    left_out = until + 1 - int(rows[0]) - len(rows)
    return WholeDates(tuple(names), values, rows.astype(np.int64), left_out)


def ewma_volatilities(closes: Floats, names: Sequence[str], *, alpha: float = DEFAULT_ALPHA) -> Floats:
    """Volatility (n, P) of the next log return by an exponentially weighted variance, for want of a model's own.

    `closes` (n, P), NaN where there is none: the variance then stays. The first `WARM_UP` returns of a pair, whose mean
    square starts the recursion, have none (NaN). Row i looks at no row after i. Source: RiskMetrics 1996.
    """
    closes = _positive("closes", closes, names)
    result = np.full_like(closes, np.nan)
    for column in range(closes.shape[1]):
        rows = np.flatnonzero(np.isfinite(closes[:, column]))
        squares = np.square(np.diff(np.log(closes[rows, column])))
        if len(squares) < WARM_UP:
            continue
        variance = max(float(squares[:WARM_UP].mean()), MIN_VARIANCE)
        result[rows[WARM_UP], column] = variance
        for row, square in zip(rows[WARM_UP + 1 :].tolist(), squares[WARM_UP:].tolist(), strict=True):
            variance = max((1.0 - alpha) * variance + alpha * square, MIN_VARIANCE)
            result[row, column] = variance
    return np.sqrt(result)


def _positive(what: str, values: Floats, names: Sequence[str]) -> Floats:
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 2 or array.shape[1] != len(names):
        raise ValueError(
            f"{what}: expected (n, {len(names)}), one column for each of {', '.join(names)}; {array.shape}"
        )
    bad = (array <= 0) | np.isinf(array)
    if bad.any():
        row, column = np.argwhere(bad)[0]
        raise ValueError(
            f"{what} of {names[column]} in row {row}: expected a number above 0, or NaN where there is none"
        )
    return array
