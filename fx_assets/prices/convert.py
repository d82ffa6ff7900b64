"""Reads price files of any source into the canonical frame, and says what it met on the way."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq

from fx_assets.prices.batch import Form
from fx_assets.prices.gaps import Gap, find_gaps
from fx_assets.prices.history import current_view
from fx_assets.prices.ingest import Collected, collect
from fx_assets.prices.schema import OHLC, PRICE_COLUMNS
from fx_assets.prices.sources.base import Request, SourceError, source
from fx_assets.settings import Settings
from fx_assets.specs.schema import SourceSpec
from fx_assets.timegrid.calendars import CalendarName

EARLIEST = date(1970, 1, 1)
SHOWN_GAPS = 20
_OPTIONAL = (*(name for name in PRICE_COLUMNS if name not in OHLC), "ticks", "volume")
_TOLD_ELSEWHERE = {"files", "files_skipped"}  # notes of a source that the report has, or that say nothing here


@dataclass
class Report:
    """What was read: counts, the first and last time (UTC), and the gaps in open market time, the longest first.

    `rejects`: rows by the first word of their reason, and `examples` of each the first in words. `replaced`: rows whose
    time another row had with other prices; the last in file order was kept. `unfinished`: bars left out since they had
    not ended. `outside_week`: rows kept though no currency market was open. `implausible`: rows kept though a price
    lies outside the pair's plausible range; None where no range is known.
    """

    pair: str
    form: str = ""
    files: int = 0
    rows: int = 0
    first: datetime | None = None
    last: datetime | None = None
    rejects: dict[str, int] = field(default_factory=dict)
    examples: dict[str, str] = field(default_factory=dict)
    duplicates: int = 0
    replaced: int = 0
    out_of_order: int = 0
    spikes: int = 0
    unfinished: int = 0
    outside_week: int = 0
    implausible: int | None = None
    gaps: list[Gap] = field(default_factory=list)
    notes: dict[str, str | int] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The report as a JSON object; times in ISO 8601, at most the 20 longest gaps."""
        longest = [
            {"from": gap.before.isoformat(), "to": gap.after.isoformat(), "open_minutes": round(gap.open_seconds / 60)}
            for gap in self.gaps[:SHOWN_GAPS]
        ]
        return {
            "pair": self.pair,
            "form": self.form,
            "files": self.files,
            "rows": self.rows,
            "first": None if self.first is None else self.first.isoformat(),
            "last": None if self.last is None else self.last.isoformat(),
            "rejects": self.rejects,
            "duplicates": self.duplicates,
            "gaps": {"count": len(self.gaps), "longest": longest},
            "replaced": self.replaced,
            "out_of_order": self.out_of_order,
            "spikes": self.spikes,
            "unfinished": self.unfinished,
            "outside_week": self.outside_week,
            "implausible": self.implausible,
            "examples": self.examples,
            "notes": self.notes,
        }


def convert(
    chosen: SourceSpec,
    pair: str,
    out: Path,
    *,
    settings: Settings,
    calendar: CalendarName,
    now: datetime,
    log: Callable[[str], None],
    plausible: tuple[float, float] | None = None,
) -> Report:
    """Read the files of `chosen` and write the clean rows of `pair` to `out` as Parquet, by increasing time.

    Columns: `time` (UTC; of a bar its start), then `open high low close` for bars, `bid ask` for ticks, `close` for
    fixings, then what else the source knows. `out` appears whole or not at all. `plausible`: only counts what lies
    outside. Raises `SourceError` where there is nothing usable, `ValueError` (a `FileError`) for a file that cannot be
    trusted, and `OSError` where `out` cannot be written.
    """
    around_the_clock = calendar == "24x7"
    request = Request(
        pair=pair,
        source=chosen,
        settings=settings,
        log=log,
        now=now,
        history_start=EARLIEST,
        fx_week=not around_the_clock,
        only_files=True,
    )
    feed = source(chosen.kind).open(request)
    with scratch_beside(out) as scratch:
        collected = collect(
            feed.batches,
            pair=pair,
            source=chosen.kind,
            scratch=scratch,
            now=now,
            plausible=plausible,
            fx_week=not around_the_clock,
            log=log,
        )
        if not collected.blocks:
            raise SourceError(f"{pair}: no usable row; {_why(collected)}")
        report = _describe(collected, pair, calendar)
        report.implausible = None if plausible is None else collected.implausible
        report.notes = {name: told for name, told in feed.notes.items() if name not in _TOLD_ELSEWHERE}
        report.files = max(report.files, int(feed.notes.get("files", 0)))
        draft = scratch / "out.parquet"
        _write(collected, draft, _columns(collected))
        draft.replace(out)
    return report


