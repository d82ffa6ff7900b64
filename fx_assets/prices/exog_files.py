"""The files of an exogenous series: read by the door of prices, so that its rules of text, times and rejects hold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import PurePosixPath

import polars as pl

from fx_assets.prices.batch import Batch
from fx_assets.prices.cleaning import in_order, out_of_order
from fx_assets.prices.exog import dated
from fx_assets.prices.exog_source import KIND, dropped_files, source_spec
from fx_assets.prices.ingest import KEPT_REJECTS
from fx_assets.prices.sources.base import Feed, Request, SourceError, source
from fx_assets.settings import Settings
from fx_assets.specs.exog import ExogSpec, SeriesSpec

_UTC = pl.Datetime("us", "UTC")
_ROWS = pl.Schema(
    [("time", _UTC), ("known_at", _UTC), ("trading_date", pl.Date()), ("close", pl.Float64()), ("source", pl.String())]
)
_REJECTS = pl.Schema({"source": pl.String, "line": pl.Int64, "reason": pl.String, "raw": pl.String})


def read_files(
    group: ExogSpec, series: str, *, settings: Settings, now: datetime, log: Callable[[str], None]
) -> tuple[Reader, Feed]:
    """The rows of all files of a series, and the feed that is used up: its `cursor` has their hashes, `notes` counts.

    Raises `SourceError` where there is no file, or one that cannot be read.
    """
    spec = group.series[series]
    request = Request(
        pair=series,
        source=source_spec(spec, spec.files or dropped_files(group, series, settings)),
        settings=settings,
        log=log,
        now=now,
        history_start=date.min,
        fx_week=False,
    )
    feed, reader = source(KIND).open(request), Reader(spec, now)
    try:
        for batch in feed.batches:
            reader.take(batch)
    except SourceError as error:
        if "columns.close" not in str(error):
            raise
        raise SourceError(str(error).replace("columns.close", "columns.value")) from error
    return reader, feed


@dataclass
class Reader:
    """Rows by date, each once: of a date that stands again the last in the order of the files is kept.

    `rows`: `time`, `known_at`, `trading_date`, `close`, `source` (a file). `rejects`: `source`, `line`, `reason`,
    `raw`, at most 10,000, while `reject_counts` counts all by their first word. `counts`: `read` (sound rows),
    `waiting` (of these, not known yet), `duplicates`, `replaced` and `out_of_order` as in `cleaning.Cleaned`.
    """

    spec: SeriesSpec
    now: datetime
    rows: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_ROWS))
    counts: Counter[str] = field(
        default_factory=lambda: Counter(read=0, waiting=0, duplicates=0, replaced=0, out_of_order=0)
    )
    rejects: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=_REJECTS))
    reject_counts: Counter[str] = field(default_factory=Counter)

    def take(self, batch: Batch) -> None:
        """Apply the rules to one batch; memory grows with the dates, not with the rows."""
        self._reject(batch.origin, batch.rejects)
        if batch.rows.is_empty():
            return
        found = dated(batch.rows, self.spec, now=self.now)
        self._reject(batch.origin, found.rejects)
        self.counts["read"] += found.rows.height + found.waiting
        self.counts["waiting"] += found.waiting
        self.counts["out_of_order"] += out_of_order(found.rows["time"])
        fresh = found.rows.with_columns(source=pl.lit(PurePosixPath(batch.origin).name)).select(_ROWS.names())
        self.rows, duplicates, replaced = in_order(pl.concat([self.rows, fresh]))
        self.counts["duplicates"] += duplicates
        self.counts["replaced"] += replaced

    def _reject(self, origin: str, rejects: pl.DataFrame) -> None:
        if rejects.is_empty():
            return
        words = rejects["reason"].str.extract(r"^([^:]*)").value_counts()
        self.reject_counts.update(dict(words.iter_rows()))
        kept = rejects.head(KEPT_REJECTS - self.rejects.height).with_columns(
            source=pl.lit(origin), reason=pl.col("reason").str.replace("bad_number: close", "bad_number: value")
        )
        self.rejects = pl.concat([self.rejects, kept.select(_REJECTS.names())])
