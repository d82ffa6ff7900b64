"""From batches of any source to clean rows by block, in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from pathlib import Path

import polars as pl

from fx_assets.prices.batch import Batch, Form
from fx_assets.prices.cleaning import FUTURE, check_rows, in_order, out_of_order
from fx_assets.prices.natural import with_known_at, with_trading_date
from fx_assets.prices.quarantine import SPIKE, Quarantine, Spike
from fx_assets.prices.schema import PRICE_COLUMNS, conform, polars_schema, schema_of
from fx_assets.prices.sources.base import SourceError
from fx_assets.prices.spool import IN_MEMORY, Spool
from fx_assets.timegrid.blocks import block_of, period_of

KEPT_REJECTS = 10_000
"""Rejects that are kept in words; every one is counted."""

Log = Callable[[str], None]
Tail = pl.DataFrame | Callable[[], pl.DataFrame | None] | None
_SATURDAY = 6  # of Polars, whose week begins with Monday = 1
_LOGGED_ROWS = 5_000_000
_SHORT, _TOGETHER = 1 << 14, 1 << 17  # rows: of a batch that may wait for others, and of all that wait
_REJECTS = pl.Schema({"source": pl.String, "line": pl.Int64, "reason": pl.String, "raw": pl.String})
_TOLD = [pl.col(name).cast(kind) for name, kind in _REJECTS.items()]
_UTC = pl.Datetime("us", "UTC")
_TAKEN_BACK = {"block": pl.String(), "time": _UTC, "known_at": _UTC, "trading_date": pl.Date()}


@dataclass
class Collected:
    """What a fetch gave, cleaned: read `block` by block; the counts are of all of it.

    `blocks`: names, by time; one may hold nothing but retractions of rows stored earlier. `rejects`: `source` (the file
    or address), `line`, `reason`, `raw`, at most 10,000, while `reject_counts` counts all by their first word.
    `rows`: clean rows, each time once, spikes among them. `duplicates`, `replaced`, `out_of_order`: as in
    `cleaning.Cleaned`. `spikes`: rows taken back. `before_history`: rows of trading dates before the pair's start, left
    out. `unfinished`: bars that had not ended, left out until they have. `outside_week`: rows kept though they lie
    between Friday and Sunday 17:00 New York. `implausible`: rows kept though a price is outside the pair's range.
    `first`, `last`: times (UTC) of the rows.
    """

    pair: str
    source: str
    blocks: list[str] = field(default_factory=list)
    rejects: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_REJECTS))
    reject_counts: dict[str, int] = field(default_factory=dict)
    rows: int = 0
    duplicates: int = 0
    replaced: int = 0
    out_of_order: int = 0
    spikes: int = 0
    before_history: int = 0
    unfinished: int = 0
    outside_week: int = 0
    implausible: int = 0
    first: datetime | None = None
    last: datetime | None = None
    origins: list[str] = field(default_factory=list)
    _form: Form | None = None
    _spool: Spool | None = None
    _taken_back: dict[str, pl.DataFrame] = field(default_factory=dict)

    @property
    def form(self) -> Form:
        """What the prices are. Raises `LookupError` where not a single batch came."""
        if self._form is None:
            raise LookupError(f"{self.pair}: {self.source} gave no batch, so the form of its prices is unknown")
        return self._form

    def block(self, name: str) -> pl.DataFrame:
        """Rows of a block, RAW_SCHEMA or TICK_SCHEMA, by `time` and then `known_at`.

        Each time stands once; that of a spike a second time without prices, known from when it was proven. A spike may
        also be one of a row that is stored already: then only the second row is here.
        """
        parts = []
        if self._spool is not None and name in self._spool.blocks():
            parts.append(self._whole(self._spool.load(name), name))
        if name in self._taken_back:
            parts.append(self._whole(self._taken_back[name], name))
        if not parts:
            raise KeyError(f"{self.pair}: block {name!r} is not among {', '.join(self.blocks) or 'none'}")
        return parts[0] if len(parts) == 1 else pl.concat(parts).sort("time", "known_at", maintain_order=True)

    def _whole(self, rows: pl.DataFrame, block: str) -> pl.DataFrame:
        """`rows` with all columns of the schema."""
        schema = schema_of(self.form.kind)
        told = {
            "pair": self.pair,
            "block": block,
            "kind": self.form.kind,
            "side": self.form.side,
            "source": self.source,
        }
        if self.form.kind == "tick" and "known_at" not in rows.columns:
            rows = rows.with_columns(known_at="time")
        rows = rows.with_columns(
            *(pl.lit(text).alias(name) for name, text in told.items()),
            seconds=pl.lit(self.form.seconds, dtype=pl.Int32),
        )
        absent = {name: kind for name, kind in polars_schema(schema).items() if name not in rows.columns}
        rows = rows.with_columns(pl.lit(None, dtype=kind).alias(name) for name, kind in absent.items())
        return conform(rows.select(schema.names), schema)


def collect(
    batches: Iterable[Batch],
    *,
    pair: str,
    source: str,
    scratch: Path,
    now: datetime,
    plausible: tuple[float, float] | None = None,
    fx_week: bool = True,
    history_start: date | None = None,
    log: Log | None = None,
    tail: Tail = None,
    in_memory: int = IN_MEMORY,
) -> Collected:
    """Clean all rows of a fetch by the rules of `cleaning` and `spikes`, in memory bounded by the largest block.

    Beyond `in_memory` rows all go to files in a new folder of `scratch`, which must live as long as the result is read.
    `now` (aware) tells the future. `plausible` and `fx_week` only count what lies outside; `fx_week` says too when a
    week's bar ends. `tail`: rows as they are stored around what is fetched, or what gives them once the form is known,
    see `quarantine.Quarantine`; `history.last_said` makes them. Raises `SourceError` where two batches differ in form,
    and `WriteFailed` where the disk refuses.
    """
    if now.tzinfo is None:
        raise ValueError(f"now {now.isoformat()} has no time zone; give it in UTC")
    collected = Collected(pair, source)
    collector = _Collector(collected, Spool(scratch, in_memory), now, plausible, fx_week, history_start, log or _silent)
    for batch in batches:
        collector.take(batch)
    collector.finish(tail)
    return collected


@dataclass
class _Collector:
    """Fills a `Collected`: `take` each batch, then `finish`."""

    into: Collected
    spool: Spool
    now: datetime
    plausible: tuple[float, float] | None
    fx_week: bool
    history_start: date | None
    log: Log
    counts: Counter[str] = field(default_factory=Counter)
    rejects: list[pl.DataFrame] = field(default_factory=list)
    room: int = KEPT_REJECTS
    latest: datetime | None = None  # time of the origin at hand
    read: int = 0
    short: list[tuple[int, Batch]] = field(default_factory=list)  # held back, with the number of the origin

    def take(self, batch: Batch) -> None:
        """Clean the rows one by one and put them by their blocks."""
        if batch.rows.is_empty() and batch.rejects.is_empty():
            return
        self._check_form(batch)
        fresh = batch.origin not in self.into.origins[-1:]
        if fresh:
            self.into.origins.append(batch.origin)
        number = len(self.into.origins) - 1
        if self.short and batch.rows.schema != self.short[0][1].rows.schema:
            self._take_short()
        if fresh and batch.rejects.is_empty() and batch.rows.height < _SHORT:
            self.short.append((number, batch))
            if sum(held.rows.height for _, held in self.short) >= _TOGETHER:
                self._take_short()
            return
        self._take_short()
        self._take(batch, number, fresh=fresh)

    def _take_short(self) -> None:
        """Clean the batches that were held back: all at once where nothing is wrong with any, else one by one.

        A file of an hour has 2,000 ticks, and a batch costs more than its rows. One by one is what counts: a column
        without a value in one file is none that this file has.
        """
        held, self.short = self.short, []
        if len(held) > 1:
            rows, form = pl.concat(batch.rows for _, batch in held), held[0][1].form
            if rows["time"].is_sorted():
                checked = check_rows(rows, form, now=self.now, keep=0)
                if not checked.counts:
                    numbers = pl.Series([number for number, _ in held], dtype=pl.UInt32)
                    origins = numbers.repeat_by(pl.Series([batch.rows.height for _, batch in held])).explode()
                    self.latest = None
                    self._progress(rows.height)
                    self._put(checked.rows, form, origins)
                    return
        for number, batch in held:
            self._take(batch, number, fresh=True)

    def _take(self, batch: Batch, number: int, *, fresh: bool) -> None:
        """Clean one batch of the origin of that number; `fresh`: its first."""
        if fresh:
            self.latest = None
        self._reject(batch.origin, batch.rejects, _by_word(batch.rejects["reason"]))
        checked = check_rows(batch.rows, batch.form, now=self.now, keep=self.room)
        self._reject(batch.origin, checked.rejects, checked.counts)
        self._progress(batch.rows.height)
        if checked.rows.height:
            self._put(checked.rows, batch.form, pl.lit(number, dtype=pl.UInt32))

    def _put(self, checked: pl.DataFrame, form: Form, origin: pl.Expr | pl.Series) -> None:
        """Rows that meet the rules, by their blocks; `origin`: the number of the origin of each."""
        self._count_order(checked["time"])
        rows = checked.with_columns(pl.col("line").cast(pl.Int64), origin=origin)
        for block, part in _by_block(self._in_scope(with_trading_date(rows), form), form):
            # Of ticks there are many, and their trading date is soon made again.
            self.spool.add(block, part.drop("trading_date") if form.kind == "tick" else part)

    def finish(self, tail: Tail) -> None:
        """Bring each block into order, look for spikes, and hand over."""
        self._take_short()
        into, spool = self.into, self.spool
        names = spool.blocks()
        if names:
            quarantine = Quarantine(into.form, tail() if callable(tail) else tail)
        spikes: list[Spike] = []
        for name in names:
            rows, duplicates, replaced = in_order(spool.load(name))
            into.duplicates += duplicates
            into.replaced += replaced
            into.rows += rows.height
            into.first = into.first or rows["time"][0]
            into.last = rows["time"][-1]
            timed = rows if "known_at" in rows.columns else rows.with_columns(known_at="time")
            spikes += quarantine.look(name, timed, final=name == names[-1])
            spool.settle(name, rows.drop("line", "origin"))
        into._spool = spool
        into._taken_back = self._taken_back(spikes)
        into.blocks = sorted({*names, *into._taken_back})
        if self.rejects:
            into.rejects = pl.concat(self.rejects)
        into.reject_counts = dict(sorted(self.counts.items()))

    def _check_form(self, batch: Batch) -> None:
        into = self.into
        if into._form is None:
            into._form = batch.form
        elif batch.form != into._form:
            raise SourceError(
                f"{into.pair}: {into.origins[0]} holds {into._form}, {batch.origin} holds {batch.form}; prices of one "
                f"pair have one form: give only files that agree, or name them under source.files"
            )

    def _reject(self, origin: str, rejects: pl.DataFrame, counts: Mapping[str, int]) -> None:
        self.counts.update(counts)
        kept = rejects.head(self.room)
        if kept.height:
            self.room -= kept.height
            self.rejects.append(kept.with_columns(source=pl.lit(origin)).select(_TOLD))

    def _count_order(self, times: pl.Series) -> None:
        if self.latest is not None:
            times = pl.concat([pl.Series(times.name, [self.latest], dtype=times.dtype), times])
        self.into.out_of_order += out_of_order(times)
        latest = times.max()
        assert isinstance(latest, datetime)
        self.latest = latest

    def _in_scope(self, rows: pl.DataFrame, form: Form) -> pl.DataFrame:
        """`rows` of the pair's history that are over, with `known_at`; what is only counted is counted."""
        into = self.into
        if self.history_start is not None:
            wanted = rows["trading_date"] >= self.history_start
            into.before_history += int((~wanted).sum())
            rows = rows.filter(wanted)
        if form.kind != "tick" or "known_at" in rows.columns:
            rows = with_known_at(rows, form, fx_week=self.fx_week)
        if form.kind == "bar":
            over = rows["known_at"] <= self.now + FUTURE
            into.unfinished += int((~over).sum())
            rows = rows.filter(over)
        if self.fx_week and form.kind != "fixing":
            into.outside_week += int((rows["trading_date"].dt.weekday() >= _SATURDAY).sum())
        if self.plausible is not None:
            low, high = self.plausible
            inside = [pl.col(name).is_between(low, high) for name in PRICE_COLUMNS if name in rows.columns]
            into.implausible += rows.select((~pl.all_horizontal(inside)).sum()).item()
        return rows

    def _progress(self, rows: int) -> None:
        self.read += rows
        if self.read // _LOGGED_ROWS > (self.read - rows) // _LOGGED_ROWS:
            self.log(f"{self.into.pair}: {self.read:,} rows read, the last of {self.into.origins[-1]}")

    def _taken_back(self, spikes: list[Spike]) -> dict[str, pl.DataFrame]:
        """Rows without prices for the spikes, by block; and their record."""
        into = self.into
        into.spikes = len(spikes)
        if not spikes:
            return {}
        self.counts[SPIKE] += len(spikes)
        origins = [into.source if spike.origin is None else into.origins[spike.origin] for spike in spikes]
        told = {"source": origins, "line": [spike.line for spike in spikes], "raw": [spike.raw for spike in spikes]}
        record = pl.DataFrame(told, schema_overrides=_REJECTS).with_columns(reason=pl.lit(SPIKE))
        self.rejects.append(record.select(_REJECTS.names()).head(self.room))
        rows = pl.DataFrame([asdict(spike) for spike in spikes], schema=_TAKEN_BACK)
        if into.form.kind == "tick":
            rows = rows.drop("trading_date")
        return {str(part["block"][0]): part.drop("block") for part in rows.partition_by("block", maintain_order=True)}


def _by_word(reasons: pl.Series) -> dict[str, int]:
    """How often each reason stands, by what comes before its colon."""
    return dict(reasons.str.extract(r"^([^:]*)").value_counts().iter_rows())


def _by_block(rows: pl.DataFrame, form: Form) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows of each block, in their order."""
    if rows.is_empty():
        return
    period = period_of(form.kind, form.seconds)
    blocks = {day: block_of(day, period) for day in rows["trading_date"].unique()}
    if len({*blocks.values()}) == 1:
        yield next(iter(blocks.values())), rows
        return
    names = rows["trading_date"].replace_strict(blocks, return_dtype=pl.String)
    for part in rows.with_columns(block=names).partition_by("block", maintain_order=True):
        yield part["block"][0], part.drop("block")


def _silent(line: str) -> None:
    """The log of a caller that wants none."""
