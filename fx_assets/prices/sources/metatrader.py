"""MetaTrader: History Center files of MetaTrader 4, bar and tick exports of MetaTrader 5.

MetaTrader 4: no header, CRLF, `YYYY.MM.DD,HH:MM,open,high,low,close,ticks`, bid. MetaTrader 5: tab separated under a
header `<DATE> <TIME> <OPEN> <HIGH> <LOW> <CLOSE> <TICKVOL> <VOL> <SPREAD>` (daily files without `<TIME>`), bid; ticks
under `<DATE> <TIME> <BID> <ASK> <LAST> <VOLUME> <FLAGS>`, where a blank side is unchanged since the tick before. Times
are the broker's server's, most often New York + 7 hours.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from fx_assets.prices.batch import Batch, Form
from fx_assets.prices.files import FileError, InputFile
from fx_assets.prices.sources.base import Request
from fx_assets.prices.sources.from_files import FileSource
from fx_assets.specs.schema import SourceSpec, Strict
from fx_assets.timegrid.frequencies import FREQUENCIES, name_of, seconds_of

if TYPE_CHECKING:
    import polars as pl

    from fx_assets.prices.delimited import Layout
    from fx_assets.prices.text import TextChunk

TICKS = Form("tick")
_DAY = 86_400
_FEW = 10  # fewer steps than this say little
_ON_GRID = 0.99
_MT4 = re.compile(r"\d{4}\.\d\d\.\d\d,\d\d:\d\d,")
_MT4_COLUMNS = ("date", "time", "open", "high", "low", "close", "ticks")
_OURS = {
    "<DATE>": "date",
    "<TIME>": "time",
    "<OPEN>": "open",
    "<HIGH>": "high",
    "<LOW>": "low",
    "<CLOSE>": "close",
    "<TICKVOL>": "ticks",
    "<SPREAD>": "spread",
    "<BID>": "bid",
    "<ASK>": "ask",
}
_CONVERT = "; in Windows PowerShell: Get-Content OLD.csv | Set-Content -Encoding utf8 NEW.csv"


class MetaTraderOptions(Strict):
    """What only this source knows."""

    spread_point: float | None = Field(
        default=None, gt=0, description="Size of the points of <SPREAD>; gives the ask at the close of bars"
    )


class MetaTraderSource(FileSource):
    """Bars (bid) or ticks, told apart by the header; the length of bars is seen from the steps between them.

    `points`: prices, and `<SPREAD>`, are in points of this size. `spread_point`: prices are as usual, `<SPREAD>` is in
    points. Without either `<SPREAD>` is left alone. Notes: `sides_carried`, the blank sides of ticks that were filled.
    """

    kind: ClassVar[str] = "metatrader"
    uses: ClassVar[frozenset[str]] = FileSource.uses | {"resolution", "points"}
    default_clock: ClassVar[str] = "new_york+7"
    Options: ClassVar[type[Strict]] = MetaTraderOptions

    def form(self, source: SourceSpec) -> Form:
        """As `resolution` says; minutes where it says nothing."""
        if source.resolution == "tick":
            return TICKS
        return Form("bar", seconds_of(source.resolution or "1min"), "bid")

    def _problems(self, source: SourceSpec) -> Iterator[tuple[str, str]]:
        if source.resolution == "1w":
            yield "resolution", f"1w: {_WEEKS}"

    def _read(self, file: InputFile, request: Request, notes: dict[str, str | int]) -> Iterator[Batch]:
        from fx_assets.prices.delimited import read_delimited

        chunks = _text(file)
        first = next(chunks, None)
        if first is None:
            return
        layout, header = _layout(file, first)
        clock, bars = self.clock(request), _Bars(file.name, request.source)
        ticks = _Ticks() if "bid" in layout.columns else None
        if ticks and request.source.resolution not in (None, "tick"):
            raise FileError(f"{file.name}: holds ticks; source.resolution says {request.source.resolution}")
        if header:
            first = first.below_head()
        for chunk in chain([first], chunks):
            rows, rejects = read_delimited(chunk, layout, clock)
            if ticks:
                form = TICKS
                rows, rejects, carried = ticks.carry(rows, rejects, chunk)
                notes["sides_carried"] = int(notes.get("sides_carried", 0)) + carried
            else:
                form = bars.form(rows)
            yield Batch(file.name, form, bars.priced(rows), rejects)


_WEEKS = "MetaTrader's weeks begin on a Sunday at 00:00 of the server, not at the open; export days, they make weeks"


def _text(file: InputFile) -> Iterator[TextChunk]:
    try:
        yield from file.text()
    except FileError as error:
        if error.encoding and error.encoding.startswith("UTF-16"):
            raise FileError(f"{error}{_CONVERT}", encoding=error.encoding) from None
        raise


def _layout(file: InputFile, first: TextChunk) -> tuple[Layout, bool]:
    """How the file is laid out, and whether its first line is a header. Raises `FileError` for what is neither."""
    from fx_assets.prices.delimited import Layout

    head = first.head
    if _MT4.match(head):
        return Layout(",", _MT4_COLUMNS, "%Y.%m.%d %H:%M"), False
    separator = "," if "," in head else "\t"
    names = head.strip().split(separator)
    columns = tuple(_OURS.get(name.strip()) for name in names)
    if "date" not in columns or not (
        {"open", "high", "low", "close"} <= set(columns) or {"bid", "ask"} <= set(columns)
    ):
        raise FileError(
            f"{file.name}: begins {head[:60]!r}, expected 2019.07.08,06:25,O,H,L,C,V (MetaTrader 4), or a header with "
            f"<DATE>, <TIME> and <OPEN> to <CLOSE> or <BID> and <ASK> (MetaTrader 5); for other files set kind: csv"
        )
    if "time" not in columns:
        return Layout(separator, columns, "%Y.%m.%d"), True
    return Layout(separator, columns, f"%Y.%m.%d %H:%M:%S{'.%3f' if 'bid' in columns else ''}"), True


@dataclass
class _Bars:
    """What is known of the bars of one file: their length once it is seen, and how its prices are written."""

    name: str
    source: SourceSpec
    seconds: int = 0

    def form(self, rows: pl.DataFrame) -> Form:
        """The form of `rows`, seen from the steps between them on the clock of the file.

        Raises `FileError` where the file holds no bars of one known length, or others than the configuration says.
        """
        steps = rows["wall"].unique().sort().diff().dt.total_seconds().drop_nulls()
        asked = self.source.resolution
        if asked == "tick":
            raise FileError(f"{self.name}: holds bars; source.resolution says tick")
        expected = self.seconds or (seconds_of(asked) if asked else 0)
        seen = int(steps.mode().sort()[0]) if len(steps) else expected
        if expected and len(steps) < _FEW and (steps % expected == 0).all():
            seen = expected
        if not seen:
            raise FileError(f"{self.name}: too few rows to see how long its bars are; set source.resolution")
        if expected and seen != expected:
            says = f"source.resolution says {asked}" if asked else f"the rows before are {name_of(self.seconds)}"
            raise FileError(f"{self.name}: most rows are {_length(seen)} apart; {says}")
        if not any(seconds_of(name) == seen for name in FREQUENCIES) or seen > _DAY:
            why = _WEEKS if seen > _DAY else f"expected one of {', '.join(FREQUENCIES)}"
            raise FileError(f"{self.name}: most rows are {_length(seen)} apart; {why}")
        on_grid = float((steps % seen == 0).mean() or 0.0) if len(steps) else 1.0  # type: ignore[arg-type]
        if on_grid < _ON_GRID:
            raise FileError(
                f"{self.name}: holds bars of several lengths; most rows are {_length(seen)} apart, but "
                f"{1 - on_grid:.0%} of the steps are no multiple of that; export one length a file"
            )
        self.seconds = seen
        return Form("bar", seen, "bid")

    def priced(self, rows: pl.DataFrame) -> pl.DataFrame:
        """`rows` with prices instead of points, and with the ask at the close where the spread says it."""
        import polars as pl

        from fx_assets.prices.delimited import scaled

        point = MetaTraderOptions.model_validate(self.source.options).spread_point
        if "spread" in rows.columns and self.source.points is not None:
            rows = rows.with_columns(bid="close", ask=pl.col("close") + pl.col("spread"))
        rows = scaled(rows, self.source.points)
        if "spread" in rows.columns and self.source.points is None and point is not None:
            rows = rows.with_columns(bid="close", ask=pl.col("close") + pl.col("spread") * point)
        return rows.drop("spread", strict=False)


def _length(seconds: int) -> str:
    return name_of(seconds) if seconds < 7 * _DAY else f"{seconds // _DAY} days"


@dataclass
class _Ticks:
    """The last quote of each side in one file, for the ticks that repeat it as a blank."""

    last: dict[str, float | None] = field(default_factory=lambda: {"bid": None, "ask": None})

    def carry(
        self, rows: pl.DataFrame, rejects: pl.DataFrame, chunk: TextChunk
    ) -> tuple[pl.DataFrame, pl.DataFrame, int]:
        """`rows` with both sides in each, the rejects with those before a side's first quote, and the sides filled."""
        import polars as pl

        from fx_assets.prices.delimited import rejected

        blank = sum(rows[side].null_count() for side in self.last)
        filled = rows.with_columns(
            pl.col(side).forward_fill().fill_null(value) if value is not None else pl.col(side).forward_fill()
            for side, value in self.last.items()
        )
        for side in self.last:
            self.last[side] = filled[side][-1] if len(filled) else self.last[side]
        carried = blank - sum(filled[side].null_count() for side in self.last)
        missing = filled.filter(pl.any_horizontal(pl.col("bid", "ask").is_null()))
        if missing.is_empty():
            return filled, rejects, carried
        blank_side = pl.when(pl.col("bid").is_null()).then(pl.lit("bid")).otherwise(pl.lit("ask"))
        reason = pl.format("no_quote_yet: {} is blank and was never given", blank_side)
        reasons = missing.select(reason).to_series().to_list()
        early = rejected(chunk, missing["line"].to_list(), reasons)
        return filled.drop_nulls(["bid", "ask"]), pl.concat([rejects, early]).sort("line"), carried
