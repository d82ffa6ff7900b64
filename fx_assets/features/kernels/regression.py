"""Autoregression by least squares with a constant, as statsmodels' `AutoReg` fits it.

The normal equations of the centred lags are built and solved for all windows at once. They square the condition of
the problem, so windows whose lags are close to collinear take statsmodels' own way: the pseudo-inverse.
Source: tsfresh 0.21, statsmodels 0.15.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel
from fx_assets.features.kernels.checks import at_least

# What a lag must add to those before it, of the largest sum of squares: with less, rounding shows in the tenth digit.
COLLINEAR = 1e-4
# statsmodels: singular values below this part of the largest are zero.
CUTOFF = 1e-15


@kernel("ar_coefficient")
def ar_coefficient(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Coefficient `coeff` of the autoregression on `k` lags, the constant being 0; NaN beyond `k`.

    A window too short for the fit gives NaN, and 0 for the last coefficient, as tsfresh does.
    """
    at_least("ar_coefficient", params, "coeff", 0)
    at_least("ar_coefficient", params, "k", 0)
    fits = {lags: _fit(windows, lags) for lags in {item["k"] for item in params}}
    return [fits[i["k"]][i["coeff"]] if i["coeff"] <= i["k"] else windows.missing for i in params]


def _fit(windows: Windows, lags: int) -> list[FloatArray]:
    """(W,) for the constant and each lag."""
    if windows.length - lags < lags + 1:
        return [windows.missing] * lags + [np.zeros(len(windows))]
    sums, products = _moments(windows, lags)
    used = windows.length - lags
    scale = np.maximum.reduce([products[lag, lag] for lag in range(lags + 1)])
    products -= sums[:, None] * sums[None] / used
    weights, collinear = _solve(products[1:, 1:], products[0, 1:], COLLINEAR * scale)
    constant = sums[0] / used + windows.mean
    for weight, total in zip(weights, sums[1:], strict=True):
        constant = constant - weight * (total / used + windows.mean)
    fit = np.stack([constant, *weights])
    for row in np.flatnonzero(collinear):
        fit[:, row] = _pseudo_inverse_fit(windows.values[row], lags)
    return list(fit)


def _moments(windows: Windows, lags: int) -> tuple[FloatArray, FloatArray]:
    """Sums (lags + 1, W) of the centred values 0 to `lags` bars back, and of their products (lags + 1, lags + 1, W).

    One bar further back the sums lose their last term and gain one in front.
    """
    centred, n = windows.centred, windows.length
    gained = np.ascontiguousarray(centred[:, :lags].T[::-1])
    lost = np.ascontiguousarray(centred[:, n - lags :].T[::-1])
    sums = np.empty((lags + 1, len(windows)))
    products = np.empty((lags + 1, lags + 1, len(windows)))
    sums[0] = centred[:, lags:].sum(axis=1)
    for lag in range(lags + 1):
        products[0, lag] = np.vecdot(centred[:, lags:], centred[:, lags - lag : n - lag])
    for lag in range(lags):
        sums[lag + 1] = sums[lag] + gained[lag] - lost[lag]
        later = products[lag, lag:-1] + gained[lag] * gained[lag:] - lost[lag] * lost[lag:]
        products[lag + 1, lag + 1 :] = later
    for lag in range(1, lags + 1):
        products[lag, :lag] = products[:lag, lag]
    return sums, products


def _solve(matrix: FloatArray, right: FloatArray, least: FloatArray) -> tuple[list[FloatArray], NDArray[np.bool_]]:
    """Gauss without pivoting on (k, k, W) and (k, W), which it overwrites: k solutions (W,), and where a pivot is not
    above `least` (W,). Element by element only, so that each window is rounded the same in any company."""
    order, rows = right.shape
    collinear = np.zeros(rows, dtype=np.bool_)
    solution: list[FloatArray] = []
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        for place in range(order):
            pivot = matrix[place, place]
            collinear = collinear | ~(pivot > least)
            factors = matrix[place + 1 :, place] / pivot
            matrix[place + 1 :, place + 1 :] -= factors[:, None] * matrix[place, place + 1 :]
            right[place + 1 :] -= factors * right[place]
        for place in range(order - 1, -1, -1):
            value = right[place]
            for known, later in zip(solution, range(order - 1, place, -1), strict=True):
                value = value - matrix[place, later] * known
            solution.append(value / matrix[place, place])
    return solution[::-1], collinear


def _pseudo_inverse_fit(window: FloatArray, lags: int) -> FloatArray:
    """(lags + 1,): statsmodels' `OLS.fit`, step by step: where no fit is unique its rounding decides."""
    n = len(window)
    columns = [window[lags - back : n - back] for back in range(1, lags + 1)]
    regressors = np.column_stack([np.ones(n - lags), *columns])
    left, singular, right = np.linalg.svd(regressors, full_matrices=False)
    with np.errstate(divide="ignore"):
        inverse = np.where(singular > CUTOFF * singular.max(), 1.0 / singular, 0.0)
    return np.asarray(np.dot(np.dot(right.T, inverse[:, None] * left.T), window[lags:]))
