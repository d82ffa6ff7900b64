"""Verdicts of DESIGN 8 on a row: is its MSE under repeat-last's by more than luck, and can these data tell at all?

One-sided Diebold-Mariano on the MSE of non-overlapping windows (every `horizon`-th, from the first), its long-run
variance by equal-weighted cosines with fixed-b (Student t) values: Lazarus, Lewis, Stock and Watson, Journal of
Business and Economic Statistics 36 (2018), 541-559. Holm over the horizons that have windows enough. The number of
trials does not enter: the certificate of a model counts those, this table prints them beside.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from fx_assets.evaluation.exchange.table import Floats

LEAST_WINDOWS = 20
LEVEL = 0.05
REFERENCE = "reference"
TOO_LITTLE, SHOWN, NOT_SHOWN, WORSE = "too little data", "skill shown", "no skill shown", "worse"


def p_value(gain: Floats) -> float:
    """Of the mean of `gain` (n,) being above 0 by chance, one-sided; `n` of 2 or more, in the order of time."""
    from scipy.stats import t as student

    count = len(gain)
    terms = max(1, int(0.4 * count ** (2 / 3)))
    angles = np.pi * np.arange(1, terms + 1)[:, None] * (np.arange(count) + 0.5) / count
    variance = float(np.square(np.sqrt(2 / count) * (np.cos(angles) @ gain)).mean())
    if variance == 0:
        return 1.0 if gain.mean() <= 0 else 0.0
    return float(student.sf(np.sqrt(count) * gain.mean() / np.sqrt(variance), terms))


def verdicts(ours: Mapping[int, Floats], repeat_last: Mapping[int, Floats]) -> dict[int, str]:
    """A verdict for each horizon from the MSE of each test window (windows,), in the order of time."""
    gains = {horizon: (repeat_last[horizon] - losses)[::horizon] for horizon, losses in ours.items()}
    enough = {horizon: gain for horizon, gain in gains.items() if len(gain) >= LEAST_WINDOWS}
    better = _holm({horizon: p_value(gain) for horizon, gain in enough.items()})
    worse = _holm({horizon: p_value(-gain) for horizon, gain in enough.items()})
    said = {}
    for horizon, losses in ours.items():
        ratio = losses.mean() / repeat_last[horizon].mean()
        said[horizon] = TOO_LITTLE if horizon not in enough else NOT_SHOWN
        if horizon in enough and ratio < 1 and better[horizon] < LEVEL:
            said[horizon] = SHOWN
        elif horizon in enough and ratio > 1 and worse[horizon] < LEVEL:
            said[horizon] = WORSE
    return said


def overall(by_horizon: Mapping[int, str]) -> str:
    """One for the row: what all horizons say, else the weakest claim among them."""
    for verdict in (TOO_LITTLE, WORSE, NOT_SHOWN):
        if verdict in by_horizon.values():
            return verdict
    return next(iter(by_horizon.values()))


def _holm(p: Mapping[int, float]) -> dict[int, float]:
    """Adjusted p values (Holm 1979): the smallest times their number, and so on, never falling."""
    adjusted, highest = {}, 0.0
    for rank, (horizon, value) in enumerate(sorted(p.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, value * (len(p) - rank)))
        adjusted[horizon] = highest
    return adjusted
