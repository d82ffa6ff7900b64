"""Takes spikes back across the borders of blocks and fetches: what a spike is stands in `prices.spikes`."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

import polars as pl

from fx_assets.prices.batch import KEPT_TEXT, Form
from fx_assets.prices.spikes import CONTEXT, find, price_of, told

SPIKE = "spike"


@dataclass(frozen=True)
class Spike:
    """A row to take back: its block, time and trading date (null for ticks), from when it is known bad, and in words.

    `line`, `origin`: those of the row as it was fetched; None for one that was stored by an earlier fetch.
    """

    block: str
    time: datetime
    trading_date: date | None
    known_at: datetime
    line: int | None
    origin: int | None
    raw: str


class Quarantine:
    """Looks at the blocks of a fetch, one after the other by time, with the rows before each.

    `tail`: rows as they are stored around what was fetched (RAW_SCHEMA or TICK_SCHEMA, each time once), those before
    the first fetched row above all: a spike at their end is proven by the first rows fetched now, and the rows before
    a first fetched row are what it is measured by.
    """

    def __init__(self, form: Form, tail: pl.DataFrame | None) -> None:
        self._form = form
        self._prices = ["bid", "ask"] if form.kind == "tick" else ["close"]
        self._lean = ["time", "known_at", *self._prices]
        self._tail = None if tail is None or tail.is_empty() else self._context(tail, pl.col("block"))
        self._before: pl.DataFrame | None = None

    def look(self, block: str, rows: pl.DataFrame, *, final: bool) -> list[Spike]:
        """The spikes that the rows of `block` are or prove. `rows`: by increasing time, each once, with `time`,
        `known_at`, prices, `line`, `origin`, and `trading_date` but for ticks. `final`: no later block comes."""
        blank = [pl.lit(None, dtype=pl.Float64).alias(name) for name in self._prices if name not in rows.columns]
        rows = rows.with_columns(blank)  # a source of ticks may know one side only
        around = self._around(rows, final=final)
        lean = rows.select(*self._lean, at=pl.int_range(pl.len(), dtype=pl.Int64))
        if around is not None:
            lean = pl.concat(
                [around.select(*self._lean, at=pl.int_range(pl.len(), dtype=pl.Int64) - around.height), lean]
            )
            if not lean["time"].is_sorted():
                lean = lean.sort("time")
        prices = lean.select(price_of(self._form)).to_series()
        found = [
            self._spike(one, lean, prices, rows, around, block)
            for one in find(lean["time"], prices, self._form).iter_rows(named=True)
            if (lean["at"].slice(one["row"], one["proof"] - one["row"] + 1) >= 0).any()  # else it was found before
        ]
        newest = self._context(rows.tail(CONTEXT), pl.lit(block))
        if around is not None:
            newest = pl.concat([around.filter(pl.col("time") < rows["time"][-1]), newest]).sort("time")
        self._before = newest.tail(CONTEXT)
        return found

    def _around(self, rows: pl.DataFrame, *, final: bool) -> pl.DataFrame | None:
        """What is known around `rows` and is not among them, by increasing time."""
        parts = [self._before] if self._before is not None else []
        if self._tail is not None:
            near = self._tail if final else self._tail.filter(pl.col("time") < rows["time"][-1])
            parts.append(near if not parts else near.join(parts[0], on="time", how="anti"))
        if not parts:
            return None
        around = pl.concat(parts).sort("time")
        around = around.filter(~pl.col("time").is_in(rows["time"].implode()))
        return around if around.height else None

    def _context(self, rows: pl.DataFrame, block: pl.Expr) -> pl.DataFrame:
        """Rows in the columns that a verdict on them, and its record, will need."""
        absent = {"trading_date": pl.Date, "line": pl.Int64, "origin": pl.Int64}
        blank = [pl.lit(None, dtype=kind).alias(name) for name, kind in absent.items() if name not in rows.columns]
        rows = rows.with_columns(*blank, block=block).filter(pl.any_horizontal(pl.col(*self._prices).is_not_null()))
        types = [pl.col(name).cast(kind) for name, kind in absent.items()]
        return rows.select("block", *self._lean, *types).sort("time")

    def _spike(
        self,
        found: dict[str, Any],
        lean: pl.DataFrame,
        prices: pl.Series,
        rows: pl.DataFrame,
        around: pl.DataFrame | None,
        block: str,
    ) -> Spike:
        place, proof = found["row"], found["proof"]
        at = lean["at"][place]
        if around is not None and at < 0:
            row = around.row(at, named=True)
        else:
            row = {"block": block, "trading_date": None, **rows.row(at, named=True)}
        known_at = lean["known_at"].slice(place, proof - place + 1).max()
        assert isinstance(known_at, datetime)
        words = told(row["time"], prices[place], lean["time"][proof], found)
        return Spike(
            row["block"], row["time"], row["trading_date"], known_at, row["line"], row["origin"], words[:KEPT_TEXT]
        )
