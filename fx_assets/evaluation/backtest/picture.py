"""The picture of a back-test: equity, and how far it lies below its highest point."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.backtest.engine import BacktestResult
from fx_assets.forecasting.charts import MAX_BYTES

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_INK, _MUTED, _GRID = "#1f2933", "#697586", "#e4e7eb"
_LINE, _FALL = "#123f6d", "#b23a48"
# More points than the picture has columns of dots change nothing that can be seen.
_POINTS = 4_000


def equity_chart(result: BacktestResult, title: str) -> bytes:
    """PNG under 100 kB: equity in account currency above, drawdown in percent below, over time in UTC.

    Raises `ValueError` where the picture comes out larger than can be shown inline.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    shown = _points(np.asarray(result.equity.column("drawdown").to_numpy(), dtype=np.float64))
    times = result.equity.column("time").to_numpy()[shown]
    equity = result.equity.column("equity").to_numpy()[shown]
    fall = 100 * result.equity.column("drawdown").to_numpy()[shown]
    figure = Figure(figsize=(9, 4.6), dpi=110, facecolor="white", layout="constrained")
    FigureCanvasAgg(figure)
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    upper.axhline(result.summary.capital, color=_MUTED, linewidth=0.8, linestyle=":")
    upper.plot(times, equity, color=_LINE, linewidth=1.2, solid_joinstyle="round")
    upper.set_ylabel(f"equity, {result.currency}", color=_MUTED, fontsize=8)
    upper.yaxis.set_major_formatter("{x:,.0f}")
    lower.fill_between(times, fall, 0, color=_FALL, alpha=0.35, linewidth=0)
    lower.plot(times, fall, color=_FALL, linewidth=0.8)
    lower.set_ylabel("drawdown, %", color=_MUTED, fontsize=8)
    for axes in (upper, lower):
        _dress(axes)
    _dates(lower)
    _entitle(upper, result, title)
    buffer = io.BytesIO()
    # Without the library's name in it, equal pictures are equal bytes.
    figure.savefig(buffer, format="png", metadata={"Software": None})
    picture = buffer.getvalue()
    if len(picture) >= MAX_BYTES:
        raise ValueError(f"the picture of {result.pair} has {len(picture):,} bytes; expected under {MAX_BYTES:,}")
    return picture


def _points(drawdown: NDArray[np.float64]) -> NDArray[np.int64]:
    """Rows that are drawn: all, or evenly spread ones with the first, the last and the deepest."""
    rows = len(drawdown)
    spread = np.linspace(0, rows - 1, min(rows, _POINTS)).astype(np.int64)
    return np.union1d(spread, [drawdown.argmin()])


def _dates(axes: Axes) -> None:
    from matplotlib import dates

    ticks: Any = dates  # this module of matplotlib has no types
    locator = ticks.AutoDateLocator(minticks=4, maxticks=10)
    axes.xaxis.set_major_locator(locator)
    axes.xaxis.set_major_formatter(ticks.ConciseDateFormatter(locator))


def _dress(axes: Axes) -> None:
    axes.grid(color=_GRID, linewidth=0.8)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)
    axes.spines[["left", "bottom"]].set_color(_MUTED)
    axes.tick_params(colors=_MUTED, labelsize=8)
    axes.margins(x=0.02)


def _entitle(axes: Axes, result: BacktestResult, title: str) -> None:
    summary = result.summary
    sharpe = "none" if summary.sharpe_a_year is None else f"{summary.sharpe_a_year:.2f}"
    axes.set_title(title, loc="left", fontsize=12, color=_INK, fontweight="bold", pad=20)
    axes.text(
        0,
        1.025,
        f"net {summary.net_profit:+,.0f} {result.currency} {summary.financing_said}; Sharpe ratio a year {sharpe}; "
        f"{summary.trades:,} trades; deepest drawdown {summary.max_drawdown:.1%}",
        transform=axes.transAxes,
        fontsize=8.5,
        color=_MUTED,
    )
