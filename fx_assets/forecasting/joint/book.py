"""Positions in several pairs, and what they earn on simulated paths in one account currency."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fx_assets.forecasting.joint.graph import PairGraph

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Book:
    """`positions`: for each pair units of its base currency, below 0 where sold; profit is counted in `account`.

    Raises `ValueError` for no position, or one that is 0 or not finite.
    """

    account: str
    positions: Mapping[str, float]

    def __post_init__(self) -> None:
        if not self.positions:
            raise ValueError("a book without positions; give units of base currency for at least one pair")
        for pair, units in self.positions.items():
            if not math.isfinite(units) or units == 0:
                raise ValueError(f"position in {pair}: expected a number of units other than 0, got {units}")


def weighted(graph: PairGraph, last: Floats, account: str, weights: Mapping[str, float] | None = None) -> Book:
    """The book that holds `weights` units of the account currency in each pair; one unit spread evenly if not given.

    `last` (P,): prices at the origin. Raises as `Book` and `rate` do.
    """
    shares = weights if weights is not None else dict.fromkeys(graph.pairs, 1 / len(graph.pairs))
    unknown = sorted(set(shares) - set(graph.pairs))
    if unknown:
        raise ValueError(f"weights of {', '.join(unknown)}: not among {', '.join(graph.pairs)}")
    logs = _log_legs(graph, last)
    return Book(account, {pair: share / _rate(graph, logs, pair[:3], account) for pair, share in shares.items()})


def rate(graph: PairGraph, last: Floats, source: str, target: str) -> float:
    """Price of one unit of `source` in `target` at the origin, through the legs. `last` (P,): prices of the pairs."""
    return _rate(graph, _log_legs(graph, last), source, target)


def profits(paths: Floats, graph: PairGraph, last: Floats, book: Book) -> Floats:
    """Profit of each position at each horizon, (draws, H, K), in account currency, in the order of `book.positions`.

    `paths` (draws, H, P): cumulative log returns in the order of `graph.pairs`; `last` (P,): prices at the origin. What
    a position earns in its quote currency is converted at the rate of the same path and horizon. Before costs and
    financing. Raises `ValueError` for a pair or a currency that the group does not have, and for wrong shapes.
    """
    prices, logs = _prices(graph, last), _log_legs(graph, last)
    if paths.ndim != 3 or paths.shape[2] != len(graph.pairs):
        raise ValueError(f"paths: expected (draws, H, {len(graph.pairs)}), got {paths.shape}")
    columns = graph.leg_columns
    result = np.empty((len(book.positions), *paths.shape[:2]))
    for place, (pair, units) in enumerate(book.positions.items()):
        column = graph.column(pair)
        conversion = graph.conversion(pair[3:], book.account)
        earned = units * prices[column] * np.expm1(paths[:, :, column])
        earned *= _rate(graph, logs, pair[3:], book.account)
        for leg in np.flatnonzero(conversion):
            earned *= np.exp(conversion[leg] * paths[:, :, columns[leg]])
        result[place] = earned
    return np.moveaxis(result, 0, 2)


def earned(ahead: Floats, graph: PairGraph, last: Floats, book: Book) -> float:
    """Profit of the whole book by what came: `ahead` (P,), cumulative log returns from the prices `last` (P,)."""
    return float(profits(ahead[None, None, :], graph, last, book).sum())


def _rate(graph: PairGraph, logs: Floats, source: str, target: str) -> float:
    return float(np.exp(graph.conversion(source, target) @ logs))


def _log_legs(graph: PairGraph, last: Floats) -> Floats:
    logs: Floats = np.log(_prices(graph, last)[graph.leg_columns])
    return logs


def _prices(graph: PairGraph, last: Floats) -> Floats:
    prices = np.asarray(last, dtype=np.float64)
    if prices.shape != (len(graph.pairs),) or not np.isfinite(prices).all() or (prices <= 0).any():
        raise ValueError(f"last: expected a price above 0 for each of {', '.join(graph.pairs)}, got {prices.tolist()}")
    return prices
