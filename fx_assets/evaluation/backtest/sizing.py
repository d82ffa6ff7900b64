"""From a forecast to a position: the signal, the size, the limits.

A kind of model may give a signal in [-1, 1] itself. For the others, and for all forecasts that are on record in the
scores table, which keeps none, the signal is the sign of the location where that is larger than what a round trip
costs, and 0 elsewhere: a forecast that would not pay for its own trade is not traded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Times = NDArray[np.datetime64]
_MILLION = 1_000_000.0


@dataclass(frozen=True)
class Signals:
    """What a model says of the next bar, oldest first; arrays (m,).

    `known_at`: since when it is known, datetime64[us] in UTC, increasing; `values` in [-1, 1]; `volatility`: standard
    deviation of the log return over one bar, as forecast then. Raises `ValueError` for values outside.
    """

    known_at: Times
    values: Floats
    volatility: Floats

    def __post_init__(self) -> None:
        if not self.known_at.shape == self.values.shape == self.volatility.shape == (len(self.known_at),):
            raise ValueError(
                f"signals: expected one shape (m,), got known_at {self.known_at.shape}, values {self.values.shape}, "
                f"volatility {self.volatility.shape}"
            )
        if (self.known_at[1:] <= self.known_at[:-1]).any():
            raise ValueError("signals: known_at has to increase; give one signal for each moment")
        if not (np.abs(self.values) <= 1).all():
            raise ValueError("signals: expected values in [-1, 1]")
        if not (self.volatility > 0).all():
            raise ValueError("signals: expected a volatility above 0 for each")


@dataclass(frozen=True)
class FixedNotional:
    """A full signal is a position worth `notional`, in account currency."""

    notional: float

    def value(self, signal: float, equity: float, volatility: float) -> float:  # noqa: ARG002 - see VolatilityTarget
        """What the position should be worth, in account currency, below 0 when short."""
        return signal * self.notional

    def __str__(self) -> str:
        return f"a full signal is a position worth {self.notional:,.0f}, whatever the equity"


@dataclass(frozen=True)
class VolatilityTarget:
    """A full signal is a position whose forecast volatility is `yearly`, as a share of the equity at that moment.

    Only the volatility that was forecast is used; `bars_a_year` carries it from one bar to a year.
    """

    yearly: float
    bars_a_year: float

    def value(self, signal: float, equity: float, volatility: float) -> float:
        """What the position should be worth, in account currency, below 0 when short."""
        return signal * equity * self.yearly / (volatility * math.sqrt(self.bars_a_year))

    def __str__(self) -> str:
        return f"a full signal is a position with a forecast volatility of {self.yearly:.1%} of the equity a year"


@dataclass(frozen=True)
class Sizing:
    """How large a position becomes.

    `leverage`: the most that it may be worth, in multiples of the equity; `lot`: units of the base currency that it is
    a whole multiple of, rounded towards 0; `tolerance`: a position of the right side is left alone while it is within
    this share of what it should be, so that not every change of price or volatility is traded.
    Raises `ValueError` for values out of range.
    """

    rule: FixedNotional | VolatilityTarget
    leverage: float = 10.0
    lot: float = 1.0
    tolerance: float = 0.1

    def __post_init__(self) -> None:
        given = vars(self.rule) | {"leverage": self.leverage, "lot": self.lot}
        for name, value in given.items():
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"sizing: expected {name} above 0, got {value}")
        if not 0 <= self.tolerance < 1:
            raise ValueError(f"sizing: expected a tolerance of 0 or more and under 1, got {self.tolerance}")

    def units(self, signal: float, *, held: float, worth: float, equity: float, volatility: float) -> float:
        """Units of the base currency to hold, below 0 when short, by what is known before the trade.

        `held`: units held now; `worth`: of one unit of the base currency, in account currency.
        """
        # An account that has lost everything holds nothing.
        most = self.leverage * max(equity, 0.0) / worth
        wanted = self.rule.value(signal, equity, volatility) / worth if most > 0 else 0.0
        wanted = math.copysign(min(abs(wanted), most), wanted)
        same_side = held * wanted > 0
        if same_side and abs(wanted - held) <= self.tolerance * abs(wanted) and abs(held) <= most:
            return held
        return math.copysign(math.floor(abs(wanted) / self.lot) * self.lot, wanted) if wanted else 0.0


def round_trip_costs(spreads: Floats, prices: Floats, commission_per_million: float) -> Floats:
    """What buying and selling again costs, as a log return: of `spreads` (n,) at `prices` (n,), in quote currency.

    `commission_per_million`: units of quote currency for a million units of the base currency, for each of the two.
    """
    costs: Floats = np.log1p((spreads + 2 * commission_per_million / _MILLION) / prices)
    return costs


def signals_of_locations(locations: Floats, costs: Floats) -> Floats:
    """Signals (m,): the sign of each location (m,) that is larger than its cost (m,), both log returns; 0 elsewhere."""
    signals: Floats = np.where(np.abs(locations) > costs, np.sign(locations), 0.0)
    return signals
