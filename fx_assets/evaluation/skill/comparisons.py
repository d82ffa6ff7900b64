"""One model against another over several pairs: by how much its losses are lower, and whether that is more than luck.

Pooled over pairs by date: a date's gain is the mean of the pairs' gains on it, each as a share of the benchmark's mean
loss of its pair (QLIKE, of which only differences mean something, as it is). So pairs that move together count as
the one observation that they are.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.inference.comparison import diebold_mariano
from fx_assets.evaluation.inference.verdict import LEAST_WINDOWS, TOO_LITTLE, decided
from fx_assets.evaluation.skill.tracks import WARM_UP, Span, Track, years_of
from fx_assets.timegrid.windows import EvaluationWindow

Floats = NDArray[np.float64]
Dates = NDArray[np.datetime64]

BLOCK_YEARS = 5


@dataclass(frozen=True)
class Loss:
    """A loss to compare by. `relative`: as a share of the benchmark's mean; `since`: origins left out at the start."""

    name: str
    of: Callable[[Track], Floats]
    relative: bool = True
    since: int = 0


CRPS = Loss("crps", lambda track: track.crps)
QLIKE = Loss("qlike", lambda track: track.qlike, relative=False)
SCORES: Mapping[int, Loss] = {
    80: Loss("interval score 80 %", lambda track: track.score[80], since=WARM_UP),
    90: Loss("interval score 90 %", lambda track: track.score[90], since=WARM_UP),
}


@dataclass(frozen=True)
class Comparison:
    """`difference`: mean loss less the benchmark's, as a share of it where the loss is relative: below 0 is better.

    `p_value`: one-sided, of a difference this low by chance; `p_worse`: of one this high; NaN of under two dates.
    """

    difference: float
    p_value: float
    p_worse: float
    n: int

    @property
    def ratio(self) -> float:
        """The loss over the benchmark's, where it is relative."""
        return 1.0 + self.difference

    @property
    def verdict(self) -> str:
        """In the words of the certificate; of one horizon, so that nothing is adjusted."""
        if EvaluationWindow.independent(self.n, 1) < LEAST_WINDOWS:
            return TOO_LITTLE
        return decided(self.difference, self.p_value, self.p_worse)

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {"difference": self.difference, "p_value": self.p_value, "verdict": self.verdict, "dates": self.n}


def compared(ours: Sequence[Track], benchmarks: Sequence[Track], loss: Loss, *, span: Span | None = None) -> Comparison:
    """Of tracks and the benchmark's tracks of the same pairs, in the same order.

    `span`: only origins of these years, both included. Raises `ValueError` where two tracks have other origins.
    """
    dates, gains = [], []
    for track, benchmark in zip(ours, benchmarks, strict=True):
        if track.pair != benchmark.pair or not np.array_equal(track.dates, benchmark.dates):
            raise ValueError(f"{track.model} and {benchmark.model} have other origins of {track.pair}")
        kept = track.kept(loss.since, span)
        theirs = loss.of(benchmark)[kept]
        gain = theirs - loss.of(track)[kept]
        if loss.relative and len(gain):
            gain = gain / np.mean(theirs)
        dates.append(track.dates[kept])
        gains.append(gain)
    mean = _by_date(dates, gains)
    if len(mean) < 2:
        return Comparison(float("nan"), float("nan"), float("nan"), len(mean))
    p = diebold_mariano(mean, horizon=1).p_value
    return Comparison(-float(np.mean(mean)), p, diebold_mariano(-mean, horizon=1).p_value, len(mean))


def blocks(dates: Dates) -> list[Span]:
    """The blocks of five years from the first one that has more than one origin."""
    years, counts = np.unique(years_of(np.unique(dates)), return_counts=True)
    # The last origin of a year forecasts the first day of the next: alone it begins no block.
    first = int(years[np.argmax(counts > 1)])
    last = int(years[-1])
    return [(year, min(year + BLOCK_YEARS - 1, last)) for year in range(first, last + 1, BLOCK_YEARS)]


def _by_date(dates: Sequence[Dates], gains: Sequence[Floats]) -> Floats:
    """Mean over the pairs that have the date, by date."""
    days, at = np.unique(np.concatenate(dates), return_inverse=True)
    sums = np.bincount(at, weights=np.concatenate(gains), minlength=len(days))
    means: Floats = sums / np.bincount(at, minlength=len(days))
    return means