@contextmanager
def scratch_beside(out: Path) -> Iterator[Path]:
    """A folder beside `out` for what is not whole yet; afterwards it is gone, and without `out` so is what it needed.

    Raises `OSError` naming `out` where no file can be made there.
    """
    made = [folder for folder in (out.parent, *out.parent.parents) if not folder.exists()]
    try:
        try:
            out.parent.mkdir(parents=True, exist_ok=True)
            folder = tempfile.TemporaryDirectory(prefix=".fx-assets-", dir=out.parent)
        except OSError as error:
            raise OSError(f"{out} cannot be written: {error.strerror}; name a file in a folder of yours") from error
        with folder as scratch:
            yield Path(scratch)
    finally:
        if not out.exists():
            for parent in made:
                with suppress(OSError):  # never made, or someone else's file came to lie in it
                    parent.rmdir()


def _views(collected: Collected) -> Iterator[pl.DataFrame]:
    for name in collected.blocks:
        yield current_view(collected.block(name))


def _describe(collected: Collected, pair: str, calendar: CalendarName) -> Report:
    report = Report(
        pair=pair,
        form=str(collected.form),
        files=len(collected.origins),
        rejects=dict(sorted(collected.reject_counts.items())),
        examples=_examples(collected),
        duplicates=collected.duplicates,
        replaced=collected.replaced,
        out_of_order=collected.out_of_order,
        spikes=collected.spikes,
        unfinished=collected.unfinished,
        outside_week=collected.outside_week,
    )
    for view in _views(collected):
        if view.is_empty():
            continue
        times = view["time"]
        if report.last is not None:  # a gap may lie between two blocks
            times = pl.concat([pl.Series("time", [report.last], dtype=times.dtype), times])
        report.gaps += find_gaps(times, collected.form, calendar)
        report.rows += view.height
        report.first = report.first or view["time"][0]
        report.last = view["time"][-1]
    report.gaps.sort(key=lambda gap: -gap.open_seconds)
    return report


def _columns(collected: Collected) -> list[str]:
    """The columns of the canonical frame, and what else any row has."""
    needed = _needed(collected.form)
    found = {
        name
        for view in _views(collected)
        for name in _OPTIONAL
        if name in view.columns and view[name].null_count() < view.height
    }
    return ["time", *needed, *(name for name in _OPTIONAL if name in found and name not in needed)]


def _needed(form: Form) -> tuple[str, ...]:
    return {"tick": ("bid", "ask"), "bar": OHLC, "fixing": ("close",)}[form.kind]


def _write(collected: Collected, path: Path, columns: list[str]) -> None:
    writer: pq.ParquetWriter | None = None
    try:
        for view in _views(collected):
            table: pa.Table = view.select(columns).to_arrow()
            writer = writer or pq.ParquetWriter(path, table.schema, compression="zstd")
            writer.write_table(table.cast(writer.schema), row_group_size=131_072)
    finally:
        if writer is not None:
            writer.close()


def _examples(collected: Collected) -> dict[str, str]:
    """Of each reason the first row that was rejected: its file, its line, why, and how it reads."""
    firsts: dict[str, str] = {}
    for origin, line, reason, raw in collected.rejects.select("source", "line", "reason", "raw").iter_rows():
        where = origin if line is None else f"{origin}, line {line}"
        text = f"{where}: {reason}: {raw}" if raw else f"{where}: {reason}"
        firsts.setdefault(reason.partition(":")[0], "".join(char if char.isprintable() else " " for char in text))
    return dict(sorted(firsts.items()))


def _why(collected: Collected) -> str:
    if collected.unfinished:
        return f"the {collected.unfinished} bars of {', '.join(collected.origins)} have not ended yet"
    if not collected.reject_counts:
        return "the files hold none, as those of hours when the market was closed do"
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(collected.reject_counts.items()))
    return f"rejected: {counts}; for example {next(iter(_examples(collected).values()))}"
