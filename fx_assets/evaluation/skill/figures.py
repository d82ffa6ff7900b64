"""The row of one model in a table: what its losses, ranges and exceptions come to over several pairs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from fx_assets.evaluation.skill.comparisons import CRPS, QLIKE, SCORES, Comparison, compared
from fx_assets.evaluation.skill.tracks import MASSES, Span, Track

Tracks = Mapping[str, Mapping[str, Track]]
"""By model, then by pair."""

WALK, GARCH, EGARCH = "constant", "garch_t", "egarch_t"
"""The references that every model is compared with."""


@dataclass(frozen=True)
class Figures:
    """One-day losses against the random walk with constant volatility, GARCH-t and EGARCH-t, and what ranges held.

    `coverage` by (central mass, bars ahead) is the mean of the pairs', `worst_stretch` by mass that of the pair where
    it is furthest off, NaN for a part of the years; both after the warm-up. `lower`, `upper`: shares of exceptions from
    the 1 % value at risk.
    """

    model: str
    pairs: tuple[str, ...]
    origins: int
    walk: Comparison
    garch: Comparison
    egarch: Comparison
    qlike: Comparison
    scores: Mapping[int, Comparison]
    coverage: Mapping[tuple[int, int], float]
    worst_stretch: Mapping[int, float]
    lower: float
    upper: float
    noted: int

    def document(self) -> dict[str, Any]:
        """As JSON; NaN, where there are too few origins, becomes null."""
        document = {
            "origins": self.origins,
            "coverage": {f"{mass / 100:g}": share for (mass, horizon), share in self.coverage.items() if horizon == 1},
            "crps_ratio_to_random_walk": self.walk.ratio,
            "crps_ratio_to_garch_t": self.garch.ratio,
            "crps_ratio_to_egarch_t": self.egarch.ratio,
            "qlike_minus_garch": self.qlike.difference,
            "p_value": self.garch.p_value,
            "p_value_egarch": self.egarch.p_value,
            "p_value_qlike": self.qlike.p_value,
            "verdict": self.garch.verdict,
            "verdict_egarch": self.egarch.verdict,
            "verdict_qlike": self.qlike.verdict,
            "worst_stretch": {f"{mass / 100:g}": share for mass, share in self.worst_stretch.items()},
            "interval_score_ratio_to_garch_t": {f"{mass / 100:g}": found.ratio for mass, found in self.scores.items()},
            "p_value_interval_score": {f"{mass / 100:g}": found.p_value for mass, found in self.scores.items()},
            "coverage_ahead": {
                str(ahead): {
                    f"{mass / 100:g}": share for (mass, horizon), share in self.coverage.items() if horizon == ahead
                }
                for ahead in sorted({horizon for _, horizon in self.coverage} - {1})
            },
            "value_at_risk_exceptions": {"lower": self.lower, "upper": self.upper},
            "forecasts_with_a_remark": self.noted,
        }
        return {name: _without_nan(value) for name, value in document.items()}


def figures(tracks: Tracks, model: str, pairs: Sequence[str], *, span: Span | None = None) -> Figures:
    """Of `model` over `pairs`, pooled by date; of the origins within `span` only."""
    ours = [tracks[model][pair] for pair in pairs]
    walk, garch, egarch = ([tracks[name][pair] for pair in pairs] for name in (WALK, GARCH, EGARCH))
    kept = [track.kept(span=span) for track in ours]
    return Figures(
        model=model,
        pairs=tuple(pairs),
        origins=max(int(part.sum()) for part in kept),
        walk=compared(ours, walk, CRPS, span=span),
        garch=compared(ours, garch, CRPS, span=span),
        egarch=compared(ours, egarch, CRPS, span=span),
        qlike=compared(ours, garch, QLIKE, span=span),
        scores={mass: compared(ours, garch, SCORES[mass], span=span) for mass in MASSES},
        coverage={key: float(np.mean([track.coverage(*key, span=span) for track in ours])) for key in ours[0].hits},
        worst_stretch={mass: _furthest(ours, mass) if span is None else float("nan") for mass in MASSES},
        lower=_share([track.lower[part] for track, part in zip(ours, kept, strict=True)]),
        upper=_share([track.upper[part] for track, part in zip(ours, kept, strict=True)]),
        noted=sum(track.noted for track in ours),
    )


def _furthest(tracks: Sequence[Track], mass: int) -> float:
    known = [share for track in tracks if not np.isnan(share := track.worst_stretch(mass))]
    return max(known, key=lambda share: abs(share - mass / 100)) if known else float("nan")


def _share(parts: Sequence[np.ndarray[Any, np.dtype[np.bool_]]]) -> float:
    together = np.concatenate(parts)
    return float(np.mean(together)) if len(together) else float("nan")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_nan(part) for name, part in value.items()}
    return None if isinstance(value, float) and np.isnan(value) else value
