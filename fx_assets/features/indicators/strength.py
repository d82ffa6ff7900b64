"""Strength of a pair's two currencies, from the closes of all other pairs that share one of them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from pydantic import Field

from fx_assets.features.frames import FloatArray, Frame
from fx_assets.features.indicators.declared import STALE_ROWS, Declared
from fx_assets.features.indicators.options import EACH_ONCE, Periods
from fx_assets.features.indicators.windows import log_returns
from fx_assets.features.stages.base import Column, StageOptions

# The ten most traded. Against a coin, whose day is another currency's month, a mean would say what the coin did.
MOST_TRADED = ("AUD", "CAD", "CHF", "EUR", "GBP", "JPY", "NOK", "NZD", "SEK", "USD")
Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]


class StrengthOptions(StageOptions):
    """`currencies`: those against which a pair's own two are measured."""

    periods: Annotated[Periods, Field(min_length=1)]
    currencies: Annotated[list[Currency], Field(min_length=1, max_length=100), EACH_ONCE] = Field(
        default_factory=lambda: list(MOST_TRADED)
    )


@dataclass(frozen=True)
class Strength(Declared):
    """Mean log return of the base and of the quote currency against others, and their difference, basis points.

    The pair's own return is left out: it is a feature already (`returns`), and what the other pairs say of its two
    currencies is news only without it. Where another pair has no close yet, the mean is over those that have one; the
    column is missing where there is none.
    """

    def columns(self, value: StrengthOptions) -> list[Column]:
        """Three for each period."""
        return [
            Column(f"{self.name}_{side}_{p}", ("others",), about.format(p), self.cost, missing=True)
            for p in value.periods
            for side, about in _SIDES.items()
        ]

    def lookback(self, value: StrengthOptions) -> int:
        """The longest period, and how old another pair's close may be."""
        return max(value.periods) + STALE_ROWS

    def compute(self, frame: Frame, value: StrengthOptions) -> list[FloatArray]:
        """(n,) each."""
        found = []
        for period in value.periods:
            base, quote = (
                _mean_return(frame.others, _partners(currency, frame.pair, frame.others, value), period, len(frame))
                for currency in _halves(frame.pair)
            )
            found += [base, quote, base - quote]
        return found

    def others(self, value: StrengthOptions, pair: str, known: Sequence[str]) -> tuple[str, ...]:
        """Pairs of one of the two currencies and one of those it is measured against."""
        chosen = {name for currency in _halves(pair) for name in _partners(currency, pair, known, value)}
        return tuple(sorted(chosen))


def _halves(pair: str) -> tuple[str, str]:
    return pair[:3], pair[3:]


def _partners(currency: str, pair: str, known: Iterable[str], options: StrengthOptions) -> dict[str, float]:
    """Pairs of `currency` and a third one, in the order of their names: 1 where it is the base, -1 where the quote."""
    found = {}
    for name in sorted(known):
        base, quote = _halves(name)
        against = quote if base == currency else base
        if currency in (base, quote) and against not in _halves(pair) and against in options.currencies:
            found[name] = 1.0 if base == currency else -1.0
    return found


def _mean_return(closes: Mapping[str, FloatArray], signs: Mapping[str, float], period: int, rows: int) -> FloatArray:
    summed, count = np.zeros(rows), np.zeros(rows)
    for name, sign in signs.items():
        moved = log_returns(np.ascontiguousarray(closes[name]), period)
        there = ~np.isnan(moved)
        summed += np.where(there, sign * moved, 0.0)
        count += there
    return np.asarray(np.divide(summed, count, out=np.full(rows, np.nan), where=count > 0))


_SIDES = {
    "base": "mean return of the base currency over {} bars against others, bp",
    "quote": "mean return of the quote currency over {} bars against others, bp",
    "difference": "base currency's mean return over {} bars less the quote's, bp",
}
DECLARED = (Strength("strength", needs=(), cost=5.0),)
