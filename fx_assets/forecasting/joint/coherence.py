"""Locations that add up across crosses: the minimum trace reconciliation of forecasts.

Source: Wickramasuriya, Athanasopoulos and Hyndman (2019), "Optimal forecast reconciliation for hierarchical and grouped
time series through trace minimization", doi 10.1080/01621459.2018.1448825. Here the legs are the bottom series, and
log returns add up where prices multiply. Quantiles are never reconciled: they do not add up, and projecting them loses
coverage.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from fx_assets.forecasting.joint.graph import PairGraph

Floats = NDArray[np.float64]

# Beyond this the solution has no correct digit left that the tolerance of the document (1e-12) could be held to.
_WORST_CONDITION = 1e12


def error_covariance(errors: Floats, graph: PairGraph, volatility: Floats, gaps: Floats | None = None) -> Floats:
    """Covariance (H, P, P) of the errors that forecasts of today will make, its correlations shrunk towards 0.

    `errors` (n, L): standardised one-step errors of the legs on whole dates, about 0; `volatility` (L, H): today's, of
    the legs' returns to each horizon. The errors of all pairs are these times today's volatilities, added into crosses:
    were each cross scaled by a volatility of its own, that would not fit its legs', the misfit would be taken for error
    and the cross be moved away from its legs. `gaps` (n, K): by how much the error of each cross was above that of its
    legs on the same dates, in log returns, where past locations of crosses are known; as large as the volatilities'
    growth at later horizons. Outcomes add up, so without them the shrinkage alone says who gives way: each in
    proportion to its variance.

    Errors are made of one root mean square before they are shrunk, so that Ledoit and Wolf's target (2004, doi
    10.1016/S0047-259X(03)00096-4), an equal variance, is that of Schaefer and Strimmer (2005): no correlation. Raises
    `ValueError` for fewer than two rows, other shapes, values that are not finite, or a leg whose errors are all 0.
    """
    from sklearn.covariance import ledoit_wolf

    errors, volatility = np.asarray(errors, dtype=np.float64), _volatility(volatility, graph.legs)
    crosses = np.zeros((len(errors), len(graph.crosses))) if gaps is None else np.asarray(gaps, dtype=np.float64)
    if errors.ndim != 2 or errors.shape[1] != len(graph.legs) or len(errors) < 2:
        raise ValueError(f"errors: expected (n, {len(graph.legs)}) with two rows or more, got {errors.shape}")
    if crosses.shape != (len(errors), len(graph.crosses)):
        raise ValueError(f"gaps: expected {(len(errors), len(graph.crosses))}, got {crosses.shape}")
    for name, array, names in (("errors", errors, graph.legs), ("gaps", crosses, graph.crosses)):
        if not np.isfinite(array).all():
            row, column = np.argwhere(~np.isfinite(array))[0]
            raise ValueError(f"{name}: that of {names[column]} in row {row} is not finite; give whole dates only")
    still = (errors == 0).all(axis=0)
    if still.any():
        raise ValueError(f"errors of {graph.legs[int(np.argmax(still))]} are all 0; check its prices")
    own = np.array([graph.column(cross) for cross in graph.crosses], dtype=np.int64)
    growth = np.sqrt(np.mean(np.square(volatility), axis=0) / np.mean(np.square(volatility[:, 0])))
    found = []
    for scale, grown in zip(volatility.T, growth, strict=True):
        scaled = (errors * scale) @ graph.matrix.T
        scaled[:, own] += crosses * grown
        size = np.sqrt(np.mean(np.square(scaled), axis=0))
        correlation, _ = ledoit_wolf(scaled / size, assume_centered=True)
        found.append(np.outer(size, size) * correlation)
    return np.stack(found)


def coherent(location: Floats, graph: PairGraph, covariance: Floats) -> Floats:
    """Locations (P, H) that satisfy the graph, nearest to `location` in the metric of the errors.

    `location` (P, H): cumulative log returns from the origin, in the order of `graph.pairs`; `covariance` (H, P, P) of
    their errors. With W the covariance at a horizon and C the constraints the result is y - W C' (C W C')^-1 C y. That
    is S (S' W^-1 S)^-1 S' W^-1 y of the paper, and exact for locations that already add up. Raises `ValueError` for
    wrong shapes, values that are not finite, or a covariance under which a cross has no error to correct.
    """
    location, covariance = np.asarray(location, dtype=np.float64), np.asarray(covariance, dtype=np.float64)
    pairs = len(graph.pairs)
    if location.ndim != 2 or len(location) != pairs:
        raise ValueError(
            f"location: expected ({pairs}, H), a row for each of {', '.join(graph.pairs)}; {location.shape}"
        )
    if covariance.shape != (location.shape[1], pairs, pairs):
        raise ValueError(f"covariance: expected {(location.shape[1], pairs, pairs)}, got {covariance.shape}")
    for name, array in (("location", location), ("covariance", covariance)):
        if not np.isfinite(array).all():
            raise ValueError(f"{name}: a value is not finite")
    adjusted = location
    if graph.crosses:
        adjusted = location - _correction(location, graph.constraints, covariance)
    # The crosses once more from the legs, so that they add up to the last bit.
    result: Floats = graph.matrix @ adjusted[graph.leg_columns]
    return result


def _correction(location: Floats, constraints: Floats, covariance: Floats) -> Floats:
    shared = covariance @ constraints.T  # (H, P, K)
    inner = constraints @ shared  # (H, K, K)
    own = np.einsum("hkk->hk", inner)
    typical = np.einsum("hpp->hp", covariance).mean(axis=1, keepdims=True)
    if not (own > typical / _WORST_CONDITION).all():
        raise ValueError(_NOTHING_TO_WEIGH)
    scale = np.sqrt(own)
    if (np.linalg.cond(inner / (scale[:, :, None] * scale[:, None, :])) > _WORST_CONDITION).any():
        raise ValueError(_NOTHING_TO_WEIGH)
    gaps = (constraints @ location).T[:, :, None]  # (H, K, 1)
    solution: Floats = (shared @ np.linalg.solve(inner, gaps))[:, :, 0].T
    return solution


_NOTHING_TO_WEIGH = (
    "covariance: under it a cross, or several together, never differ from their legs, so there is nothing to weigh a "
    "difference by; shrink it (error_covariance does)"
)


def _volatility(volatility: Floats, legs: tuple[str, ...]) -> Floats:
    array = np.asarray(volatility, dtype=np.float64)
    if array.ndim != 2 or len(array) != len(legs) or not array.shape[1]:
        raise ValueError(f"volatility: expected ({len(legs)}, H), a row for each of {', '.join(legs)}; {array.shape}")
    bad = ~(np.isfinite(array) & (array > 0))
    if bad.any():
        leg, step = np.argwhere(bad)[0]
        raise ValueError(f"volatility of {legs[leg]} at horizon {step + 1}: expected a number above 0")
    return array
