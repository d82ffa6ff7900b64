"""Markdown tables about a feature set's features: what they cost, where they have gaps, how far they drifted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.pictures.drift import LARGE, SOME, Drift
from fx_assets.features.sets import origins_of
from fx_assets.specs.schema import FeatureSetSpec

WORST = 10


def cost_table(spec: FeatureSetSpec, facts: Mapping[str, Mapping[str, Any]]) -> str:
    """Milliseconds per 1,000 bars of each stage, from the `facts` of its last update, and of the dearest features."""
    of_stages: list[tuple[str, ...]] = []
    shares: dict[str, float] = {}
    made_by: dict[str, str] = {}
    for name, known in facts.items():
        columns = [column for step, column in origins_of(spec).values() if step.name == name]
        measured, weight = float(known["ms_per_1000_rows"]), sum(column.cost for column in columns)
        of_stages.append((name, f"{len(columns):,}", f"{known['rows']:,}", f"{measured:.3g}"))
        if weight:
            shares |= {column.name: measured * column.cost / weight for column in columns}
        made_by |= dict.fromkeys((column.name for column in columns), name)
    dearest = sorted(shares, key=lambda name: (-shares[name], name))[:WORST]
    return "\n\n".join(
        [
            _table(("stage", "features", "rows", "ms per 1,000 bars"), of_stages),
            f"The {len(dearest)} dearest features: what was measured of a stage, apportioned by the relative cost that "
            "it states for each of its features.",
            _table(
                ("feature", "stage", "ms per 1,000 bars"),
                [(f"`{name}`", made_by[name], f"{shares[name]:.3g}") for name in dearest],
            ),
        ]
    )


def missing_table(names: Sequence[str], stages: Sequence[str], gaps: NDArray[np.int64], rows: int) -> str:
    """How many values are missing, by stage and of the worst features; `gaps` (k,): missing values in `rows` rows."""
    if not gaps.any():
        return f"No value is missing in {rows:,} sampled rows of {len(names):,} features."
    of_stages = []
    for stage in dict.fromkeys(stages):
        own = np.array([name == stage for name in stages])
        cells = int(own.sum()) * rows
        of_stages.append(
            (stage, f"{int(own.sum()):,}", f"{np.count_nonzero(gaps[own]):,}", f"{100 * gaps[own].sum() / cells:.2f} %")
        )
    worst = [int(place) for place in np.argsort(-gaps, kind="stable")[:WORST] if gaps[place]]
    of_features = [(f"`{names[place]}`", stages[place], f"{100 * gaps[place] / rows:.2f} %") for place in worst]
    return "\n\n".join(
        [
            f"{np.count_nonzero(gaps):,} of {len(names):,} features have gaps in {rows:,} sampled rows.",
            _table(("stage", "features", "with gaps", "of all its values missing"), of_stages),
            _table(("feature", "stage", "rows without a value"), of_features),
        ]
    )


def drift_table(names: Sequence[str], stages: Sequence[str], drift: Drift, said: str) -> str:
    """Index and shift of the features that changed most; `said`: which rows were compared."""
    shown = [int(place) for place in drift.worst[:WORST] if np.isfinite(drift.index[place])]
    lines = [
        (
            f"`{names[place]}`",
            stages[place],
            f"{drift.index[place]:.3f}",
            f"{drift.shift[place]:+.2f} deviations" if np.isfinite(drift.shift[place]) else "no value",
        )
        for place in shown
    ]
    dead = np.count_nonzero(np.isnan(drift.index))
    left_out = [f"Left out: {dead:,} features without two different values in the training rows."] if dead else []
    return "\n\n".join(
        [
            f"{said}. Population stability index over tenths of the training rows: under {SOME:g} stable, from "
            f"{LARGE:g} on another feature. Of features that did not change 1 in 20 at most reaches "
            f"{drift.chance:.2f} by chance with so few rows, and more of slow ones, whose rows are alike.",
            _table(("feature", "stage", "index", "median moved by"), lines),
            *left_out,
        ]
    )


def _table(heads: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(cells)} |" for cells in (heads, ["---"] * len(heads), *lines))
