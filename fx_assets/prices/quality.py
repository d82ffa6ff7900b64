"""Checks of raw prices. What blocks keeps the last good version in place; the rest only warns.

They look at the blocks that an update touched, one after the other, and keep numbers only: a month of ticks may have
millions of rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta

import polars as pl

from fx_assets.prices.batch import Form
from fx_assets.prices.coverage import Coverage
from fx_assets.prices.frozen import Frozen
from fx_assets.prices.gaps import Gap, find_gaps
from fx_assets.prices.ingest import Collected
from fx_assets.prices.levels import Levels
from fx_assets.prices.tables import gap_table, reject_table
from fx_assets.prices.tallies import Tally
from fx_assets.specs.schema import PairSpec
from fx_assets.storage.records import CheckOutcome, Scalar
from fx_assets.timegrid.blocks import WHOLE, dates_of
from fx_assets.timegrid.sessions import by_hour, trading_date_expr

# Every check by name, and whether it blocks.
CHECKS: dict[str, bool] = {
    "not_empty": True,
    "rejects_within_limit": True,
    "positive_finite": True,
    "plausible_range": True,
    "scale": True,
    "unique_times": True,
    "not_known_before_its_time": True,
    "not_from_the_future": True,
    "no_weekend_fixings": False,
    "no_holiday_fixings": False,
    "invented_dates": False,
    "frozen_quotes": False,
    "same_time_other_price": False,
    "spikes": False,
    "gaps": False,
}
_DAY = 86_400
_CHANGE_OF_CLOCKS = 0.1  # of a day, that a gap of whole days may be longer by daylight saving
_KEPT_GAPS = 20
_TICK_PRICES = ("bid", "ask")


class PriceAudit:
    """Looks at the blocks of one update and then says what is wrong; see the module.

    `now` (aware) tells the future. `held`: rows by block as they were stored before the update, and `last_held` their
    last time; with them a hole between what is stored and what is new is seen too, and an update that touches nothing
    is not taken for an empty pair. Without them only blocks that follow each other in the calendar are seen as one.
    """

    def __init__(
        self,
        spec: PairSpec,
        form: Form,
        *,
        now: datetime,
        held: Mapping[str, int] | None = None,
        last_held: datetime | None = None,
    ) -> None:
        self.spec, self.form, self.now = spec, form, now
        self.held = None if held is None else dict(held)
        self.last_held = last_held
        self.rows = 0
        self.coverage = Coverage(form, spec.calendar)
        self.frozen = Frozen(form, spec.calendar)
        self.levels = Levels()
        self.longest: list[Gap] = []
        self.gap_count = 0
        self.tally = Tally(spec, form, now=now)
        self._seen: list[str] = []
        self._last: tuple[str, datetime] | None = None

    def add(self, view: pl.DataFrame) -> None:
        """The current view of the next block: RAW_SCHEMA or TICK_SCHEMA, by time; blocks come in time order."""
        if view.is_empty():
            return
        block = str(view["block"][0])
        self.rows += view.height
        times = view["time"]
        days = view["trading_date"] if "trading_date" in view.columns else by_hour(times, trading_date_expr)
        before = self._before(block, times)
        follows = before is not None and self._last is not None
        self.tally.add(view, days)
        self._find_gaps(times, before)
        self.coverage.add(view, days, follows=follows)
        self.frozen.add(view, follows=follows)
        tick = self.form.kind == "tick"
        prices = view.select(pl.mean_horizontal(_TICK_PRICES) if tick else "close").to_series()
        self.levels.add(days, prices)
        self._seen.append(block)
        self._last = (block, times[-1])

    def outcomes(self, collected: Collected) -> list[CheckOutcome]:
        """One outcome for each of `CHECKS`, in that order; `collected`: the fetch that the blocks came of."""
        self.frozen.finish()
        found = {outcome.name: outcome for outcome in self._outcomes(collected)}
        return [found[name] for name in CHECKS]

    def pictures(self, collected: Collected | None = None) -> dict[str, bytes]:
        """PNG by name, each under 100 kB, of what there is to draw; rejects only where `collected` is given.

        Of fixings and days one at most, and only where dates are missing.
        """
        from fx_assets.prices import charts

        return charts.pictures(self.spec, self.form, self.coverage, self.longest, collected)

    def tables(self, collected: Collected) -> dict[str, str]:
        """Markdown tables by name: coverage, the longest gaps, rejects by reason; what is empty is left out."""
        return {
            name: text
            for name, text in (
                ("coverage", self.coverage.table() if self.rows else ""),
                ("gaps", gap_table(self.longest)),
                ("rejects", reject_table(collected)),
            )
            if text
        }

    def _outcomes(self, collected: Collected) -> Iterable[CheckOutcome]:
        yield self._not_empty()
        yield self._rejects_within_limit(collected)
        yield self._rows_with("positive_finite", "are not finite numbers above 0")
        yield self._plausible_range()
        yield self._scale()
        bad, _ = self.tally.bad.get("unique_times", (0, None))
        yield self._outcome("unique_times", bad=bad, said=f"{bad} prices share their time with another")
        yield self._rows_with("not_known_before_its_time", "known before their time")
        yield self._rows_with("not_from_the_future", "from the future")
        yield self._rows_with("no_weekend_fixings", "fixings on a Saturday or Sunday")
        bad, first = self.tally.bad.get("no_holiday_fixings", (0, None))
        said = f"{bad} fixings on closed days of the calendar {self.spec.calendar!r}, first {first}"
        yield self._outcome("no_holiday_fixings", bad=bad, said=said, first=first)
        yield self._invented_dates(collected)
        yield self._frozen_quotes()
        yield self._same_time_other_price(collected)
        yield self._spikes(collected)
        yield self._gaps()

    # What is counted of each block.

    def _before(self, block: str, times: pl.Series) -> datetime | None:
        """The time of the row before this block, where nothing that was not looked at lies in between."""
        if self._last is None:
            if self.last_held is None or self.last_held >= times[0]:
                return None
            return self.last_held
        name, last = self._last
        if self.held is not None:
            between = (other for other in self.held if name < other < block)
            return None if any(between) else last
        adjacent = WHOLE not in (name, block) and dates_of(name)[1] + timedelta(days=1) == dates_of(block)[0]
        return last if adjacent else None

    def _find_gaps(self, times: pl.Series, before: datetime | None) -> None:
        if before is not None:
            times = pl.concat([pl.Series(times.name, [before], dtype=times.dtype), times])
        found = find_gaps(times, self.form, self.spec.calendar)
        self.gap_count += len(found)
        self.longest = sorted([*self.longest, *found], key=lambda gap: -gap.open_seconds)[:_KEPT_GAPS]

    # What follows from it.

    def _outcome(self, name: str, *, bad: int, said: str, **metadata: Scalar) -> CheckOutcome:
        return CheckOutcome(
            name=name,
            passed=not bad,
            blocking=CHECKS[name],
            description=said if bad else "",
            metadata={"rows": self.rows, "bad": bad, **metadata},
        )

    def _rows_with(self, name: str, said: str) -> CheckOutcome:
        bad, first = self.tally.bad.get(name, (0, None))
        return self._outcome(name, bad=bad, said=f"{bad} prices {said}, first {first}", first=first)

    def _not_empty(self) -> CheckOutcome:
        held = sum(rows for block, rows in (self.held or {}).items() if block not in self._seen)
        said = "no price at all: is the pair in the source?"
        return self._outcome("not_empty", bad=0 if self.rows + held else 1, said=said, held=held)

    def _rejects_within_limit(self, collected: Collected) -> CheckOutcome:
        counts = collected.reject_counts
        rejects, limit = sum(counts.values()), self.spec.reject_limit
        total = collected.rows + rejects - collected.spikes  # a spike is a clean row that was rejected later
        share = rejects / total if total else 0.0
        first = None
        if collected.rejects.height:
            row = collected.rejects.row(0, named=True)
            first = f"{row['source']}, line {row['line']}: {row['reason']}"
        most = max(counts, key=lambda reason: counts[reason], default=None)
        said = ""
        if rejects:
            said = f"{share:.2%} of the rows rejected, limit {limit:.2%}; mostly {most}; first {first}"
        return CheckOutcome(
            name="rejects_within_limit",
            passed=share <= limit,
            blocking=CHECKS["rejects_within_limit"],
            description=said,
            metadata={"rejects": rejects, "share": share, "limit": limit, "most": most, "first": first},
        )

    def _plausible_range(self) -> CheckOutcome:
        bad, first = self.tally.bad.get("plausible_range", (0, None))
        low, high = self.spec.plausible_range
        return self._outcome(
            "plausible_range",
            bad=bad,
            said=f"{bad} prices outside [{low:g}, {high:g}], first {first}: in points, inverted, of another pair?",
            lowest=self.tally.lowest,
            highest=self.tally.highest,
            first=first,
        )

    def _scale(self) -> CheckOutcome:
        misfit = self.levels.misfit(self.spec)
        if misfit is None:
            return self._outcome("scale", bad=0, said="")
        return self._outcome(
            "scale", bad=1, said=misfit.said, factor=misfit.factor, inverted=misfit.inverted, first=str(misfit.day)
        )

    def _invented_dates(self, collected: Collected) -> CheckOutcome:
        week = self.coverage.week()
        said = (
            f"{week.odd}: dates that were made up, bars cut by another clock's days, or not the calendar "
            f"{self.spec.calendar!r}? check source.clock and calendar in configs/pairs/{self.spec.pair}.yaml"
        )
        return self._outcome(
            "invented_dates",
            bad=1 if week.odd else 0,
            said=said,
            weeks=week.weeks,
            weekend_rows=week.weekend_rows,
            weekends=week.weekends,
            fetched_outside_week=collected.outside_week,
        )

    def _frozen_quotes(self) -> CheckOutcome:
        run, limit = self.frozen.longest, self.frozen.limit / 3600
        facts: dict[str, Scalar] = {"limit_hours": limit}
        said = ""
        if run is not None:
            hours = run.open_seconds / 3600
            facts |= {"longest_hours": hours, "from": str(run.first), "to": str(run.last)}
            said = (
                f"{run.rows} rows from {run.first} to {run.last} repeat the same prices over {hours:,.1f} hours of "
                f"open market, the longest of {self.frozen.count} over {limit:g} hours: a feed that hangs, or a peg?"
            )
        return self._outcome("frozen_quotes", bad=self.frozen.count, said=said, **facts)

    def _same_time_other_price(self, collected: Collected) -> CheckOutcome:
        said = f"{collected.replaced} rows had the time of another and other prices; the last in file order was kept"
        return self._outcome("same_time_other_price", bad=collected.replaced, said=said)

    def _spikes(self, collected: Collected) -> CheckOutcome:
        said = f"{collected.spikes} spikes that reverted were taken back; each lies in the table `rejects`"
        return self._outcome("spikes", bad=collected.spikes, said=said)

    def _gaps(self) -> CheckOutcome:
        gap = self.longest[0] if self.longest else None
        dates = 0.0 if gap is None else gap.open_seconds / _DAY
        limit = self.spec.gap_limit
        said = "" if gap is None else f"no price between {gap.before} and {gap.after}: {dates:.1f} open trading dates"
        return CheckOutcome(
            name="gaps",
            passed=dates <= limit + _CHANGE_OF_CLOCKS,
            blocking=CHECKS["gaps"],
            description=said and f"{said}, limit {limit}",
            metadata={"rows": self.rows, "gaps": self.gap_count, "longest_dates": dates, "limit": limit},
        )
