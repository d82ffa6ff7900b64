"""Daily bars: one a trading date, from 17:00 in New York to 17:00."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from fx_assets.bars.schema import BAR_SCHEMA
from fx_assets.prices.schema import RAW_SCHEMA, conform, polars_schema
from fx_assets.timegrid.trading_dates import bar_ends, bar_starts


def daily_bars(view: pl.DataFrame, pair: str, *, now: datetime | None = None) -> pl.DataFrame:
    """The daily bars of `pair`, BAR_SCHEMA, by increasing trading date.

    `view`: RAW_SCHEMA, the current view of one pair, in any order. A fixing becomes the bar of its trading date with a
    close only; a daily bar stays what it is. A bar counts as known at its end, or when its price was, if that is later.
    Where `now` (aware) is given, a bar that has not ended by then is left out: its date goes on trading after the
    fixing. Raises `ValueError` for prices of other pairs, mixed kinds, two prices for a date, or bars finer than a day.
    """
    view = conform(view, RAW_SCHEMA).sort("trading_date")
    dates = view["trading_date"].to_list()
    bars = view.with_columns(
        pl.Series("start", bar_starts(dates), dtype=pl.Datetime("us", "UTC")),
        pl.Series("end", bar_ends(dates), dtype=pl.Datetime("us", "UTC")),
    )
    _check(bars, pair)
    bars = bars.with_columns(time=pl.col("start"), known_at=pl.max_horizontal("end", "known_at"))
    if now is not None:
        bars = bars.filter(pl.col("end") <= now)
    return bars.select(polars_schema(BAR_SCHEMA).names())


def _check(bars: pl.DataFrame, pair: str) -> None:
    others = bars.filter(pl.col("pair").ne_missing(pair))["pair"].unique().to_list()
    if others:
        raise ValueError(f"{pair}: got prices of {others}; expected one pair")
    kinds = bars["kind"].unique().to_list()
    if len(kinds) > 1 or not set(kinds) <= {"fixing", "bar"}:
        raise ValueError(f"{pair}: prices of kinds {sorted(map(str, kinds))}; expected only fixing or only bar")
    finer = bars.filter((pl.col("kind") == "bar") & (pl.col("time") != pl.col("start")))
    if not finer.is_empty():
        raise ValueError(
            f"{pair}: bar at {finer['time'][0]} is finer than a day; resampling to daily bars comes with step 2"
        )
    twice = bars.filter(pl.col("trading_date").is_duplicated())
    if not twice.is_empty():
        raise ValueError(f"{pair}: {twice['trading_date'][0]} has more than one price; expected one a trading date")
