"""OANDA's v20 candles: saved answers of its service as JSON files and, with a token, what the service has newer."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import TYPE_CHECKING, ClassVar
from urllib.parse import quote, urlencode, urlsplit

from fx_assets.prices.batch import Batch, Form
from fx_assets.prices.download import DownloadError, RetryPolicy, connection, download, shown
from fx_assets.prices.files import FileError, InputFile
from fx_assets.prices.sources.base import Feed, Request, SourceError
from fx_assets.prices.sources.from_files import FileSource
from fx_assets.settings import Settings
from fx_assets.specs.schema import Frequency, SourceSpec
from fx_assets.timegrid.frequencies import FREQUENCIES, name_of, seconds_of
from fx_assets.timegrid.trading_dates import bar_start

if TYPE_CHECKING:
    import httpx
    import polars as pl

    from fx_assets.prices.oanda_json import Candles

POLICY = RetryPolicy(attempts=5, read=30.0, first_wait=1.0, longest_wait=30.0, longest_retry_after=120.0)
PAGE = 5_000
"""Candles that the service gives at most for one request."""
PAUSE = 0.1
"""Seconds between two requests, a tenth of the rate that OANDA allows a connection."""
LARGEST = 64 << 20
_DEFAULT: Frequency = "1h"
_BATCH_ROWS = 1 << 17
_UNITS = {"min": "M", "h": "H"}
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})


class OandaSource(FileSource):
    """Bars of one instrument, bid, ask and mid. A file may be one answer of the candles endpoint, or its record.

    `resolution`: how long the bars are (1h where it is not said; files say so themselves). `side`: what open to close
    quote, mid unless it says otherwise. Without `files` and with an empty inbox only the service is asked; it is asked
    for what comes after the newest bar that is known. `Feed.cursor`: `files`, and `last`, the start of that bar.
    """

    kind: ClassVar[str] = "oanda"
    uses: ClassVar[frozenset[str]] = frozenset({"symbol", "files", "resolution", "side"})
    live: ClassVar[bool] = True

    def __init__(self, policy: RetryPolicy = POLICY, page: int = PAGE, pause: float = PAUSE) -> None:
        self.policy = policy
        self.page = page
        self.pause = pause

    def form(self, source: SourceSpec) -> Form:
        """Bars as long as `resolution` says."""
        return Form("bar", seconds_of(source.resolution or _DEFAULT), source.side or "mid")

    def _problems(self, source: SourceSpec) -> Iterator[tuple[str, str]]:
        if source.resolution == "tick":
            yield "resolution", f"OANDA's candles are bars; expected one of {', '.join(FREQUENCIES)}"
        if source.side == "trade":
            yield "side", "OANDA quotes bid, ask and mid; expected one of them"
        if source.symbol is not None and _instrument(source.symbol) is None:
            yield "symbol", f"{source.symbol!r}: expected an instrument such as EUR_USD"

    def _batches(self, request: Request, feed: Feed) -> Iterator[Batch]:
        inbox = request.settings.inbox_path / request.pair
        files = bool(request.source.files) or (inbox.is_dir() and any(inbox.iterdir()))
        last = _instant(request.cursor.get("last"))
        if files:
            for batch in super()._batches(request, feed):
                last = _newest(_ended(batch.rows, batch.form, request.now), last)
                yield batch
        if last is not None:
            feed.cursor["last"] = last.isoformat()
        settings = request.settings
        if not settings.live:
            feed.notes["live"] = "off"
            if not files and last is None:
                raise SourceError(f"{request.pair}: no files, and the network is off (FX_LIVE=false)")
        elif settings.oanda_token is None:
            feed.notes["live"] = "no token; files only"
            if not files:
                raise SourceError(
                    f"{request.pair}: OANDA's service needs a token: set FX_OANDA_TOKEN to the personal access token "
                    "of an account (practice or live, see FX_OANDA_URL), or give `files`"
                )
        else:
            yield from self._live(request, feed, last)

    def _read(self, file: InputFile, request: Request, notes: dict[str, str | int]) -> Iterator[Batch]:
        from fx_assets.prices.oanda_json import OandaError, read_candles

        try:
            candles = read_candles(file.read(LARGEST), side=request.source.side or "mid", name=file.name)
        except OandaError as error:
            raise FileError(str(error)) from error
        wanted = _wanted_instrument(request)
        if candles.instrument not in ("", wanted):
            raise FileError(f"{file.name}: holds {candles.instrument}, expected {wanted}; move it, or set `symbol`")
        resolution = request.source.resolution
        if resolution is not None and candles.seconds != seconds_of(resolution):
            held = name_of(candles.seconds)
            raise FileError(f"{file.name}: holds bars of {held}, expected {resolution}; set `resolution` to what it is")
        notes["incomplete"] = int(notes.get("incomplete", 0)) + candles.incomplete
        yield from _parts(file.name, candles, Form("bar", candles.seconds, request.source.side or "mid"))

    def _live(self, request: Request, feed: Feed, last: datetime | None) -> Iterator[Batch]:
        """Page by page what comes after `last`. What was had before a failure is whole, so it is kept."""
        headers, form = {"Authorization": f"Bearer {_token(request.settings)}"}, self.form(request.source)
        feed.notes.update(live="reached", pages=0)
        with connection(self.policy) as client:
            while True:
                try:
                    origin, candles = self._page(request, client, headers, last)
                except DownloadError as error:
                    cause = _explained(error, request)
                    if not feed.notes["pages"]:
                        raise SourceError(f"{request.pair}: {cause}") from error
                    feed.notes["live"] = f"stopped at {last}: {cause}; the next run goes on from there"
                    request.log(f"{request.pair}: {feed.notes['live']}")
                    return
                feed.notes["pages"] = int(feed.notes["pages"]) + 1
                feed.notes["incomplete"] = int(feed.notes.get("incomplete", 0)) + candles.incomplete
                fresh = candles.rows if last is None else candles.rows.filter(candles.rows["time"] > last)
                rows = _ended(fresh, form, request.now)
                yield from _parts(origin, candles, form, rows)
                last = _newest(rows, last)
                if last is not None:
                    feed.cursor["last"] = last.isoformat()
                if candles.total < self.page or rows.height < fresh.height:
                    return
                if rows.is_empty():
                    raise SourceError(f"{request.pair}: {origin}: {candles.total} candles, none of them usable")
                time.sleep(self.pause)

    def _page(
        self, request: Request, client: httpx.Client, headers: dict[str, str], last: datetime | None
    ) -> tuple[str, Candles]:
        """One page as (origin, candles). Raises `DownloadError`."""
        from fx_assets.prices.oanda_json import OandaError, read_candles

        side, instrument = request.source.side or "mid", _wanted_instrument(request)
        since = last or bar_start(request.history_start)
        query = {
            "price": {"mid": "MBA", "bid": "B", "ask": "A"}[side],
            "granularity": _granularity(request.source.resolution or _DEFAULT),
            "count": self.page,
            "from": since.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
            "includeFirst": "true" if last is None else "false",
            "dailyAlignment": 17,
            "alignmentTimezone": "America/New_York",
            "weeklyAlignment": "Sunday",
        }
        address = f"{request.settings.oanda_url.rstrip('/')}/v3/instruments/{quote(instrument, safe='')}/candles"
        found: list[Candles] = []

        def verify(data: bytes) -> None:
            candles = read_candles(data, side=side, name="the service")
            if candles.seconds != self.form(request.source).seconds or candles.instrument != instrument:
                held = f"{candles.instrument} of {name_of(candles.seconds)}"
                raise OandaError(
                    f"candles of {held}, asked for {instrument} of {request.source.resolution or _DEFAULT}"
                )
            found.append(candles)

        url = f"{address}?{urlencode(query)}"
        download(url, policy=self.policy, verify=verify, log=request.log, headers=headers, client=client)
        return f"{shown(address)} from {query['from']}", found[-1]


def _parts(origin: str, candles: Candles, form: Form, rows: pl.DataFrame | None = None) -> Iterator[Batch]:
    """The rejects, if there are any, then the rows."""
    rows, rejects = candles.rows if rows is None else rows, candles.rejects
    if rejects.height:
        yield Batch(origin, form, rows.clear(), rejects)
    for part in rows.iter_slices(_BATCH_ROWS):
        yield Batch(origin, form, part, rejects.clear())


def _ended(rows: pl.DataFrame, form: Form, now: datetime) -> pl.DataFrame:
    """The bars that had ended at `now`: those that ended while the service was asked are left to the next run."""
    import polars as pl

    end = pl.col("time") + pl.duration(seconds=form.seconds)
    return rows.filter((pl.coalesce("known_at", end) if "known_at" in rows.columns else end) <= now)


def _newest(rows: pl.DataFrame, last: datetime | None) -> datetime | None:
    """The newest time of `rows` and `last`."""
    newest = rows["time"].max()
    if not isinstance(newest, datetime):
        return last
    return newest if last is None else max(last, newest)


def _instant(text: str | None) -> datetime | None:
    return None if text is None else datetime.fromisoformat(text)


def _granularity(resolution: str) -> str:
    """OANDA's name of a bar length: M5, H1, D, W."""
    if resolution in ("1d", "1w"):
        return resolution[1].upper()
    digits = "".join(character for character in resolution if character.isdigit())
    return f"{_UNITS[resolution.removeprefix(digits)]}{digits}"


