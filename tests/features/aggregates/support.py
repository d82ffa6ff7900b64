"""Frames with seeded prices, on real trading dates of any calendar."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import numpy as np

from fx_assets.features.frames import Frame, Times
from fx_assets.specs.schema import Frequency
from fx_assets.timegrid.calendars import CalendarName, calendar
from fx_assets.timegrid.frequencies import seconds_of
from fx_assets.timegrid.trading_dates import bar_end, bar_start

FRIDAY = 4


def bars(
    first: date, last: date, frequency: Frequency = "1h", calendar_name: CalendarName = "fx", seed: int = 0
) -> Frame:
    """Bars of all open dates from `first` to `last`, of weeks those of their Fridays; each column full."""
    times: list[tuple[datetime, datetime, date]] = []
    step = timedelta(seconds=seconds_of(frequency))
    for day in calendar(calendar_name).days(first, last):
        at, end = bar_start(day), bar_end(day)
        if frequency == "1w" and day.weekday() == FRIDAY:
            times.append((bar_start(day - timedelta(days=FRIDAY)), end, day))
        while frequency != "1w" and at < end:
            times.append((at, min(at + step, end) if frequency != "1d" else end, day))
            at = times[-1][1]
    n = len(times)
    rng = np.random.default_rng(seed)
    close = 1.1 * np.exp(np.cumsum(rng.normal(0, 1e-3, n)))
    up, down = np.exp(rng.exponential(5e-4, (2, n)))
    return Frame(
        pair="EURUSD",
        frequency=frequency,
        calendar=calendar_name,
        time=stamps([start for start, _, _ in times]),
        end=stamps([end for _, end, _ in times]),
        trading_date=np.array([day for _, _, day in times], dtype="datetime64[D]"),
        columns={
            "close": close,
            "high": close * up,
            "low": close / down,
            "spread": rng.exponential(1e-4, n),
            "ticks": rng.integers(1, 5_000, n).astype(np.float64),
            "volume": rng.exponential(1e6, n),
        },
    )


def without(frame: Frame, rows: slice) -> Frame:
    """The frame less a stretch of its bars."""
    kept = np.delete(np.arange(len(frame)), rows)
    return replace(
        frame,
        time=frame.time[kept],
        end=frame.end[kept],
        trading_date=frame.trading_date[kept],
        columns={name: values[kept] for name, values in frame.columns.items()},
    )


def stamps(times: list[datetime]) -> Times:
    """UTC without a zone, as a frame has them."""
    return np.array([moment.astimezone(UTC).replace(tzinfo=None) for moment in times], dtype="datetime64[us]")
