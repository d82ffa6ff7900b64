"""The two ways to find a better champion: on the decision dates all at once, and every night by bets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np

from fx_assets.evaluation.inference.comparison import diebold_mariano
from fx_assets.evaluation.inference.multiple import holm, superior_predictive_ability
from fx_assets.evaluation.promotion.capital import log_capital, log_wanted
from fx_assets.evaluation.promotion.losses import Gains, ModelLosses, gains_at
from fx_assets.timegrid.windows import EvaluationWindow

LEVEL = 0.025
LEAST_ORIGINS = 250
# A longer horizon is shown worse as the certificate says it: Holm over the horizons with so many separate windows.
WORSE_LEVEL = 0.05
LEAST_SEPARATE = 20
_HIGHEST = 700.0  # exp of more is infinite


@dataclass(frozen=True)
class Found:
    """What one way found. `said`: in words; `promoted`: who serves from now on, None where nobody new.

    `decided`: whether a scheduled test was made, by which the origins are used up.
    """

    evidence: Mapping[str, Any]
    said: str
    promoted: str | None = None
    decided: bool = False


def scheduled(
    champion: ModelLosses, candidates: Sequence[ModelLosses], *, after: datetime, before: datetime, seed: int
) -> Found:
    """All candidates with origins enough against the champion, from the new origins alone: between two moments."""
    gains = gains_at(1, champion.between(after, before), [one.between(after, before) for one in candidates])
    counts = gains.counts
    tried = [number for number in range(len(candidates)) if counts[number] >= LEAST_ORIGINS]
    evidence: dict[str, Any] = {**_extent(gains), "champion_loss": _mean(gains), "candidates": {}}
    for number, candidate in enumerate(candidates):
        facts = {"origins": int(counts[number]), "gain": gains.share(number), "barred": candidate.barred}
        evidence["candidates"][candidate.model_id] = facts
    if not tried:
        most = max(counts.tolist(), default=0)
        return Found(evidence, f"{most} new origins of a candidate at most, and {LEAST_ORIGINS} are needed")
    names = [candidates[number].model_id for number in tried]
    models = {candidates[number].model_id: gains.champion - gains.gains[:, number] for number in tried}
    spa = superior_predictive_ability(gains.champion, models, horizon=1, seed=seed).p_value
    plain = {candidates[number].model_id: diebold_mariano(gains.own(number), horizon=1).p_value for number in tried}
    adjusted = holm(plain)
    evidence |= {"spa_p_value": spa, "seed": seed}
    for name in names:
        evidence["candidates"][name] |= {"p_value": plain[name], "p_value_holm": adjusted[name]}
    better = [number for number in tried if adjusted[candidates[number].model_id] < LEVEL] if spa < LEVEL else []
    rank = gains.gains.sum(axis=0).tolist()
    chosen, objections = _fit_to_serve(better, rank, champion, candidates, evidence, before)
    said = f"{len(tried)} candidates on {len(gains.origins)} new origins"
    if chosen is None:
        reason = (
            f"nobody is shown better among {said} (SPA p {spa:.3g}, least p by itself {min(adjusted.values()):.3g})"
        )
        return Found(evidence, "; ".join([reason, *objections]), decided=True)
    name = candidates[chosen].model_id
    return Found(
        evidence,
        f"{name} has a one-bar CRPS {gains.share(chosen):.2%} under {champion.model_id}'s: best of {said} (SPA p "
        f"{spa:.3g}; Diebold-Mariano with Holm p {adjusted[name]:.3g})",
        promoted=name,
        decided=True,
    )


def sequential(champion: ModelLosses, candidates: Sequence[ModelLosses], *, after: datetime) -> Found:
    """The bets on all candidates since the champion began to serve, as they stand tonight."""
    gains = gains_at(1, champion.between(after, None), [one.between(after, None) for one in candidates])
    counts = gains.counts
    if not counts.any():
        return Found(_extent(gains), "no bet has been settled yet")
    capital, wanted = log_capital(gains)[-1], float(log_wanted(gains, LEVEL)[-1])
    evidence: dict[str, Any] = {**_extent(gains), "log_wanted": wanted, "candidates": {}}
    for number, candidate in enumerate(candidates):
        facts = {"origins": int(counts[number]), "gain": gains.share(number), "barred": candidate.barred}
        if counts[number]:
            facts["log_capital"] = float(capital[number])
        evidence["candidates"][candidate.model_id] = facts
    enough = [number for number in np.flatnonzero(capital >= wanted).tolist() if counts[number] >= LEAST_ORIGINS]
    chosen, objections = _fit_to_serve(enough, capital.tolist(), champion, candidates, evidence, None)
    best = int(np.argmax(capital)) if chosen is None else chosen
    name, made = candidates[best].model_id, _plain(float(capital[best]))
    if chosen is None:
        few = f", on {counts[best]} origins of the {LEAST_ORIGINS} needed" if counts[best] < LEAST_ORIGINS else ""
        return Found(
            evidence, "; ".join([f"the best bet, on {name}, has made {made} of {_plain(wanted)}{few}", *objections])
        )
    return Found(
        evidence,
        f"{name} has a one-bar CRPS {gains.share(chosen):.2%} under {champion.model_id}'s on {counts[chosen]} origins: "
        f"a bet on it has made {made}, and {_plain(wanted)} was asked of one of {len(candidates)}",
        promoted=name,
    )


def worse_at(champion: ModelLosses, candidate: ModelLosses) -> list[int]:
    """Longer horizons at which the candidate is shown worse than the champion on the origins they share.

    One-sided Diebold-Mariano, Holm over the horizons that have windows enough, p < .05.
    """
    p_values = {}
    for horizon in champion.horizons[1:]:
        gain = gains_at(horizon, champion, [candidate]).own(0)
        if EvaluationWindow.independent(len(gain), horizon) >= LEAST_SEPARATE:
            p_values[horizon] = diebold_mariano(-gain, horizon=horizon).p_value
    return [horizon for horizon, p_value in holm(p_values).items() if p_value < WORSE_LEVEL]


def _fit_to_serve(
    better: Sequence[int],
    rank: Sequence[float],
    champion: ModelLosses,
    candidates: Sequence[ModelLosses],
    evidence: Mapping[str, Any],
    before: datetime | None,
) -> tuple[int | None, list[str]]:
    """The first by `rank` that may serve, and what speaks against those before it.

    For an objection all origins count, new or not: one bar ahead a year tells something, 20 bars ahead very little.
    """
    objections: list[str] = []
    for number in sorted(better, key=lambda number: -rank[number]):
        candidate = candidates[number]
        worse = worse_at(champion.between(None, before), candidate.between(None, before))
        evidence["candidates"][candidate.model_id]["worse_at"] = worse
        if not candidate.barred and not worse:
            return number, objections
        against = candidate.barred or f"it is worse {', '.join(map(str, worse))} bars ahead"
        objections.append(f"{candidate.model_id} is better one bar ahead but may not serve: {against}")
    return None, objections


def _extent(gains: Gains) -> dict[str, Any]:
    found: dict[str, Any] = {"origins": len(gains.origins)}
    if len(gains.origins):
        found |= {"first": f"{gains.origins[0]}Z", "last": f"{gains.origins[-1]}Z"}
    return found


def _mean(gains: Gains) -> float | None:
    return float(gains.champion.mean()) if len(gains.champion) else None


def _plain(log: float) -> str:
    return f"{np.exp(min(log, _HIGHEST)):.3g}"
