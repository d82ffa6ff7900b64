"""On which dates the banks of a currency settle payments.

EUR by the ECB's TARGET days (`timegrid.calendars`), USD as the Federal Reserve keeps its holidays, the others by the
public and bank holidays of the package `holidays`: those of the place that settles the currency. These are close to,
and not always equal to, the days of the payment systems: what is known to differ goes to `holidays` in
`configs/financing/*.yaml`. Dates that a government adds or moves are known as far as the installed version has them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import date, timedelta
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fx_assets.specs.financing import HolidayChanges
from fx_assets.timegrid.calendars import calendar

Days = NDArray[np.datetime64]  # datetime64[D]
FIRST_YEAR = 1999
_SATURDAY, _SUNDAY = 5, 6


class _Place(NamedTuple):
    """Whose holidays close the banks of a currency: country, part of it, and kinds, as `holidays` calls them."""

    country: str
    part: str | None = None
    kinds: tuple[str, ...] = ("public",)


_PLACES = {
    "AUD": _Place("AU", "NSW"),
    "CAD": _Place("CA", "ON", ("public", "government")),
    "CHF": _Place("CH", "ZH"),
    "CNY": _Place("CN"),
    "CZK": _Place("CZ"),
    "DKK": _Place("DK", None, ("public", "optional")),
    "GBP": _Place("GB", "ENG"),
    "HKD": _Place("HK"),
    "HUF": _Place("HU"),
    "JPY": _Place("JP", None, ("public", "bank")),
    "KRW": _Place("KR", None, ("public", "bank")),
    "MXN": _Place("MX"),
    "NOK": _Place("NO"),
    "NZD": _Place("NZ"),
    "PHP": _Place("PH"),
    "PLN": _Place("PL"),
    "RUB": _Place("RU"),
    "SEK": _Place("SE", None, ("public", "bank", "de_facto")),
    "SGD": _Place("SG"),
    "THB": _Place("TH", None, ("public", "bank")),
    "TRY": _Place("TR"),
    "ZAR": _Place("ZA"),
}
CURRENCIES = frozenset({"EUR", "USD", *_PLACES})


def closed_dates(
    currency: str, first: int, last: int, changes: Mapping[str, HolidayChanges] | None = None
) -> NDArray[np.datetime64]:
    """Dates (n,) datetime64[D] from year `first` to `last` on which the banks of `currency` are closed, increasing.

    Saturdays and Sundays are closed and may be missing. `changes`: corrections by currency. Raises `ValueError` for a
    currency without a calendar that `changes` does not name either.
    """
    own = None if changes is None else changes.get(currency)
    if currency not in CURRENCIES and own is None:
        raise ValueError(
            f"no calendar of bank holidays of {currency}; list its closed dates under holidays.{currency} in a file of "
            f"configs/financing. Known: {', '.join(sorted(CURRENCIES))}"
        )
    closed = set(_listed(currency, first, last)) if currency in CURRENCIES else set()
    if own is not None:
        closed = (closed | set(own.closed)) - set(own.open)
    return np.array(sorted(closed), dtype="datetime64[D]")


@lru_cache(maxsize=64)
def _listed(currency: str, first: int, last: int) -> tuple[date, ...]:
    if currency == "EUR":
        return tuple(_not_target(first, last))
    # Read at first use: no other part of the project needs the package.
    import holidays

    years = range(first, last + 1)
    if currency == "USD":
        return tuple(_federal_reserve(holidays.country_holidays("US", years=years, observed=False)))
    place = _PLACES[currency]
    return tuple(sorted(holidays.country_holidays(place.country, place.part, years=years, categories=place.kinds)))


def _not_target(first: int, last: int) -> Iterable[date]:
    target, day = calendar("target"), date(first, 1, 1)
    while day.year <= last:
        # TARGET opened in 1999; nothing before it is a holiday of the euro.
        if day.weekday() < _SATURDAY and day.year >= FIRST_YEAR and not target.is_open(day):
            yield day
        day += timedelta(days=1)


def _federal_reserve(listed: Iterable[date]) -> Iterable[date]:
    """One on a Sunday is kept on Monday, one on a Saturday not on Friday (www.federalreserve.gov, release K.8)."""
    for day in sorted(listed):
        if day.weekday() != _SATURDAY:
            yield day + timedelta(days=1) if day.weekday() == _SUNDAY else day
