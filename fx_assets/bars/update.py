"""One update of a pair's bars: of the blocks of raw prices that changed, and nothing else, made anew."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import polars as pl
import pyarrow as pa

from fx_assets.bars.quality import check_bars
from fx_assets.bars.schema import BAR_SCHEMA
from fx_assets.bars.version import CODE_VERSION
from fx_assets.bars.versions import bar_versions
from fx_assets.prices.batch import Form
from fx_assets.prices.history import current_view
from fx_assets.prices.schema import conform, polars_schema, table_of
from fx_assets.prices.triangles import cross_checks, triangles
from fx_assets.specs.schema import Frequency, PairSpec
from fx_assets.storage.errors import NoData
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.lake import Lake
from fx_assets.storage.records import CheckOutcome, State
from fx_assets.storage.snapshot import Snapshot
from fx_assets.timegrid.blocks import block_of, dates_of, period_of
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.frequencies import end_expr, seconds_of, start_expr
from fx_assets.timegrid.sessions import trading_date_expr

_DAY = timedelta(days=1)
_WEEK_ROOM = timedelta(days=6)
_CROSSED_BLOCKS = 2


def table_name(frequency: str) -> str:
    """Lake table of bars at a frequency."""
    return f"bars/{frequency}"


def basis_of(spec: PairSpec, form: Form, frequency: Frequency) -> str:
    """What stored bars are good for; another basis makes all of them anew."""
    return fingerprint(spec.calendar, spec.gap_limit, str(form), frequency, CODE_VERSION)


def has_ended(newest: datetime, frequency: Frequency, now: datetime, calendar: CalendarName) -> bool:
    """Whether the bar that the newest price (aware) lies in was over at `now`; it is a bar only then."""
    begin = start_expr(pl.lit(newest).cast(pl.Datetime("us", "UTC")), frequency)
    end: datetime = pl.select(end_expr(begin, frequency, calendar)).item()
    return end <= now


@dataclass
class BarUpdate:
    """Bars of what changed: iterate over `blocks`, then read the checks and the facts."""

    spec: PairSpec
    form: Form
    frequency: Frequency
    lake: Lake
    last: State | None
    now: datetime
    others: Sequence[str] = ()
    inputs: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    touched: list[pl.DataFrame] = field(default_factory=list)
    newest: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        facts: Mapping[str, Any] = {} if self.last is None else self.last.metadata
        self.rows = dict(facts.get("_rows", {}))
        self.newest = {name: facts[name] for name in ("last", "last_close") if name in facts}

    def blocks(self) -> Iterator[tuple[str, pa.Table]]:
        """(block, all bars of it, every version) for each block of bars that changed."""
        raw = self.lake.snapshot(table_of(self.form.kind))
        self.inputs = raw.blocks(self.spec.pair)
        period = period_of("bar", seconds_of(self.frequency))
        targets: dict[str, list[tuple[date, date]]] = {}
        for name in sorted(self._changed()):
            first, last = self._span(name)
            targets.setdefault(block_of(first if period != "all" else date.max, period), []).append((first, last))
        held = None if self.last is None else self.lake.snapshot(table_name(self.frequency))
        for block, spans in sorted(targets.items()):
            fresh = pl.concat([self._bars(raw, first, last) for first, last in spans])
            fresh = fresh.unique(["time", "known_at"], keep="last", maintain_order=True)
            stored = self._stored(held, block)
            outside = pl.lit(True)
            for first, last in spans:
                outside &= ~pl.col("trading_date").is_between(first, last)
            rows = pl.concat([stored.filter(outside), fresh]).sort("time", "known_at")
            self._take(block, fresh, rows)
            if not rows.equals(stored):
                yield block, rows.to_arrow()

    def _changed(self) -> set[str]:
        known: Mapping[str, str] = {}
        if self.last is not None and self.last.metadata.get("_basis") == self._basis:
            known = self.last.metadata["_inputs"]
        changed = {name for name, digest in self.inputs.items() if known.get(name) != digest}
        # The newest bars may have ended since, although no price is new.
        return changed | set(sorted(self.inputs)[-1:])

    def _span(self, raw_block: str) -> tuple[date, date]:
        """The trading dates whose bars a block of raw prices has a say in: those of a week, for bars of a week."""
        first, last = dates_of(raw_block)
        if self.frequency == "1w" and first > date.min:
            first, last = first - timedelta(days=first.weekday()), last + _WEEK_ROOM - timedelta(days=last.weekday())
        return first, last

    def _bars(self, raw: Snapshot, first: date, last: date) -> pl.DataFrame:
        wanted = [name for name in self.inputs if dates_of(name)[0] <= last and dates_of(name)[1] >= first]
        rows = pl.DataFrame(raw.read(self.spec.pair, blocks=wanted))
        if len(wanted) > 1:  # of the neighbours, only what lies in the span
            day = pl.col("trading_date") if "trading_date" in rows.columns else trading_date_expr(pl.col("time"))
            rows = rows.filter(day.is_between(first, last))
        return bar_versions(
            rows, self.spec.pair, self.frequency, form=self.form, calendar=self.spec.calendar, now=self.now
        )

    def _stored(self, held: Snapshot | None, block: str) -> pl.DataFrame:
        if held is None or block not in held.blocks(self.spec.pair):
            return pl.DataFrame(schema=polars_schema(BAR_SCHEMA))
        return conform(pl.DataFrame(held.read(self.spec.pair, blocks=[block])), BAR_SCHEMA)

    def _take(self, block: str, fresh: pl.DataFrame, rows: pl.DataFrame) -> None:
        self.touched.append(fresh)
        self.rows[block] = rows.height
        newest = current_view(rows).tail(1)
        if not newest.is_empty() and str(newest["trading_date"].item()) >= self.newest.get("last", ""):
            self.newest = {"last": str(newest["trading_date"].item()), "last_close": float(newest["close"].item())}

    def checks(self) -> list[CheckOutcome]:
        """The checks of the bars that were made anew; against other pairs' bars, those of the newest blocks."""
        fresh = pl.concat(self.touched) if self.touched else pl.DataFrame(schema=polars_schema(BAR_SCHEMA))
        return [*check_bars(fresh, self.spec), *self._cross_checks(fresh)]

    def _cross_checks(self, fresh: pl.DataFrame) -> list[CheckOutcome]:
        newest = sorted(fresh["block"].unique())[-_CROSSED_BLOCKS:]
        legs = {leg for legs in triangles(self.spec.pair, self.others) for leg in legs}
        held = {leg: rows for leg in sorted(legs) if (rows := self._bars_of(leg, newest)) is not None}
        view = current_view(fresh.filter(pl.col("block").is_in(newest)))
        return cross_checks(self.spec.pair, view, held, self.spec)

    def _bars_of(self, pair: str, blocks: list[str]) -> pl.DataFrame | None:
        try:
            return current_view(pl.DataFrame(self.lake.read(table_name(self.frequency), pair, blocks=blocks)))
        except NoData:
            return None

    def facts(self) -> dict[str, Any]:
        """Plain numbers about the pair's bars, and what they were made of."""
        return {
            "rows": sum(self.rows.values()),
            **self.newest,
            "_inputs": self.inputs,
            "_basis": self._basis,
            "_rows": self.rows,
        }

    @property
    def _basis(self) -> str:
        return basis_of(self.spec, self.form, self.frequency)
