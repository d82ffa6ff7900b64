"""The hour: sessions and the trading week at the end of the bar, which is when it is known and the next one begins.

All of it is known in advance. Clocks are those on the wall in Tokyo, London and New York, daylight saving included.
"""

from __future__ import annotations

from datetime import UTC
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from fx_assets.features.frames import FloatArray, Frame, Times
from fx_assets.features.indicators.declared import Switch
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.sessions import SESSIONS, week_end
from fx_assets.timegrid.trading_dates import NEW_YORK

_HOUR = np.timedelta64(1, "h")
_MINUTE = np.timedelta64(1, "m")
_TO_MIDNIGHT = np.timedelta64(7, "h")
_SATURDAY = 5  # weekdays from Monday, 0
_HOURS_A_WEEK = 168
_OVERLAPS = (("tokyo", "london"), ("london", "new_york"))


def wall_clock(times: Times, zone: ZoneInfo) -> Times:
    """(n,): what clocks in `zone` show at `times`, naive datetime64[us] in UTC; offsets change on the hour."""
    hours, place = np.unique(times.astype("datetime64[h]"), return_inverse=True)
    days, of_day = np.unique(hours.astype("datetime64[D]"), return_inverse=True)
    begin, end = _offsets(days, zone), _offsets(days + 1, zone)
    offsets = begin[of_day]
    # Hour by hour only on the two days a year on which clocks are changed.
    changed = (begin != end)[of_day]
    offsets[changed] = _offsets(hours[changed], zone)
    return np.asarray(times + offsets[place])


def weekday(days: Times) -> NDArray[np.int64]:
    """(n,): weekday of datetime64[D] dates, Monday 0."""
    # 1970-01-01, day 0 of numpy, was a Thursday.
    return np.asarray((days.astype(np.int64) + 3) % 7)


def sessions(frame: Frame) -> list[FloatArray]:
    """1 where the session is on at the end of the bar, 0 where not, by the rules of `timegrid.sessions`."""
    active = {name: on for name, (on, _) in _clocks(frame).items()}
    overlaps = [active[one] & active[other] for one, other in _OVERLAPS]
    return [on.astype(np.float64) for on in (*active.values(), *overlaps)]


def session_minutes(frame: Frame) -> list[FloatArray]:
    """Minutes at the end of the bar since the session opened that day, 0 where it is not on."""
    return [np.where(on, minutes, 0.0) for on, minutes in _clocks(frame).values()]


def weekly_close(frame: Frame) -> list[FloatArray]:
    """Hours from the end of the bar to the end of its trading week, holidays not looked at: 0 at the close."""
    days, place = np.unique(frame.trading_date, return_inverse=True)
    ends = [week_end(day, frame.calendar).replace(tzinfo=None) for day in days.tolist()]
    left = np.array(ends, dtype="datetime64[us]")[place] - frame.end
    return [left / _HOUR]


def hour_of_week(frame: Frame) -> list[FloatArray]:
    """Sine and cosine of the time of the week at the end of the bar, on New York's clock from Monday midnight."""
    wall = wall_clock(frame.end, NEW_YORK)
    day = wall.astype("datetime64[D]")
    angle = (weekday(day) * 24 + (wall - day) / _HOUR) * (2 * np.pi / _HOURS_A_WEEK)
    return [np.sin(angle), np.cos(angle)]


def _clocks(frame: Frame) -> dict[str, tuple[NDArray[np.bool_], FloatArray]]:
    """By session: whether it is on at the end of each bar, and the minutes since its opening hour of that date."""
    opened = _market_open(frame)
    found = {}
    for name, (zone, first, last) in SESSIONS.items():
        wall = wall_clock(frame.end, ZoneInfo(zone))
        day = wall.astype("datetime64[D]")
        since = (wall - day - first * _HOUR) / _MINUTE
        on = (weekday(day) < _SATURDAY) & (since >= 0) & (since < (last - first) * 60)
        found[name] = on & opened, since
    return found


def _offsets(instants: Times, zone: ZoneInfo) -> NDArray[np.timedelta64]:
    moments = [instant.replace(tzinfo=UTC) for instant in instants.astype("datetime64[us]").tolist()]
    shown = [moment.astimezone(zone).replace(tzinfo=None) for moment in moments]
    return np.asarray(np.array(shown, dtype="datetime64[us]") - instants)


def _market_open(frame: Frame) -> NDArray[np.bool_]:
    wall = wall_clock(frame.end, NEW_YORK) + _TO_MIDNIGHT
    days, place = np.unique(wall.astype("datetime64[D]"), return_inverse=True)
    # Sessions are those of the interbank market, whatever dates a pair's own source keeps.
    market = calendar("24x7" if frame.calendar == "24x7" else "fx")
    return np.array([market.is_open(day) for day in days.tolist()], dtype=np.bool_)[place]


_TITLES = {"tokyo": "Tokyo", "london": "London", "new_york": "New York"}
DECLARED = (
    Switch(
        "sessions",
        {f"session_{name}": f"1 in {_TITLES[name]}'s hours" for name in SESSIONS}
        | {f"session_{a}_{b}": f"1 where {_TITLES[a]} and {_TITLES[b]} overlap" for a, b in _OVERLAPS},
        sessions,
        needs=(),
        intraday=True,
    ),
    Switch(
        "session_minutes",
        {f"minutes_{name}": f"minutes since {_TITLES[name]} opened, 0 where closed" for name in SESSIONS},
        session_minutes,
        needs=(),
        intraday=True,
    ),
    Switch(
        "weekly_close", {"hours_to_weekly_close": "hours to the end of the week"}, weekly_close, needs=(), intraday=True
    ),
    Switch(
        "hour_of_week",
        {"hour_of_week_sin": "sine of the hour of the week", "hour_of_week_cos": "cosine of the hour of the week"},
        hour_of_week,
        needs=(),
        intraday=True,
    ),
)
