"""Prices in delimited text of any make."""

from __future__ import annotations

import csv
import re
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from fx_assets.prices.batch import Batch
from fx_assets.prices.files import FileError, InputFile
from fx_assets.prices.sources.base import Request
from fx_assets.prices.sources.from_tables import TIME_PARTS, Table, TableSource, in_file
from fx_assets.specs.schema import SourceSpec, Strict

if TYPE_CHECKING:
    from fx_assets.prices.delimited import Layout
    from fx_assets.prices.text import TextChunk

_SEPARATORS = {"comma": ",", "semicolon": ";", "tab": "\t", "bar": "|"}
_SAMPLE_LINES, _SAMPLE_BYTES = 50, 1 << 16
_NUMBER = re.compile(r"\s*[+-]?[\d.,]*\d[\d.,]*(e[+-]?\d+)?\s*", re.IGNORECASE)


class CsvOptions(Strict):
    """What a file may not show by itself. `time_format`: iso, epoch_s, epoch_ms, epoch_us or a pattern of strptime."""

    separator: Literal[",", ";", "\t", "|", "comma", "semicolon", "tab", "bar"] | None = None
    header: bool | None = Field(default=None, description="false: columns are named by their number, from 1")
    decimal_comma: bool = False
    time_format: str | None = None


class CsvSource(TableSource):
    """Bars or ticks in text: separator, header and form of times are told by the first lines, or given as options."""

    kind: ClassVar[str] = "csv"
    Options: ClassVar[type[Strict]] = CsvOptions

    def _read(self, file: InputFile, request: Request, notes: dict[str, str | int]) -> Iterator[Batch]:
        from fx_assets.prices.delimited import read_delimited

        clock = self.clock(request)
        table: Table | None = None
        for chunk in file.text():
            rest = chunk
            if table is None:
                names, separator, lines, skipped = _head(file.name, chunk, request.source)
                table = Table(file.name, names, request, notes)
                layout = _layout(table, names, separator, lines, request.source)
                rest = chunk.without(skipped)
            yield from table.batches(*read_delimited(rest, layout, clock))


def _head(name: str, chunk: TextChunk, source: SourceSpec) -> tuple[list[str], str, list[list[str]], int]:
    """Names of the columns, the separator, the cells of the first lines, and how many lines to skip for the header."""
    options = CsvOptions.model_validate(source.options)
    text = chunk.data[:_SAMPLE_BYTES].decode(errors="ignore")
    blank = len(text) - len(text.lstrip("\n"))
    lines = [line for line in text.split("\n")[:_SAMPLE_LINES] if line.strip()]
    if not lines:
        raise FileError(f"{name}: begins with {_SAMPLE_LINES} empty lines or more; remove them")
    separator = _separator(lines, options)
    try:
        table = list(csv.reader(lines, delimiter=separator))
    except csv.Error as error:  # a carriage return alone, as old Macs ended their lines
        raise FileError(f"{name}: is no CSV in its first lines ({error}); lines must end with LF or CRLF") from error
    header = not any(_NUMBER.fullmatch(cell) for cell in table[0]) if options.header is None else options.header
    if header:
        return [cell.strip() for cell in table[0]], separator, table[1:], blank + 1
    if not source.columns:
        raise FileError(
            f"{name}: no header in its first line {lines[0][:80]!r}; say the columns by number, from 1, "
            "e.g. columns: {time: '1', close: '5'}"
        )
    return [str(place) for place in range(1, len(table[0]) + 1)], separator, table, 0


def _layout(table: Table, names: list[str], separator: str, lines: list[list[str]], source: SourceSpec) -> Layout:
    """How the file is laid out, by the cells of its first lines."""
    from fx_assets.prices.columns import time_format
    from fx_assets.prices.delimited import Layout
    from fx_assets.prices.time_formats import ISO

    options = CsvOptions.model_validate(source.options)
    ours = {theirs: mine for mine, theirs in table.columns.taken.items()}
    placed = tuple(ours.pop(name, None) for name in names)  # of two columns called alike the first counts
    rows = [dict(zip(placed, cells, strict=True)) for cells in lines if len(cells) == len(names)]
    for row in rows:
        for mine, cell in row.items():
            if mine not in (None, *TIME_PARTS) and "," in cell and not options.decimal_comma:
                raise FileError(
                    f"{table.name}: {mine} is {cell!r}; set options.decimal_comma: true if the comma is decimal"
                )
    form = options.time_format
    if form is None:
        texts = [" ".join(row[part].strip() for part in TIME_PARTS if part in row) for row in rows]
        form = in_file(table.name, time_format, texts) if texts else ISO
    return Layout(separator, placed, form, options.decimal_comma, quotes=True)


def _separator(lines: list[str], options: CsvOptions) -> str:
    """The one given, else the one that stands equally often in most lines; a comma may also be in the numbers."""
    if options.separator is not None:
        return _SEPARATORS.get(options.separator, options.separator)
    fitting = []
    for separator in (";", "\t", "|", ","):
        [(count, times)] = Counter(line.count(separator) for line in lines).most_common(1)
        if count and times > len(lines) / 2:
            fitting.append(separator)
    return fitting[0] if fitting else ","
