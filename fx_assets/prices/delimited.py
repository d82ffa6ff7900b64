"""Rows of delimited text: a fast path for chunks in which every line has its columns, a precise one for the others.

Both hand every cell to the same parsers, so that a faulty line changes nothing but itself.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass

import polars as pl

from fx_assets.prices.batch import KEPT_TEXT, no_rejects
from fx_assets.prices.clocks import Clock
from fx_assets.prices.schema import PRICE_COLUMNS
from fx_assets.prices.text import TextChunk
from fx_assets.prices.time_formats import ISO
from fx_assets.prices.times import read_times

_INTEGERS = {"ticks"}
_QUOTE = b'"'


@dataclass(frozen=True)
class Layout:
    """How a delimited file is laid out.

    `columns`: of each column of the file, in its order, the name that it gets; None leaves it out. `time` or `date` is
    needed; where both are there they are joined by a space. All others are numbers. `time`: the format of times, see
    `fx_assets.prices.times.read_times`. `quotes`: whether cells may stand in double quotes.
    """

    separator: str
    columns: tuple[str | None, ...]
    time: str = ISO
    decimal_comma: bool = False
    quotes: bool = False


def read_delimited(chunk: TextChunk, layout: Layout, clock: Clock) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The rows of a chunk in their order, and the lines that are none.

    Rows: `line` (Int64), `time` (Datetime[us, UTC]), `wall` (Datetime[us], as `clock` showed it; left out where every
    time says its own offset), then the columns of the layout (`ticks` Int64, else Float64; an empty cell is null).
    Rejects: `line`, `reason` (`column_count`, `bad_time`, `ambiguous_time`, `nonexistent_time`, `bad_number`, or
    `line_too_long`, then what was found), `raw`. Empty lines are passed over.
    """
    cells, ragged = _cells(chunk, layout)
    times = read_times(_time_text(cells), layout.time, clock)
    names = [name for name in layout.columns if name is not None and name not in ("date", "time")]
    numbers, faults = _numbers(cells, names, decimal_comma=layout.decimal_comma)
    rows = pl.DataFrame([cells["line"], times.time])
    rows = rows if times.wall is None else rows.with_columns(times.wall.alias("wall"))
    rows = rows.hstack(numbers)
    reasons = [reason for reason in (times.reason, *faults) if reason is not None]
    if not reasons:
        return rows, _with_long(ragged, chunk)
    reason = pl.select(pl.coalesce(reasons)).to_series()
    bad = cells.select("line", reason.alias("reason")).filter(reason.is_not_null())
    rejects = pl.concat([ragged, rejected(chunk, bad["line"].to_list(), bad["reason"].to_list())])
    return rows.filter(reason.is_null()), _with_long(rejects, chunk)


def rejected(chunk: TextChunk, lines: Sequence[int], reasons: Sequence[str]) -> pl.DataFrame:
    """Rejects of those lines of a chunk, with what stands in them."""
    if not lines:
        return no_rejects()
    texts = chunk.data.split(b"\n")
    raw = [texts[line - chunk.first_line].decode()[:KEPT_TEXT] for line in lines]
    return pl.DataFrame({"line": lines, "reason": reasons, "raw": raw}, schema=no_rejects().schema)


def scaled(rows: pl.DataFrame, points: float | None) -> pl.DataFrame:
    """`rows` with its prices multiplied by `points`, e.g. 112345 by 0.00001; as they are for None.

    Where a price is a whole number of points this gives the number nearest to the decimal price: 1.12345 itself.
    """
    if points is None:
        return rows
    prices = [rows[name] for name in PRICE_COLUMNS if name in rows.columns]
    parts = round(1 / points)
    if parts < 1 or not math.isclose(parts * points, 1, rel_tol=1e-9):
        return rows.with_columns([price * points for price in prices])
    # Polars divides by multiplying with 1 / parts, which is off in the last bit; NumPy divides.
    exact = [pl.Series(price.name, price.fill_null(math.nan).to_numpy() / parts) for price in prices]
    missing = [price.is_null() for price in prices]
    return rows.with_columns(
        pl.when(~gone).then(price).alias(price.name) for gone, price in zip(missing, exact, strict=True)
    )


