"""Past fan charts with what happened: the forecasts of a few origins, and the prices that came."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from fx_assets.evaluation.pictures import dress
from fx_assets.forecasting.charts import decimals
from fx_assets.forecasting.document import ForecastDocument

if TYPE_CHECKING:
    from matplotlib.axes import Axes

# The ranges to draw, wide ones first, with their shades; opaque, so that the legend shows what the fans show.
_RANGES = (("0.1", "0.9", "#c6d9ec"), ("0.25", "0.75", "#8bb0d6"))
_BEFORE = timedelta(days=28)

Prices = dict[date, float]


def fan_with_outcomes(bars: pa.Table, documents: Sequence[ForecastDocument], outcomes: pa.Table) -> bytes:
    """PNG under 100 kB: the 80 % and 50 % ranges of each of `documents`, and the prices that came on top of them.

    `documents` are of one pair and model, any order; where fans overlap the later one lies on top. `bars` and
    `outcomes` have `pair`, `trading_date`, `close`: the prices before and between the fans, and those that are held
    against them (the same table will do). A target without an outcome is drawn and not counted.
    Raises `ValueError` for documents of several pairs or models, for none, and where no price meets any.
    """
    kinds = sorted({(document.pair, document.model_id) for document in documents})
    if len(kinds) != 1:
        raise ValueError(f"expected forecasts of one pair and model, got {len(kinds)}: {kinds[:3]}")
    made = sorted(documents, key=lambda document: document.origin)
    first, pair = made[0], made[0].pair
    came = _prices(outcomes, pair)
    counted = [_inside(document, came) for document in made]
    if not any(len(inside) for inside in counted):
        raise ValueError(f"no outcome of {pair} on any target from {made[0].data_as_of} on; pass the bars after it")
    last = max(document.horizons[-1].target_date for document in made)
    shown = _prices(bars, pair) | came
    line = sorted(day for day in shown if first.data_as_of - _BEFORE <= day <= last)

    figure, (axes,) = dress.canvas(4.8)
    for document in made:
        _fan(axes, document, labelled=document is first)
    axes.plot(dress.times(np.array(line)), [shown[day] for day in line], color=dress.INK, linewidth=1.3, label="price")
    _outside(axes, made, came)
    dress.days(axes)
    axes.yaxis.set_major_formatter(f"{{x:.{decimals(first.pip)}f}}")
    axes.margins(x=0.02)
    dress.panel(axes, "", y=f"{pair[3:]} for one {pair[:3]}")
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.09),
        ncols=5,
        fontsize=dress.SMALL,
        frameon=False,
        labelcolor=dress.INK,
    )
    hits = np.concatenate(counted)
    steps = len(first.horizons)
    dress.head(
        figure,
        f"{pair}  {first.model_id}: what was forecast, and what came",
        f"{len(made)} forecast{'s' if len(made) > 1 else ''}, up to {steps} bars ahead, from {first.data_as_of}"
        f"{f' to {made[-1].data_as_of}' if len(made) > 1 else ''}; "
        f"{hits.sum()} of {len(hits)} prices came inside the 80 % range",
    )
    return dress.png(figure, f"fan charts of {pair}")


def _prices(table: pa.Table, pair: str) -> Prices:
    rows = zip(*(table.column(name).to_pylist() for name in ("pair", "trading_date", "close")), strict=True)
    return {day: close for name, day, close in rows if name == pair and close is not None}


def _inside(document: ForecastDocument, came: Prices) -> np.ndarray[tuple[int], np.dtype[np.bool_]]:
    """Whether each price that came lies inside the 80 % range; (0,) where that is not given."""
    low, high, _ = _RANGES[0]
    steps = [step for step in document.horizons if step.target_date in came and {low, high} <= set(step.quantiles)]
    return np.array([step.quantiles[low] <= came[step.target_date] <= step.quantiles[high] for step in steps], bool)


def _fan(axes: Axes, document: ForecastDocument, *, labelled: bool) -> None:
    days = dress.times(np.array([document.data_as_of, *(step.target_date for step in document.horizons)]))
    for low, high, shade in _RANGES:
        if {low, high} <= set(document.horizons[0].quantiles):
            lower, upper = (
                [document.last_price, *(step.quantiles[level] for step in document.horizons)] for level in (low, high)
            )
            label = f"{round(100 * (float(high) - float(low)))} % range" if labelled else None
            axes.fill_between(days, lower, upper, color=shade, linewidth=0, label=label)
    medians = [document.last_price, *(step.median for step in document.horizons)]
    label = "median" if labelled else None
    axes.plot(days, medians, color=dress.BLUE, linewidth=1.2, linestyle=(0, (4, 2)), label=label)
    axes.plot(days[:1], medians[:1], marker="o", markersize=4, color=dress.INK)


def _outside(axes: Axes, made: Sequence[ForecastDocument], came: Prices) -> None:
    """Prices outside the 80 % range of a forecast, marked."""
    low, high, _ = _RANGES[0]
    days = {
        step.target_date
        for document in made
        for step in document.horizons
        if step.target_date in came
        and {low, high} <= set(step.quantiles)
        and not step.quantiles[low] <= came[step.target_date] <= step.quantiles[high]
    }
    if days:
        places = sorted(days)
        axes.plot(
            dress.times(np.array(places)),
            [came[day] for day in places],
            linestyle="",
            marker="o",
            markersize=4,
            color=dress.ORANGE,
            label="outside the 80 % range",
        )
