"""The law of a mean over its Bartlett long-run deviation, where the bandwidth is a fixed share b of the sample.

Kiefer and Vogelsang, "A new asymptotic theory for heteroskedasticity-autocorrelation robust tests", Econometric
Theory 21 (2005), 1130-1164. The statistic tends to W(1) / sqrt(Q), where Q is a quadratic form in the Brownian bridge,
hence independent of W(1), hence a sum of weighted chi-squares. That makes one-sided p-values exact by Imhof's integral
(Biometrika 48 (1961), 419-426), where the paper simulates. A test holds the two together.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from fx_assets.metrics.losses import Floats

# Table 1 of the paper, Bartlett kernel: one-sided critical values as cubics in b.
_CUBICS = {
    0.10: (1.2816, 1.3040, 0.5135, -0.3386),
    0.05: (1.6449, 2.1859, 0.3142, -0.3427),
    0.025: (1.9600, 2.9694, 0.4160, -0.5324),
    0.01: (2.3263, 4.1618, 0.5368, -0.9060),
}
# Points on which the limit is laid out: 1,000 move no p-value by more than .0001.
_POINTS = 256


def critical_value(b: float, level: float) -> float:
    """One-sided critical value at `level` (.10, .05, .025 or .01) for a bandwidth of `b` samples in (0, 1]."""
    if level not in _CUBICS:
        raise ValueError(f"level: the paper gives {sorted(_CUBICS)}, got {level}; use `p_value` for others")
    return float(np.polynomial.polynomial.polyval(_checked(b), _CUBICS[level]))


def p_value(statistic: float, b: float) -> float:
    """P(W(1) / sqrt(Q) > `statistic`) for a bandwidth of `b` samples in (0, 1]."""
    # Rounded so that neighbouring sample sizes share the cached weights.
    weights = _weights(round(_checked(b), 4) or 1e-4)
    if statistic == 0:
        return 0.5
    above = 0.5 * positive_share(np.append(-(statistic**2) * weights, 1.0))
    return above if statistic > 0 else 1.0 - above


def positive_share(weights: Floats) -> float:
    """P(sum of weights (k,) times independent chi-squares of 1 degree > 0), by Imhof's integral.

    For many weights of either sign the error is under 1e-6. All above 0 give 1, all below give 0.
    """
    weights = weights[np.abs(weights) > 1e-12 * np.abs(weights).max()]
    if (weights > 0).all() or (weights < 0).all():
        return float(weights[0] > 0)
    weights = weights / np.abs(weights).max()
    # In log u the integrand is smooth and dies at both ends, so that the plain trapezium is accurate.
    grid = np.linspace(-18.0, 24.0, 600)
    scaled = np.exp(grid)[:, None] * weights
    angle = 0.5 * np.arctan(scaled).sum(axis=1)
    size = 0.25 * np.log1p(np.square(scaled)).sum(axis=1)
    integral = float(np.trapezoid(np.sin(angle) * np.exp(-size), grid))
    return float(np.clip(0.5 + integral / np.pi, 0.0, 1.0))


@lru_cache(maxsize=256)
def _weights(b: float) -> Floats:
    """Weights of the chi-squares that make Q up: of the Bartlett kernel, seen by deviations from the mean."""
    lags = np.arange(_POINTS)
    row = np.maximum(0.0, 1.0 - lags / max(1.0, b * _POINTS))
    kernel = row[np.abs(lags[:, None] - lags)]
    demeaned = kernel - kernel.mean(axis=0) - kernel.mean(axis=1)[:, None] + kernel.mean()
    found = np.linalg.eigvalsh(demeaned) / _POINTS
    weights: Floats = found[found > 1e-9 * found.max()]
    weights.flags.writeable = False
    return weights


def _checked(b: float) -> float:
    if not 0 < b <= 1:
        raise ValueError(f"b: expected a share of the sample in (0, 1], got {b}")
    return float(b)
