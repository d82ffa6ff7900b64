"""What came of one model's forecasts of one pair, origin by origin: losses, hits and exceptions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.judge import BASIS_POINTS, quantiles_of
from fx_assets.evaluation.references import Reference
from fx_assets.evaluation.skill.walked import Said
from fx_assets.metrics.losses import covered, crps_quantiles, interval_score, qlike_percent
from fx_assets.metrics.tails import exceptions, value_at_risk
from fx_assets.models.calibration import DENSE_LEVELS
from fx_assets.models.inputs import PairHistory
from fx_assets.models.ranges import follow

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]
Span = tuple[int, int]
"""First and last calendar year, both included."""

MASSES = (80, 90)
TAIL = 0.01
# Ranges that learn from what came are judged once they have had as many outcomes.
WARM_UP = 500
STRETCH = 500


@dataclass(frozen=True, eq=False)
class Track:
    """n neighbouring origins in time order; `dates` (n,) datetime64[D] are their trading dates.

    One bar ahead: `crps` and `score` by central mass, (n,) in basis points; `qlike` (n,) of the squared percent return;
    `lower`, `upper` (n,): whether the return lay beyond the 1 % value at risk. `hits` by central mass and bars ahead:
    (n,) 1 where the range held the return, 0 where not, NaN where it has not come. `finite`: whether every quantile at
    every origin was. `noted`: origins with a remark of the model.
    """

    model: str
    pair: str
    dates: NDArray[np.datetime64]
    crps: Floats
    qlike: Floats
    score: Mapping[int, Floats]
    hits: Mapping[tuple[int, int], Floats]
    lower: Bools
    upper: Bools
    finite: bool
    noted: int = 0

    def kept(self, since: int = 0, span: Span | None = None) -> Bools:
        """Which origins count (n,): all after the first `since`, and of the years of `span` only."""
        kept = np.arange(len(self.dates)) >= since
        if span is not None:
            years = years_of(self.dates)
            kept &= (years >= span[0]) & (years <= span[1])
        return kept

    def coverage(self, mass: int, horizon: int = 1, *, span: Span | None = None) -> float:
        """Share of the outcomes after the warm-up that the central range held; NaN where there is none."""
        hits = self.hits[mass, horizon][self.kept(WARM_UP, span)]
        known = hits[np.isfinite(hits)]
        return float(np.mean(known)) if len(known) else float("nan")

    def worst_stretch(self, mass: int) -> float:
        """Share held, one bar ahead, in those 500 neighbouring origins after the warm-up where it was furthest off."""
        hits = self.hits[mass, 1][WARM_UP:]
        hits = hits[np.isfinite(hits)]
        if len(hits) < STRETCH:
            return float("nan")
        sums = np.concatenate([[0.0], np.cumsum(hits)])
        shares = (sums[STRETCH:] - sums[:-STRETCH]) / STRETCH
        return float(shares[np.argmax(np.abs(shares - mass / 100))])


def years_of(dates: NDArray[np.datetime64]) -> NDArray[np.int64]:
    """Calendar years (n,)."""
    return np.asarray(dates.astype("datetime64[Y]").astype(np.int64) + 1970)


def of_candidate(name: str, said: Said, history: PairHistory) -> Track:
    """A candidate's, with ranges that follow what matures."""
    forecasts = said.forecasts
    y = history.outcomes(forecasts.rows, forecasts.steps)
    path = list(follow(said.start, forecasts.location, forecasts.scale, y, steps=forecasts.steps))
    dense = quantiles_of(forecasts, path)
    variance = np.square(forecasts.scale[:, forecasts.steps.index(1)])
    return _track(name, history, forecasts.rows, forecasts.steps, y, variance, dense, said.noted)


def of_reference(name: str, reference: Reference, history: PairHistory) -> Track:
    """A reference's, uncalibrated, on the same grid."""
    y = history.outcomes(reference.origins, reference.horizons)
    dense = reference.quantiles(DENSE_LEVELS)
    variance = reference.variance[:, reference.horizons.index(1)]
    return _track(name, history, reference.origins, reference.horizons, y, variance, dense, len(reference.notes))


def _track(
    name: str,
    history: PairHistory,
    rows: NDArray[np.int64],
    steps: Sequence[int],
    y: Floats,
    variance: Floats,
    dense: Floats,
    noted: int,
) -> Track:
    """From outcomes `y` (n, K), one-bar variances (n,) and dense quantiles (n, K, 199)."""
    first = list(steps).index(1)
    came, quantiles = y[:, first] * BASIS_POINTS, dense[:, first] * BASIS_POINTS
    edges = {mass: _edges(quantiles, mass) for mass in MASSES}
    beyond = {
        side: exceptions(
            y=came,
            value_at_risk=value_at_risk(quantiles=quantiles, levels=DENSE_LEVELS, tail=TAIL, side=side),
            side=side,
        )
        for side in ("lower", "upper")
    }
    return Track(
        model=name,
        pair=history.pair,
        dates=history.trading_dates[rows].astype("datetime64[D]"),
        crps=crps_quantiles(y=came, quantiles=quantiles, levels=DENSE_LEVELS),
        qlike=qlike_percent(variance=variance, y=y[:, first]),
        score={
            mass: interval_score(y=came, lower=low, upper=high, coverage=mass / 100)
            for mass, (low, high) in edges.items()
        },
        hits={(mass, step): _hits(y[:, k], dense[:, k], mass) for k, step in enumerate(steps) for mass in MASSES},
        lower=beyond["lower"],
        upper=beyond["upper"],
        finite=bool(np.isfinite(dense).all()),
        noted=noted,
    )


def _hits(y: Floats, quantiles: Floats, mass: int) -> Floats:
    known = np.isfinite(y)
    low, high = _edges(quantiles[known], mass)
    hits = np.full(len(y), np.nan)
    hits[known] = covered(y=y[known], lower=low, upper=high)
    return hits


def _edges(quantiles: Floats, mass: int) -> tuple[Floats, Floats]:
    low, high = np.searchsorted(DENSE_LEVELS, [0.5 - mass / 200 - 1e-9, 0.5 + mass / 200 - 1e-9]).tolist()
    return quantiles[:, low], quantiles[:, high]
