"""Pictures of raw prices: coverage by day and hour, the longest gaps, the spread by hour, rejects by reason.

Small PNGs for the Dagster UI, drawn without a display. Colours are those of Okabe and Ito and of cividis, which people
tell apart who see few colours. Nothing is drawn where there is nothing to show.
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from datetime import date
from typing import TYPE_CHECKING, Any

import numpy as np
import polars as pl

from fx_assets.prices.batch import Form
from fx_assets.prices.coverage import Coverage
from fx_assets.prices.gaps import Gap
from fx_assets.prices.ingest import Collected
from fx_assets.specs.schema import PairSpec

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MAX_BYTES = 100_000
_INK, _MUTED, _GRID = "#1f2933", "#697586", "#e4e7eb"
_BLUE, _ORANGE, _SHUT = "#0072b2", "#d55e00", "#eceff2"
_HOUR, _DAY = 3_600, 86_400
_SHOWN_GAPS = _SHOWN_REASONS = 10
_LEAST_HOURS = 6  # with fewer hours of the day a curve over them says nothing
_FEW_DAYS = 10
_PALETTE = "cividis_r"
_EPOCH = date(1970, 1, 1)
_MONTHS = "JFMAMJJASOND"


def pictures(
    spec: PairSpec, form: Form, coverage: Coverage, gaps: list[Gap], collected: Collected | None
) -> dict[str, bytes]:
    """PNG by name, of `coverage`, `gaps`, `spread` and `rejects` those that have something to show.

    `gaps`: the longest first. Of days and fixings one picture at most: the months in which dates are missing. Raises
    `ValueError` where a picture comes out larger than can be shown inline.
    """
    if coverage.daily:
        drawn = {"coverage": missing_dates(coverage.missing(), spec)}
    else:
        drawn = {
            "coverage": heat_map(coverage.grid(), spec, form) if form.seconds <= _HOUR else None,
            "gaps": longest_gaps(gaps, spec),
            "spread": spread_by_hour(coverage.spread_by_hour(), spec),
            "rejects": None if collected is None else rejects_by_reason(collected.reject_counts, spec),
        }
    return {name: picture for name, picture in drawn.items() if picture is not None}


def heat_map(grid: pl.DataFrame, spec: PairSpec, form: Form) -> bytes | None:
    """Rows by trading date and hour in New York, in the order of the trading day; `grid` of `Coverage.grid`."""
    from matplotlib.colors import ListedColormap, LogNorm, Normalize

    if grid.is_empty() or not grid["rows"].sum():
        return None
    first, last = grid["day"][0], grid["day"][-1]
    cells = np.full((24, (last - first).days + 1), np.nan)
    column = (grid["day"] - first).dt.total_days().to_numpy()
    line = ((grid["local"].cast(pl.Int32) - 17) % 24).to_numpy()
    shut, empty = cells.copy(), cells.copy()
    rows, opened = grid["rows"].to_numpy(), grid["open"].to_numpy()
    there = rows > 0
    cells[line[there], column[there]] = rows[there]
    shut[line[~there & ~opened], column[~there & ~opened]] = 1.0
    empty[line[~there & opened], column[~there & opened]] = 1.0

    figure, axes = _canvas(9, 4.4)
    left = (first - _EPOCH).days - 0.5  # days since 1970, as the library counts them
    place: dict[str, Any] = {
        "extent": (left, left + cells.shape[1], 24, 0),
        "aspect": "auto",
        "interpolation": "nearest",
    }
    axes.imshow(shut, cmap=ListedColormap([_SHUT]), **place)
    full = _HOUR / form.seconds if form.seconds else float(rows.max())
    norm = Normalize(0, full) if form.seconds else LogNorm(1, max(full, 10))
    several = form.seconds < _HOUR  # rows an hour
    colours = _PALETTE if several else ListedColormap([_BLUE])
    image = axes.imshow(cells, cmap=colours, norm=norm, **place)
    axes.imshow(empty, cmap=ListedColormap([_ORANGE]), **place)
    axes.set_yticks(np.arange(0, 24, 3) + 0.5, [f"{(17 + hour) % 24:02d}:00" for hour in range(0, 24, 3)])
    axes.set_ylabel("hour in New York", fontsize=8.5, color=_MUTED)
    _date_axis(axes, cells.shape[1])
    if several:
        _colour_bar(figure, axes, image, "ticks an hour" if form.kind == "tick" else "bars an hour")
    missing = int((~there & opened).sum())
    said = f"{form}, trading dates {first} to {last}; open hours without a row: {missing:,}"
    _title(axes, f"{spec.pair}  coverage", said)
    told = {"open, no row": _ORANGE, "closed": _SHUT}
    _legend(axes, told if several else {"a row": _BLUE, **told})
    return _png(figure, spec, "coverage")


def missing_dates(months: pl.DataFrame, spec: PairSpec) -> bytes | None:
    """Open dates without a price, by year and month; `months` of `Coverage.missing`. None where no date is missing."""
    if months.is_empty() or not months["missing"].sum():
        return None
    from matplotlib.colors import ListedColormap

    first, last = months["year"][0], months["year"][-1]
    cells = np.full((last - first + 1, 12), np.nan)
    line, column = (months["year"] - first).to_numpy(), (months["month"].cast(pl.Int32) - 1).to_numpy()
    cells[line, column] = months["missing"].to_numpy()
    whole = np.where(cells == 0, 1.0, np.nan)
    cells[cells == 0] = np.nan
    figure, axes = _canvas(7, 1.5 + 0.14 * len(cells))
    place: dict[str, Any] = {"extent": (0, 12, last + 0.5, first - 0.5), "aspect": "auto", "interpolation": "nearest"}
    axes.imshow(whole, cmap=ListedColormap([_SHUT]), **place)
    image = axes.imshow(cells, cmap=_PALETTE, vmin=0, **place)
    axes.set_xticks(np.arange(12) + 0.5, list(_MONTHS))
    step = max(1, len(cells) // 12)
    axes.set_yticks(range(first, last + 1, step))
    axes.tick_params(length=0, labelsize=8, colors=_MUTED)
    axes.spines[:].set_visible(False)
    _colour_bar(figure, axes, image, "missing dates")
    missing, expected = int(months["missing"].sum()), int(months["expected"].sum())
    said = f"{missing:,} of {expected:,} open dates of the calendar {spec.calendar!r} have no price"
    _title(axes, f"{spec.pair}  missing dates", said)
    return _png(figure, spec, "missing dates")


def longest_gaps(gaps: list[Gap], spec: PairSpec) -> bytes | None:
    """The ten longest stretches of open market time without a row."""
    if not gaps:
        return None
    shown = gaps[:_SHOWN_GAPS]
    hours = [gap.open_seconds / _HOUR for gap in shown]
    labels = [f"{gap.before:%Y-%m-%d %H:%M} to {gap.after:%m-%d %H:%M}" for gap in shown]
    limit = spec.gap_limit * 24
    figure, axes = _canvas(8, 1.3 + 0.28 * len(shown))
    _bars(axes, labels, hours, [_ORANGE if value > limit else _BLUE for value in hours], "{:,.1f} h")
    axes.set_xlabel("hours of open market time", fontsize=8.5, color=_MUTED)
    _title(axes, f"{spec.pair}  longest gaps", f"UTC; the limit is {spec.gap_limit} trading dates, {limit} hours")
    return _png(figure, spec, "gaps")


def spread_by_hour(spread: pl.DataFrame, spec: PairSpec) -> bytes | None:
    """Median and 90 % of the spread in pips over the hours of New York; `spread` of `Coverage.spread_by_hour`."""
    if spread.height < _LEAST_HOURS:
        return None
    from matplotlib.ticker import FuncFormatter

    ordered = spread.with_columns(at=(pl.col("local").cast(pl.Int32) - 17) % 24).sort("at")
    # An hour without a quote breaks the line.
    every = pl.DataFrame({"at": range(24)}, schema={"at": pl.Int32}).join(ordered, on="at", how="left").sort("at")
    at, median, wide = (every[name].cast(pl.Float64).to_numpy() for name in ("at", "median", "wide"))
    figure, axes = _canvas(8, 3.6)
    axes.fill_between(at, median / spec.pip, wide / spec.pip, color=_BLUE, alpha=0.18, linewidth=0)
    axes.plot(at, wide / spec.pip, color=_ORANGE, linewidth=1.4, linestyle=(0, (4, 2)), label="90 % are narrower")
    axes.plot(at, median / spec.pip, color=_BLUE, linewidth=1.8, label="median")
    # The roll is many times wider than the rest of the day.
    highest, usual = np.nanmax(wide), np.nanmedian(median)
    if usual > 0 and highest > 20 * usual:
        axes.set_yscale("log")
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    else:
        axes.set_ylim(bottom=0)
    axes.set_xticks(range(0, 24, 3), [f"{(17 + hour) % 24:02d}:00" for hour in range(0, 24, 3)])
    axes.set_xlabel("hour in New York, from the daily roll on", fontsize=8.5, color=_MUTED)
    axes.set_ylabel("pips", fontsize=8.5, color=_MUTED)
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    _plain(axes)
    axes.legend(fontsize=8, frameon=False, labelcolor=_INK)
    said = f"newest 120 trading dates at most; 1 pip = {spec.pip:g}"
    _title(axes, f"{spec.pair}  spread by hour", said)
    return _png(figure, spec, "spread")


def rejects_by_reason(counts: Mapping[str, int], spec: PairSpec) -> bytes | None:
    """How many rows were rejected for which reason, the ten most frequent."""
    if not counts:
        return None
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:_SHOWN_REASONS]
    figure, axes = _canvas(7, 1.3 + 0.28 * len(ordered))
    _bars(
        axes, [name for name, _ in ordered], [float(count) for _, count in ordered], [_BLUE] * len(ordered), "{:,.0f}"
    )
    axes.set_xlabel("rows", fontsize=8.5, color=_MUTED)
    _title(axes, f"{spec.pair}  rejected rows", f"{sum(counts.values()):,} in this update, by reason")
    return _png(figure, spec, "rejects")


def _canvas(width: float, height: float) -> tuple[Figure, Axes]:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    return figure, figure.add_subplot()


def _bars(axes: Axes, labels: list[str], values: list[float], colours: list[str], form: str) -> None:
    places = range(len(values))
    axes.barh(places, values, color=colours, height=0.66)
    axes.set_yticks(places, labels)
    axes.invert_yaxis()
    for place, value in zip(places, values, strict=True):
        axes.annotate(
            form.format(value),
            (value, place),
            xytext=(4, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=_INK,
        )
    axes.margins(x=0.12)
    axes.set_ylim(len(values) - 0.4, -0.6)
    _plain(axes)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_MUTED)
    axes.tick_params(colors=_MUTED, labelsize=8)


def _date_axis(axes: Axes, days: int) -> None:
    from matplotlib import dates

    ticks: Any = dates  # this module of matplotlib has no types
    locator = ticks.AutoDateLocator(minticks=4, maxticks=9) if days > _FEW_DAYS else ticks.DayLocator()
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ticks.DateFormatter("%d %b"))
    axes.spines[:].set_visible(False)
    axes.tick_params(colors=_MUTED, labelsize=8)


def _colour_bar(figure: Figure, axes: Axes, image: Any, said: str) -> None:
    bar = figure.colorbar(image, ax=axes, pad=0.015, fraction=0.035)
    bar.set_label(said, fontsize=8.5, color=_MUTED)
    bar.ax.tick_params(which="both", labelsize=8, colors=_MUTED)
    outline: Any = bar.outline
    outline.set_visible(False)


def _legend(axes: Axes, colours: Mapping[str, str]) -> None:
    from matplotlib.patches import Patch

    axes.legend(
        handles=[Patch(color=colour, label=name) for name, colour in colours.items()],
        loc="lower right",
        bbox_to_anchor=(1, 1),
        ncols=len(colours),
        fontsize=8,
        frameon=False,
        labelcolor=_INK,
        borderaxespad=0.2,
    )


def _title(axes: Axes, title: str, said: str) -> None:
    axes.set_title(title, loc="left", fontsize=12, color=_INK, fontweight="bold", pad=20)
    axes.annotate(said, (0, 1), (0, 6), "axes fraction", "offset points", fontsize=8.5, color=_MUTED)


def _png(figure: Figure, spec: PairSpec, name: str) -> bytes:
    buffer = io.BytesIO()
    # Without the library's name in it, equal pictures are equal bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    picture = buffer.getvalue()
    if len(picture) >= MAX_BYTES:
        raise ValueError(f"picture {name!r} of {spec.pair} has {len(picture):,} bytes, limit {MAX_BYTES:,}")
    return picture
