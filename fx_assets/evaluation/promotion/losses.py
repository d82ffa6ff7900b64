"""Losses of the models of one pair and frequency, aligned on the origins that they share with the champion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from fx_assets.metrics.losses import Floats


@dataclass(frozen=True, eq=False)
class ModelLosses:
    """CRPS of one model, one row an origin, oldest first.

    `origins` (n,) datetime64[us] in UTC, increasing; `horizons` (K,) in bars, increasing, 1 first; `crps` (n, K) in any
    one unit, NaN where it has not matured. `barred`: why the model may not serve although its losses count, e.g. that
    it is configured no longer. Raises `ValueError` where these do not hold.
    """

    model_id: str
    origins: NDArray[np.datetime64]
    horizons: tuple[int, ...]
    crps: Floats
    barred: str = ""

    def __post_init__(self) -> None:
        if self.crps.shape != (len(self.origins), len(self.horizons)):
            expected = (len(self.origins), len(self.horizons))
            raise ValueError(f"{self.model_id}: losses of shape {self.crps.shape}, expected {expected}")
        if self.horizons[:1] != (1,) or list(self.horizons) != sorted(set(self.horizons)):
            raise ValueError(f"{self.model_id}: horizons {self.horizons}, expected 1 and then increasing ones")
        if self.origins.dtype != np.dtype("datetime64[us]") or (np.diff(self.origins.astype(np.int64)) <= 0).any():
            raise ValueError(f"{self.model_id}: expected increasing origins in datetime64[us], each once")
        if np.isinf(self.crps).any():
            raise ValueError(f"{self.model_id}: a loss is infinite")

    def between(self, after: datetime | None, before: datetime | None) -> ModelLosses:
        """The origins after one moment and before another (aware; None: no limit)."""
        kept = np.ones(len(self.origins), dtype=np.bool_)
        if after is not None:
            kept &= self.origins > _naive(after)
        if before is not None:
            kept &= self.origins < _naive(before)
        return replace(self, origins=self.origins[kept], crps=self.crps[kept])


@dataclass(frozen=True, eq=False)
class Gains:
    """How much less than the champion each of C candidates lost at one horizon, at the champion's n origins.

    `gains` (n, C), above 0 is better, and 0 where the candidate forecast nothing: there the champion would have served
    in its place. `present` (n, C) says where it forecast. `champion` (n,): its own losses.
    """

    horizon: int
    origins: NDArray[np.datetime64]
    champion: Floats
    gains: Floats
    present: NDArray[np.bool_]

    @property
    def counts(self) -> NDArray[np.int64]:
        """Origins that each candidate shares with the champion: (C,)."""
        counts: NDArray[np.int64] = self.present.sum(axis=0, dtype=np.int64)
        return counts

    def own(self, candidate: int) -> Floats:
        """Gains of one candidate at the origins it shares with the champion."""
        values: Floats = self.gains[self.present[:, candidate], candidate]
        return values

    def share(self, candidate: int) -> float:
        """Gain of one candidate over the origins it shares, as a share of the champion's loss there; 0 without any."""
        lost = float(self.champion[self.present[:, candidate]].sum())
        return float(self.own(candidate).sum()) / lost if lost > 0 else 0.0


def gains_at(horizon: int, champion: ModelLosses, candidates: Sequence[ModelLosses]) -> Gains:
    """Gains at one horizon of the champion's; a candidate without that horizon has none."""
    own = champion.crps[:, champion.horizons.index(horizon)]
    matured = np.isfinite(own)
    origins, lost = champion.origins[matured], own[matured]
    gains = np.zeros((len(origins), len(candidates)))
    present = np.zeros(gains.shape, dtype=np.bool_)
    for number, candidate in enumerate(candidates):
        if horizon not in candidate.horizons:
            continue
        theirs = candidate.crps[:, candidate.horizons.index(horizon)]
        _, ours, rows = np.intersect1d(origins, candidate.origins, assume_unique=True, return_indices=True)
        both = np.isfinite(theirs[rows])
        ours, rows = ours[both], rows[both]
        gains[ours, number] = lost[ours] - theirs[rows]
        present[ours, number] = True
    return Gains(horizon, origins, lost, gains, present)


def losses_of(scores: pa.Table) -> dict[str, ModelLosses]:
    """Losses by model, from rows of one pair of the scores table: one row of each model, origin and horizon.

    Raises `ValueError` for rows of several pairs, and for a model with two losses of one origin and horizon: choose the
    version that would have served before.
    """
    if scores.num_rows and len(scores.column("pair").unique()) > 1:
        raise ValueError("scores of several pairs: promote one pair at a time")
    found = {}
    for model_id in sorted(scores.column("model_id").unique().to_pylist()):
        rows = scores.filter(pc.equal(scores.column("model_id"), model_id))
        times = rows.column("origin").cast(pa.timestamp("us", tz="UTC")).to_numpy().astype("datetime64[us]")
        steps = rows.column("horizon").to_numpy()
        origins, at = np.unique(times, return_inverse=True)
        horizons, of = np.unique(steps, return_inverse=True)
        cells = at * len(horizons) + of
        if len(np.unique(cells)) != len(cells):
            raise ValueError(
                f"{model_id}: several losses of one origin and horizon; choose a version and fold for each"
            )
        crps = np.full((len(origins), len(horizons)), np.nan)
        crps.flat[cells] = rows.column("loss_crps").to_numpy()
        found[model_id] = ModelLosses(model_id, origins, tuple(int(h) for h in horizons), crps)
    return found


def _naive(when: datetime) -> np.datetime64:
    if when.tzinfo is None:
        raise ValueError(f"{when} has no time zone; give it in UTC")
    return np.datetime64(when.astimezone(UTC).replace(tzinfo=None), "us")
