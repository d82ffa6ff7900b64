"""The legs of a cross from fetch to fetch: how far both have come, and what of each has to wait for the other.

The cross is derived up to the watermark: the last time that both legs have reached. So that the next fetch goes on
from there as if all had come in one, the cursor keeps of each leg its last rows up to the watermark and, while they are
few, those beyond it. Where many wait (a month of the one leg before the other has come), the leg's source keeps the
cursor that it had, and gives them again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from fx_assets.prices.batch import Batch, Form, no_rejects
from fx_assets.prices.ingest import Collected, collect
from fx_assets.prices.quarantine import SPIKE
from fx_assets.prices.sources.base import Feed, Request

REMEMBERED = 16
"""Rows up to the watermark that are kept: a source may repeat its last few."""

MOST_WAITING = 500
"""Rows beyond the watermark that are kept, before the leg's source has to give them again."""

_TIME = pl.Datetime("us", "UTC")
_TIMES = ("time", "known_at")
_QUOTE = ("close", "bid", "ask")


@dataclass(frozen=True)
class Leg:
    """What is known of a leg: the rows remembered by the last fetch and those that its source has added.

    `state`: what the last fetch left of this leg. `cursor`: of its source, now. `changed`: whether the source now says
    something else of the time up to the last watermark, so that what was derived of it may be wrong.
    """

    name: str
    collected: Collected
    state: Mapping[str, Any]
    cursor: Mapping[str, Any]
    changed: bool

    @property
    def form(self) -> Form | None:
        """What the leg's prices are; None where there is none yet."""
        return self.collected.form if self.blocks else None

    @property
    def blocks(self) -> list[str]:
        """Names of the blocks that have rows, by time."""
        return self.collected.blocks

    @property
    def last(self) -> int | None:
        """Time of the last row, in microseconds since 1970."""
        for block in reversed(self.blocks):
            if (rows := self.rows(block)).height:
                micros: int = rows["time"].dt.epoch("us")[-1]
                return micros
        return None

    def rows(self, block: str) -> pl.DataFrame:
        """`time`, `known_at` (but of ticks) and the quotes of a block, by time, each time once.

        Spikes are among them: those of the cross are found where its own rows are cleaned, and taken back from then on.
        """
        return _lean(self.collected, block)

    def waiting(self, until: int | None) -> int:
        """How many rows lie beyond the watermark."""
        count = 0
        for block in reversed(self.blocks):
            rows = self.rows(block)
            ahead = rows.filter(~_up_to(until)).height
            count += ahead
            if ahead < rows.height:
                break
        return count

    def past(self, until: int | None) -> str:
        """Fingerprint of the rows up to the watermark."""
        return _past(self.collected, until)

    def rejects(self) -> Iterator[Batch]:
        """What the leg's source could not read or cleaning refused, without rows, file by file."""
        rejects = self.collected.rejects.filter(pl.col("reason").str.starts_with(SPIKE).not_())
        nothing = pl.DataFrame(schema={"line": pl.Int64, "time": _TIME})
        for (origin,), part in rejects.group_by("source", maintain_order=True):
            yield Batch(f"{self.name}: {origin}", self.collected.form, nothing, part.select(no_rejects().columns))


def read_leg(request: Request, feed: Feed, state: Mapping[str, Any], until: int | None, scratch: Path) -> Leg:
    """Clean the rows of a leg: those that `state` remembers, then those of `feed`.

    `until`: the last watermark, in microseconds since 1970. `scratch`: a folder that lives as long as the leg is used.
    """
    collected = collect(
        chain(_remembered(state), feed.batches),
        pair=request.pair,
        source=request.source.kind,
        scratch=scratch,
        now=request.now,
        fx_week=request.fx_week,
        history_start=request.history_start,
        log=request.log,
    )
    changed = bool(state) and _past(collected, until) != state["past"]
    return Leg(request.pair, collected, state, feed.cursor, changed)


def watermark(left: Leg, right: Leg) -> int | None:
    """The earlier of the two ends, None where a leg has no row at all."""
    ends = [left.last, right.last]
    return None if None in ends else min(end for end in ends if end is not None)


def cursor_of(left: Leg, right: Leg, until: int | None) -> dict[str, Any]:
    """What the next fetch has to know, as JSON."""
    return {"until": until, "legs": {leg.name: _state(leg, until) for leg in (left, right)}}


def _state(leg: Leg, until: int | None) -> dict[str, Any]:
    if leg.form is None:
        return {"cursor": leg.cursor, "form": None, "rows": [], "past": _digest([])}
    if leg.waiting(until) > MOST_WAITING:
        before = {"cursor": {}, "form": None, "rows": []} | dict(leg.state)
        return before | {"past": leg.past(until)}
    kept = pl.DataFrame()
    for block in reversed(leg.blocks):
        kept = pl.concat([leg.rows(block), kept], how="diagonal")
        if kept.filter(_up_to(until)).height >= REMEMBERED:
            break
    behind = kept.filter(_up_to(until)).tail(REMEMBERED)
    kept = pl.concat([behind, kept.filter(~_up_to(until))])
    times = [pl.col(name).dt.epoch("us") for name in kept.columns if name in _TIMES]
    return {
        "cursor": leg.cursor,
        "form": [leg.form.kind, leg.form.seconds, leg.form.side],
        "columns": kept.columns,
        "rows": [list(row) for row in kept.with_columns(times).rows()],
        "past": _digest([behind]),
    }


def _remembered(state: Mapping[str, Any]) -> Iterator[Batch]:
    """The rows that a state keeps, as its source would give them."""
    if not state or not state["rows"]:
        return
    kind, seconds, side = state["form"]
    types = {name: pl.Int64 if name in _TIMES else pl.Float64 for name in state["columns"]}
    rows = pl.DataFrame(state["rows"], schema=types, orient="row").with_row_index("line", 1)
    times = [pl.from_epoch(name, "us").dt.replace_time_zone("UTC") for name in state["columns"] if name in _TIMES]
    yield Batch("kept from the last fetch", Form(kind, seconds, side), rows.with_columns(times), no_rejects())


def _lean(collected: Collected, block: str) -> pl.DataFrame:
    """Rows of a block as a cross needs them, less the rows that take others back."""
    rows = collected.block(block)
    quotes = [name for name in _QUOTE if name in rows.columns]
    times = _TIMES[:1] if collected.form.kind == "tick" else _TIMES
    return rows.select(*times, *quotes).filter(pl.any_horizontal(pl.col(quotes).is_not_null()))


def _past(collected: Collected, until: int | None) -> str:
    if until is None:
        return _digest([])
    return _digest(_lean(collected, block).filter(_up_to(until)) for block in collected.blocks)


def _up_to(until: int | None) -> pl.Expr:
    return pl.lit(value=False) if until is None else pl.col("time").dt.epoch("us") <= until


def _digest(frames: Iterable[pl.DataFrame]) -> str:
    """Fingerprint of times and quotes, the same however the rows are cut into frames."""
    digest = hashlib.blake2b(digest_size=8)
    for rows in frames:
        quotes = [rows[name].fill_null(float("nan")) for name in _QUOTE if name in rows.columns]
        columns = [rows["time"].dt.epoch("us").to_numpy(), *(side.to_numpy().view(np.int64) for side in quotes)]
        digest.update(np.column_stack(columns).tobytes())
    return digest.hexdigest()
