"""Which features tell the same thing, for people: a map of their correlations, and what was dropped for what.

Drawn without a display. Colours are those of Okabe and Ito upon blues, which people tell apart who see few colours.
"""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.frames import FloatArray
from fx_assets.features.stages.base import Json

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_BYTES = 100_000
MAX_COLUMNS = 200
_NAMED = 30  # with more columns their names cannot be read
_NAME_LENGTH = 36
_SIZE, _TOP, _BOTTOM, _RIGHT, _LEFT, _WIDE_LEFT = 6.6, 0.8, 0.6, 0.8, 0.3, 2.75  # inches
_INK, _MUTED, _REDUNDANT = "#1f2933", "#697586", "#d55e00"
_STAGES = ("#0072b2", "#e69f00", "#009e73", "#cc79a7", "#56b4e9", "#f0e442")
_PALE = 0.25  # how much of its stage's colour a dropped column keeps
_STEPS = (0.0, 0.2, 0.4, 0.6, 0.8, 0.9)


def redundancy_map(
    title: str,
    names: Sequence[str],
    stages: Sequence[str],
    correlations: FloatArray,
    *,
    kept: Collection[str],
    threshold: float,
) -> bytes | None:
    """PNG under 100 kB, readable at a width of 600 pixels: |correlation|, like beside like, orange from `threshold` on.

    `names` and `stages` (k,) of the columns of `correlations` (k, k); those that are NaN throughout (constants) are not
    drawn, and of more than `MAX_COLUMNS` those that are most like another. The margin has the colour of each column's
    stage, pale where it is not `kept`. Equal input gives equal bytes, in whatever order the columns come. None where
    fewer than two can be drawn. Raises `ValueError` where the picture is too large to be shown inline.
    """
    strength = np.abs(correlations)
    shown = _shown(names, strength)
    if len(shown) < 2:
        return None
    shown = shown[clustered(strength[np.ix_(shown, shown)])]
    named = len(shown) <= _NAMED
    figure, axes = _canvas(_WIDE_LEFT if named else _LEFT)
    _heat(figure, axes, strength[np.ix_(shown, shown)], threshold)
    if named:
        axes.set_yticks(range(len(shown)), [_short(names[i]) for i in shown])
        axes.tick_params(axis="y", length=0, pad=14, labelsize=7.5, labelcolor=_INK)
    colours = {stage: _STAGES[i % len(_STAGES)] for i, stage in enumerate(sorted(set(stages)))}
    _margins(axes, np.array([_tint(colours[stages[i]], names[i] in kept) for i in shown]))
    _legend(figure, colours, names, stages, kept)
    which = " that are most like another" if len(shown) == MAX_COLUMNS else " that change"
    drawn = f"; drawn are the {len(shown)}{which}" if len(shown) < len(names) else ""
    _title(figure, title, f"{sum(name in kept for name in names):,} of {len(names):,} columns kept{drawn}")
    return _png(figure, title)


def clustered(strength: FloatArray) -> NDArray[np.int64]:
    """Order of columns (k,) that puts like beside like, from |correlations| (k, k), k >= 2: average linkage."""
    from scipy.cluster.hierarchy import leaves_list, linkage

    above = np.triu_indices(len(strength), 1)
    tree = linkage(1.0 - strength[above], method="average", optimal_ordering=True)
    return np.asarray(leaves_list(tree), dtype=np.int64)


def dropped_table(report: Json, *, rows: int = 20) -> str:
    """Markdown of a selection's `report`: what was dropped for what, the strongest correlations first, and the rest."""
    dropped = report["dropped"]
    counts = Counter(entry["reason"] for entry in dropped)
    said = [
        f"{report['kept']:,} of {report['candidates']:,} columns kept, ranked on {report['rows']:,} of "
        f"{report['rows_given']:,} rows; threshold {report['threshold']:g}."
    ]
    others = [f"{counts[reason]:,} {words}" for reason, words in _REASONS.items() if counts[reason]]
    if others:
        said.append(f"Dropped for other reasons: {', '.join(others)}.")
    redundant = sorted(
        (entry for entry in dropped if entry["reason"] == "redundant"),
        key=lambda entry: (-abs(entry["correlation"]), entry["name"]),
    )
    if not redundant:
        return "\n\n".join([*said, "None is redundant."])
    lines = [
        f"| {_code(entry['name'])} | {_code(entry['keeper'])} | {entry['correlation']:.4f} |"
        for entry in redundant[:rows]
    ]
    table = "\n".join(["| dropped | kept instead | rank correlation |", "|---|---|---:|", *lines])
    more = [f"And {len(redundant) - rows:,} more."] if len(redundant) > rows else []
    return "\n\n".join([*said, table, *more])


_REASONS = {
    "constant": "never change",
    "missing": "without a value in too many rows",
    "cap": "beyond the largest number to keep",
}


