"""Leading digits of the values, against the law of Newcomb and Benford. Source: tsfresh 0.21, `benford_correlation`."""

from __future__ import annotations

from functools import cache

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.kernels.base import FloatArray, Windows
from fx_assets.features.kernels.plain import plain

# Bits of a float64 after the sign that name a cell of the table: 11 of the exponent, 4 of the mantissa.
CELL_SHIFT = 52 - 4


@plain("benford_correlation")
def benford_correlation(windows: Windows) -> FloatArray:
    """Correlation of the shares of leading digits 1 to 9 with Benford's; NaN where all are the same."""
    digits = leading_digits(windows.magnitude)
    rows = 10 * np.arange(len(windows))[:, None]
    counts = np.bincount((rows + digits).ravel(), minlength=10 * len(windows)).reshape(-1, 10)
    shares = counts[:, 1:] / windows.length
    law = np.log10(1 + 1 / np.arange(1, 10))
    law -= law.mean()
    apart = shares - shares.mean(axis=1)[:, None]
    with np.errstate(invalid="ignore", divide="ignore"):
        values = (apart * law).sum(axis=1) / np.sqrt((apart * apart).sum(axis=1)) / np.sqrt((law * law).sum())
    return np.asarray(np.clip(values, -1.0, 1.0))


def leading_digits(magnitude: FloatArray) -> NDArray[np.int8]:
    """First digit of each value as it is written shortest (as `repr` does), of positive float64; 0 for 0.

    The shortest text of a value starts with `d` or more exactly where the value is not below the float64 nearest to
    `d` times the power of ten, so comparing with that one needs no text. Numbers below 2.3e-308, which have fewer
    bits, count as 0.
    """
    first, threshold = _table()
    cell = magnitude.view(np.int64) >> CELL_SHIFT
    digits = first.take(cell) + (magnitude >= threshold.take(cell))
    digits[digits == 10] = 1
    return digits


@cache
def _table() -> tuple[NDArray[np.int8], FloatArray]:
    """By cell of float64 numbers (each less than 1/16 wide): its first digit, and where in it the next digit starts.

    Digits are 1/9 apart or more, so no cell holds more than two.
    """
    starts = (np.arange(2047 << 4) << CELL_SHIFT).view(np.float64)
    steps = np.array([float(f"{digit}e{power}") for power in range(-308, 309) for digit in range(1, 10)])
    steps = steps[np.isfinite(steps)]
    passed = np.searchsorted(steps, starts, side="right")
    first = ((passed - 1) % 9 + 1).astype(np.int8)
    threshold = np.append(steps, np.inf)[passed]
    first[starts < np.finfo(np.float64).tiny] = 0
    threshold[starts < np.finfo(np.float64).tiny] = np.inf
    return first, threshold
