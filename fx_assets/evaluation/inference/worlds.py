"""Worlds of known truth, and rules somebody might fit in them: does DESIGN 8 call luck skill there, or miss skill?

Returns are unpredictable in location unless a signal is planted, with constant variance (iid Student t) or GARCH(1,1)
and Student t shocks. A world is a row; all of a batch are computed at once. Every rule is refitted at each origin on
what had matured by then. The verdicts are those of `verdict.py`, world by world.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from fx_assets.evaluation.inference import verdict
from fx_assets.metrics.losses import Floats, crps_normal, qlike

Kind = Literal["iid", "garch"]

HORIZONS = (1, 5, 20)
DEGREES = 6
# As GARCH-t fits the ECB's daily rates.
ARCH, PERSISTENCE = 0.06, 0.99
BURN_IN = 250
LOCATION_RULES = ("drift", "autoregression", "momentum", "whisper")
_MOMENTUM = 20
_WHISPER = 0.001


def returns(kind: Kind, *, worlds: int, n: int, seed: int, signal: float = 0.0) -> Floats:
    """Daily returns (worlds, n) of variance 1 where `signal` is 0: r' = signal r + shock."""
    if kind not in ("iid", "garch"):
        raise ValueError(f"kind: expected iid or garch, got {kind!r}")
    rng = np.random.default_rng(seed)
    shocks = rng.standard_t(DEGREES, (n + BURN_IN, worlds)) / np.sqrt(DEGREES / (DEGREES - 2))
    found, variance, before = np.empty_like(shocks), np.ones(worlds), np.zeros(worlds)
    for t, shock in enumerate(shocks):
        innovation = np.sqrt(variance) * shock
        before = found[t] = signal * before + innovation
        if kind == "garch":
            variance = 1 - PERSISTENCE + ARCH * np.square(innovation) + (PERSISTENCE - ARCH) * variance
    return np.ascontiguousarray(found[BURN_IN:].T)


def cumulative(r: Floats, horizon: int) -> Floats:
    """Sum of the `horizon` returns after each of (worlds, n): (worlds, n - horizon)."""
    total = np.cumsum(np.pad(r, ((0, 0), (1, 0))), axis=1)
    found: Floats = total[:, 1 + horizon :] - total[:, 1:-horizon]
    return found


def forecasts(rule: str, r: Floats, horizon: int) -> Floats:
    """Location of the return over the next `horizon` bars, from each of (worlds, n) and what came before: (worlds, n).

    `drift`: the mean so far. `autoregression`: AR(1) with a constant by least squares so far, iterated. `momentum`: the
    mean so far of what followed the sign of the last 20 returns, in that sign. `whisper`: .001 in that sign, at all
    horizons; in a world of variance 1 its expected gain is all but 0, which makes it the hardest to tell from skill.
    (The others lose by estimating, so that a test at 5 % calls them skilled far less often.)
    """
    count = np.arange(1, r.shape[1] + 1)
    mean = np.cumsum(r, axis=1) / count
    if rule == "drift":
        return horizon * mean
    if rule == "autoregression":
        variance = np.cumsum(np.square(r), axis=1) / count - np.square(mean)
        lagged = np.cumsum(r[:, 1:] * r[:, :-1], axis=1) / count[:-1]
        slope = np.zeros_like(r)
        slope[:, 1:] = np.clip((lagged - np.square(mean[:, 1:])) / variance[:, 1:], -0.99, 0.99)
        return horizon * mean + (r - mean) * slope * (1 - slope**horizon) / (1 - slope)
    if rule in ("momentum", "whisper"):
        total = np.cumsum(np.pad(r, ((0, 0), (_MOMENTUM, 0))), axis=1)
        sign: Floats = np.sign(total[:, _MOMENTUM:] - total[:, :-_MOMENTUM])
        if rule == "whisper":
            return _WHISPER * sign
        followed = sign[:, :-horizon] * cumulative(r, horizon)
        slope = np.zeros_like(r)
        # What followed origin t is known at t + horizon.
        slope[:, horizon:] = np.cumsum(followed, axis=1) / count[: followed.shape[1]]
        return sign * slope
    raise ValueError(f"rule: expected one of {LOCATION_RULES}, got {rule!r}")


