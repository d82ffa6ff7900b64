"""Which bar a price belongs to: the columns `start`, `end` and `trading_date` of its bar."""

from __future__ import annotations

import polars as pl

from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.frequencies import end_expr, seconds_of, start_expr
from fx_assets.timegrid.sessions import (
    by_hour,
    date_end_expr,
    date_start_expr,
    monday_expr,
    trading_date_expr,
    week_days,
)

_HOUR = 3_600
_SATURDAY = 6  # Polars counts weekdays from Monday, 1


def placed(rows: pl.DataFrame, frequency: Frequency, calendar: CalendarName) -> pl.DataFrame:
    """`rows` with the `start`, `end` (UTC) and `trading_date` of their bars of `frequency`.

    `rows`: with `time` (Datetime[us, UTC]), any other columns. The trading date is that in which the bar ends. A price
    of the weekend, from Friday to Sunday 17:00 New York, is in no week and left out of weekly bars, except where
    `calendar` is "24x7".
    """
    rows = rows.with_columns(by_hour(rows["time"], trading_date_expr).alias("trading_date"))
    if frequency in ("1d", "1w"):
        return placed_by_date(rows, frequency, calendar)
    if seconds_of(frequency) <= _HOUR:
        start = start_expr(pl.col("time"), frequency)
        return rows.with_columns(start=start, end=end_expr(start, frequency, calendar))
    rows = rows.with_columns(by_hour(rows["time"], lambda time: start_expr(time, frequency)).alias("start"))
    return rows.with_columns(by_hour(rows["start"], lambda start: end_expr(start, frequency, calendar)).alias("end"))


def placed_by_date(rows: pl.DataFrame, frequency: Frequency, calendar: CalendarName) -> pl.DataFrame:
    """As `placed`, for bars of a day or a week and rows that name their `trading_date`."""
    first = last = pl.col("trading_date")
    if frequency == "1w":
        if calendar != "24x7":
            rows = rows.filter(first.dt.weekday() < _SATURDAY)
        first = monday_expr(first)
        last = first.dt.offset_by(f"{week_days(calendar) - 1}d")
    dates = rows.select(pl.col("trading_date").unique()).with_columns(
        start=date_start_expr(first), end=date_end_expr(last), last=last
    )
    placed = rows.join(dates, on="trading_date", how="left", maintain_order="left")
    return placed.with_columns(trading_date=pl.col("last")).drop("last")