def _code(name: str) -> str:
    return f"`{name.replace('|', chr(92) + '|')}`"


def _shown(names: Sequence[str], strength: FloatArray) -> NDArray[np.int64]:
    """Which columns to draw, in the order of their names."""
    alive = np.flatnonzero(np.isfinite(np.diagonal(strength)))
    among = strength[np.ix_(alive, alive)]
    np.fill_diagonal(among, 0.0)
    nearest = dict(zip(alive.tolist(), among.max(axis=1, initial=0.0).tolist(), strict=True))
    chosen = sorted(nearest, key=lambda i: (-nearest[i], names[i]))[:MAX_COLUMNS]
    return np.array(sorted(chosen, key=lambda i: names[i]), dtype=np.int64)


def _canvas(left: float) -> tuple[Figure, Axes]:
    """`left`: inches beside the map."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_SIZE, _SIZE), dpi=110, facecolor="white")
    FigureCanvasAgg(figure)
    place = (left, _BOTTOM, _SIZE - left - _RIGHT, _SIZE - _BOTTOM - _TOP)
    axes = figure.add_axes((place[0] / _SIZE, place[1] / _SIZE, place[2] / _SIZE, place[3] / _SIZE))
    axes.set_xticks([])
    axes.set_yticks([])
    axes.spines[:].set_visible(False)
    return figure, axes


def _heat(figure: Figure, axes: Axes, strength: FloatArray, threshold: float) -> None:
    from matplotlib import colormaps
    from matplotlib.colors import BoundaryNorm, ListedColormap

    # Few colours tell more than many, and make a small file.
    steps = [step for step in _STEPS if step < threshold]
    shades = ListedColormap([*colormaps["Blues"](np.linspace(0.03, 1.0, len(steps))), _REDUNDANT])
    norm = BoundaryNorm([*steps, threshold, np.nextafter(1.0, 2.0)], len(steps) + 1)
    image = axes.imshow(strength, cmap=shades, norm=norm, aspect="auto", interpolation="nearest")
    bar = figure.colorbar(image, cax=axes.inset_axes((1.02, 0.0, 0.03, 1.0)), spacing="uniform")
    bar.set_ticks([*steps, threshold], labels=[f"{step:g}" for step in (*steps, threshold)])
    bar.set_label("|rank correlation|", fontsize=8.5, color=_MUTED)
    bar.ax.tick_params(which="both", length=0, labelsize=8, colors=_MUTED)
    outline: Any = bar.outline
    outline.set_visible(False)


def _tint(colour: str, full: bool) -> tuple[float, float, float]:
    from matplotlib.colors import to_rgb

    share = 1.0 if full else _PALE
    red, green, blue = (1.0 - share * (1.0 - part) for part in to_rgb(colour))
    return red, green, blue


def _margins(axes: Axes, tints: FloatArray) -> None:
    """Strips left of the map and above it, a colour (k, 3) for each column."""
    for place, strip in (((-0.03, 0.0, 0.022, 1.0), tints[:, None]), ((0.0, 1.008, 1.0, 0.022), tints[None])):
        beside = axes.inset_axes(place)
        beside.imshow(strip, aspect="auto", interpolation="nearest")
        beside.set_axis_off()


def _legend(
    figure: Figure, colours: dict[str, str], names: Sequence[str], stages: Sequence[str], kept: Collection[str]
) -> None:
    from matplotlib.patches import Patch

    given = Counter(stages)
    left = Counter(stage for name, stage in zip(names, stages, strict=True) if name in kept)
    handles = [
        Patch(color=colour, label=f"{stage}: {left[stage]:,} of {given[stage]:,} kept")
        for stage, colour in colours.items()
    ]
    handles.append(Patch(color=_tint("#000000", False), label="pale: dropped"))
    figure.legend(handles=handles, loc="lower left", ncols=3, fontsize=8, frameon=False, labelcolor=_INK)


def _title(figure: Figure, title: str, said: str) -> None:
    at = 0.08 / _SIZE
    figure.text(at, 1 - 0.1 / _SIZE, title, fontsize=12, color=_INK, fontweight="bold", va="top")
    figure.text(at, 1 - 0.36 / _SIZE, said, fontsize=8.5, color=_MUTED, va="top")


def _short(name: str) -> str:
    """Beginning and end: generated names differ in both."""
    return name if len(name) <= _NAME_LENGTH else f"{name[: _NAME_LENGTH // 2]}…{name[1 - _NAME_LENGTH // 2 :]}"


def _png(figure: Figure, title: str) -> bytes:
    buffer = io.BytesIO()
    # Without the library's name in it, equal pictures are equal bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    picture = buffer.getvalue()
    if len(picture) >= MAX_BYTES:
        raise ValueError(
            f"redundancy map {title!r} has {len(picture):,} bytes, limit {MAX_BYTES:,}; draw fewer columns"
        )
    return picture
