"""`bench exchange`: the Exchange benchmark of the long-horizon papers, and the same on prices no paper has seen.

Order of work: the sanity of the data, all learning, the proof that it saw no test row, and then, once, the test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fx_assets.evaluation.exchange import published
from fx_assets.evaluation.exchange.candidates import FAMILY, Family
from fx_assets.evaluation.exchange.learned import CHOSEN, Learned, corrupted, learn_all, seen, steps
from fx_assets.evaluation.exchange.model import RepeatLast
from fx_assets.evaluation.exchange.recipe import OtherCut, Recipe, label, other_cuts
from fx_assets.evaluation.exchange.recipe import scored as scored_cuts
from fx_assets.evaluation.exchange.rows import PerWindow, Row, of_papers, ours, scored
from fx_assets.evaluation.exchange.sanity import Sanity, sanity
from fx_assets.evaluation.exchange.split import HORIZONS, LOOK_BACK, Split, fresh
from fx_assets.evaluation.exchange.split import published as cut_as_published
from fx_assets.evaluation.exchange.table import Table, TableError

Show = Callable[[str], None]
Start = Callable[[int], Show]
_TOLERANCE = 1e-6


@dataclass(frozen=True)
class Task:
    """What is asked. `file` may be None with `fresh`; then the exhibit has only the ECB's other cuts."""

    file: Table | None
    ecb: Table
    fresh: bool = False
    horizons: tuple[int, ...] = HORIZONS
    seeds: int = 3
    quick: bool = False
    family: Family = FAMILY

    @property
    def split(self) -> Split:
        """The table that is asked for, cut."""
        if self.fresh:
            return fresh(self.ecb)
        if self.file is None:
            raise TableError("the published table needs the file; give exchange_rate.txt.gz by --data, or use --fresh")
        return cut_as_published(self.file)

    @property
    def models(self) -> Family:
        """What is fitted and chosen from."""
        return self.family.quick() if self.quick else self.family


@dataclass(frozen=True)
class Result:
    """What came of a task. `leaks`: what a corrupted test changed; empty, or the figures mean nothing."""

    task: Task
    split: Split
    sanity: Sanity
    rows: list[Row]
    learned: Learned
    cuts: list[OtherCut]
    leaks: tuple[str, ...]
    as_published: bool

    def document(self) -> dict[str, Any]:
        """One JSON object: `rows`, `configurations_tried`, and all that they rest on."""
        choice, split = self.learned.choice, self.split
        return {
            "table": "fresh" if self.task.fresh else "published",
            "protocol": not self.task.quick and self.task.horizons == HORIZONS,
            "quick": self.task.quick,
            "data": self.sanity.document(),
            "source": split.table.name,
            "look_back": LOOK_BACK,
            "cut_rows": [split.rows("train"), split.rows("validation"), split.rows("test")],
            "cuts": {name: str(value) for name, value in vars(split.cuts).items()},
            "test_windows": {str(horizon): len(split.origins("test", horizon)) for horizon in self.task.horizons},
            "as_published": self.as_published,
            "seeds": self.task.seeds,
            "rows": [row.document() for row in self.rows],
            "configurations_tried": choice.tried,
            "choice": {
                "candidates": len(choice.ranking),
                "folds": {str(horizon): count for horizon, count in choice.folds.items()},
                "ranking": [
                    {"candidate": str(figure.candidate), "of_repeat_last": figure.ratio}
                    | {str(horizon): ratio for horizon, ratio in figure.by_horizon.items()}
                    for figure in choice.ranking
                ],
            },
            "exhibit_cuts": [cut.document() for cut in self.cuts],
            "test_rows_unseen": not self.leaks,
            "changed_by_test_rows": list(self.leaks),
            "fits_compared": sum(seed == 0 for _, _, seed in self.learned.digests),
        }


def run(task: Task, start: Start) -> Result:
    """Do the task. `start(total)` is called once, and what it answers after each of so many steps.

    Raises `TableError` for a table that is not what it should be, `ValueError` for one too short for a horizon.
    """
    split, family, seeds = task.split, task.models, list(range(task.seeds))
    others = other_cuts(task.file, task.ecb)
    show = start(steps(split, family, task.horizons, task.seeds) + steps(split, family, task.horizons, 1) + len(others))
    learned = learn_all(split, family, task.horizons, seeds, show)
    again = learn_all(
        corrupted(split), family, task.horizons, seeds[:1], lambda text: show(f"proof, test rows corrupted: {text}")
    )
    cuts = scored_cuts(others, task.horizons, show)
    walk = {horizon: scored([RepeatLast().fit(split, horizon, 0)], split, horizon) for horizon in task.horizons}
    rows = [ours("repeat_last", walk, {}, split, "the random walk: nothing is learned", reference=True)]
    as_published = not task.fresh and _is_published(split, rows[0])
    if as_published:
        rows = [*of_papers(split, task.horizons), *rows]
    losses: PerWindow = {horizon: seeds[0].per_window for horizon, seeds in walk.items()}
    for name, note in _notes(task, learned, cuts).items():
        by_horizon = {horizon: scored(learned.of(name, horizon), split, horizon) for horizon in task.horizons}
        rows.append(ours(name, by_horizon, losses, split, note, reference=False))
    return Result(task, split, sanity(split), rows, learned, cuts, seen(learned, again), as_published)


def _notes(task: Task, learned: Learned, cuts: list[OtherCut]) -> dict[str, str]:
    """The rows that learned something, and what is to be said of each."""
    choice = learned.choice
    settings = "one epoch, not the protocol" if task.quick else "published settings, nothing chosen"
    notes = {network.name: settings for network in task.models.networks}
    notes[CHOSEN] = (
        f"{choice.best.candidate}, the best of {len(choice.ranking)} candidates on folds before the test, "
        f"{choice.best.ratio:.4f} of repeat-last there"
    )
    about = "the average of repeat-last and a pooled direct autoregression"
    return notes | {Recipe.name: f"{label(cuts)} ({about})"}


def _is_published(split: Split, repeat_last: Row) -> bool:
    """Whether this is the papers' table. Raises `TableError` for one of its size and other figures."""
    if (split.rows("train"), split.rows("validation"), split.rows("test")) != published.FILE_ROWS:
        return False
    for horizon in repeat_last.mse:
        if horizon not in HORIZONS:
            continue
        windows = len(split.origins("test", horizon))
        found = repeat_last.mse[horizon], repeat_last.mae[horizon]
        known = published.REPEAT_LAST_MSE[horizon], published.REPEAT_LAST_MAE[horizon]
        if windows != published.TEST_WINDOWS[horizon] or max(map(_apart, found, known)) > _TOLERANCE:
            raise TableError(
                f"{split.table.name}: repeat-last scores {found[0]:.6f} / {found[1]:.6f} on {windows} windows at "
                f"{horizon}, not {known[0]:.6f} / {known[1]:.6f} on {published.TEST_WINDOWS[horizon]}: "
                "it is another file"
            )
    return True


def _apart(one: float, other: float) -> float:
    return abs(one - other)
