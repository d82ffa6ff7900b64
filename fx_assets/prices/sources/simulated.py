"""Prices of a market that does not exist, for load tests: seeded, and the same whenever they are asked for."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date, timedelta
from typing import TYPE_CHECKING, Annotated, ClassVar

from pydantic import BeforeValidator, Field, field_validator

from fx_assets.prices.batch import Batch, Form, no_rejects
from fx_assets.prices.sources.base import Feed, PriceSource, Request
from fx_assets.specs.schema import SourceSpec, Strict
from fx_assets.timegrid.calendars import calendar
from fx_assets.timegrid.trading_dates import expected_last_date

if TYPE_CHECKING:
    from fx_assets.prices.simulation import Market

_BATCH_ROWS = 1 << 17
_DAY = timedelta(days=1)
# A YAML reader hands on a date, JSON its text.
Day = Annotated[date, BeforeValidator(lambda value: date.fromisoformat(value) if isinstance(value, str) else value)]


class SimulatedOptions(Strict):
    """What is simulated. Volatility is a year's, the start price stands on 2000-01-03, the spread is in pips."""

    seed: int = Field(default=7, ge=0)
    ticks_per_day: int = Field(default=20_000, ge=1, le=5_000_000)
    start_price: float | None = Field(default=None, gt=0, description="110 where the quote is in yen, else 1.1")
    annual_volatility: float = Field(default=0.08, gt=0, le=5)
    spread_pips: float = Field(default=0.6, gt=0)
    pip: float | None = Field(default=None, gt=0, description="0.01 in yen, else 0.0001; a power of ten")
    until: Day | None = Field(default=None, description="Last trading date")
    around_the_clock: bool = Field(default=False, description="Ticks on every date, as of a crypto pair")

    @field_validator("pip")
    @classmethod
    def _power_of_ten(cls, value: float | None) -> float | None:
        if value is not None and abs(math.log10(value) - round(math.log10(value))) > 1e-9:
            raise ValueError(f"expected a power of ten such as 0.0001 or 0.01, got {value}")
        return value


class SimulatedSource(PriceSource):
    """Ticks, or the minutes made of them, of every trading date that has ended; see `prices.simulation`."""

    kind: ClassVar[str] = "simulated"
    uses: ClassVar[frozenset[str]] = frozenset({"symbol", "resolution"})
    Options: ClassVar[type[Strict]] = SimulatedOptions

    def form(self, source: SourceSpec) -> Form:
        """Ticks unless `resolution` says minutes; both sides are known."""
        return Form("bar", 60) if source.resolution == "1min" else Form("tick")

    def _problems(self, source: SourceSpec) -> Iterator[tuple[str, str]]:
        if source.resolution not in (None, "tick", "1min"):
            yield "resolution", f"expected tick or 1min, got {source.resolution}; longer bars are made of these"

    def _batches(self, request: Request, feed: Feed) -> Iterator[Batch]:
        from fx_assets.prices.simulation import EPOCH, minutes, simulate_days

        options = SimulatedOptions.model_validate(request.source.options)
        days = calendar("24x7" if options.around_the_clock else "fx")
        last = min(options.until or date.max, expected_last_date(days, request.now))
        known = request.cursor.get("last")
        first = max(EPOCH, request.history_start, date.fromisoformat(known) + _DAY if known else date.min)
        form, origin, count = self.form(request.source), f"simulated, seed {options.seed}", 0
        feed.cursor = dict(request.cursor)
        for day, ticks in simulate_days(_market(request.symbol, options), first, last):
            rows = minutes(ticks) if form.kind == "bar" else ticks
            for part in rows.with_row_index("line", 1).iter_slices(_BATCH_ROWS):
                yield Batch(f"{origin}, {day}", form, part.cast({"line": int}), no_rejects())
            count += rows.height
            feed.cursor = {"last": day.isoformat()}
        feed.notes["simulated"] = count


def _market(symbol: str, options: SimulatedOptions) -> Market:
    from fx_assets.prices.simulation import Market

    yen = symbol.endswith("JPY")
    return Market(
        pair=symbol,
        seed=options.seed,
        ticks_per_day=options.ticks_per_day,
        start_price=options.start_price or (110.0 if yen else 1.1),
        annual_volatility=options.annual_volatility,
        spread_pips=options.spread_pips,
        pip=options.pip or (0.01 if yen else 0.0001),
        around_the_clock=options.around_the_clock,
    )
