"""The leaderboard: which model has shown skill on which pair."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.inference.verdict import NOT_SHOWN, SHOWN, TOO_LITTLE, WORSE
from fx_assets.evaluation.pictures import dress
from fx_assets.metrics.losses import Floats

# Also told apart without colour.
MARKS = {SHOWN: "▲", WORSE: "▼", NOT_SHOWN: "○", TOO_LITTLE: "?"}
_FULL = 2.0  # per cent at which a colour is at its strongest, at least
_PALE = 0.4  # what may be chance does not shine


class Standing(NamedTuple):
    """One field of the board: mean loss over the benchmark's (None without windows) and the verdict's words."""

    model_id: str
    pair: str
    ratio: float | None
    verdict: str


def leaderboard(
    rows: Sequence[Standing],
    *,
    said: str = "CRPS against a random walk of calibrated volatility, where the verdict rests",
) -> bytes:
    """PNG under 100 kB: models by pairs, and the loss in per cent of the benchmark's.

    Blue is better, orange worse, pale where nothing was shown.

    The loss is that of the horizon on which the verdict rests. `rows` in any order, each model and pair at most once;
    models are drawn by their mean ratio, the best first, pairs by name. `said`: which loss it is. Raises `ValueError`
    for no rows, twins, and words that are no verdict.
    """
    models, pairs, fields = _laid_out(rows)
    values = np.full((len(models), len(pairs)), np.nan)
    sure = np.zeros(values.shape, dtype=np.bool_)
    for (model, pair), row in fields.items():
        place = models.index(model), pairs.index(pair)
        sure[place] = row.verdict in (SHOWN, WORSE)
        if row.ratio is not None:
            values[place] = 100 * (row.ratio - 1)
    figure, (axes,) = dress.canvas(1.75 + 0.36 * len(models))
    full = max(_FULL, float(np.nanmax(np.abs(values), initial=0.0)))
    axes.imshow(_shades(values, sure, full), aspect="auto")
    size = dress.NORMAL if len(pairs) <= 10 else 7.0
    for (model, pair), row in fields.items():
        axes.text(
            pairs.index(pair),
            models.index(model),
            f"{MARKS[row.verdict]} {_percent(row.ratio)}",
            ha="center",
            va="center",
            fontsize=size,
            color=dress.INK,
            fontweight="bold" if row.verdict in (SHOWN, WORSE) else "normal",
        )
    axes.set_xticks(range(len(pairs)), pairs)
    axes.set_yticks(range(len(models)), models)
    axes.tick_params(length=0, labelsize=size, labelcolor=dress.INK)
    axes.xaxis.tick_top()
    axes.spines[:].set_visible(False)
    axes.grid(visible=False)
    shown = sum(row.verdict == SHOWN for row in rows)
    dress.head(
        figure,
        f"Leaderboard: {shown} of {len(rows)} forecasts have shown skill",
        f"{said}: how much larger (+) or smaller (-) the loss is.\n{_key()}",
    )
    return dress.png(figure, "leaderboard")


def leaderboard_table(rows: Sequence[Standing]) -> str:
    """The same as Markdown: a line a model, a column a pair. Errors as `leaderboard`."""
    models, pairs, fields = _laid_out(rows)
    lines = [f"| model | {' | '.join(pairs)} |", "|---" * (len(pairs) + 1) + "|"]
    for model in models:
        cells = []
        for pair in pairs:
            row = fields.get((model, pair))
            cells.append("" if row is None else f"{MARKS[row.verdict]} {_percent(row.ratio)}")
        lines.append(f"| {model} | {' | '.join(cells)} |")
    return "\n".join([*lines, "", _key()])


def _key() -> str:
    return ";  ".join(f"{mark} {words}" for words, mark in MARKS.items())


def _laid_out(rows: Sequence[Standing]) -> tuple[list[str], list[str], dict[tuple[str, str], Standing]]:
    if not rows:
        raise ValueError("no rows for a leaderboard; score a model first")
    fields: dict[tuple[str, str], Standing] = {}
    for row in rows:
        if (row.model_id, row.pair) in fields:
            raise ValueError(f"{row.model_id} on {row.pair} stands twice on the leaderboard; pass one horizon")
        if row.verdict not in MARKS:
            raise ValueError(f"{row.model_id} on {row.pair}: {row.verdict!r} is none of {', '.join(MARKS)}")
        fields[row.model_id, row.pair] = row
    ratios: dict[str, list[float]] = {row.model_id: [] for row in rows}
    for row in rows:
        if row.ratio is not None:
            ratios[row.model_id].append(row.ratio)
    means = {model: float(np.mean(values)) if values else np.inf for model, values in ratios.items()}
    return sorted(means, key=lambda model: (means[model], model)), sorted({row.pair for row in rows}), fields


def _percent(ratio: float | None) -> str:
    return "" if ratio is None else f"{100 * (ratio - 1):+.2f} %"


def _shades(values: Floats, sure: NDArray[np.bool_], full: float) -> Floats:
    """Colours (m, p, 3): white at 0, blue below, orange above, pale unless `sure`; grey where there is no value."""
    from matplotlib.colors import to_rgb

    share = np.clip(np.nan_to_num(values) / full, -1, 1)[..., None]
    end = np.where(share < 0, np.array(to_rgb("#5f9fd0")), np.array(to_rgb("#e8935a")))
    strength = np.sqrt(np.abs(share)) * np.where(sure, 1.0, _PALE)[..., None]
    colours: Floats = 1 + strength * (end - 1)
    colours[np.isnan(values)] = to_rgb("#f3f4f6")
    return colours
