"""When a price could first be known, where its source does not say, and which trading date it belongs to."""

from __future__ import annotations

import polars as pl

from fx_assets.prices.batch import Form
from fx_assets.timegrid.sessions import date_end_expr, date_start_expr, trading_date_expr

_DAY, _WEEK = 86_400, 604_800
# From the trading date of a week's first bar, by its weekday (Saturday 6, Sunday 7, Monday 1), the days to Friday.
_TO_FRIDAY = {6: 6, 7: 5, 1: 4}


def with_trading_date(rows: pl.DataFrame) -> pl.DataFrame:
    """`rows` with a `trading_date`: as given, else that of `time`."""
    date = trading_date_expr(pl.col("time"))
    if "trading_date" in rows.columns:
        date = pl.coalesce("trading_date", date)
    return rows.with_columns(trading_date=date)


def with_known_at(rows: pl.DataFrame, form: Form, *, fx_week: bool) -> pl.DataFrame:
    """`rows` (with `time` and `trading_date`) with a `known_at`: as given, else the natural one.

    A tick is known at its time and a bar at its end. A day that begins at 17:00 New York ends at 17:00 New York,
    however many hours it has, and any other 24 hours after it began; a week ends on Friday 17:00 New York, and in a
    market that never closes (`fx_week` false) after seven days. A fixing of unsaid publication is known at the end of
    its trading date, 17:00 New York.
    """
    natural = _natural(form, fx_week=fx_week)
    if "known_at" in rows.columns:
        natural = pl.coalesce("known_at", natural)
    return rows.with_columns(known_at=natural)


def _natural(form: Form, *, fx_week: bool) -> pl.Expr:
    time, date = pl.col("time"), pl.col("trading_date")
    if form.kind == "tick":
        return time
    if form.kind == "fixing":
        return pl.max_horizontal(time, date_end_expr(date))
    end = time + pl.duration(seconds=form.seconds)
    at_roll = time == date_start_expr(date)
    if form.seconds == _DAY:
        return pl.when(at_roll).then(date_end_expr(date)).otherwise(end)
    if form.seconds == _WEEK and fx_week:
        days = date.dt.weekday().replace_strict(_TO_FRIDAY, default=None, return_dtype=pl.Int64)
        return pl.coalesce(date_end_expr(date + pl.duration(days=days)), end)
    if form.seconds == _WEEK:
        return pl.when(at_roll).then(date_end_expr(date.dt.offset_by("6d"))).otherwise(end)
    return end
