"""Which dates have prices: the ECB's, the interbank market's, and those of a market that never closes."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from functools import lru_cache
from itertools import islice
from typing import Literal, Protocol

from dateutil.easter import easter

CalendarName = Literal["target", "fx", "24x7"]
_DAY = timedelta(days=1)
_SATURDAY = 5


class TradingCalendar(Protocol):
    """A set of open trading dates."""

    def is_open(self, day: date) -> bool:
        """Whether `day` is a trading date of this calendar."""

    def next_days(self, day: date, n: int) -> list[date]:
        """The `n` open trading dates strictly after `day`, oldest first."""

    def days(self, first: date, last: date) -> list[date]:
        """The open trading dates from `first` to `last`, both included; empty where `last` is earlier."""


class _Calendar:
    """The two listings, written once upon `is_open`."""

    def is_open(self, day: date) -> bool:
        """Whether `day` is a trading date of this calendar."""
        raise NotImplementedError

    def next_days(self, day: date, n: int) -> list[date]:
        """The `n` open trading dates strictly after `day`. Raises `ValueError` for a negative `n`."""
        if n < 0:
            raise ValueError(f"n: expected 0 or more trading dates, got {n}")
        return list(islice(self._after(day), n))

    def days(self, first: date, last: date) -> list[date]:
        """The open trading dates from `first` to `last`, both included."""
        span = (last - first).days + 1
        return [day for day in (first + timedelta(days=i) for i in range(span)) if self.is_open(day)]

    def _after(self, day: date) -> Iterator[date]:
        while True:
            day += _DAY
            if self.is_open(day):
                yield day


class _Target(_Calendar):
    """Operating days of the ECB's TARGET system, on which reference rates are fixed (www.ecb.europa.eu, "TARGET").

    The rule stands since 2000. The years before it settled are history and are kept as such: TARGET opened on
    1999-01-04, kept no Easter in 1999, and closed on 1999-12-31 (the year 2000) and 2001-12-31 (euro cash).
    """

    opened = date(1999, 1, 4)

    def is_open(self, day: date) -> bool:
        """Whether the ECB fixes reference rates on `day`."""
        return day >= self.opened and day.weekday() < _SATURDAY and day not in _target_closing_days(day.year)


@lru_cache(maxsize=256)
def _target_closing_days(year: int) -> frozenset[date]:
    if year == 1999:
        return frozenset({date(1999, 1, 1), date(1999, 12, 25), date(1999, 12, 31)})
    sunday = easter(year)
    closed = {sunday - 2 * _DAY, sunday + _DAY, date(year, 5, 1)}
    closed |= {date(year, 1, 1), date(year, 12, 25), date(year, 12, 26)}
    if year == 2001:
        closed.add(date(2001, 12, 31))
    return frozenset(closed)


class _Interbank(_Calendar):
    """Monday to Friday, New York 17:00 to 17:00, less Christmas Day and New Year's Day."""

    def is_open(self, day: date) -> bool:
        """Whether the interbank market trades on `day`."""
        return day.weekday() < _SATURDAY and (day.month, day.day) not in {(1, 1), (12, 25)}


class _Always(_Calendar):
    """Every date."""

    def is_open(self, day: date) -> bool:  # noqa: ARG002 - the protocol's argument; no date is closed
        """True."""
        return True


_CALENDARS: dict[str, TradingCalendar] = {"target": _Target(), "fx": _Interbank(), "24x7": _Always()}


def calendar(name: CalendarName) -> TradingCalendar:
    """The calendar called `name`. Raises `ValueError` that lists the known names for any other."""
    try:
        return _CALENDARS[name]
    except KeyError:
        raise ValueError(f"calendar {name!r} is unknown; expected one of {', '.join(_CALENDARS)}") from None
