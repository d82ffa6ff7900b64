"""The rule of DESIGN 8: what may be said of a model's losses against its benchmark's, in one of four fixed phrases.

`skill shown`: the mean loss is under the benchmark's, and one-sided Diebold-Mariano (EWC, Student t), Holm-adjusted
over the horizons that have windows enough, has p < .05. `worse` is the mirror image, adjusted on its own. Everything
between is `no skill shown`; under 20 windows that do not overlap it is `too little data`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from fx_assets.evaluation.inference.comparison import diebold_mariano
from fx_assets.evaluation.inference.multiple import holm
from fx_assets.evaluation.inference.outcome import checked_horizon, series
from fx_assets.metrics.losses import Floats
from fx_assets.timegrid.windows import EvaluationWindow

LEAST_WINDOWS = 20
LEVEL = 0.05
SHOWN, NOT_SHOWN, WORSE, TOO_LITTLE = "skill shown", "no skill shown", "worse", "too little data"


@dataclass(frozen=True)
class Verdict:
    """What may be said at one horizon.

    `words`: one of the four. `ratio`: mean loss over the benchmark's, None where losses may be negative or the
    benchmark's mean is 0. `difference`: mean loss less the benchmark's, None without windows. `p_value`: one-sided, of
    no skill; `adjusted_p_value` after Holm; `adjusted_p_value_worse` that of the mirror image; all None for `too little
    data`. `n` windows, `independent_windows` of them do not overlap. `reason`: why the words are not those that the
    numbers alone would give, "" where they are.
    """

    words: str
    ratio: float | None
    difference: float | None
    p_value: float | None
    adjusted_p_value: float | None
    adjusted_p_value_worse: float | None
    n: int
    independent_windows: int
    reason: str = ""


def verdicts(
    losses: Mapping[int, ArrayLike],
    benchmark: Mapping[int, ArrayLike],
    *,
    may_be_negative: bool = False,
    untradeable: Mapping[int, bool | ArrayLike] | None = None,
    level: float = LEVEL,
) -> dict[int, Verdict]:
    """By horizon, from losses per window (n,) of neighbouring origins in the order of time, lower is better.

    `may_be_negative`: for losses such as QLIKE, of which a ratio means nothing: the mean difference must be below 0.
    `untradeable`: by horizon, whether an input observed the market after the target began (DESIGN 6), for each window
    (`observed_late`) or for all: one such window is enough for "no skill shown" with a reason. Horizons it lacks are
    tradeable. Raises `ValueError` naming the horizon and the argument for losses that are not finite, not aligned, or
    negative where that is not said.
    """
    if set(losses) != set(benchmark):
        raise ValueError(f"expected the same horizons, got losses {sorted(losses)} and benchmark {sorted(benchmark)}")
    late = _late(untradeable or {}, losses)
    pairs = {horizon: _aligned(horizon, losses[horizon], benchmark[horizon], may_be_negative) for horizon in losses}
    windows = {horizon: EvaluationWindow.independent(len(ours), horizon) for horizon, (ours, _) in pairs.items()}
    enough = {horizon: pair for horizon, pair in pairs.items() if windows[horizon] >= LEAST_WINDOWS}
    tests = {h: diebold_mariano(theirs - ours, horizon=h).p_value for h, (ours, theirs) in enough.items()}
    mirrored = {h: diebold_mariano(ours - theirs, horizon=h).p_value for h, (ours, theirs) in enough.items()}
    better, worse = holm(tests), holm(mirrored)
    found = {}
    for horizon, (ours, theirs) in pairs.items():
        n = len(ours)
        difference = float(ours.mean() - theirs.mean()) if n else None
        words = TOO_LITTLE
        if horizon in tests and difference is not None:
            words = decided(difference, better[horizon], worse[horizon], level)
        reason = ""
        if words == SHOWN and late[horizon]:
            words, reason = NOT_SHOWN, late[horizon]
        found[horizon] = Verdict(
            words=words,
            ratio=None if may_be_negative or not n or theirs.mean() == 0 else float(ours.mean() / theirs.mean()),
            difference=difference,
            p_value=tests.get(horizon),
            adjusted_p_value=better.get(horizon),
            adjusted_p_value_worse=worse.get(horizon),
            n=n,
            independent_windows=windows[horizon],
            reason=reason,
        )
    return found


def decided(difference: float, better: float, worse: float, level: float = LEVEL) -> str:
    """Words for a mean loss difference and the two Holm-adjusted p-values, where there are windows enough."""
    if difference < 0 and better < level:
        return SHOWN
    if difference > 0 and worse < level:
        return WORSE
    return NOT_SHOWN


def observed_late(observed_until: NDArray[np.datetime64], target_start: NDArray[np.datetime64]) -> NDArray[np.bool_]:
    """For each window (n,), whether an input observed the market after the target began: both datetime64, UTC.

    `target_start` is the instant of the target's own last known price. Raises `ValueError` for shapes that differ or a
    time that is missing: what an input has seen must be known.
    """
    if observed_until.shape != target_start.shape:
        raise ValueError(f"expected one shape, got observed {observed_until.shape}, target {target_start.shape}")
    for name, times in (("observed_until", observed_until), ("target_start", target_start)):
        if times.dtype.kind != "M" or np.isnat(times).any():
            raise ValueError(
                f"{name}: expected datetime64 without gaps, got {times.dtype}; say what the inputs have seen"
            )
    after: NDArray[np.bool_] = observed_until > target_start
    return after


def _late(untradeable: Mapping[int, bool | ArrayLike], losses: Mapping[int, ArrayLike]) -> dict[int, str]:
    """By horizon, why skill there could not have been traded; "" where it could."""
    if unknown := set(untradeable) - set(losses):
        raise ValueError(f"untradeable: has horizons {sorted(unknown)} that losses have not")
    said = dict.fromkeys(losses, "")
    for horizon, value in untradeable.items():
        flags, n = np.asarray(value), len(np.asarray(losses[horizon]))
        if flags.dtype != np.bool_ or flags.shape not in ((), (n,)):
            raise ValueError(
                f"untradeable at horizon {horizon}: expected one bool or {n}, got {flags.dtype} of shape {flags.shape}"
            )
        if flags.any():
            which = "the windows" if flags.ndim == 0 else f"{int(flags.sum())} of {n} windows"
            said[horizon] = f"untradeable: an input of {which} observed the market after the target began"
    return said


def _aligned(horizon: int, ours: ArrayLike, theirs: ArrayLike, may_be_negative: bool) -> tuple[Floats, Floats]:
    checked_horizon(horizon)
    pair = []
    for name, value in (("losses", ours), ("benchmark", theirs)):
        array = series(f"{name} at horizon {horizon}", value, least=0)
        if not may_be_negative and (array < 0).any():
            raise ValueError(
                f"{name} at horizon {horizon}: {int((array < 0).sum())} windows are below 0, so a ratio means nothing; "
                "give may_be_negative=True for a loss such as QLIKE"
            )
        pair.append(array)
    if pair[0].shape != pair[1].shape:
        raise ValueError(f"horizon {horizon}: {len(pair[0])} losses but {len(pair[1])} of the benchmark; align them")
    return pair[0], pair[1]