def _instrument(symbol: str) -> str | None:
    """OANDA's name of an instrument: EUR_USD of EURUSD, EUR/USD or itself; None where it cannot be one."""
    name = f"{symbol[:3]}_{symbol[3:]}" if re.fullmatch(r"[A-Z]{6}", symbol) else symbol.replace("/", "_")
    return name if re.fullmatch(r"[A-Z0-9]+_[A-Z0-9]+", name) else None


def _wanted_instrument(request: Request) -> str:
    name = _instrument(request.symbol)
    if name is None:
        raise SourceError(f"{request.pair}: symbol {request.symbol!r}: expected an instrument such as EUR_USD")
    return name


def _token(settings: Settings) -> str:
    """The token, checked before it can get into a header: a library's complaint would repeat it."""
    token = settings.oanda_token.get_secret_value().strip() if settings.oanda_token is not None else ""
    if not re.fullmatch(r"[\x21-\x7e]+", token):
        raise SourceError("FX_OANDA_TOKEN is empty, or holds blanks or characters that no token has; copy it again")
    parts = urlsplit(settings.oanda_url)
    if parts.scheme != "https" and parts.hostname not in _LOOPBACK:
        raise SourceError(f"FX_OANDA_URL {shown(settings.oanda_url)}: expected https, else the token could be read")
    return token


def _explained(error: DownloadError, request: Request) -> str:
    where = shown(request.settings.oanda_url)
    if error.status in (401, 403):
        return (
            f"{where} does not accept the token of FX_OANDA_TOKEN ({error}); practice and live accounts have their own"
        )
    if error.status in (400, 404):
        return f"{where} does not know what was asked ({error}); is {_wanted_instrument(request)} an instrument there?"
    return f"{where}: {error}"