def _cells(chunk: TextChunk, layout: Layout) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The cells as text, null where empty, with `line`; and the lines with another number of columns."""
    lines = chunk.data.count(b"\n")
    columns = len(layout.columns)
    quoted = layout.quotes and _QUOTE in chunk.data
    numbers = pl.int_range(chunk.first_line, chunk.first_line + lines, dtype=pl.Int64, eager=True).alias("line")
    if not quoted and chunk.data.count(layout.separator.encode()) == lines * (columns - 1):
        # Polars fills a short line with nulls, but refuses a long one: with the right count in all, neither is there.
        cells = _split(chunk.data, layout)
        if cells is not None and len(cells) == lines:
            return cells.insert_column(0, numbers), no_rejects()
    texts = chunk.data.decode().split("\n")[:-1]
    if quoted:
        split = [_unquoted(text, layout.separator) for text in texts]
        widths = pl.Series([len(row) for row in split], dtype=pl.UInt32)
    else:
        widths = pl.Series(texts, dtype=pl.String).str.count_matches(layout.separator, literal=True) + 1
    filled = pl.Series(texts, dtype=pl.String) != ""
    good = (filled & (widths == columns)).fill_null(value=False)
    ragged = (filled & (widths != columns)).arg_true()
    places = good.arg_true()
    if quoted:
        cells = _frame([split[place] for place in places], layout)
    else:
        joined = _split("".join(f"{texts[place]}\n" for place in places).encode(), layout)
        assert joined is not None, "Polars and Python disagree on what a line is"
        cells = joined
    reasons = [f"column_count: expected {columns}, got {widths[place]}" for place in ragged]
    rejects = rejected(chunk, [chunk.first_line + place for place in ragged], reasons)
    return cells.insert_column(0, numbers.gather(places)), rejects


def _split(data: bytes, layout: Layout) -> pl.DataFrame | None:
    """Cells of lines that all have their columns; None where Polars finds that they have not."""
    schema = {name or f"_{place}": pl.String for place, name in enumerate(layout.columns)}
    kept = [place for place, name in enumerate(layout.columns) if name is not None]
    try:
        return pl.read_csv(
            data, has_header=False, separator=layout.separator, quote_char=None, schema=schema, columns=kept
        )
    except pl.exceptions.PolarsError:
        return None


def _unquoted(text: str, separator: str) -> list[str]:
    try:
        return next(csv.reader([text], delimiter=separator, strict=True), [])
    except csv.Error:  # a quote that is never closed: no cells, and rejected for it
        return []


def _frame(rows: list[list[str]], layout: Layout) -> pl.DataFrame:
    cells = zip(*rows, strict=True) if rows else iter([()] * len(layout.columns))
    named = {name: list(cell) for name, cell in zip(layout.columns, cells, strict=True) if name is not None}
    return pl.DataFrame(named, schema=dict.fromkeys(named, pl.String)).with_columns(
        pl.when(pl.all() != "").then(pl.all())
    )


def _time_text(cells: pl.DataFrame) -> pl.Series:
    if "date" not in cells.columns:
        return cells["time"]
    if "time" not in cells.columns:
        return cells["date"]
    return cells.select(pl.concat_str("date", "time", separator=" ")).to_series()


def _numbers(
    cells: pl.DataFrame, names: list[str], *, decimal_comma: bool
) -> tuple[pl.DataFrame, list[pl.Series | None]]:
    """The numbers of the columns, and for each column why a cell is none (None where all are)."""
    numbers, faults = [], []
    for name in names:
        text = cells[name]
        number = _number(text, name, decimal_comma=decimal_comma)
        fault = None
        if number.null_count() > text.null_count():
            trimmed = text.str.strip_chars()
            number = _number(trimmed, name, decimal_comma=decimal_comma)
            wrong = number.is_null() & (trimmed != "")
            shown = pl.format("bad_number: {} '{}'", pl.lit(name), text.str.slice(0, 60))
            fault = pl.select(pl.when(wrong).then(shown)).to_series() if wrong.any() else None
        numbers.append(number.alias(name))
        faults.append(fault)
    return pl.DataFrame(numbers), faults


def _number(text: pl.Series, name: str, *, decimal_comma: bool) -> pl.Series:
    if decimal_comma:  # where the comma divides, a point would be the mark of thousands
        text = text.str.replace_all(".", "x", literal=True).str.replace_all(",", ".", literal=True)
    if name not in _INTEGERS:
        return text.cast(pl.Float64, strict=False)
    number = text.cast(pl.Float64, strict=False)
    whole = number.cast(pl.Int64, strict=False)
    return pl.select(pl.when(whole == number).then(whole)).to_series()


def _with_long(rejects: pl.DataFrame, chunk: TextChunk) -> pl.DataFrame:
    if rejects.is_empty() and chunk.long_lines.is_empty():
        return rejects
    return pl.concat([rejects, chunk.long_lines]).sort("line")
