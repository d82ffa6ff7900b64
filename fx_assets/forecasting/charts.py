"""The fan chart: recent prices, and where the model sees the next ones."""

from __future__ import annotations

import io
from collections.abc import Sequence
from datetime import date, datetime
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from fx_assets.forecasting.document import ForecastDocument

if TYPE_CHECKING:
    import polars as pl
    from matplotlib.axes import Axes

MAX_BYTES = 100_000
_INK, _MUTED, _GRID = "#1f2933", "#697586", "#e4e7eb"
_MEDIAN = "#123f6d"
# Widest range first, so that the narrow ones lie on top. Opaque: the legend shows what the fan shows.
_SHADES = ("#dfe9f3", "#b9d0e7", "#8bb0d6", "#5f90c4")


def fan_chart(bars: pa.Table | pl.DataFrame, document: ForecastDocument, *, tail: int = 60) -> bytes:
    """PNG under 100 kB: the last `tail` closes of `bars` up to `document`'s origin, and its ranges.

    `bars` have `BAR_SCHEMA` and hold the document's pair. Raises `ValueError` where they hold no close
    up to the origin, and where the picture comes out larger than can be shown inline.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    days, closes = _recent(bars, document, tail)
    figure = Figure(figsize=(9, 4.6), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    axes: Axes = figure.add_subplot()
    axes.plot(_dates(days), closes, color=_INK, linewidth=1.4, solid_joinstyle="round", label="price")
    _fan(axes, document)
    _dress(axes, document)
    buffer = io.BytesIO()
    # Without the library's name in it, equal pictures are equal bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    picture = buffer.getvalue()
    if len(picture) >= MAX_BYTES:
        raise ValueError(f"fan chart of {document.pair} has {len(picture):,} bytes; shorten tail ({tail}) or horizons")
    return picture


def _recent(
    bars: pa.Table | pl.DataFrame, document: ForecastDocument, tail: int
) -> tuple[list[date] | list[datetime], list[float]]:
    """When prices were and what they were: trading dates, and ends of the bars where these are shorter."""
    name, limit = ("trading_date", document.data_as_of) if _daily(document) else ("end", document.origin)
    table = (bars if isinstance(bars, pa.Table) else bars.to_arrow()).select(["pair", name, "close"])
    rows = sorted(
        (row[name], row["close"])
        for row in table.to_pylist()
        if row["pair"] == document.pair and row[name] <= limit and row["close"] is not None
    )[-tail:]
    if not rows:
        raise ValueError(
            f"no close of {document.pair} up to {document.data_as_of} to draw; pass the bars it was made from"
        )
    return [day for day, _ in rows], [close for _, close in rows]


def _daily(document: ForecastDocument) -> bool:
    return document.frequency == "1d"


def _dates(days: Sequence[date | datetime]) -> Any:
    """As an axis takes them: dates, or times in UTC."""
    import numpy as np

    if days and isinstance(days[0], datetime):
        return np.array([f"{day:%Y-%m-%dT%H:%M:%S}" for day in days], dtype="datetime64[s]")
    return np.array(days, dtype="datetime64[D]")


def _fan(axes: Axes, document: ForecastDocument) -> None:
    if _daily(document):
        days = _dates([document.data_as_of, *(horizon.target_date for horizon in document.horizons)])
    else:
        days = _dates([document.origin, *(horizon.target_time for horizon in document.horizons)])
    levels = list(document.horizons[0].quantiles)
    for (low, high), shade in zip(zip(levels, reversed(levels), strict=True), _SHADES, strict=False):
        if float(low) >= 0.5:
            break
        lower = [document.last_price, *(horizon.quantiles[low] for horizon in document.horizons)]
        upper = [document.last_price, *(horizon.quantiles[high] for horizon in document.horizons)]
        mass = round(100 * (float(high) - float(low)))
        axes.fill_between(days, lower, upper, color=shade, linewidth=0, label=f"{mass} % range")
    medians = [document.last_price, *(horizon.median for horizon in document.horizons)]
    axes.plot(days, medians, color=_MEDIAN, linewidth=1.4, linestyle=(0, (4, 2)), label="median")
    axes.plot(days[:1], medians[:1], marker="o", markersize=4, color=_INK)
    axes.axvline(days[0], color=_MUTED, linewidth=0.8, linestyle=":")
    _label_end(axes, document, days[-1], levels)


def _label_end(axes: Axes, document: ForecastDocument, at: Any, levels: list[str]) -> None:
    """Numbers at the end of the fan: the median and the 80 % range, or the widest where that is not given."""
    last, places = document.horizons[-1], decimals(document.pip)
    low, high = ("0.1", "0.9") if {"0.1", "0.9"} <= set(levels) else (levels[0], levels[-1])
    for value in (last.quantiles[low], last.median, last.quantiles[high]):
        axes.annotate(
            f"{value:.{places}f}",
            (at, value),
            xytext=(5, 0),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=_MEDIAN,
        )


def decimals(pip: float) -> int:
    """Decimal places in which prices of a pair are shown: those of its pip."""
    return max(0, len(f"{pip:.10f}".rstrip("0").split(".")[1]))


def _dress(axes: Axes, document: ForecastDocument) -> None:
    from matplotlib import dates

    ticks: Any = dates  # this module of matplotlib has no types
    locator = ticks.AutoDateLocator(minticks=5, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ticks.DateFormatter("%d %b" if _daily(document) else "%d %b %H:%M"))
    axes.yaxis.set_major_formatter(f"{{x:.{decimals(document.pip)}f}}")
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_MUTED)
    axes.tick_params(colors=_MUTED, labelsize=8)
    axes.margins(x=0.02)
    state = ", stale" if document.stale else ""
    first, last = document.horizons[0], document.horizons[-1]
    axes.set_title(
        f"{document.pair}  {document.model_id}", loc="left", fontsize=12, color=_INK, fontweight="bold", pad=20
    )
    axes.text(
        0,
        1.025,
        f"data as of {document.data_as_of}{state}; targets {first.target_date} to {last.target_date}; "
        f"verdict: {document.verdict}",
        transform=axes.transAxes,
        fontsize=8.5,
        color=_MUTED,
    )
    # Below the axes, where it hides no price.
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.08),
        ncols=len(_SHADES) + 2,
        fontsize=8,
        frameon=False,
        labelcolor=_INK,
    )
