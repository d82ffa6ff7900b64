"""Bar frequencies: their names, their lengths, where their bars begin and end, and what they can be made of."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, get_args

from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.sessions import date_end_expr, date_start_expr, monday_expr, trading_date_expr, week_days

if TYPE_CHECKING:
    import polars as pl

FREQUENCIES: tuple[Frequency, ...] = get_args(Frequency)
_UNITS = {"min": 60, "h": 3_600, "d": 86_400, "w": 604_800}
_HOUR = 3_600


def seconds_of(frequency: str) -> int:
    """Nominal length of a bar; a trading date over a change of daylight saving is an hour longer or shorter.

    Raises `ValueError` that lists the known names for any other.
    """
    if frequency not in FREQUENCIES:
        raise ValueError(f"frequency {frequency!r} is unknown; expected one of {', '.join(FREQUENCIES)}")
    digits = "".join(character for character in frequency if character.isdigit())
    return int(digits) * _UNITS[frequency.removeprefix(digits)]


def name_of(seconds: int) -> str:
    """The frequency of that length, or the length in words where it is not one."""
    return next((name for name in FREQUENCIES if seconds_of(name) == seconds), f"{seconds} s")


def makes(kind: str, seconds: int, frequency: Frequency) -> bool:
    """Whether bars of `frequency` can be made of prices of that kind and length (0 for ticks and fixings)."""
    wanted = seconds_of(frequency)
    if kind == "fixing":
        return wanted >= _UNITS["d"]
    return kind == "tick" or (seconds <= wanted and wanted % seconds == 0)


def start_expr(time: pl.Expr, frequency: Frequency) -> pl.Expr:
    """Start of the bar that each time lies in.

    `time`: Datetime[us, UTC]; so is the answer. Bars of up to an hour are cut on UTC, those of 2 to 12 hours from the
    start of the trading date (17:00 New York); days and weeks are trading dates and trading weeks. A time on a border
    begins a bar. Stray times of a weekend belong to the week before, whose bar has ended by then (`end_expr`).
    """
    import polars as pl

    seconds = seconds_of(frequency)
    if seconds <= _HOUR:
        return time.dt.truncate(f"{seconds}s")
    day = trading_date_expr(time)
    if frequency == "1w":
        return date_start_expr(monday_expr(day))
    start = date_start_expr(day)
    if frequency == "1d":
        return start
    into = (time - start).dt.total_microseconds() % (seconds * 1_000_000)
    return time - into.cast(pl.Duration("us"))


def end_expr(start: pl.Expr, frequency: Frequency, calendar: CalendarName) -> pl.Expr:
    """End of the bars that begin at `start` (Datetime[us, UTC], from `start_expr`), in UTC; the end is not in the bar.

    A week ends on Friday 17:00 New York, of a 24x7 market on Sunday 17:00. Bars of 2 to 12 hours end with their
    trading date at the latest: over a change of daylight saving a 24x7 market has a last bar that is an hour shorter,
    or one bar of an hour more. In the week of currencies every trading date has 24 hours.
    """
    import polars as pl

    seconds = seconds_of(frequency)
    whole = start + timedelta(seconds=seconds)
    if seconds <= _HOUR:
        return whole
    day = trading_date_expr(start)
    if frequency == "1w":
        return date_end_expr(day + timedelta(days=week_days(calendar) - 1))
    return date_end_expr(day) if frequency == "1d" else pl.min_horizontal(whole, date_end_expr(day))
