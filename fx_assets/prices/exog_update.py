"""One update of an exogenous series: its files read by the door of prices, merged with what is held, and checked.

An asset records `rejects`, publishes `draft` under `fingerprint`, and nothing else.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import polars as pl
import pyarrow as pa

from fx_assets.prices.exog import EXOG_SCHEMA, Hole, era_means, exog_rows, holes, merge, out_of_range, values
from fx_assets.prices.exog_chart import series_chart
from fx_assets.prices.exog_files import Reader, read_files
from fx_assets.prices.history import Merged
from fx_assets.prices.schema import REJECTS_SCHEMA, conform
from fx_assets.prices.sources.base import Feed
from fx_assets.prices.version import CODE_VERSION
from fx_assets.settings import Settings
from fx_assets.specs.exog import ExogSpec, SeriesSpec
from fx_assets.storage.errors import NoData
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.lake import Lake
from fx_assets.storage.records import CheckOutcome

# Every check by name, and whether it blocks.
CHECKS: dict[str, bool] = {
    "not_empty": True,
    "in_range": True,
    "rejects_within_limit": True,
    "unique_times": True,
    "known_not_before_time": True,
    "gaps": False,
    "method_change": False,
}
_TOLD = ("files", "files_empty", "columns_ignored")


@dataclass(frozen=True)
class SeriesDraft:
    """What would be published: `table` (EXOG_SCHEMA, every version), its checks, and facts for people."""

    table: pa.Table
    checks: tuple[CheckOutcome, ...]
    facts: dict[str, Any]
    _title: str
    _spec: SeriesSpec
    _view: pl.DataFrame
    _holes: list[Hole]

    def pictures(self) -> dict[str, bytes]:
        """PNG by name, each under 100 kB; none where there is no value."""
        if self._view.is_empty():
            return {}
        spec = self._spec
        return {
            "series": series_chart(
                self._view, title=self._title, holes=self._holes, changes=spec.changes, limits=spec.range
            )
        }


@dataclass
class SeriesUpdate:
    """What the files of a series say. `rows`: EXOG_SCHEMA, each date once; `rejects`: REJECTS_SCHEMA, 10,000 at most.

    `fingerprint` is equal where files, spec and code say nothing new. `waiting`: rows that are not known yet at `now`;
    they are taken once they are.
    """

    group: ExogSpec
    series: str
    now: datetime
    fingerprint: str
    rows: pl.DataFrame
    rejects: pl.DataFrame
    counts: dict[str, int | str]
    reject_counts: dict[str, int]

    @property
    def spec(self) -> SeriesSpec:
        """The series' own part of the configuration."""
        return self.group.series[self.series]

    def draft(self, lake: Lake) -> SeriesDraft:
        """Merge with what the lake holds of the series, and check the whole of it."""
        try:
            held = pl.DataFrame(lake.read(self.group.table, self.series))
        except NoData:
            held = None
        rows, merged = merge(held, self.rows, changes=self.spec.changes, now=self.now)
        view = values(rows)
        found = holes(view["date"], self.spec.gap_limit)
        checks = tuple(self._checks(rows, view, found))
        facts, table = self._facts(rows, view, merged, found), rows.to_arrow().cast(EXOG_SCHEMA)
        return SeriesDraft(table, checks, facts, f"{self.group.name} {self.series}", self.spec, view, found)

    def _checks(self, rows: pl.DataFrame, view: pl.DataFrame, found: list[Hole]) -> Iterator[CheckOutcome]:
        yield _outcome("not_empty", view.height > 0, "" if view.height else "no value", rows=view.height)
        yield self._in_range(view)
        yield self._rejects_within_limit()
        twice = rows.filter(pl.struct("time", "known_at").is_duplicated())
        yield _bad("unique_times", twice, "share both times with another version")
        yield _bad(
            "known_not_before_time", rows.filter(pl.col("known_at") < pl.col("time")), "are known before their time"
        )
        yield self._gaps(found)
        yield self._method_change(view)

    def _in_range(self, view: pl.DataFrame) -> CheckOutcome:
        low, high = self.spec.range
        outside = out_of_range(view, low, high)
        said = ""
        if outside.height:
            row = outside.row(0, named=True)
            said = f"{outside.height} values outside {low:g} to {high:g}, first {row['value']:g} on {row['date']}"
        return _outcome("in_range", not said, said, outside=outside.height)

    def _rejects_within_limit(self) -> CheckOutcome:
        rejects, limit = sum(self.reject_counts.values()), self.spec.reject_limit
        share = rejects / (rejects + int(self.counts["read"])) if rejects else 0.0
        said = ""
        if rejects:
            row = self.rejects.row(0, named=True)
            first = f"{row['source']}, line {row['line']}: {row['reason']}"
            said = f"{share:.2%} of the rows rejected, limit {limit:.2%}; first {first}"
        return _outcome("rejects_within_limit", share <= limit, said, rejects=rejects, share=share, limit=limit)

    def _gaps(self, found: list[Hole]) -> CheckOutcome:
        limit = self.spec.gap_limit
        if not found:
            return _outcome("gaps", True, "", gaps=0, limit=limit)
        longest = max(found, key=lambda hole: hole.days)
        missing = sum(hole.missing for hole in found)
        said = (
            f"{len(found)} {'gap' if len(found) == 1 else 'gaps'} of more than {limit} "
            f"{'day' if limit == 1 else 'days'}, {missing} dates missing; the longest has {longest}"
        )
        return _outcome("gaps", False, said, gaps=len(found), limit=limit, missing=missing, longest_days=longest.days)

    def _method_change(self, view: pl.DataFrame) -> CheckOutcome:
        """Only says what is so: whoever compares values across a change should know."""
        starts = ["the beginning", *map(str, self.spec.changes)]
        eras = [
            f"era {era} from {starts[era]}: {n} values, mean {mean:.1f}, deviation {deviation:.1f}"
            for era, n, mean, deviation in era_means(view)
        ]
        said = "; ".join(eras) if self.spec.changes else "no change of method is known"
        return _outcome("method_change", True, said, changes=", ".join(map(str, self.spec.changes)))

    def _facts(self, rows: pl.DataFrame, view: pl.DataFrame, merged: Merged, found: list[Hole]) -> dict[str, Any]:
        ends = {"first": str(view["date"][0]), "last": str(view["date"][-1])} if view.height else {}
        return {
            "rows": rows.height,
            "values": view.height,
            **ends,
            "added": merged.added,
            "corrected": merged.corrected,
            "late": merged.late,
            "rejected": sum(self.reject_counts.values()),
            **self.counts,
            **{f"rejected/{reason}": count for reason, count in sorted(self.reject_counts.items())},
            "gaps": len(found),
            "longest_gap_days": max((hole.days for hole in found), default=0),
            "missing_dates": sum(hole.missing for hole in found),
        }


