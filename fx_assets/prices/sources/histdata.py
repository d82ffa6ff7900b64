"""HistData.com: minutes (bid) and ticks, as CSV, zip or xz.

Minutes: `YYYYMMDD HHMMSS;open;high;low;close;volume`, the volume always 0 and left out; a minute without a tick is not
there. Ticks: `YYYYMMDD HHMMSSmmm,bid,ask,0`. The vendor calls the clock "EST without daylight saving"; compared with
OANDA week by week it is New York to 2018 and London less 5 hours from 2019, see `fx_assets.prices.clocks`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from itertools import chain
from typing import ClassVar

from fx_assets.prices.batch import Batch, Form
from fx_assets.prices.files import FileError, InputFile
from fx_assets.prices.sources.base import Request
from fx_assets.prices.sources.from_files import FileSource
from fx_assets.specs.schema import SourceSpec

MINUTES, TICKS = Form("bar", 60, "bid"), Form("tick")
_MINUTE = re.compile(r"\d{8} \d{6};")
_TICK = re.compile(r"\d{8} \d{9},")
_GAP = re.compile(rb"^Gap of (\d+)s found", re.MULTILINE)
_REPORT = "HistData.com"


class HistDataSource(FileSource):
    """Minutes or ticks, told apart by their first line.

    Notes: `gaps_reported` and `longest_gap_s` (seconds without a tick in open hours), as the reports say that lie
    beside the prices in the vendor's zips.
    """

    kind: ClassVar[str] = "histdata"
    uses: ClassVar[frozenset[str]] = FileSource.uses | {"resolution"}
    default_clock: ClassVar[str] = "histdata"

    def form(self, source: SourceSpec) -> Form:
        """Minutes, unless `resolution` says ticks."""
        return TICKS if source.resolution == "tick" else MINUTES

    def _problems(self, source: SourceSpec) -> Iterator[tuple[str, str]]:
        if source.resolution not in (None, "tick", "1min"):
            yield "resolution", f"{source.resolution}: HistData has 1min and tick"

    def _read(self, file: InputFile, request: Request, notes: dict[str, str | int]) -> Iterator[Batch]:
        from fx_assets.prices.delimited import Layout, read_delimited

        chunks = file.text()
        first = next(chunks, None)
        if first is None:
            return
        if first.head.startswith(_REPORT):
            for chunk in chain([first], chunks):
                gaps = [int(seconds) for seconds in _GAP.findall(chunk.data)]
                notes["gaps_reported"] = int(notes.get("gaps_reported", 0)) + len(gaps)
                notes["longest_gap_s"] = max([int(notes.get("longest_gap_s", 0)), *gaps])
            return
        if _MINUTE.match(first.head):
            form = MINUTES
            layout = Layout(";", ("time", "open", "high", "low", "close", None), "%Y%m%d %H%M%S")
        elif _TICK.match(first.head):
            form, layout = TICKS, Layout(",", ("time", "bid", "ask", None), "%Y%m%d %H%M%S%3f")
        else:
            raise FileError(
                f"{file.name}: begins {first.head[:60]!r}, expected 20180101 170000;O;H;L;C;V (minutes) or "
                f"20200101 170000065,bid,ask,0 (ticks); for HistData's MetaTrader files set kind: metatrader and "
                f"clock: histdata, for others kind: csv"
            )
        if request.source.resolution and form != self.form(request.source):
            raise FileError(f"{file.name}: holds {form}; source.resolution says {request.source.resolution}")
        clock = self.clock(request)
        for chunk in chain([first], chunks):
            rows, rejects = read_delimited(chunk, layout, clock)
            yield Batch(file.name, form, rows, rejects)
