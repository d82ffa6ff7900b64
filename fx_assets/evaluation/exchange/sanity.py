"""What a table of prices is worth before anything is fitted on it: bad ticks, frozen rows, invented dates."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from fx_assets.evaluation.exchange.split import Split
from fx_assets.evaluation.exchange.table import CURRENCIES, Floats, Table
from fx_assets.prices.batch import Form
from fx_assets.prices.spikes import find

FIXING = Form("fixing")
BAD_TICK_RULE = (
    "the project's own for fixings (prices.spikes): over 2 % and 8 times the local scale away from both neighbours "
    "on one side, back within a quarter of it, at home before and after"
)


@dataclass(frozen=True)
class BadTick:
    """One cell: its line in the file (from 1), its currency, and how far it departed, in per cent of the price."""

    line: int
    currency: str
    percent: float


@dataclass(frozen=True)
class Sanity:
    """`frozen`: lines (from 1) on which nothing changed; `dates`: what is to be thought of the dates, in words."""

    rows: int
    bad_ticks: tuple[BadTick, ...]
    frozen: tuple[int, ...]
    frozen_in_test: int
    bad_ticks_in_test: int
    dates: str

    def document(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "rows": self.rows,
            "bad_tick_rule": BAD_TICK_RULE,
            "bad_ticks": [vars(tick) for tick in self.bad_ticks],
            "bad_ticks_in_test": self.bad_ticks_in_test,
            "frozen_rows": len(self.frozen),
            "frozen_rows_in_test": self.frozen_in_test,
            "frozen_lines": list(self.frozen),
            "dates": self.dates,
        }


def sanity(split: Split) -> Sanity:
    """Report on every row of the table; nothing is repaired, for the protocol scores what the file says."""
    table, known = split.table, split.last_row("validation") + 1
    ticks = _bad_ticks(table)
    frozen = (np.flatnonzero((np.diff(table.values, axis=0) == 0).all(1)) + 2).tolist()
    return Sanity(
        rows=len(table),
        bad_ticks=ticks,
        frozen=tuple(frozen),
        frozen_in_test=sum(line > known for line in frozen),
        bad_ticks_in_test=sum(tick.line > known for tick in ticks),
        dates=_dates(table),
    )


def _bad_ticks(table: Table) -> tuple[BadTick, ...]:
    times = pl.Series(table.ends).cast(pl.Datetime("us"))
    found = []
    for column, currency in enumerate(CURRENCIES):
        prices: Floats = np.ascontiguousarray(table.values[:, column])
        for row in find(times, pl.Series(prices), FIXING)["row"].to_list():
            home = np.sqrt(prices[row - 1] * prices[row + 1])
            found.append(BadTick(row + 1, currency, round(100 * (prices[row] / home - 1), 2)))
    return tuple(sorted(found, key=lambda tick: (tick.line, tick.currency)))


def _dates(table: Table) -> str:
    if table.dated:
        first, last = (str(end)[:10] for end in table.ends[[0, -1]])
        return f"real: trading dates of the ECB from {first} to {last}"
    said = "none in the file: rows have an order and no time; artificial ends, one a day, serve to cut them"
    if table.given_dates is None:
        return said
    days = table.given_dates.astype("datetime64[D]")
    weekend = int((~np.is_busday(days)).sum())
    return (
        f"invented: {days[0]} to {days[-1]} with {weekend} Saturdays and Sundays among {len(days)} rows of a market "
        f"that is closed then; set aside, {said.split(': ', 1)[1]}"
    )
