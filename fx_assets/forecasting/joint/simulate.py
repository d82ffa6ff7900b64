"""Joint filtered historical simulation: paths of all pairs that move together as they have on whole dates of the past.

Source: Barone-Adesi, Giannopoulos and Vosper (1999), "VaR without correlations for portfolios of derivative
securities". Theirs lets each drawn return move the volatility of the steps after it; here the term structure is that of
the served forecasts, whatever their model, and the same on every path. Long horizons thus have somewhat thinner tails.
"""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.forecasting.joint.graph import PairGraph
from fx_assets.storage.hashing import canonical_json

Floats = NDArray[np.float64]

DRAWS = 5000
MOST_VALUES = 2**26
"""Most numbers in the paths, 512 MiB: as much again is needed while they are summed."""


def content_seed(*parts: Any) -> int:
    """A seed out of what goes into a simulation: arrays, texts and numbers. Below 2**52, so that JSON keeps it whole.

    The same content gives the same paths on any machine, and another content others.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, np.ndarray):
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            digest.update(np.ascontiguousarray(part).tobytes())
        else:
            digest.update(canonical_json(part).encode())
        digest.update(b"\0")
    return int(digest.hexdigest()[:13], 16)


def step_volatility(volatility: Floats) -> tuple[Floats, int]:
    """Standard deviation of each single step, (L, H), from those of the returns to each horizon, (L, H).

    Variances of steps add up to that of the horizon. Where a forecast says less of a later horizon than of an earlier
    one, no path can do both: the step between stands still, and the second value counts such steps. Raises
    `ValueError` for a volatility that is not above 0.
    """
    volatility = np.asarray(volatility, dtype=np.float64)
    if volatility.ndim != 2 or not np.isfinite(volatility).all() or (volatility <= 0).any():
        raise ValueError(f"volatility: expected numbers above 0, (legs, horizons); got shape {volatility.shape}")
    variance = np.maximum.accumulate(np.square(volatility), axis=1)
    falls = int((np.diff(volatility, axis=1) < 0).sum())
    steps: Floats = np.sqrt(np.diff(variance, axis=1, prepend=0.0))
    return steps, falls


def simulate(
    residuals: Floats,
    graph: PairGraph,
    *,
    steps: Floats,
    seed: int,
    location: Floats | None = None,
    draws: int = DRAWS,
) -> Floats:
    """Paths (draws, H, P) of cumulative log returns from the origin, in the order of `graph.pairs`.

    `residuals` (n, L): whole dates of standardised returns of the legs, of mean 0 (`WholeDates.centred`); each step of
    each path takes one date, all alike, with replacement. `steps` (L, H): standard deviation of the legs' single steps
    (`step_volatility`). `location` (P, H): coherent cumulative log returns that the paths are moved by; 0 if not given.
    Crosses are sums of legs on every path. Raises `ValueError` for wrong shapes, values that are not finite, a location
    that does not add up, or more than `MOST_VALUES` numbers.
    """
    residuals, steps = np.asarray(residuals, dtype=np.float64), np.asarray(steps, dtype=np.float64)
    legs, pairs = len(graph.legs), len(graph.pairs)
    if residuals.ndim != 2 or residuals.shape[1] != legs or not len(residuals):
        raise ValueError(f"residuals: expected (dates, {legs}), one column for each of {', '.join(graph.legs)}")
    if steps.ndim != 2 or len(steps) != legs or not steps.shape[1]:
        raise ValueError(f"steps: expected ({legs}, H), one row for each of {', '.join(graph.legs)}; got {steps.shape}")
    horizon = steps.shape[1]
    moved = np.zeros((pairs, horizon)) if location is None else np.asarray(location, dtype=np.float64)
    if moved.shape != (pairs, horizon):
        raise ValueError(f"location: expected {(pairs, horizon)}, got {moved.shape}")
    for name, array in (("residuals", residuals), ("steps", steps), ("location", moved)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: a value is not finite")
    if np.abs(graph.constraints @ moved).max(initial=0.0) > 1e-12:
        raise ValueError("location: crosses differ from the sum of their legs; make it coherent first")
    _check_size(draws, horizon, pairs)
    dates = np.random.default_rng(seed).integers(len(residuals), size=(draws, horizon))
    paths = np.zeros((pairs, draws, horizon))  # pair by pair in memory, as it is filled and read
    for leg, (shocks, scale) in enumerate(zip(residuals.T, steps, strict=True)):
        walk = np.cumsum(shocks[dates] * scale, axis=1)
        # Leg by leg in a fixed order, not by a matrix product: the same bits whatever library multiplies.
        for pair in np.flatnonzero(graph.matrix[:, leg]):
            paths[pair] += graph.matrix[pair, leg] * walk
    paths += moved[:, None, :]
    return np.moveaxis(paths, 0, 2)


def _check_size(draws: int, horizon: int, pairs: int) -> None:
    if draws < 1:
        raise ValueError(f"draws: expected at least one path, got {draws}")
    size = math.prod((draws, horizon, pairs))
    if size > MOST_VALUES:
        raise ValueError(
            f"{draws} paths of {horizon} steps and {pairs} pairs are {size} numbers, at most {MOST_VALUES} are "
            "allowed; draw fewer paths, or simulate in parts with seeds of their own"
        )
