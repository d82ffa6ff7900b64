"""One update of a pair's raw prices: what its source has that is new, merged block by block with what is held."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa

from fx_assets.prices.batch import Form
from fx_assets.prices.history import current_view, last_said, merge
from fx_assets.prices.ingest import Collected, collect
from fx_assets.prices.quality import PriceAudit
from fx_assets.prices.schema import table_of
from fx_assets.prices.sources.base import Feed, Request, SourceError, source
from fx_assets.prices.version import CODE_VERSION
from fx_assets.settings import Settings
from fx_assets.specs.schema import PairSpec, SourceSpec
from fx_assets.storage.hashing import fingerprint
from fx_assets.storage.lake import Lake
from fx_assets.storage.records import State
from fx_assets.timegrid.trading_dates import trading_date_of

TAIL_ROWS = 200
Log = Callable[[str], None]


@dataclass(frozen=True)
class Fetched:
    """What a source gave: its rows on disk or in memory, and the feed that is used up."""

    spec: PairSpec
    form: Form
    collected: Collected
    feed: Feed
    basis: str
    now: datetime
    given: Mapping[str, Any] = field(default_factory=dict)

    @property
    def fingerprint(self) -> str:
        """Equal where the source, files given by hand, the spec and the code say nothing new."""
        return fingerprint(self.basis, self.feed.cursor, self.given)


def basis_of(spec: PairSpec) -> str:
    """What a cursor is good for: another spec, or other code, reads everything again."""
    return fingerprint(spec.model_dump(mode="json", exclude={"costs", "frequencies"}), CODE_VERSION)


def form_of(spec: PairSpec) -> Form:
    """What the pair's source delivers, as configured."""
    return source(spec.source.kind).form(spec.source)


def fetch(
    spec: PairSpec,
    last: State | None,
    lake: Lake,
    *,
    settings: Settings,
    scratch: Path,
    log: Log,
    given: SourceSpec | None = None,
    now: datetime | None = None,
) -> Fetched:
    """Read what is new since `last`, the state of the pair's raw prices.

    `given`: read these files instead of the pair's own source, whatever was read before. `scratch`: a folder for rows
    that do not fit into memory. Raises `SourceError` where there is nothing usable, or prices of another form than the
    pair's (ticks for bars, hours for minutes).
    """
    now, chosen, form = now or datetime.now(UTC), given or spec.source, form_of(spec)
    basis, cursor = basis_of(spec), {}
    if last is not None and given is None and last.metadata.get("_basis") == basis:
        cursor = last.metadata["_cursor"]
    adapter = source(chosen.kind)
    request = Request(
        pair=spec.pair,
        source=chosen,
        settings=settings,
        log=log,
        now=now,
        history_start=spec.history_start,
        fx_week=spec.calendar != "24x7",
        only_files=given is not None,
        cursor=cursor,
    )
    feed = adapter.open(request)
    collected = collect(
        feed.batches,
        pair=spec.pair,
        source=chosen.kind,
        scratch=scratch,
        now=now,
        plausible=spec.plausible_range,
        fx_week=spec.calendar != "24x7",
        history_start=spec.history_start,
        tail=lambda: _tail(lake, spec.pair, form, last),
        log=log,
    )
    if collected.origins and (collected.form.kind, collected.form.seconds) != (form.kind, form.seconds):
        raise SourceError(
            f"{spec.pair}: {collected.origins[0]} holds {collected.form}, but the pair's source (kind: "
            f"{spec.source.kind}) delivers {form}, and a pair keeps one form: give files that fit, or set source.kind, "
            f"source.resolution and calendar in configs/pairs/{spec.pair}.yaml"
        )
    files = {} if given is None else feed.cursor
    if given is not None:  # the pair's own source goes on where it was
        known = last is not None and last.metadata.get("_basis") == basis
        feed.cursor = {**last.metadata["_cursor"]} if last is not None and known else {}
    return Fetched(spec, form, collected, feed, basis, now, files)


