"""Are forecast signs better than chance? Pesaran-Timmermann, one step ahead only."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fx_assets.evaluation.inference.outcome import Test, checked_horizon, series


def pesaran_timmermann(y: ArrayLike, forecast: ArrayLike, *, horizon: int = 1) -> Test:
    """One-sided: do the signs of `forecast` (n,) agree with those of `y` (n,) more often than if independent?

    "Up" is above 0, all else is "not up". Where all outcomes or all forecasts point one way there is nothing to agree
    on: the statistic is 0 and p is 1. Raises `ValueError` for a `horizon` above 1, wrong shapes or values that are not
    finite. Source: Pesaran and Timmermann, Journal of Business and Economic Statistics 10 (1992), 461-465;
    statsmodels 0.15 has the same statistic, and raises in that last case.
    """
    if checked_horizon(horizon) > 1:
        raise ValueError(
            f"horizon: expected 1, got {horizon}; the test takes hits for independent, those of overlapping windows "
            "are not: run lengths alone would make it say skill. Use the forecasts one step ahead"
        )
    actual, ours = series("y", y), series("forecast", forecast)
    if actual.shape != ours.shape:
        raise ValueError(f"expected one shape, got y {len(actual)} and forecast {len(ours)}")
    up, said_up = actual > 0, ours > 0
    n, share_up, share_said = len(actual), float(up.mean()), float(said_up.mean())
    by_chance = share_up * share_said + (1 - share_up) * (1 - share_said)
    variance = by_chance * (1 - by_chance) - (
        (2 * share_up - 1) ** 2 * share_said * (1 - share_said) + (2 * share_said - 1) ** 2 * share_up * (1 - share_up)
    )
    assumed = "signs independent of each other and over time, one-sided; normal values"
    if share_up in (0.0, 1.0) or share_said in (0.0, 1.0) or variance <= 0:
        return Test(0.0, 1.0, (), n, f"undefined: all outcomes or all forecasts point one way; {assumed}")
    from scipy.special import ndtr

    statistic = float((np.mean(up == said_up) - by_chance) / np.sqrt(variance / n))
    return Test(statistic, float(ndtr(-statistic)), (), n, assumed)
