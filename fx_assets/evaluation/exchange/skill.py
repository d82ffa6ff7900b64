"""Verdicts of DESIGN 8 on a row: is its MSE under repeat-last's by more than luck, and can these data tell at all?

One-sided Diebold-Mariano on the MSE of non-overlapping windows (every `horizon`-th, from the first), Holm over the
horizons that have windows enough: the parts are those of `evaluation/inference`. A certificate uses all windows; this
table keeps to those that do not overlap, since at 720 its 798 windows are two. The number of trials does not enter:
the certificate of a model counts those, this table prints them beside.
"""

from __future__ import annotations

from collections.abc import Mapping

from fx_assets.evaluation.exchange.table import Floats
from fx_assets.evaluation.inference.comparison import diebold_mariano
from fx_assets.evaluation.inference.multiple import holm
from fx_assets.evaluation.inference.verdict import LEAST_WINDOWS, NOT_SHOWN, SHOWN, TOO_LITTLE, WORSE, decided

__all__ = ["LEAST_WINDOWS", "NOT_SHOWN", "REFERENCE", "SHOWN", "TOO_LITTLE", "WORSE", "overall", "p_value", "verdicts"]

REFERENCE = "reference"


def p_value(gain: Floats) -> float:
    """Of the mean of `gain` (n,) being above 0 by chance, one-sided; `n` of 2 or more, in the order of time."""
    return diebold_mariano(gain, horizon=1).p_value


def verdicts(ours: Mapping[int, Floats], repeat_last: Mapping[int, Floats]) -> dict[int, str]:
    """A verdict for each horizon from the MSE of each test window (windows,), in the order of time."""
    gains = {horizon: (repeat_last[horizon] - losses)[::horizon] for horizon, losses in ours.items()}
    enough = {horizon: gain for horizon, gain in gains.items() if len(gain) >= LEAST_WINDOWS}
    better = holm({horizon: p_value(gain) for horizon, gain in enough.items()})
    worse = holm({horizon: p_value(-gain) for horizon, gain in enough.items()})
    return {
        horizon: decided(float(losses.mean() - repeat_last[horizon].mean()), better[horizon], worse[horizon])
        if horizon in enough
        else TOO_LITTLE
        for horizon, losses in ours.items()
    }


def overall(by_horizon: Mapping[int, str]) -> str:
    """One for the row: what all horizons say, else the weakest claim among them."""
    for verdict in (TOO_LITTLE, WORSE, NOT_SHOWN):
        if verdict in by_horizon.values():
            return verdict
    return next(iter(by_horizon.values()))
