"""Scores of joint forecasts, made of simulated paths; one value per window."""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike

from fx_assets.metrics.losses import Floats, _finite


def energy_score(*, y: ArrayLike, draws: ArrayLike) -> Floats:
    """Energy score of m draws of d quantities: mean |draw - y| less half the mean |draw - other draw|; lower is better.

    `y` (n, d), `draws` (n, m, d), in one unit; returns (n,) in it. Distances are Euclidean, so quantities that move
    more weigh more: divide both by volatilities known at the origin to weigh them alike. Pairs of a draw with itself
    count in the second mean, which favours larger m: compare forecasts of one m. With d = 1 it is the draws' CRPS.
    About m^2 steps a window: .1 s at m = 1,000. Source: Gneiting and Raftery (2007), doi 10.1198/016214506000001437,
    section 4.3; computed by scoringrules `es_ensemble`.
    """
    actual, paths = _finite("y", y), _finite("draws", draws)
    if actual.ndim != 2 or paths.ndim != 3 or (paths.shape[0], paths.shape[2]) != actual.shape:
        raise ValueError(f"expected y (n, d) and draws (n, m, d); got {actual.shape} and {paths.shape}")
    if not paths.shape[1] or not paths.shape[2]:
        raise ValueError(f"draws: expected at least one draw of one quantity, got {paths.shape}")
    import scoringrules

    # Its numpy backend would hold n m^2 d differences at once.
    return np.asarray(scoringrules.es_ensemble(actual, paths, backend="numba"), dtype=np.float64)
