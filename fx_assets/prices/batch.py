"""What an adapter hands on: rows as they stand in the source, in UTC, and what it could not read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from fx_assets.prices.names import PRICE_COLUMNS, Kind, Side

if TYPE_CHECKING:
    import polars as pl

ROW_COLUMNS = (*PRICE_COLUMNS, "ticks", "volume")
KEPT_TEXT = 200
"""Characters of a rejected row that are kept."""


@dataclass(frozen=True)
class Form:
    """What the prices of a source are: ticks, bars of some `seconds`, or fixings; and which side they quote.

    `seconds` is 0 for ticks and fixings. `side` "mid" means both sides are known, or the source says mid.
    """

    kind: Kind
    seconds: int = 0
    side: Side = "mid"

    def __str__(self) -> str:
        from fx_assets.timegrid.frequencies import name_of

        return f"bars of {name_of(self.seconds)} ({self.side})" if self.kind == "bar" else f"{self.kind}s"


@dataclass(frozen=True)
class Batch:
    """Some rows of one file or answer, in its order, of about 128k rows at most.

    `rows`: `line` (Int64, from 1, as a person would find it in the file), `time` (Datetime[us, UTC], of a bar its
    start), then any of `ROW_COLUMNS` (prices Float64, `ticks` Int64, `volume` Float64) and, where the source knows it,
    `known_at` and `trading_date`; columns that a source never has are left out. A price that is NaN, infinite, zero or
    missing is handed on: the rules of the rows are applied once, in `prices.cleaning`. `rejects`: `line`, `reason`
    (a word such as `column_count`, then what was expected), `raw`; only what could not be read as a row.
    `origin`: file name or address, without secrets.
    """

    origin: str
    form: Form
    rows: pl.DataFrame
    rejects: pl.DataFrame


def no_rejects() -> pl.DataFrame:
    """An empty frame of rejects."""
    import polars as pl

    return pl.DataFrame(schema={"line": pl.Int64, "reason": pl.String, "raw": pl.String})
