"""Everything that is learned for one table, and the proof that no test row had a part in it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from fx_assets.evaluation.exchange.candidates import Candidate, Family
from fx_assets.evaluation.exchange.choice import Choice, choose, fits
from fx_assets.evaluation.exchange.model import Fitted, Model, shrunken
from fx_assets.evaluation.exchange.recipe import Recipe
from fx_assets.evaluation.exchange.split import Split

Show = Callable[[str], None]
Key = tuple[str, int, int]
"""Name of a model, horizon, seed."""

CHOSEN = "chosen"
CHOICE: Key = ("choice", 0, 0)


@dataclass(frozen=True)
class Learned:
    """The choice, every fit, and the digest of each: of its parameters, and of its forecasts of the validation."""

    choice: Choice
    fits: dict[Key, Fitted]
    digests: dict[Key, str]

    def of(self, name: str, horizon: int) -> list[Fitted]:
        """The fits of a model at a horizon, one a seed."""
        return [fitted for (model, at, _), fitted in self.fits.items() if (model, at) == (name, horizon)]


def steps(split: Split, family: Family, horizons: Sequence[int], seeds: int) -> int:
    """How often `learn_all` calls `show`."""
    return fits(split, family, horizons) + seeds * len(family.networks) * len(horizons)


def learn_all(split: Split, family: Family, horizons: Sequence[int], seeds: Sequence[int], show: Show) -> Learned:
    """Choose by folds, then fit the networks, what was chosen, and the exhibit, on the split's own training rows."""
    choice = choose(split, family, horizons, seed=seeds[0], show=show)
    best = choice.best.candidate
    found: dict[Key, Fitted] = {}
    for horizon in horizons:
        for network in family.networks:
            for seed in seeds:
                found[network.name, horizon, seed] = network.fit(split, horizon, seed)
                show(f"{network.name} at {horizon}, seed {seed}")
        closed: list[Model] = [model for model in family.closed if model.name in best.members]
        for model in (*closed, Recipe()):
            found[model.name, horizon, seeds[0]] = model.fit(split, horizon, seeds[0])
        seeded = any(family.named(name).seeded for name in best.members)
        for seed in seeds if seeded else seeds[:1]:
            found[CHOSEN, horizon, seed] = _chosen(best, family, found, split, horizon, seed, seeds[0])
    digests = {key: fitted.digest(split.origins("validation", key[1])) for key, fitted in found.items()}
    # The choice is learned too: what was chosen, by which figures, from which fits.
    digests[CHOICE] = f"{choice.digest} {[(str(figure.candidate), figure.ratio) for figure in choice.ranking]}"
    return Learned(choice, found, digests)


def corrupted(split: Split) -> Split:
    """The same table with noise of a thousand times its size in place of every test row."""
    table, first = split.table, split.last_row("validation") + 1
    values = table.values.copy()
    values[first:] = 1e3 * np.random.default_rng(0).lognormal(size=values[first:].shape)
    return Split(replace(table, values=values), split.cuts)


def seen(first: Learned, again: Learned) -> tuple[str, ...]:
    """Names of what came out otherwise in a second learning; it may have fewer seeds. Empty: not a bit differs."""
    return tuple(
        f"{name} at {horizon}" if horizon else name
        for (name, horizon, seed), digest in again.digests.items()
        if first.digests.get((name, horizon, seed)) != digest
    )


def _chosen(
    best: Candidate, family: Family, found: dict[Key, Fitted], split: Split, horizon: int, seed: int, fixed: int
) -> Fitted:
    members = [found[name, horizon, seed if family.named(name).seeded else fixed] for name in best.members]
    return shrunken(members, best.weight, split, horizon)
