"""How a window is like itself some bars later: autocorrelation, and partial autocorrelation.

Sums of products are numpy's `vecdot`: the inner product of BLAS, one window after the other, which is what
`numpy.correlate` and so statsmodels add with.
Source: tsfresh 0.21, statsmodels 0.15 (`acf` and `pacf` with the adjusted autocovariance).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from fx_assets.features.kernels.base import FloatArray, Params, Windows, kernel
from fx_assets.features.kernels.checks import at_least, one_of

AGGREGATES: dict[str, Callable[[FloatArray], FloatArray]] = {
    "max": lambda values: np.asarray(values.max(axis=1)),
    "mean": lambda values: np.asarray(values.mean(axis=1)),
    "median": lambda values: _median(values),
    "min": lambda values: np.asarray(values.min(axis=1)),
    "std": lambda values: np.asarray(values.std(axis=1)),
    "sum": lambda values: np.asarray(values.sum(axis=1)),
    "var": lambda values: np.asarray(values.var(axis=1)),
}


def _median(values: FloatArray) -> FloatArray:
    """(W,): for rows of some 40 values a sort is faster than numpy's own."""
    ordered, n = np.sort(values, axis=1), values.shape[1]
    return np.asarray((ordered[:, (n - 1) // 2] + ordered[:, n // 2]) / 2)


def _products(windows: Windows, lag: int) -> FloatArray:
    """(W,): sum of the products of the centred values with those `lag` later."""
    centred = windows.centred
    return np.asarray(np.vecdot(centred[:, lag:], centred[:, : windows.length - lag]))


@kernel("autocorrelation")
def autocorrelation(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Autocorrelation at `lag`; NaN from the window's length on, and where the variance is 1e-8 or less."""
    at_least("autocorrelation", params, "lag", 0)
    variance = np.where(windows.variance <= 1e-8, np.nan, windows.variance)
    n = windows.length
    return [
        _products(windows, item["lag"]) / ((n - item["lag"]) * variance) if item["lag"] < n else windows.missing
        for item in params
    ]


@kernel("agg_autocorrelation")
def agg_autocorrelation(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """`f_agg` of the autocorrelations at lags 1 to `maxlag`; of zeros where the variance is below 1e-10."""
    at_least("agg_autocorrelation", params, "maxlag", 1)
    one_of("agg_autocorrelation", params, "f_agg", AGGREGATES)
    n = windows.length
    lags = range(1, min(n - 1, max(item["maxlag"] for item in params)) + 1)
    with np.errstate(divide="ignore", invalid="ignore"):
        own = _products(windows, 0) / n
        by_lag = [_products(windows, lag) / (n - lag) / own for lag in lags]
    correlations = np.stack(by_lag, axis=1) if by_lag else np.zeros((len(windows), 1))
    correlations[windows.variance < 1e-10] = 0.0
    return [AGGREGATES[item["f_agg"]](correlations[:, : item["maxlag"]]) for item in params]


@kernel("partial_autocorrelation")
def partial_autocorrelation(windows: Windows, params: Sequence[Params]) -> list[FloatArray]:
    """Partial autocorrelation at `lag` by Levinson and Durbin; NaN from half the window's length on."""
    at_least("partial_autocorrelation", params, "lag", 0)
    last = min(windows.length // 2 - 1, max(item["lag"] for item in params))
    if last < 1:
        return [windows.missing for _ in params]
    columns = _levinson_durbin([_products(windows, lag) / (windows.length - lag) for lag in range(last + 1)])
    return [columns[item["lag"]] if item["lag"] <= last else windows.missing for item in params]


def _levinson_durbin(covariances: Sequence[FloatArray]) -> list[FloatArray]:
    """(W,) for each lag: partial autocorrelations from autocovariances; NaN where the latter are 0."""
    backward = np.stack(covariances[::-1], axis=1)
    last = len(covariances) - 1
    # In every second place only: statsmodels has the weights in a column, and BLAS does not add those up like a row.
    weights = np.zeros((len(backward), last, 2))[:, :, 0]
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        newest = covariances[1] / covariances[0]
        rest = covariances[0] - newest * covariances[1]
        weights[:, 0] = newest
        found = [np.ones(len(newest)), newest]
        for lag in range(2, last + 1):
            known = weights[:, : lag - 1]
            explained = np.vecdot(known, backward[:, last - lag + 1 : last])
            newest = (covariances[lag] - explained) / rest
            known -= newest[:, None] * known[:, ::-1].copy()
            weights[:, lag - 1] = newest
            rest = rest * (1 - newest**2)
            found.append(newest)
    return found
