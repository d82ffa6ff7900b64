"""Evidence that may be looked at every night: what a bet on each candidate would have made of its share of 1.

An e-process (`inference.sequential`) bets, night after night, that a candidate loses less than the champion. As long as
that is not so, its capital ever grows by 40 with a probability of at most 1/40, however often one looks: Ville's
inequality; Ramdas, Gruenwald, Vovk and Shafer, Statistical Science 38 (2023), 576-601. Several candidates share the 1:
each must make 40 times their number.
"""

from __future__ import annotations

import numpy as np

from fx_assets.evaluation.inference.sequential import e_process
from fx_assets.evaluation.promotion.losses import Gains
from fx_assets.metrics.losses import Floats


def log_capital(gains: Gains) -> Floats:
    """Log capital (n, C) of each candidate after each of the champion's origins, -inf before its first one.

    Whoever is there from the start begins with 1. A candidate that comes later begins with the mean of the others at
    that moment, 1 at most: so the mean of all never jumps up, and where nobody is better it ever reaches 40 with 1/40
    at most, however many come and when. Where a candidate forecasts nothing, its capital waits. Raises `ValueError` for
    gains of another horizon than 1: they overlap.
    """
    if gains.horizon != 1:
        raise ValueError(f"gains at horizon {gains.horizon} overlap; bet on those one bar ahead")
    n, candidates = gains.gains.shape
    first = np.where(gains.present.any(axis=0), gains.present.argmax(axis=0), n)
    capital = np.full((n, candidates), -np.inf)
    for candidate in np.argsort(first, kind="stable"):
        begin = first[candidate]
        if begin == n:
            continue
        # Those who come at the same moment do not count each other in.
        others = capital[begin - 1, first < begin]
        start = min(0.0, _log_mean(others)) if len(others) else 0.0
        made = np.zeros(n - begin)
        made[gains.present[begin:, candidate]] = np.diff(e_process(gains.own(candidate)), prepend=0.0)
        capital[begin:, candidate] = start + np.cumsum(made)
    return capital


def log_wanted(gains: Gains, level: float) -> Floats:
    """Log capital (n,) that a candidate must have after each origin: the number of those seen so far over `level`."""
    seen = np.maximum.accumulate(gains.present, axis=0).sum(axis=1)
    wanted: Floats = np.log(np.maximum(seen, 1)) - np.log(level)
    return wanted


def _log_mean(logs: Floats) -> float:
    return float(np.logaddexp.reduce(logs) - np.log(len(logs)))
