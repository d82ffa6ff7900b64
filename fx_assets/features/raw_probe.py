"""The leak probe from raw prices on: what a source gives is cleaned, timed, made into bars and then into features.

For a bar t, all that the source says after t's moment is replaced by noise, some of it wrong, double or out of order;
a later fetch corrects, adds and takes back prices of the past. Both go the way of every fetch (`prices.ingest`,
`prices.history`, `bars.versions`), and every feature up to t must stay the same to the last bit. What a source gave is
what was first said of each time in the lake; other pairs and exogenous series are cut off at t's moment.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import polars as pl

from fx_assets.bars.versions import bar_versions
from fx_assets.features.blocks import Inputs
from fx_assets.features.known import Versions, versions_of
from fx_assets.features.leak import LeakReport, probe
from fx_assets.features.raw_noise import false_future, false_past, taken_back
from fx_assets.features.sets import lookback, needs, steps
from fx_assets.features.stored import StoredInputs
from fx_assets.prices.batch import ROW_COLUMNS, Batch, Form, no_rejects
from fx_assets.prices.history import is_retraction, last_said, merge
from fx_assets.prices.ingest import collect
from fx_assets.prices.natural import with_known_at, with_trading_date
from fx_assets.prices.schema import polars_schema, schema_of, table_of
from fx_assets.prices.update import form_of
from fx_assets.specs.schema import FeatureSetSpec
from fx_assets.storage.lake import Lake
from fx_assets.timegrid.blocks import dates_of
from fx_assets.timegrid.sessions import trading_date_expr

HOW = "falsified in the raw prices"
# Bars before the look-back, for those that a correction takes back.
_ROOM = 16
_BATCH_ROWS = 1 << 17
_DAY = 86_400
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATER = timedelta(seconds=1)


def probe_raw(
    lake: Lake,
    stored: StoredInputs,
    blocks: Sequence[str],
    spec: FeatureSetSpec,
    *,
    n: int,
    seed: int,
    show: Callable[[str], None] = lambda _: None,
) -> LeakReport:
    """Probe `n` bars of the pair of `stored`, from its raw prices on; bars are drawn and errors are as in `leak.probe`.

    `show` is told the block at hand. Raises `NoData` where the lake has no raw prices of the pair.
    """
    with TemporaryDirectory() as scratch:
        raw = RawBars(lake, stored, spec, Path(scratch))

        def source(block: str) -> Inputs:
            show(block)
            return raw.of_block(block)

        def damages(
            _inputs: Inputs, block: str, _time: int, moment: int, rng: np.random.Generator
        ) -> list[tuple[str, Inputs]]:
            return [(HOW, raw.falsified(block, moment, rng))]

        return probe(source, blocks, spec, n=n, seed=seed, damages=damages)


@dataclass(frozen=True)
class _Stretch:
    """The raw prices behind one block of features, and what else the block is made of.

    `given`: the first price said of each time; `cleaned`: what cleaning makes of these, spikes taken back; `rest`: what
    else was said later, and is no finding of cleaning.
    """

    block: str
    inputs: Inputs
    now: datetime
    given: pl.DataFrame
    cleaned: pl.DataFrame
    rest: pl.DataFrame


@dataclass
class RawBars:
    """The inputs of a pair's blocks, with bars made here and now of the raw prices in the lake."""

    lake: Lake
    stored: StoredInputs
    spec: FeatureSetSpec
    scratch: Path
    _held: _Stretch | None = field(default=None, init=False)

    def of_block(self, block: str) -> Inputs:
        """What a block of features is made of: prices as they were given, cleaned and made into bars."""
        stretch = self._stretch(block)
        return replace(stretch.inputs, own=self._bars(stretch, _together(stretch.cleaned, stretch.rest)))

    def falsified(self, block: str, moment: int, rng: np.random.Generator) -> Inputs:
        """The same where all that became known after `moment` (microseconds UTC) is false or not there."""
        stretch, when = self._stretch(block), _EPOCH + timedelta(microseconds=moment)
        known = pl.col("known_at") <= when
        past, future = stretch.given.filter(known), stretch.given.filter(~known)
        given = pl.concat([past, false_future(future, stretch.given["time"], self.form, rng)])
        raw = _together(self._fetched(given, stretch.now), stretch.rest.filter(known))
        raw = self._corrected(raw, past, when, rng)
        inputs = stretch.inputs
        return replace(
            inputs,
            own=self._bars(stretch, raw),
            others={name: rows.take(rows.known_at <= moment) for name, rows in inputs.others.items()},
            exog={name: rows.take(rows.known_at <= moment) for name, rows in inputs.exog.items()},
        )

    @property
    def form(self) -> Form:
        """What the pair's source delivers."""
        return form_of(self.stored.spec)

    def _corrected(
        self, raw: pl.DataFrame, past: pl.DataFrame, when: datetime, rng: np.random.Generator
    ) -> pl.DataFrame:
        """`raw` after one more fetch, a second after `when`, that says other things of the past."""
        now = when + _LATER
        false = false_past(past, raw["time"], self.form, rng).drop("known_at")
        fetched = self._fetched(false, now, tail=last_said(raw)) if false.height else raw.clear()
        back = taken_back(past, rng)
        fetched = pl.concat([fetched, back.join(fetched.filter(is_retraction(fetched)), on="time", how="anti")])
        return merge(raw, fetched, now=now, witnessed=when).rows

    def _fetched(self, rows: pl.DataFrame, now: datetime, tail: pl.DataFrame | None = None) -> pl.DataFrame:
        """What cleaning makes of `rows`, given as a source gives them."""
        form, week = self.form, self.stored.spec.calendar != "24x7"
        columns = ["time", *(name for name in ROW_COLUMNS if name in rows.columns)]
        if form.kind == "fixing" or form.seconds >= _DAY:
            columns.append("trading_date")
        given = rows.select(columns)
        if "known_at" in rows.columns:
            # Only where the source knew better is it more than what follows from the time.
            natural = with_known_at(with_trading_date(given), form, fx_week=week)["known_at"]
            given = given.with_columns(known_at=pl.when(rows["known_at"] != natural).then(rows["known_at"]))
        given = given[[name for name in given.columns if given[name].null_count() < given.height]]
        given = given.with_row_index("line", 1).cast({"line": pl.Int64})
        collected = collect(
            (Batch("raw prices", form, part, no_rejects()) for part in given.iter_slices(_BATCH_ROWS)),
            pair=self.stored.spec.pair,
            source=self.stored.spec.source.kind,
            scratch=self.scratch,
            now=now,
            fx_week=week,
            tail=tail,
        )
        nothing = pl.DataFrame(schema=polars_schema(schema_of(form.kind)))
        return pl.concat([nothing, *(collected.block(name) for name in collected.blocks)])

    def _bars(self, stretch: _Stretch, raw: pl.DataFrame) -> Versions:
        spec = self.stored.spec
        bars = bar_versions(
            raw, spec.pair, self.spec.frequency, form=self.form, calendar=spec.calendar, now=stretch.now
        )
        return versions_of(bars.to_arrow(), needs(steps(self.spec)))

    def _stretch(self, block: str) -> _Stretch:
        if self._held is None or self._held.block != block:
            inputs = self.stored.of_block(block, lookback(self.spec))
            raw = self._raw(inputs, block).sort("time", "known_at")
            given = raw.filter(~is_retraction(raw)).unique("time", keep="first", maintain_order=True)
            now = _last_known(raw, inputs)
            cleaned = self._fetched(given, now)
            rest = raw.join(pl.concat([given, cleaned]), on=["time", "known_at"], how="anti", maintain_order="left")
            self._held = _Stretch(block, inputs, now, given, cleaned, rest)
        return self._held

    def _raw(self, inputs: Inputs, block: str) -> pl.DataFrame:
        """The raw prices from the look-back to the end of the block: whole trading dates, weeks for weekly bars."""
        begin, last = dates_of(block)
        snapshot, pair = self.lake.snapshot(table_of(self.form.kind)), self.stored.spec.pair
        dates = inputs.rows.dates
        first = begin
        if len(dates):
            place = int(np.searchsorted(dates, np.datetime64(begin, "D")))
            first = min(begin, dates[max(0, place - lookback(self.spec) - _ROOM)].item())
        if self.spec.frequency == "1w":
            first, last = first - timedelta(days=first.weekday()), last + timedelta(days=6 - last.weekday())
        wanted = [name for name in snapshot.blocks(pair) if _overlap(name, first, last)]
        rows = pl.DataFrame(snapshot.read(pair, blocks=wanted))
        day = pl.col("trading_date") if "trading_date" in rows.columns else trading_date_expr(pl.col("time"))
        return rows.filter(day.is_between(first, last))


def _last_known(raw: pl.DataFrame, inputs: Inputs) -> datetime:
    """When all of this was known: the last price, and that the last bar had ended."""
    found = raw["known_at"].max()
    end = _EPOCH + timedelta(microseconds=int(inputs.own.end.max(initial=0)))
    return max(end, found) if isinstance(found, datetime) else end


def _together(cleaned: pl.DataFrame, rest: pl.DataFrame) -> pl.DataFrame:
    """All versions by time and then `known_at`, each once."""
    return pl.concat([cleaned, rest]).unique(["time", "known_at"], keep="first").sort("time", "known_at")


def _overlap(block: str, first: date, last: date) -> bool:
    return dates_of(block)[0] <= last and dates_of(block)[1] >= first
