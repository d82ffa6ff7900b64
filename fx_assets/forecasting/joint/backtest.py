"""Book VaR replayed over past origins, as it would have been said then, and how often it was exceeded."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from fx_assets.forecasting.joint.book import earned, profits, weighted
from fx_assets.forecasting.joint.follow import log_factors, moved
from fx_assets.forecasting.joint.graph import PairGraph
from fx_assets.forecasting.joint.history import standardised, whole_dates
from fx_assets.forecasting.joint.risk import RISK_LEVELS, Aggregation, aggregation, expected_shortfall
from fx_assets.forecasting.joint.simulate import DRAWS, content_seed, simulate
from fx_assets.metrics.joint import energy_score

Floats = NDArray[np.float64]
How = Literal["joint", "summed", "independent"]
SIDES = ("held", "turned round")


@dataclass(frozen=True, eq=False)
class Replay:
    """What was said at k origins and what came of it, in account currency.

    `rows` (k,): the origins. `profit` (k,): of the book from the origin to the horizon. `value_at_risk`: for each of
    `joint`, `summed` and `independent` (see `risk.Aggregation`) the losses (k, 2, levels), of the book as held and
    turned round. `shortfall` (k, 2, levels): expected shortfall of the joint paths. `energy`: energy scores (k,) of all
    pairs' log returns by the joint paths, and by the same paths of each pair drawn apart. `left_out`: origins without a
    price of every pair at origin and horizon, or without a volatility of every leg.
    """

    levels: tuple[float, ...]
    horizon: int
    rows: NDArray[np.int64]
    profit: Floats
    value_at_risk: Mapping[How, Floats]
    shortfall: Floats
    energy: Mapping[How, Floats]
    left_out: int

    @property
    def losses(self) -> Floats:
        """Of the book as held, and turned round: (k, 2)."""
        return np.stack([-self.profit, self.profit], axis=1)

    def followed(self) -> Floats:
        """The joint VaR as the outcomes before each origin have moved it, (k, 2, levels): see `follow`.

        Raises `ValueError` for a horizon above 1: at the next origin its outcome is not known.
        """
        if self.horizon != 1:
            raise ValueError(f"horizon {self.horizon}: only outcomes one bar ahead are followed")
        said = self.value_at_risk["joint"]
        return moved(said, log_factors(self.losses, said, self.levels)[:-1])

    def exceptions(self, how: How | Literal["followed"] = "joint") -> NDArray[np.bool_]:
        """Whether the loss was above the VaR, (k, 2, levels); windows overlap where the horizon is above 1."""
        said = self.followed() if how == "followed" else self.value_at_risk[how]
        return np.asarray(self.losses[:, :, None] > said)

    def shares(self, how: How | Literal["followed"] = "joint") -> Floats:
        """Share of origins with an exception, (2, levels): ideally the levels."""
        return np.asarray(self.exceptions(how).mean(axis=0), dtype=np.float64)


def replay(
    closes: Floats,
    volatility: Floats,
    graph: PairGraph,
    *,
    origins: Sequence[int] | NDArray[np.int64],
    weights: Mapping[str, float] | None = None,
    account: str | None = None,
    horizon: int = 1,
    levels: Sequence[float] = RISK_LEVELS,
    draws: int = DRAWS,
    most: int | None = None,
    seed: int = 0,
) -> Replay:
    """Simulate at each of `origins` (rows) from what was known there, and compare with the price `horizon` rows on.

    `closes` (n, P) and `volatility` (n, P) as in `history.standardised`, in the order of `graph.pairs`; the volatility
    of the next step, forecast at the row, is taken for every step to the horizon. `weights`: units of account currency
    in each pair, set anew at each origin (one unit spread evenly if not given); `account`: the numeraire if not given.
    `most`: only so many dates back. Locations are 0. What is said at a row depends on no later row. Raises
    `InsufficientHistory` for an origin with too few dates before it, `ValueError` as the functions used do.
    """
    if horizon < 1:
        raise ValueError(f"horizon: expected 1 or more, got {horizon}")
    closes, volatility = np.asarray(closes, dtype=np.float64), np.asarray(volatility, dtype=np.float64)
    columns = graph.leg_columns
    errors = standardised(closes, volatility, graph.pairs)[:, columns]
    money = account or graph.numeraire
    rows, outcomes, found, shortfalls, energies = [], [], [], [], []
    for row in np.asarray(origins, dtype=np.int64).tolist():
        if not 0 <= row < len(closes) - horizon:
            raise ValueError(f"origin {row}: with {horizon} rows to come it is not among the {len(closes)} of history")
        last, scale = closes[row], volatility[row, columns]
        ahead = np.log(closes[row + horizon] / last)
        if not (np.isfinite(ahead).all() and np.isfinite(scale).all()):
            continue
        dates = whole_dates(errors, graph.legs, until=row, most=most)
        drawn = content_seed(seed, last, scale)
        steps = np.repeat(scale[:, None], horizon, axis=1)
        paths = simulate(dates.centred(), graph, steps=steps, seed=drawn, draws=draws)[:, -1:]
        book = weighted(graph, last, money, weights)
        simulated = profits(paths, graph, last, book)
        rows.append(row)
        outcomes.append(earned(ahead, graph, last, book))
        found.append(aggregation(simulated, seed=drawn, levels=levels))
        energies.append([float(energy_score(each, ahead[None])[0]) for each in (paths, _apart(paths, drawn))])
        shortfalls.append([expected_shortfall(sign * simulated.sum(axis=2), levels)[:, 0] for sign in (1, -1)])
    return Replay(
        levels=tuple(levels),
        horizon=horizon,
        rows=np.array(rows, dtype=np.int64),
        profit=np.array(outcomes),
        value_at_risk={how: _losses(found, how, len(levels)) for how in ("joint", "summed", "independent")},
        energy=dict(zip(("joint", "independent"), np.array(energies).reshape(len(rows), 2).T, strict=True)),
        shortfall=np.array(shortfalls).reshape(len(rows), len(SIDES), len(levels)),
        left_out=len(origins) - len(rows),
    )


def _apart(paths: Floats, seed: int) -> Floats:
    """The same paths of each pair, drawn apart from those of the others."""
    rng = np.random.default_rng(seed)
    return np.stack([paths[rng.permutation(len(paths)), :, pair] for pair in range(paths.shape[2])], axis=2)


def _losses(found: Sequence[Aggregation], how: How, levels: int) -> Floats:
    losses = [getattr(each, how)[:, :, 0] for each in found]
    return np.array(losses, dtype=np.float64).reshape(len(found), len(SIDES), levels)
