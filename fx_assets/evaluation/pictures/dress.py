"""What the pictures of this room have in common: size, colours, axes, titles, bytes.

Blue is better and orange is worse throughout: people who see few colours tell these two apart (Okabe and Ito).
"""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.metrics.losses import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_BYTES = 100_000
INK, MUTED, GRID = "#1f2933", "#697586", "#e4e7eb"
BLUE, ORANGE, GREY = "#0072b2", "#d55e00", "#a9b2bd"
DEEP, BAND = "#123f6d", "#dfe9f3"
SMALL, NORMAL = 8.5, 9.5


def canvas(height: float, *, rows: int = 1, columns: int = 1, **grid: Any) -> tuple[Figure, list[Axes]]:
    """A figure 990 pixels wide and 110 times `height` high, with its axes row by row; `grid`: as `Figure.subplots`."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, height), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    made = figure.subplots(rows, columns, squeeze=False, **grid)
    axes: list[Axes] = made.ravel().tolist()
    for each in axes:
        _plain(each)
    return figure, axes


def head(figure: Figure, title: str, said: str) -> None:
    """The title of the whole picture, and under it in small letters what is seen, a line or more."""
    height = figure.get_figheight() * 72
    top = 40 + 12 * (said.count("\n") + 1)
    engine: Any = figure.get_layout_engine()
    engine.set(rect=(0, 0, 1, 1 - top / height), w_pad=0.06, h_pad=0.06)
    figure.text(0.012, 1 - 9 / height, title, ha="left", va="top", fontsize=12.5, color=INK, fontweight="bold")
    figure.text(0.012, 1 - 29 / height, said, ha="left", va="top", fontsize=SMALL, color=MUTED, linespacing=1.35)


def panel(axes: Axes, title: str, *, x: str = "", y: str = "") -> None:
    """The title of one panel, and its axes' labels."""
    axes.set_title(title, loc="left", fontsize=NORMAL, color=INK, pad=6)
    axes.set_xlabel(x, fontsize=SMALL, color=MUTED)
    axes.set_ylabel(y, fontsize=SMALL, color=MUTED)


def days(axes: Axes) -> None:
    """Dates under the axis, as fine as the span allows, each year named once."""
    from matplotlib import dates

    ticks: Any = dates  # this module of matplotlib has no types
    locator = ticks.AutoDateLocator(minticks=4, maxticks=9)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ticks.ConciseDateFormatter(locator))
    axes.xaxis.get_offset_text().set(fontsize=SMALL, color=MUTED)


def legend(axes: Axes, *, columns: int = 1, where: str = "best") -> None:
    """What the lines are; on white, so that it can lie over a grid."""
    place: Any = where
    axes.legend(
        loc=place, ncols=columns, fontsize=SMALL, labelcolor=INK, frameon=True, framealpha=0.9, edgecolor="none"
    )


def times(values: NDArray[Any]) -> Floats:
    """Instants or dates (n,) as numbers on matplotlib's axis of dates, for `days`."""
    from matplotlib.dates import date2num

    numbers: Any = date2num
    return np.asarray(numbers(np.asarray(values).astype("datetime64[us]")), dtype=np.float64)


def png(figure: Figure, name: str) -> bytes:
    """The picture as PNG, the same bytes each time; `ValueError` by `name` where it has 100 kB or more."""
    from PIL import Image

    canvas: Any = figure.canvas
    canvas.draw()
    # A palette holds all that such a picture has in colours, in a third of the bytes; long lines would not fit else.
    # Without a library's name in it, equal pictures are equal bytes.
    flat = Image.fromarray(np.asarray(canvas.buffer_rgba())[..., :3]).quantize(256, dither=Image.Dither.NONE)
    packed = io.BytesIO()
    flat.save(packed, format="png", optimize=True)
    picture = packed.getvalue()
    if len(picture) >= MAX_BYTES:
        raise ValueError(f"{name} has {len(picture):,} bytes, limit {MAX_BYTES:,}; draw fewer windows, pairs or models")
    return picture


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(MUTED)
    axes.tick_params(colors=MUTED, labelsize=SMALL)
    axes.grid(color=GRID, linewidth=0.8)
    axes.set_axisbelow(True)