def update_series(
    group: ExogSpec, series: str, *, settings: Settings, log: Callable[[str], None], now: datetime | None = None
) -> SeriesUpdate:
    """Read all files of a series, whatever was read before: they are small, and what waited may be known by now.

    Raises `SourceError` where there is no file, or one that cannot be read.
    """
    now, spec = now or datetime.now(UTC), group.series[series]
    reader, feed = read_files(group, series, settings=settings, now=now, log=log)
    told = {"pair": pl.lit(series), "at": pl.lit(now).cast(pl.Datetime("us", "UTC"))}
    return SeriesUpdate(
        group=group,
        series=series,
        now=now,
        fingerprint=_fingerprint(spec, feed, reader),
        rows=exog_rows(reader.rows, pair=series, changes=spec.changes),
        rejects=conform(reader.rejects.with_columns(**told), REJECTS_SCHEMA),
        counts={**reader.counts, **{f"source/{name}": note for name, note in feed.notes.items() if name in _TOLD}},
        reject_counts=dict(reader.reject_counts),
    )


def _fingerprint(spec: SeriesSpec, feed: Feed, reader: Reader) -> str:
    files = {name: entry["sha256"] for name, entry in feed.cursor["files"].items()}
    # What waited becomes known without any file being touched.
    return fingerprint(CODE_VERSION, spec.model_dump(mode="json"), files, reader.rows.height, reader.counts["waiting"])


def _outcome(name: str, passed: bool, said: str, **numbers: float | str) -> CheckOutcome:
    return CheckOutcome(name, passed, CHECKS[name], said, numbers)


def _bad(name: str, rows: pl.DataFrame, said: str) -> CheckOutcome:
    first = f"{rows.height} rows {said}, first of {rows['date'][0]}" if rows.height else ""
    return _outcome(name, rows.is_empty(), first, rows=rows.height)
