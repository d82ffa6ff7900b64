"""Scores of joint forecasts, made of simulated paths."""

from __future__ import annotations

import numpy as np

from fx_assets.metrics.losses import Floats


def energy_score(paths: Floats, outcome: Floats) -> Floats:
    """Energy score (H,) of paths (draws, H, P) once the outcome (H, P) is known, in their unit; lower is better.

    E|X - y| - E|X - X'| / 2 in P dimensions, the second mean over neighbouring draws, which are independent: over all
    pairs of draws it would take draws^2. Source: Gneiting and Raftery (2007), doi 10.1198/016214506000001437, section
    4.3; as scoringrules' `es_ensemble` with the estimator `akr`, which a test holds it equal to: importing that
    compiles for five seconds. Raises `ValueError` for other shapes or values not finite.
    """
    actual = np.asarray(outcome, dtype=np.float64)
    if paths.ndim != 3 or len(paths) < 2 or actual.shape != paths.shape[1:]:
        raise ValueError(
            f"expected paths (draws, H, P), two draws or more, and outcome (H, P); {paths.shape}, {actual.shape}"
        )
    if not np.isfinite(paths).all() or not np.isfinite(actual).all():
        raise ValueError("paths or outcome: a value is not finite; leave out horizons that have not come due")
    error = np.linalg.norm(paths - actual, axis=-1).mean(axis=0)
    spread = np.linalg.norm(paths - np.roll(paths, 1, axis=0), axis=-1).mean(axis=0)
    return np.asarray(error - 0.5 * spread, dtype=np.float64)
