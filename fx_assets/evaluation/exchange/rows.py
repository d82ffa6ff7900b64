"""The rows of the table: figures, spreads, how many independent windows they rest on, and what may be said of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from fx_assets.evaluation.exchange import published, skill
from fx_assets.evaluation.exchange.model import Fitted, Scores, score
from fx_assets.evaluation.exchange.split import HORIZONS, Split
from fx_assets.timegrid.windows import EvaluationWindow

PerWindow = dict[int, Any]


@dataclass(frozen=True)
class Row:
    """One model. `mse`, `mae`: means over seeds by horizon; `*_spread`: standard deviation over seeds, 0 of one.

    `mae` is empty where a paper's is not at hand. `verdicts` by horizon, `verdict` for the row.
    """

    model: str
    published: bool
    mse: dict[int, float]
    mae: dict[int, float]
    independent_windows: dict[int, int]
    verdicts: dict[int, str]
    note: str
    verdict: str
    seeds: int = 0
    mse_spread: dict[int, float] = field(default_factory=dict)
    mae_spread: dict[int, float] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """As JSON; horizons are texts there."""
        return {
            name: {str(key): item for key, item in value.items()} if isinstance(value, dict) else value
            for name, value in vars(self).items()
        }


def independent(split: Split, horizons: Sequence[int]) -> dict[int, int]:
    """Test windows at each horizon whose targets do not overlap."""
    counts = {horizon: len(split.origins("test", horizon)) for horizon in horizons}
    return {horizon: EvaluationWindow.independent(count, horizon) for horizon, count in counts.items()}


def scored(fits: Sequence[Fitted], split: Split, horizon: int) -> list[Scores]:
    """Every test window, for each seed's fit."""
    return [score(fitted, split, horizon, split.origins("test", horizon)) for fitted in fits]


def ours(
    model: str, scores: dict[int, list[Scores]], repeat_last: PerWindow, split: Split, note: str, *, reference: bool
) -> Row:
    """A row of this project's, from the scores of each seed by horizon; `repeat_last`: its losses per window."""
    losses = {horizon: np.mean([part.per_window for part in seeds], axis=0) for horizon, seeds in scores.items()}
    said = dict.fromkeys(scores, skill.REFERENCE) if reference else skill.verdicts(losses, repeat_last)
    return Row(
        model=model,
        published=False,
        mse={horizon: float(np.mean([part.mse for part in seeds])) for horizon, seeds in scores.items()},
        mae={horizon: float(np.mean([part.mae for part in seeds])) for horizon, seeds in scores.items()},
        independent_windows=independent(split, list(scores)),
        verdicts=said,
        note=note,
        verdict=skill.REFERENCE if reference else skill.overall(said),
        seeds=max(len(seeds) for seeds in scores.values()),
        mse_spread={horizon: _spread([part.mse for part in seeds]) for horizon, seeds in scores.items()},
        mae_spread={horizon: _spread([part.mae for part in seeds]) for horizon, seeds in scores.items()},
    )


def of_papers(split: Split, horizons: Sequence[int]) -> list[Row]:
    """The published rows. Their losses per window are not at hand: where 20 windows are, they are `untested`."""
    windows = independent(split, horizons)
    said = {
        horizon: skill.TOO_LITTLE if count < skill.LEAST_WINDOWS else "untested" for horizon, count in windows.items()
    }
    rows = []
    for paper in published.ROWS:
        mse, mae = dict(zip(HORIZONS, paper.mse, strict=True)), dict(zip(HORIZONS, paper.mae or (), strict=False))
        rows.append(
            Row(
                model=paper.model,
                published=True,
                mse={horizon: mse[horizon] for horizon in horizons if horizon in mse},
                mae={horizon: mae[horizon] for horizon in horizons if horizon in mae},
                independent_windows=windows,
                verdicts=said,
                note=f"{paper.source}; mean MAE {paper.mean_mae:.3f}",
                verdict=skill.overall(said),
            )
        )
    return rows


def _spread(values: Sequence[float]) -> float:
    return float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
