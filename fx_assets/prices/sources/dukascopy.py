"""Dukascopy: ticks and candles from `.bi5` files, from saved answers of its JSON service, and from that service."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import TYPE_CHECKING, ClassVar

from pydantic import Field

from fx_assets.prices.batch import Batch, Form, no_rejects
from fx_assets.prices.download import DownloadError, RetryPolicy, connection, shown
from fx_assets.prices.files import FileError, InputFile
from fx_assets.prices.sources.base import Feed, Request, SourceError
from fx_assets.prices.sources.from_files import FileSource
from fx_assets.specs.schema import SourceSpec, Strict
from fx_assets.timegrid.trading_dates import bar_start

if TYPE_CHECKING:
    from fx_assets.prices.dukascopy_service import Service

TICKS = Form("tick")
POLICY = RetryPolicy(attempts=5, read=30.0, first_wait=1.0, longest_wait=30.0, longest_retry_after=120.0)
_SECONDS = {"1min": 60, "1h": 3_600, "1d": 86_400}
_CODE = re.compile(r"[A-Z0-9.]{1,20}-[A-Z]{3}")
_ANSWER_SIDE = re.compile(r"(?:^|[^A-Z])(BID|ASK)(?:[^A-Z]|$)")

Notes = dict[str, str | int]


class DukascopyOptions(Strict):
    """What only this source knows."""

    base_url: str = Field(
        default="https://jetta.dukascopy.com/v1", pattern=r"^https?://\S+[^/\s]$", description="The JSON service"
    )
    code: str | None = Field(
        default=None, pattern=rf"^{_CODE.pattern}$", description="The service's name, e.g. EUR-USD"
    )
    first: str | None = Field(
        default=None,
        pattern=r"^\d{4}-\d\d-\d\d$",
        description="First date asked of the service; else history_start, or when its prices begin",
    )
    pause: float = Field(default=0.2, ge=0, le=60, description="Seconds between two requests")
    settle_minutes: int = Field(default=60, ge=0, le=2_880, description="How long after its end an hour may change")
    requests_per_run: int = Field(default=10_000, ge=1, description="The next run goes on where this one stopped")
    user_agent: str = Field(default="Mozilla/5.0 (compatible; fx-assets)", min_length=1)


class DukascopySource(FileSource):
    """Ticks (the default), or candles of `resolution` 1min, 1h or 1d and `side` bid (the default) or ask.

    `files`: `.bi5` in the vendor's folders (months from 0), or saved answers of the JSON service. Where `resolution` or
    `side` is given, files of another form are passed over. `points` is the size of a point in `.bi5`, where the symbol
    does not tell it. Without `files` the service is asked hour by hour (of candles, by day, month or year) from
    `history_start`; each finished answer is kept in the cache, so that an interrupted fetch goes on where it stopped.
    Days of `1d` are days of UTC, not of New York.

    `Feed.cursor`: `until`, up to which all is final, and `rest`, a digest of what was given beyond it and will be asked
    for again: rows are repeated rather than lost. The service's host could not be reached from where this was written;
    it was tested against a local server with the service's own answers.
    """

    kind: ClassVar[str] = "dukascopy"
    uses: ClassVar[frozenset[str]] = frozenset({"symbol", "files", "resolution", "side", "points"})
    live: ClassVar[bool] = True
    empty_is_closed: ClassVar[bool] = True
    Options: ClassVar[type[Strict]] = DukascopyOptions

    def __init__(self, policy: RetryPolicy = POLICY) -> None:
        self.policy = policy

    def form(self, source: SourceSpec) -> Form:
        """Ticks with both sides, or candles of one."""
        if source.resolution in (None, "tick"):
            return TICKS
        return Form("bar", _SECONDS[str(source.resolution)], source.side or "bid")

    def _problems(self, source: SourceSpec) -> Iterator[tuple[str, str]]:
        if source.resolution not in (None, "tick", *_SECONDS):
            yield "resolution", f"Dukascopy has tick, {', '.join(_SECONDS)}; the bars make the others of these"
        if source.side in ("mid", "trade"):
            yield "side", "the candles are of one side: bid or ask"
        elif source.side is not None and source.resolution in (None, "tick") and not source.files:
            yield "side", "ticks have both sides; leave it out, or set resolution to 1min, 1h or 1d"
        first = source.options.get("first")
        if isinstance(first, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", first):
            try:
                date.fromisoformat(first)
            except ValueError as error:
                yield "options.first", f"{first} is no date: {error}"

    def _batches(self, request: Request, feed: Feed) -> Iterator[Batch]:
        if not request.source.files:
            yield from self._service(request, feed)
            return
        given = 0
        for batch in super()._batches(request, feed):
            given += 1
            yield batch
        if not given and (others := feed.notes.get("files_of_another_form")):
            raise SourceError(
                f"{request.pair}: none of {others} files holds {self.form(request.source)}; set `resolution` and "
                "`side` of the source to what the files hold, or leave them out"
            )

    # Files

    def _read(self, file: InputFile, request: Request, notes: Notes) -> Iterator[Batch]:
        try:
            batch = (self._bi5 if file.name.endswith(".bi5") else self._json)(file, request, notes)
        except FileError:
            raise
        except ValueError as error:
            raise FileError(f"{file.name}: {error}") from error
        if batch is None:
            _count(notes, "files_of_another_form", 1)
        elif batch.rows.height:
            yield batch

    def _bi5(self, file: InputFile, request: Request, notes: Notes) -> Batch | None:
        from fx_assets.prices import bi5

        name = bi5.named(file.name)
        form = Form("bar", name.seconds, name.side) if name.seconds else TICKS
        symbol = re.sub("[-/]", "", request.symbol)
        if name.symbol not in (None, symbol, request.pair):
            raise FileError(
                f"{file.name}: lies in a folder of {name.symbol}, expected {symbol}; set `symbol` if it fits"
            )
        if not self._wanted(form, request.source):
            return None
        points, data = request.source.points, file.read(bi5.LARGEST)
        scale = bi5.scale(symbol) if points is None else bi5.scale_of(points)
        if form.kind == "tick":
            return Batch(file.name, form, bi5.ticks(data, start=name.start, scale=scale), no_rejects())
        rows, closed = bi5.candles(data, start=name.start, span=name.span, seconds=form.seconds, scale=scale)
        _count(notes, "closed_dropped", closed)
        return Batch(file.name, form, rows, no_rejects())

    def _json(self, file: InputFile, request: Request, notes: Notes) -> Batch | None:
        from fx_assets.prices import dukascopy_json

        data = file.read()
        if not data:
            return None
        answer = dukascopy_json.parse(data)
        what = dukascopy_json.what(answer)
        if what == "instrument":
            return None
        if what == "ticks":
            if not self._wanted(TICKS, request.source):
                return None
            return Batch(file.name, TICKS, dukascopy_json.ticks(answer), no_rejects())
        # An answer does not say its side; the name that it is usually saved under does.
        said = _ANSWER_SIDE.search(file.name.rpartition("/")[2].upper())
        form = Form("bar", dukascopy_json.candle_seconds(answer), request.source.side or "bid")
        if said:
            form = replace(form, side="bid" if said[1] == "BID" else "ask")
        if not self._wanted(form, request.source):
            return None
        rows, closed = dukascopy_json.candles(answer, seconds=form.seconds)
        _count(notes, "closed_dropped", closed)
        return Batch(file.name, form, rows, no_rejects())

    def _wanted(self, form: Form, source: SourceSpec) -> bool:
        """Whether files of `form` are meant; each of them is where the source names neither resolution nor side."""
        if source.resolution is not None and form.seconds != self.form(source).seconds:
            return False
        return form.kind == "tick" or source.side in (None, form.side)

    # The service

    def _service(self, request: Request, feed: Feed) -> Iterator[Batch]:
        from fx_assets.prices.dukascopy_service import Service

        options = DukascopyOptions.model_validate(request.source.options)
        form, notes = self.form(request.source), feed.notes
        with ExitStack() as stack:
            live = request.settings.live
            service = Service(
                base_url=options.base_url,
                code=options.code or _code(request),
                form=form,
                cache=request.settings.cache_path / "dukascopy",
                now=request.now,
                settle=timedelta(minutes=options.settle_minutes),
                log=request.log,
                client=stack.enter_context(connection(self.policy)) if live else None,
                policy=self.policy,
                pause=options.pause,
                user_agent=options.user_agent,
            )
            notes.update(live="reached" if live else "off; what the cache has", answers=0, requests=0)
            try:
                yield from self._walk(service, request, options, feed)
            except DownloadError as error:
                raise SourceError(
                    f"{request.pair}: {shown(options.base_url)}: {error}. What came before is kept in {service.cache}; "
                    "the next run goes on from there"
                ) from error
            finally:
                notes["requests"] = service.asked
                if service.damaged:
                    notes["kept_damaged"] = service.damaged
        if not live and not notes["answers"] and not request.cursor.get("until"):
            raise SourceError(
                f"{request.pair}: the network is off (FX_LIVE=false) and {service.cache} holds nothing of "
                f"{service.code}; switch it on, or name `.bi5` files under source.files"
            )

    def _walk(self, service: Service, request: Request, options: DukascopyOptions, feed: Feed) -> Iterator[Batch]:
        """Stretch after stretch. `until` moves as long as each one is final; what follows counts into `rest`."""
        from fx_assets.prices.dukascopy_service import stretches

        until = self._start(service, request, options)
        final, rest, missing = True, hashlib.sha256(), 0
        for stretch in stretches(service.form, until, request.now):
            if service.asked >= options.requests_per_run:
                feed.notes["left_for_the_next_run"] = f"from {stretch.start:%Y-%m-%d %H:%M}"
                break
            if request.fx_week and stretch.closed:
                continue  # and `until` stays: a weekend is no news
            try:
                answer = service.answer(stretch)
            except DownloadError as error:
                message = f"{service.form} of {service.code} from {stretch.start:%Y-%m-%d %H:%M}: {error}"
                raise DownloadError(message, status=error.status) from error
            if answer is None:
                final, missing = False, missing + 1
                continue
            _count(feed.notes, "answers", 1)
            _count(feed.notes, "closed_dropped", answer.closed)
            if answer.rows.height:
                yield Batch(f"{service.code} {stretch.start:%Y-%m-%d %H:%M}", service.form, answer.rows, no_rejects())
            final = final and answer.final
            if final:
                until = stretch.end
            elif answer.rows.height:
                rest.update(f"{stretch.start} {answer.digest}".encode())
        if missing:
            feed.notes["answers_missing"] = missing
        feed.cursor = {"until": until.isoformat(), "rest": rest.hexdigest()[:16]}

    def _start(self, service: Service, request: Request, options: DukascopyOptions) -> datetime:
        """Where to begin: at the cursor, else at the first date, but not before the service has prices."""
        if said := request.cursor.get("until"):
            return datetime.fromisoformat(said)
        if options.first is not None:
            return bar_start(max(date.fromisoformat(options.first), request.history_start))
        start = bar_start(request.history_start)
        known = service.first() if service.client is not None else None
        return start if known is None else max(start, known)


def _code(request: Request) -> str:
    """The service's name of a symbol: EUR-USD of EURUSD."""
    symbol = request.symbol.upper().replace("/", "-")
    code = f"{symbol[:-3]}-{symbol[-3:]}" if "-" not in symbol else symbol
    if not _CODE.fullmatch(code):
        raise SourceError(f"{request.pair}: symbol {request.symbol!r}: expected one such as EURUSD, or options.code")
    return code


def _count(notes: Notes, name: str, more: int) -> None:
    if more:
        notes[name] = int(notes.get(name, 0)) + more