def _tail(lake: Lake, pair: str, form: Form, last: State | None) -> pl.DataFrame | None:
    """The newest prices held, on which it depends whether the first new one is a spike's end."""
    if last is None:
        return None
    snapshot = lake.snapshot(table_of(form.kind))
    blocks = sorted(snapshot.blocks(pair))
    if not blocks:
        return None
    newest = last_said(_frame(snapshot.read(pair, blocks=blocks[-1:])))
    if newest.height < TAIL_ROWS and len(blocks) > 1:
        newest = last_said(_frame(snapshot.read(pair, blocks=blocks[-2:])))
    return newest.tail(TAIL_ROWS)


@dataclass
class Update:
    """The merge of a fetch: iterate over `blocks`, then read the checks and the facts."""

    fetched: Fetched
    last: State | None
    lake: Lake
    audit: PriceAudit
    added: int = 0
    corrected: int = 0
    late: int = 0
    rows: dict[str, int] = field(default_factory=dict)
    first: datetime | None = None
    final: datetime | None = None
    dates: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, fetched: Fetched, last: State | None, lake: Lake) -> Update:
        """An update that has not begun."""
        facts: Mapping[str, Any] = {} if last is None else last.metadata
        return cls(
            fetched=fetched,
            last=last,
            lake=lake,
            audit=PriceAudit(
                fetched.spec,
                fetched.form,
                now=fetched.now,
                held=facts.get("_rows", {}),
                last_held=_instant(facts.get("last_time")),
            ),
            rows=dict(facts.get("_rows", {})),
            first=_instant(facts.get("first_time")),
            final=_instant(facts.get("last_time")),
            dates=[facts[name] for name in ("first", "last") if name in facts],
        )

    def blocks(self) -> Iterator[tuple[str, pa.Table]]:
        """(block, all rows of it) for each block that the fetch changed."""
        pair, form = self.fetched.spec.pair, self.fetched.form
        # One version for all blocks: the lease keeps others from this pair, and opening the log is not free.
        snapshot = None if self.last is None else self.lake.snapshot(table_of(form.kind))
        held = {} if snapshot is None else snapshot.blocks(pair)
        first_held, witnessed = self.first, _natural(self.final, form)
        for name in self.fetched.collected.blocks:
            fresh = self.fetched.collected.block(name)
            current = _frame(snapshot.read(pair, blocks=[name])) if snapshot is not None and name in held else None
            merged = merge(current, fresh, now=self.fetched.now, witnessed=witnessed, first_held=first_held)
            self._take(name, merged.rows)
            self.added += merged.added
            self.corrected += merged.corrected
            self.late += merged.late
            if merged.changed:
                yield name, merged.rows.to_arrow()

    def _take(self, name: str, rows: pl.DataFrame) -> None:
        view = current_view(rows)
        self.audit.add(view)
        self.rows[name] = rows.height
        if view.is_empty():
            return
        first, final = view["time"][0], view["time"][-1]
        self.first = first if self.first is None else min(self.first, first)
        self.final = final if self.final is None else max(self.final, final)
        days = [
            view[at, "trading_date"] if "trading_date" in view.columns else trading_date_of(view[at, "time"])
            for at in (0, -1)
        ]
        known = sorted({*self.dates, *(str(day) for day in days)})
        self.dates = [known[0], known[-1]]

    def facts(self) -> dict[str, Any]:
        """Plain numbers and texts about the pair's prices and this update."""
        collected, feed = self.fetched.collected, self.fetched.feed
        return {
            "rows": sum(self.rows.values()),
            **({"first": self.dates[0], "last": self.dates[-1]} if self.dates else {}),
            **({"first_time": self.first.isoformat()} if self.first else {}),
            **({"last_time": self.final.isoformat()} if self.final else {}),
            "form": str(self.fetched.form),
            "added": self.added,
            "corrected": self.corrected,
            "late": self.late,
            "rejected": sum(collected.reject_counts.values()),
            "duplicates": collected.duplicates,
            "replaced": collected.replaced,
            "out_of_order": collected.out_of_order,
            "spikes": collected.spikes,
            **{f"rejected/{reason}": count for reason, count in sorted(collected.reject_counts.items())},
            **{f"source/{name}": str(note) for name, note in feed.notes.items()},
            "_cursor": feed.cursor,
            "_basis": self.fetched.basis,
            "_rows": self.rows,
        }


def _natural(time: datetime | None, form: Form) -> datetime | None:
    return None if time is None else time + timedelta(seconds=form.seconds)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _frame(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    assert isinstance(frame, pl.DataFrame)
    return frame
