"""The checks that a row of raw prices meets or fails alone, counted block by block."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from fx_assets.prices.batch import Form
from fx_assets.prices.cleaning import FUTURE, TICK_PRICES
from fx_assets.prices.schema import PRICE_COLUMNS
from fx_assets.specs.schema import PairSpec
from fx_assets.timegrid.calendars import calendar

_SATURDAY = 6  # of Polars, whose week begins with Monday = 1
_LEVEL = ("close", *TICK_PRICES)


class Tally:
    """`bad`: by check, how many rows fail it, and the first in words. `lowest`, `highest`: finite closes, bids, asks.

    The checks: `positive_finite` and `plausible_range` (the close, of ticks one side, must be there; every other price
    that is), `unique_times`, `not_known_before_its_time`, `not_from_the_future` (5 minutes after `now`), and of fixings
    `no_weekend_fixings` and `no_holiday_fixings` (weekdays on which the pair's own calendar is closed).
    """

    def __init__(self, spec: PairSpec, form: Form, *, now: datetime) -> None:
        self.spec, self.form, self.now = spec, form, now
        self.bad: dict[str, tuple[int, str | None]] = {}
        self.lowest: float | None = None
        self.highest: float | None = None

    def add(self, view: pl.DataFrame, days: pl.Series) -> None:
        """The current view of the next block, by time, and its trading dates."""
        prices = TICK_PRICES if self.form.kind == "tick" else PRICE_COLUMNS
        must = set() if self.form.kind == "tick" else {"close"}
        given = [name for name in prices if name in must or view[name].null_count() < view.height]
        low, high = self.spec.plausible_range
        sound = [(pl.col(name).is_finite() & (pl.col(name) > 0)).fill_null(name not in must) for name in given]
        inside = [pl.col(name).is_between(low, high).fill_null(name not in must) for name in given]
        time = pl.col("time")
        rules = {
            "positive_finite": ~pl.all_horizontal(sound),
            "plausible_range": ~pl.all_horizontal(inside),
            "not_known_before_its_time": pl.col("known_at") < time,
            "not_from_the_future": time > self.now + FUTURE,
            "unique_times": (time == time.shift(1)) | (time == time.shift(-1)),
        }
        if self.form.kind == "fixing":
            rules["no_weekend_fixings"] = pl.col("trading_date").dt.weekday() >= _SATURDAY
            self._count_holidays(days)
        bad = view.select(rule.sum().alias(name) for name, rule in rules.items()).row(0, named=True)
        for name, count in bad.items():
            if count:
                row = view.filter(rules[name]).row(0, named=True)
                at = str(row["time"])
                if name == "plausible_range":
                    outside = [row[column] for column in given if row[column] is None or not low <= row[column] <= high]
                    at = f"{outside[-1]} at {at}"
                self._count(name, count, at)
        level = [pl.col(name).filter(pl.col(name).is_finite()) for name in given if name in _LEVEL]
        ends = view.select(
            low=pl.min_horizontal(price.min() for price in level),
            high=pl.max_horizontal(price.max() for price in level),
        )
        lows, highs = (self.lowest, ends[0, "low"]), (self.highest, ends[0, "high"])
        self.lowest = min((price for price in lows if price is not None), default=None)
        self.highest = max((price for price in highs if price is not None), default=None)

    def _count_holidays(self, days: pl.Series) -> None:
        dates = calendar(self.spec.calendar)
        closed = [day for day in days.filter(days.dt.weekday() < _SATURDAY) if not dates.is_open(day)]
        if closed:
            self._count("no_holiday_fixings", len(closed), str(closed[0]))

    def _count(self, name: str, bad: int, first: str) -> None:
        before, known = self.bad.get(name, (0, None))
        self.bad[name] = (before + bad, known or first)
