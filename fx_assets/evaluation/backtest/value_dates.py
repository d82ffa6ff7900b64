"""Spot value dates, and for how many days a position is financed when it is held over 17:00 New York.

The rule is the market's: each currency counts its own business days after the trading date, two of them, or one for
those that settle against the dollar on the next day; the value date is the first date from the latest of these counts
on that is a business day of both currencies and of the dollar. The dollar itself counts one day, so that a holiday in
New York on the day after the trade delays nothing, except against the Latin American currencies that count it.
Sources: londonfx.co.uk/valdates.html; objectlabkit.sourceforge.net/currency.html.

Not covered: NZDUSD, which rolls at 7:00 in Auckland, is rolled at 17:00 New York as the others; weeks that do not run
from Monday to Friday (AED, SAR and their neighbours).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.backtest.holiday_calendars import closed_dates
from fx_assets.specs.financing import HolidayChanges

Days = NDArray[np.datetime64]  # datetime64[D]
Counts = NDArray[np.int64]
# Business days after the trading date; the others count two. A cross takes the later of its legs' counts.
NEXT_DAY = frozenset({"CAD", "PHP", "RUB", "TRY"})
COUNT_THE_DOLLARS_HOLIDAYS = frozenset({"ARS", "CLP", "MXN"})
_USUAL = 2


def spot_dates(pair: str, trading_dates: Days, changes: Mapping[str, HolidayChanges] | None = None) -> Days:
    """Spot value date of each of `trading_dates` (n,) datetime64[D], in any order: (n,) datetime64[D].

    `changes`: corrections of bank holidays by currency. Raises `ValueError` for a currency without a calendar, and for
    dates before 1999.
    """
    days = _checked(trading_dates)
    if not len(days):
        return days
    first, last = int(days.min().item().year), int(days.max().item().year) + 1
    legs = (pair[:3], pair[3:])
    closed = {currency: closed_dates(currency, first, last, changes) for currency in {*legs, "USD"}}
    counted = [_count(days, _lag(currency, legs), closed[currency]) for currency in legs]
    everyone = np.busdaycalendar(holidays=np.concatenate(list(closed.values())))
    reached: Days = np.busday_offset(np.maximum(*counted), 0, roll="forward", busdaycal=everyone)
    return reached


def financing_days(pair: str, trading_dates: Days, changes: Mapping[str, HolidayChanges] | None = None) -> Counts:
    """Days (n,) for which a position is financed that is held from the date before into each of `trading_dates`.

    That is how far the spot value date moves on at the roll: for T+2 in a usual week once, and three times from
    Wednesday to Thursday. `trading_dates` (n,): datetime64[D], not falling; the first, and all that repeat the one
    before, have 0. Over dates that are left out the days add up. Raises `ValueError` as `spot_dates`, and for dates
    that fall.
    """
    days = _checked(trading_dates)
    if (np.diff(days) < np.timedelta64(0, "D")).any():
        raise ValueError("trading_dates: expected dates that do not fall")
    spot = spot_dates(pair, days, changes)
    return np.diff(spot, prepend=spot[:1]).astype(np.int64)


def _lag(currency: str, legs: tuple[str, str]) -> int:
    if currency == "USD":
        return _USUAL if COUNT_THE_DOLLARS_HOLIDAYS & set(legs) else 1
    return 1 if currency in NEXT_DAY else _USUAL


def _count(days: Days, lag: int, closed: Days) -> Days:
    """The business day `lag` after each of `days`, which need not be one itself."""
    reached: Days = np.busday_offset(days, lag, roll="backward", busdaycal=np.busdaycalendar(holidays=closed))
    return reached


def _checked(trading_dates: Days) -> Days:
    days = np.asarray(trading_dates)
    if days.dtype != np.dtype("datetime64[D]") or days.ndim != 1:
        raise ValueError(f"trading_dates: expected datetime64[D] of shape (n,), got {days.dtype}, {days.shape}")
    if np.isnat(days).any():
        raise ValueError("trading_dates: some are not dates")
    if len(days) and days.min() < np.datetime64("1999-01-01"):
        raise ValueError(f"trading_dates: bank holidays are known from 1999 on, got {days.min()}")
    return days