def losses(skill: str, r: Floats, horizon: int, *, first: int) -> tuple[Floats, Floats]:
    """Per world and origin, of a rule and of its benchmark, origins `first` to the last whose target is known.

    For a location rule squared errors against a forecast of 0; for `volatility` QLIKE and for `density` the CRPS of a
    normal, of a GARCH(1,1) filter with the parameters of the GARCH world and the mean square so far as its level,
    against that mean square for ever.
    """
    y = cumulative(r, horizon)[:, first:]
    if skill in LOCATION_RULES:
        location = forecasts(skill, r, horizon)[:, first:-horizon]
        return np.square(y - location), np.square(y)
    level = np.cumsum(np.square(r), axis=1) / np.arange(1, r.shape[1] + 1)
    filtered, excess = np.empty_like(r), np.zeros(len(r))
    for t in range(r.shape[1]):
        # Tomorrow's variance over its level: news of today, and what is left of yesterday's.
        excess = ARCH * (np.square(r[:, t]) - level[:, t]) + (PERSISTENCE - ARCH) * excess
        filtered[:, t] = excess
    fades = (1 - PERSISTENCE**horizon) / (1 - PERSISTENCE)
    constant = horizon * level[:, first:-horizon]
    moving = constant + fades * filtered[:, first:-horizon]
    pair = (moving, constant)
    if skill == "volatility":
        ours, theirs = (qlike(variance=path, realised=np.square(y)) for path in pair)
        return ours, theirs
    if skill == "density":
        ours, theirs = (crps_normal(y=y, location=np.zeros_like(y), scale=np.sqrt(path)) for path in pair)
        return ours, theirs
    raise ValueError(f"skill: expected volatility, density or one of {LOCATION_RULES}, got {skill!r}")


def shown(skill: str, r: Floats, *, first: int, horizons: Sequence[int] = HORIZONS) -> int:
    """In how many of the worlds (worlds, n) is `skill shown` at any of the horizons?"""
    by_horizon = {horizon: losses(skill, r, horizon, first=first) for horizon in horizons}
    count = 0
    for world in range(len(r)):
        said = verdict.verdicts(
            {horizon: ours[world] for horizon, (ours, _) in by_horizon.items()},
            {horizon: theirs[world] for horizon, (_, theirs) in by_horizon.items()},
            may_be_negative=skill == "volatility",
        )
        count += any(one.words == verdict.SHOWN for one in said.values())
    return count


def share_shown(
    skills: Sequence[str],
    *,
    worlds: int,
    seed: int,
    kinds: Sequence[Kind] = ("iid", "garch"),
    signal: float = 0.0,
    origins: int = 1500,
    first: int = 500,
    horizons: Sequence[int] = HORIZONS,
    batch: int = 100,
) -> dict[str, float]:
    """For each of `skills`, the share of `worlds`, in equal parts of each kind, in which it is shown at any horizon.

    A world has `first` rows before its first origin, and `origins` origins at horizon 1. Batches bound the memory; the
    same `seed`, `worlds` and `batch` give the same worlds.
    """
    if worlds % len(kinds):
        raise ValueError(f"worlds: expected a multiple of {len(kinds)}, got {worlds}")
    total, each = dict.fromkeys(skills, 0), worlds // len(kinds)
    for k, kind in enumerate(kinds):
        for number, start in enumerate(range(0, each, batch)):
            r = returns(
                kind,
                worlds=min(batch, each - start),
                n=first + origins,
                # Streams of their own, however many batches a kind has.
                seed=int(np.random.SeedSequence([seed, k, number]).generate_state(1)[0]),
                signal=signal,
            )
            for skill in skills:
                total[skill] += shown(skill, r, first=first, horizons=horizons)
    return {skill: count / worlds for skill, count in total.items()}


def largest_share(worlds: int, *, level: float = 0.05, confidence: float = 0.95) -> float:
    """The largest share that a rule true to `level` shows in `worlds` with a probability of `confidence` or more.

    Exact binomial; 2,000 worlds at 5 %: 5.8 %.
    """
    from scipy.stats import binom

    return float(binom.ppf(confidence, worlds, level)) / worlds
