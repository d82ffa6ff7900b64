"""Reads the ECB's file of euro reference rates: the history, the last 90 days or a single day, as CSV or zipped.

The file has a column a currency, units of it per euro, newest date first, a trailing comma, and `N/A` where a currency
was not quoted. Columns come and go, so they are found by header. Source: www.ecb.europa.eu, "Euro foreign exchange
reference rates".
"""

from __future__ import annotations

import csv
import io
import math
import re
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta

from fx_assets.specs.problems import nearest
from fx_assets.timegrid.trading_dates import FRANKFURT, fixing_time

_PUBLISHED = time(16, 0)
MAX_BYTES = 64 * 1024 * 1024
_FUTURE = timedelta(minutes=5)
_LARGEST_RATE = 1e9  # the Turkish lira of 2004 stood at 1.9e6
_KEPT_TEXT = 200
_DAY_MONTH_YEAR = re.compile(r"^(\d{1,2}) ([A-Z][a-z]+) (\d{4})$")
_MONTHS = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)


class EcbFileError(ValueError):
    """A file that is not the ECB's, or not whole: nothing of it is used."""


@dataclass(frozen=True)
class Reject:
    """A row that was not taken: its line (from 1), why, and what it said."""

    line: int
    reason: str
    raw: str


@dataclass
class Fixings:
    """Rates of one pair by date, and the line of each; `rejects`, the rows that were not taken.

    `dropped`: identical repeats. `replaced`: dates that stood twice with other rates.
    """

    closes: dict[date, float] = field(default_factory=dict)
    lines: dict[date, int] = field(default_factory=dict)
    rejects: list[Reject] = field(default_factory=list)
    dropped: int = 0
    replaced: int = 0


def publication_time(day: date) -> datetime:
    """From when a reference rate is known: about 16:00 in Frankfurt, as UTC (earlier until 2016-06)."""
    return datetime.combine(day, _PUBLISHED, FRANKFURT).astimezone(UTC)


def read_fixings(data: bytes, base: str, quote: str, *, name: str, now: datetime) -> Fixings:
    """Rates of `base` in `quote` (units of quote per base), derived from their two rates against the euro.

    `data`: the CSV or a zip that holds it; `name` is said in errors; `now` (aware) tells the future. A row with a bad
    cell in one of the two columns is rejected; other columns are not looked at. Raises `EcbFileError` where the file
    as a whole cannot be trusted or does not know a currency.
    """
    if base == quote:
        raise EcbFileError(f"{base}{quote}: a pair needs two different currencies")
    lines = _rows(data, name)
    header = [column.strip() for column in next(lines, (1, []))[1]]
    legs = [(currency, _column(header, currency, name)) for currency in (base, quote) if currency != "EUR"]
    found = Fixings()
    for number, cells in lines:
        if not any(cell.strip() for cell in cells):
            continue
        try:
            day, rates = _read_row(cells, header, legs, now)
        except ValueError as error:
            found.rejects.append(Reject(number, str(error), ",".join(cells)[:_KEPT_TEXT]))
            continue
        if rates is not None:
            _take(found, number, day, rates.get(quote, 1.0) / rates.get(base, 1.0))
    return found


def check_is_ecb_file(data: bytes, *, name: str) -> None:
    """Raise `EcbFileError` where `data` does not begin as an ECB file does, or its zip is damaged."""
    header = [column.strip() for column in next(_rows(data, name), (1, []))[1]]
    _column(header, "USD", name)


def _take(found: Fixings, line: int, day: date, close: float) -> None:
    known = found.closes.get(day)
    if known == close:
        found.dropped += 1
    elif known is not None:
        found.replaced += 1
    found.closes[day] = close
    found.lines[day] = line


def _read_row(
    cells: list[str], header: list[str], legs: list[tuple[str, int]], now: datetime
) -> tuple[date, dict[str, float] | None]:
    """The date and the rates of `legs`, None where one was not quoted; `ValueError` says why a row is rejected."""
    if len(cells) != len(header):
        raise ValueError(f"column_count: expected {len(header)}, got {len(cells)}")
    day = _read_date(cells[header.index("Date")].strip())
    if fixing_time(day) > now + _FUTURE:
        raise ValueError(f"in_the_future: {day}")
    texts = {currency: cells[column].strip() for currency, column in legs}
    rates = {currency: _read_rate(currency, text) for currency, text in texts.items() if text != "N/A"}
    return day, rates if len(rates) == len(legs) else None


def _read_date(text: str) -> date:
    named = _DAY_MONTH_YEAR.match(text)
    try:
        if named and named[2] in _MONTHS:
            return date(int(named[3]), _MONTHS.index(named[2]) + 1, int(named[1]))
        return date.fromisoformat(text)
    except ValueError:
        raise ValueError("bad_date: expected 2026-10-30 or 30 October 2026") from None


def _read_rate(currency: str, text: str) -> float:
    if not text:
        raise ValueError(f"empty_price: {currency}")
    try:
        rate = float(text)
    except ValueError:
        raise ValueError(f"not_a_number: {currency}") from None
    if "_" in text or math.isnan(rate):
        raise ValueError(f"not_a_number: {currency}")
    if rate <= 0:
        raise ValueError(f"not_positive: {currency}")
    if not 1 / _LARGEST_RATE <= rate <= _LARGEST_RATE:
        raise ValueError(f"not_a_rate: {currency} beyond {_LARGEST_RATE:g} or its inverse")
    return rate


def _column(header: list[str], currency: str, name: str) -> int:
    currencies = [column for column in header if re.fullmatch(r"[A-Z]{3}", column)]
    if "Date" not in header or not currencies:
        raise EcbFileError(f"{name}: expected a header with Date and currencies, got {','.join(header)[:80]!r}")
    repeated = {column for column in ("Date", currency) if header.count(column) > 1}
    if repeated:
        raise EcbFileError(f"{name}: columns {sorted(repeated)} stand twice in the header")
    if currency not in currencies:
        raise EcbFileError(f"{name}: has no currency {currency!r}.{nearest(currency, currencies)}")
    return header.index(currency)


def _rows(data: bytes, name: str) -> Iterator[tuple[int, list[str]]]:
    """Line number and cells of each line; cells are not quoted in this format, so a line is a row."""
    try:
        text = (_unzipped(data, name) if data[:4] == b"PK\x03\x04" else data).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise EcbFileError(f"{name}: not UTF-8 at byte {error.start}") from error
    reader = csv.reader(io.StringIO(text, newline=""), quoting=csv.QUOTE_NONE)
    try:
        for cells in reader:
            yield reader.line_num, cells
    except csv.Error as error:
        raise EcbFileError(f"{name}: line {reader.line_num} cannot be read: {error}") from error


def _unzipped(data: bytes, name: str) -> bytes:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [member for member in archive.infolist() if member.filename.lower().endswith(".csv")]
            if len(members) != 1:
                raise EcbFileError(f"{name}: expected one .csv in the zip, got {archive.namelist()[:5]}")
            # Whatever size the zip claims, no more than the limit is unpacked; the check sum is verified at the end.
            with archive.open(members[0]) as member:
                content = member.read(MAX_BYTES + 1)
    except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
        raise EcbFileError(f"{name}: the zip is damaged: {error}") from error
    if len(content) > MAX_BYTES:
        raise EcbFileError(f"{name}: unpacks to more than {MAX_BYTES:,} bytes")
    return content
