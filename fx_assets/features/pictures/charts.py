"""Pictures of a feature set's values: which have gaps, and which no longer look as they did in the training rows.

Drawn without a display. Colours are those of Okabe and Ito, which people tell apart who see few colours.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from fx_assets.features.frames import FloatArray
from fx_assets.features.pictures.drift import LARGE, SOME, Drift

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_BYTES = 100_000
NAMED = 40  # with more features their names cannot be read
_NAME_LENGTH = 34
_LEAST = 0.01  # an index below says nothing
_INK, _MUTED, _GRID = "#1f2933", "#697586", "#e4e7eb"
_BLUE, _YELLOW, _ORANGE = "#0072b2", "#e69f00", "#d55e00"


def drift_chart(title: str, said: str, names: Sequence[str], drift: Drift) -> bytes | None:
    """PNG under 100 kB: the stability index of each feature, the largest first, against its usual limits.

    `names` (k,). Up to `NAMED` features have their names beside them. None where no feature has an index. Raises
    `ValueError` where the picture is too large to be shown inline.
    """
    from matplotlib.ticker import FuncFormatter

    shown = [int(place) for place in drift.worst if np.isfinite(drift.index[place])]
    if not shown:
        return None
    index = np.maximum(drift.index[shown], _LEAST)
    # What chance alone reaches is no finding, whatever the usual limits say.
    some, large = max(SOME, drift.chance), max(LARGE, drift.chance)
    colours = [_ORANGE if value >= large else _YELLOW if value >= some else _BLUE for value in index]
    named = len(shown) <= NAMED
    figure, axes = _canvas(7.5, 1.6 + 0.2 * len(shown) if named else 4.2)
    places = np.arange(len(shown))
    if named:
        axes.hlines(places, _LEAST, index, color=colours, linewidth=1.6)
        axes.scatter(index, places, color=colours, s=22, zorder=3)
        axes.set_yticks(places, [_short(names[place]) for place in shown])
        axes.set_ylim(len(shown) - 0.4, -0.6)
    else:
        axes.scatter(index, places, color=colours, s=5)
        axes.set_ylim(len(shown), -1)
        axes.set_ylabel("features, the largest first", fontsize=8.5, color=_MUTED)
    axes.set_xscale("log")
    axes.set_xlim(_LEAST, 2 * max(float(index[0]), LARGE, drift.chance))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    axes.set_xlabel("population stability index", fontsize=8.5, color=_MUTED)
    for limit, line in ((SOME, "-"), (LARGE, "-"), (drift.chance, ":")):
        axes.axvline(limit, color=_MUTED, linewidth=0.9, linestyle=line, zorder=1)
    axes.text(drift.chance, 1.01, "chance", transform=axes.get_xaxis_transform(), fontsize=7.5, color=_MUTED)
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    _plain(axes)
    _title(axes, title, said)
    return _png(figure, title)


def missing_chart(title: str, said: str, names: Sequence[str], shares: FloatArray) -> bytes | None:
    """PNG under 100 kB: the share of rows without a value, of the `NAMED` features that have most such rows.

    `names` and `shares` (k,), shares from 0 to 1. None where no value is missing. Errors as `drift_chart`.
    """
    worst = [int(place) for place in np.argsort(-shares, kind="stable")[:NAMED] if shares[place] > 0]
    if not worst:
        return None
    figure, axes = _canvas(7.5, 1.5 + 0.2 * len(worst))
    places = np.arange(len(worst))
    axes.barh(places, 100 * shares[worst], color=_BLUE, height=0.66)
    axes.set_yticks(places, [_short(names[place]) for place in worst])
    axes.set_ylim(len(worst) - 0.4, -0.6)
    axes.set_xlabel("% of rows without a value", fontsize=8.5, color=_MUTED)
    axes.grid(axis="x", color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    _plain(axes)
    _title(axes, title, said)
    return _png(figure, title)


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_MUTED)
    axes.tick_params(colors=_MUTED, labelsize=8)


def _short(name: str) -> str:
    """Beginning and end: generated names differ in both."""
    half = _NAME_LENGTH // 2
    return name if len(name) <= _NAME_LENGTH else f"{name[:half]}…{name[1 - half :]}"


def _title(axes: Axes, title: str, said: str) -> None:
    axes.set_title(title, loc="left", fontsize=12, color=_INK, fontweight="bold", pad=32)
    axes.annotate(said, (0, 1), (0, 18), "axes fraction", "offset points", fontsize=8.5, color=_MUTED)


def _png(figure: Figure, title: str) -> bytes:
    buffer = io.BytesIO()
    # Without the library's name in it, equal pictures are equal bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    picture = buffer.getvalue()
    if len(picture) >= MAX_BYTES:
        raise ValueError(f"picture {title!r} has {len(picture):,} bytes, limit {MAX_BYTES:,}; draw fewer features")
    return picture
