"""One table of the benchmark: a world, its folds, the references and candidates on all of its pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

import numpy as np

from fx_assets.evaluation.references import NAMES, references
from fx_assets.evaluation.skill.candidates import HEADLINE, Candidate
from fx_assets.evaluation.skill.comparisons import blocks
from fx_assets.evaluation.skill.figures import Figures, Tracks, figures
from fx_assets.evaluation.skill.tracks import Track, of_candidate, of_reference
from fx_assets.evaluation.skill.walked import Said, walk
from fx_assets.evaluation.skill.worlds import World
from fx_assets.models.inputs import PairHistory
from fx_assets.settings import Settings
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.timegrid.windows import EvaluationWindow, Period

Show = Callable[[str], None]
_LEFT_OUT = "USDCHF"
"""Its day without a floor, 2015-01-15, weighs as much as years of other days."""


@dataclass(frozen=True)
class Plan:
    """How a world is cut: tests from `first` on, everything learned anew each `refit_every`, an embargo of the longest
    of `steps` bars ahead between learning and testing."""

    first: date
    refit_every: Period
    validation_years: float
    steps: tuple[int, ...]

    def folds(self, histories: Mapping[str, PairHistory]) -> list[EvaluationWindow]:
        """Of the longest history; they hold for all. Raises `ValueError` (`insufficient_history`)."""
        longest = max(histories.values(), key=lambda history: history.ends[-1])
        return EvaluationWindow.walk_forward(
            longest.ends,
            first=self.first,
            refit_every=self.refit_every,
            validation_years=self.validation_years,
            embargo=max(self.steps),
        )


DAILY = Plan(date(2012, 1, 1), "year", 2.0, (1, 5, 20))
REALISED = Plan(date(2017, 7, 1), "quarter", 0.5, (1, 5))


@dataclass(frozen=True, eq=False)
class Scored:
    """A table: `tracks` by model and pair; `rows`, all models over all pairs; `parts`, the headline model pair by pair,
    block by block and without USDCHF; `said`: what the candidates forecast; `notes`: by reference and pair,
    the folds in which EWMA-t stands in, and why."""

    world: World
    plan: Plan
    folds: int
    tracks: Tracks
    rows: Mapping[str, Figures]
    parts: Mapping[str, Figures]
    said: Mapping[str, Mapping[str, Said]]
    notes: Mapping[str, Mapping[str, tuple[str, ...]]]
    headline: str

    @property
    def pairs(self) -> tuple[str, ...]:
        """Of the world, in order."""
        return tuple(self.world.bars)

    @property
    def dates(self) -> tuple[str, str]:
        """Trading dates of the first and the last origin."""
        found = np.concatenate([track.dates for track in self.tracks[self.headline].values()])
        return str(found.min()), str(found.max())

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "world": self.world.name,
            "model": self.headline,
            "first_origin": self.dates[0],
            "last_origin": self.dates[1],
            "refits": self.folds,
            "pairs": {pair: self.parts[pair].document() for pair in self.pairs},
            "pooled": self.rows[self.headline].document(),
            "parts": {name: part.document() for name, part in self.parts.items() if name not in self.pairs},
            "models": {name: row.document() for name, row in self.rows.items()},
            "notes": [note for by_pair in self.notes.values() for notes in by_pair.values() for note in notes],
        }


def steps_of(plan: Plan, world: World, candidates: Sequence[Candidate]) -> int:
    """How often `scored` calls `show`."""
    folds, pairs = len(plan.folds(world.histories())), len(world.bars)
    return folds * (pairs + sum(1 if candidate.scope == "panel" else pairs for candidate in candidates))


def scored(
    world: World,
    plan: Plan,
    candidates: Sequence[Candidate],
    *,
    features: Mapping[str, FeatureSetSpec],
    settings: Settings,
    show: Show,
) -> Scored:
    """All references and candidates at every test origin of every fold.

    The headline model is the one of that name, or the last candidate. Raises `ValueError` where a feature set is not
    there, and whatever a training raises.
    """
    closes = world.histories()
    folds, pairs = plan.folds(closes), tuple(world.bars)
    tracks: dict[str, dict[str, Track]] = {name: {} for name in NAMES}
    notes: dict[str, dict[str, tuple[str, ...]]] = {}
    for pair, history in closes.items():
        for name, reference in references(history, folds, plan.steps, show=show).items():
            tracks[name][pair] = of_reference(name, reference, history)
            if reference.notes:
                notes.setdefault(name, {})[pair] = reference.notes
    said: dict[str, dict[str, Said]] = {}
    for candidate in candidates:
        spec = candidate.spec(pairs, horizon=max(plan.steps))
        chosen = _feature_set(candidate, features)
        own = world.histories(chosen) if chosen is not None else closes
        found = walk(spec, own, folds, plan.steps, features=chosen, settings=settings, show=show)
        said[candidate.name] = {pair: found[pair].moved(own[pair], closes[pair]) for pair in pairs}
    for name, by_pair in said.items():
        tracks[name] = {pair: of_candidate(name, by_pair[pair], closes[pair]) for pair in pairs}
    headline = HEADLINE if HEADLINE in tracks else candidates[-1].name
    return Scored(
        world=world,
        plan=plan,
        folds=len(folds),
        tracks=tracks,
        rows={name: figures(tracks, name, pairs) for name in tracks},
        parts=_parts(tracks, headline, pairs),
        said=said,
        notes=notes,
        headline=headline,
    )


def _parts(tracks: Tracks, model: str, pairs: Sequence[str]) -> dict[str, Figures]:
    dates = np.concatenate([tracks[model][pair].dates for pair in pairs])
    parts = {pair: figures(tracks, model, [pair]) for pair in pairs}
    for span in blocks(dates):
        name = f"{span[0]} to {span[1]}" if span[0] < span[1] else str(span[0])
        parts[name] = figures(tracks, model, pairs, span=span)
    if _LEFT_OUT in pairs and len(pairs) > 1:
        parts[f"without {_LEFT_OUT}"] = figures(tracks, model, [pair for pair in pairs if pair != _LEFT_OUT])
    return parts


def _feature_set(candidate: Candidate, features: Mapping[str, FeatureSetSpec]) -> FeatureSetSpec | None:
    if candidate.features is None:
        return None
    if candidate.features not in features:
        raise ValueError(
            f"{candidate.name} needs the feature set {candidate.features!r}: add configs/features/"
            f"{candidate.features}.yaml, or see what fx-assets validate says of it"
        )
    return features[candidate.features]
