"""The picture of an exogenous series: its values, the holes in it, and where its method changed."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date
from typing import TYPE_CHECKING, Any

import polars as pl

from fx_assets.prices.exog import Hole

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_POINTS = 6_000  # more than a line of this width can show
_HOLES = 100
_INK, _MUTED, _GRID, _HOLE, _CHANGE = "#123f6d", "#697586", "#e4e7eb", "#f5d9a8", "#a3432f"


def series_chart(
    view: pl.DataFrame, *, title: str, holes: Sequence[Hole], changes: Sequence[date], limits: tuple[float, float]
) -> bytes:
    """PNG under 100 kB of the values of `view` (`date`, `value`; by date), with holes shaded and changes marked.

    `limits`: the scale, where no value lies outside. Of more than 6,000 values the last are drawn, of more than 100
    holes the longest. Raises `ValueError` where there is no value to draw.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = view.filter(pl.col("value").is_finite()).tail(_POINTS)
    if shown.is_empty():
        raise ValueError(f"{title}: no value to draw")
    figure = Figure(figsize=(9, 3.2), dpi=80, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes: Axes = figure.add_subplot()
    axes.plot(_days(shown["date"].to_list()), shown["value"].to_numpy(), color=_INK, linewidth=0.7)
    seen = (hole for hole in holes if hole.after > shown["date"][0])
    for number, hole in enumerate(sorted(seen, key=lambda hole: hole.days, reverse=True)[:_HOLES]):
        label = "no values" if number == 0 else None
        before, after = _days([hole.before, hole.after])
        axes.axvspan(before, after, color=_HOLE, linewidth=1, label=label, zorder=0)
    for number, change in enumerate(day for day in changes if shown["date"][0] <= day <= shown["date"][-1]):
        label = "change of method" if number == 0 else None
        axes.axvline(_days([change])[0], color=_CHANGE, linewidth=1, linestyle=(0, (4, 2)), label=label)
    _dress(axes, title, shown["value"], limits)
    return _png(figure)


def _png(figure: Figure) -> bytes:
    """The picture in 16 colours: 4 bits for each of 720 x 256 points are 92 kB at most, however dense the line."""
    from PIL import Image

    drawn, packed = io.BytesIO(), io.BytesIO()
    figure.savefig(drawn, format="png")
    # Without a library's name in it, equal pictures are equal bytes.
    palette = Image.new("P", (1, 1))
    palette.putpalette([part for red, green, blue in _palette() for part in (red, green, blue)])
    flat = Image.open(drawn).convert("RGB").quantize(palette=palette, dither=Image.Dither.NONE)
    flat.save(packed, format="png", bits=4, optimize=True)
    return packed.getvalue()


def _palette() -> list[tuple[int, int, int]]:
    """White, the colours of the picture, and the shades of its edges."""
    white, ink, hole = _rgb("#ffffff"), _rgb(_INK), _rgb(_HOLE)
    shades = [_mixed(ink, white, share) for share in (0.2, 0.4, 0.6, 0.8)]
    edges = [_mixed(ink, hole, 0.5), _mixed(_rgb(_CHANGE), white, 0.5), _mixed(_rgb(_MUTED), white, 0.5)]
    return [white, ink, *shades, hole, *edges, _rgb(_CHANGE), _rgb(_MUTED), _rgb(_GRID), (0, 0, 0), (128, 128, 128)]


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _mixed(one: tuple[int, ...], other: tuple[int, ...], share: float) -> tuple[int, int, int]:
    red, green, blue = (round(share * a + (1 - share) * b) for a, b in zip(one, other, strict=True))
    return red, green, blue


def _dress(axes: Axes, title: str, values: pl.Series, limits: tuple[float, float]) -> None:
    low, high = limits
    if values.is_between(low, high).all():
        axes.set_ylim(low, high)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_MUTED)
    axes.tick_params(colors=_MUTED, labelsize=8)
    axes.margins(x=0.01)
    axes.set_title(title, loc="left", fontsize=11, color=_INK, fontweight="bold")
    if axes.get_legend_handles_labels()[0]:
        axes.legend(loc="lower right", bbox_to_anchor=(1, 1), ncols=2, fontsize=8, frameon=False)


def _days(days: Sequence[date]) -> Any:
    import numpy as np

    return np.array(days, dtype="datetime64[D]")
