"""Forecasts as frames and as a picture. pandas, polars and matplotlib are imported where they are used."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    from matplotlib.axes import Axes

    from serving.client.results import Forecast

_SHARED = ("pair", "model_id", "model_version", "frequency", "origin", "data_as_of", "issued_at", "valid_until")
_TOLD = (*_SHARED, "stale", "last_price", "verdict", "forecast_id")
_OWN = ("h", "target_date", "target_time", "median", "volatility")
_INSTANTS = ("origin", "issued_at", "valid_until", "target_time")
_DATES = ("data_as_of", "target_date")
_MEDIAN, _FAN = "#123f6d", "#1f77b4"


def columns(forecast: Forecast) -> dict[str, list[Any]]:
    """By column, a value for each horizon; the columns are those of the API's CSV."""
    steps = forecast.horizons
    told = {name: [getattr(forecast, name)] * len(steps) for name in _TOLD}
    own = {name: [getattr(step, name) for step in steps] for name in _OWN}
    prices = {f"q{level}": [step.quantiles[level] for step in steps] for level in steps[0].quantiles}
    return {**told, **own, **prices}


def pandas_frame(forecast: Forecast) -> pd.DataFrame:
    """Instants as datetime64 in UTC, dates as midnight without a zone."""
    import pandas as pd

    frame = pd.DataFrame(columns(forecast))
    for name in _INSTANTS:
        frame[name] = pd.to_datetime(frame[name], utc=True)
    for name in _DATES:
        frame[name] = pd.to_datetime(frame[name])
    return frame


def polars_frame(forecast: Forecast) -> pl.DataFrame:
    """Instants as Datetime in UTC, dates as Date."""
    import polars as pl

    types = {name: pl.Datetime("us", "UTC") for name in _INSTANTS}
    return pl.DataFrame(columns(forecast), schema_overrides={**types, "forecast_id": pl.String})


def fan_chart(forecast: Forecast, ax: Axes | None) -> Axes:
    """Median and ranges from the last price on; the axis is in quote currency, times in UTC."""
    if ax is None:
        from matplotlib import pyplot

        _, ax = pyplot.subplots(figsize=(8, 4.5), layout="constrained")
    daily = forecast.frequency in ("1d", "1w")
    moments: list[Any] = [forecast.data_as_of if daily else forecast.origin]
    moments += [step.target_date if daily else step.target_time for step in forecast.horizons]
    last = [forecast.last_price]
    levels = list(forecast.horizons[0].quantiles)
    # Widest range first, so that the narrow ones lie on top; a level without its mirror image is left out.
    for low in levels:
        high = f"{1 - float(low):.3f}".rstrip("0")
        if float(low) >= 0.5 or high not in levels:
            continue
        below, above = ([*last, *(step.quantiles[level] for step in forecast.horizons)] for level in (low, high))
        share = float(high) - float(low)
        ax.fill_between(moments, below, above, color=_FAN, alpha=0.25, linewidth=0, label=f"{share:.0%}")
    ax.plot(moments, [*last, *(step.median for step in forecast.horizons)], color=_MEDIAN, marker="o", label="median")
    stale = ", stale" if forecast.stale else ""
    ax.set_title(f"{forecast.pair} by {forecast.model_id}, data as of {forecast.data_as_of}{stale}: {forecast.verdict}")
    ax.set_ylabel(forecast.pair[3:])
    ax.tick_params(axis="x", rotation=30)
    ax.legend(frameon=False)
    return ax
