"""What a position costs and earns in one account currency: rates of the day, commission, financing.

The profit of each bar is turned into account currency at the rate at the end of that bar and is kept there: what was
earned before gains or loses nothing by the rates of later days.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from fx_assets.evaluation.backtest.value_dates import financing_days
from fx_assets.specs.financing import HolidayChanges, SwapRates

Floats = NDArray[np.float64]
Days = NDArray[np.datetime64]
BEFORE = "before financing"
AFTER = "after financing"
_MILLION = 1_000_000.0
_PAST_A_WEEKEND = np.timedelta64(4, "D")


class MissingRate(ValueError):
    """No pair leads from the quote currency to the account currency."""


class Carry(NamedTuple):
    """What one unit of the base currency receives for being held from the bar before into each bar (n,).

    `long`, `short`: in quote currency, below 0 is paid; 0 where no rate is known. `days`: by how many days the value
    date moves on; `unknown`: how many of them have no rate.
    """

    long: Floats
    short: Floats
    days: NDArray[np.int64]
    unknown: NDArray[np.int64]


@dataclass(frozen=True)
class Terms:
    """The account and what it is charged; arrays (n,), one value a bar.

    `rates`: units of account currency for one of quote currency at the end of the bar; `commission_per_million`: units
    of quote currency for a million units of the base currency traded; `carry`: None where nothing is known of
    financing. Raises `ValueError` for capital or rates that are not above 0.
    """

    currency: str
    capital: float
    rates: Floats
    commission_per_million: float = 0.0
    carry: Carry | None = None

    def __post_init__(self) -> None:
        if not self.capital > 0:
            raise ValueError(f"capital: expected more than 0 {self.currency}, got {self.capital}")
        if not (np.isfinite(self.rates).all() and (self.rates > 0).all()):
            raise ValueError(f"rates: expected rates to {self.currency} above 0 for every bar")
        if self.commission_per_million < 0:
            raise ValueError(f"commission_per_million: expected 0 or more, got {self.commission_per_million}")


def commission(units: float, per_million: float) -> float:
    """Commission in quote currency for trading `units` of the base currency, bought or sold."""
    return abs(units) / _MILLION * per_million


def crosses_needed(pair: str, account: str) -> tuple[str, ...]:
    """The pairs of which one gives the rate from the quote currency to the account's; none where `pair` itself does."""
    base, quote = pair[:3], pair[3:]
    return () if account in (base, quote) else (quote + account, account + quote)


def account_rates(pair: str, account: str, marks: Floats, crosses: Mapping[str, Floats]) -> Floats:
    """Units of account currency for one unit of the quote currency of `pair`, for each bar (n,).

    `marks` (n,): the pair's own prices; `crosses`: prices (n,) of other pairs by name, as known at the end of each bar.
    Raises `MissingRate` that names the pairs of which one is needed.
    """
    if pair[3:] == account:
        return np.ones_like(marks)
    if pair[:3] == account:
        return 1 / marks
    direct, inverse = crosses_needed(pair, account)
    if direct in crosses:
        return crosses[direct]
    if inverse in crosses:
        return 1 / crosses[inverse]
    raise MissingRate(
        f"profit of {pair} is made in {pair[3:]}: to turn it into {account}, prices of {direct} or {inverse} are "
        f"needed, and there are none. Add that pair, or choose {pair[3:]} or {pair[:3]} as the account currency"
    )


def carry_of(
    pair: str,
    pip: float,
    dates: Days,
    marks: Floats,
    swaps: SwapRates,
    holidays: Mapping[str, HolidayChanges] | None = None,
) -> Carry:
    """What being held over the rolls between the bar before and each bar (n,) receives, from dated swap rates.

    `dates` (n,): trading dates of the bars, datetime64[D], not falling; `marks` (n,): their prices. A roll at 17:00 New
    York ends a trading date, and is paid at the rate of that date for each day by which the spot value date moves on;
    in percent a year, of the position's value at the bar before. Raises as `financing_days`.
    """
    grid = np.arange(dates[0], dates[-1] + _PAST_A_WEEKEND, dtype="datetime64[D]")
    grid = grid[np.is_busday(grid)]
    # At the roll that ends each date of the grid; those of a week end on Friday.
    moved = np.append(financing_days(pair, grid, holidays)[1:], 0)
    since = np.array([rate.since for rate in swaps.rates], dtype="datetime64[D]")
    place = np.searchsorted(since, grid, side="right") - 1
    known = (place >= 0) & (grid <= np.datetime64(swaps.until, "D"))
    until = np.searchsorted(grid, dates)
    first = np.concatenate([until[:1], until[:-1]])

    def total(values: Floats) -> Floats:
        """Of the rolls between the bar before and each bar."""
        sums = np.concatenate([[0.0], np.cumsum(values)])
        difference: Floats = sums[until] - sums[first]
        return difference

    unit: float | Floats = pip
    if swaps.unit == "annual_percent":
        unit = np.concatenate([marks[:1], marks[:-1]]) / 100 / swaps.days_a_year
    paid = {
        side: unit * total(np.where(known, moved * np.array([getattr(rate, side) for rate in swaps.rates])[place], 0.0))
        for side in ("long", "short")
    }
    return Carry(paid["long"], paid["short"], total(moved).astype(np.int64), total(moved * ~known).astype(np.int64))
