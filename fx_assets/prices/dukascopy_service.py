"""Dukascopy's JSON service: which address answers for which stretch of time, asked politely and kept on disk.

Addresses, below `https://jetta.dukascopy.com/v1`, with months that count from 1 and no leading zeros:

    /instruments/EUR-USD                          what there is of a symbol
    /ticks/EUR-USD/2026/7/13/12                   an hour of ticks
    /candles/minute/EUR-USD/BID/2026/7/13         a day of minutes; `hour` a month of hours, `day` a year of days
    /candles/minute/EUR-USD/BID?from=1783900800000    the stretch that has not ended, from its start on

That layout is what dukascopy-node (github.com/Leo4815162342/dukascopy-node, its fixtures of 2026-07-13) and others ask
for. **It was never tried against the real host from here**; a local server with the service's own answers stands in.
"""

from __future__ import annotations

import gzip
import hashlib
import time
import uuid
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import polars as pl

from fx_assets.prices import dukascopy_json
from fx_assets.prices.batch import Form
from fx_assets.prices.download import RetryPolicy, download
from fx_assets.timegrid.trading_dates import trading_date_of

if TYPE_CHECKING:
    import httpx

LAG = timedelta(minutes=2)
"""How long after its end a stretch is still asked for as one that has not ended."""

EMPTY_BELIEVED = timedelta(days=2)
"""How long after its end an answer without prices, though the market may have been open, is not taken for the last."""

_Found = TypeVar("_Found")
_UNITS = {60: "minute", 3_600: "hour", 86_400: "day"}
_MOMENT = timedelta(microseconds=1)
_SATURDAY = 5
_LONG = timedelta(days=2)


@dataclass(frozen=True)
class Stretch:
    """What one answer covers: from `start` to `end` (exclusive, UTC)."""

    start: datetime
    end: datetime

    @property
    def closed(self) -> bool:
        """Whether the FX week is closed throughout: after Friday 17:00 and before Sunday 17:00 in New York."""
        days = (trading_date_of(self.start), trading_date_of(self.end - _MOMENT))
        return self.end - self.start < _LONG and all(day.weekday() >= _SATURDAY for day in days)


@dataclass(frozen=True)
class Answer:
    """The prices of a stretch; `closed` candles were left out. `final`: nothing more is expected. `digest`: of the
    content."""

    rows: pl.DataFrame
    closed: int
    final: bool
    digest: str


def stretches(form: Form, first: datetime, now: datetime) -> Iterator[Stretch]:
    """The stretches that may have prices from `first` to `now`, the one that holds `first` included.

    An hour of ticks is asked for once it has ended; of candles there are the finished ones of an unfinished stretch.
    """
    start = _floor(first.astimezone(UTC), form)
    while start < now:
        end = _next(start, form)
        if form.kind == "tick" and end + LAG > now:
            return
        yield Stretch(start, end)
        start = end


@dataclass
class Service:
    """The answers for one symbol and form, from `cache` or, with a `client`, from the network.

    `asked` counts requests, with `pause` seconds between them. `settle`: how long after its end a stretch may still
    grow. `damaged` counts kept answers that could not be used. Every download is decoded before it counts; one that is
    final is kept, packed, and decoded again when it is read back.
    """

    base_url: str
    code: str
    form: Form
    cache: Path
    now: datetime
    settle: timedelta
    log: Callable[[str], None]
    client: httpx.Client | None = None
    policy: RetryPolicy = field(default_factory=RetryPolicy)
    pause: float = 0.0
    user_agent: str = "fx-assets"
    asked: int = 0
    damaged: int = 0

    def answer(self, stretch: Stretch) -> Answer | None:
        """The prices of `stretch`; None where they are not kept and the network is off.

        Raises `DownloadError` where the network does not give them.
        """
        kept = self._kept(stretch)
        if kept is not None or self.client is None:
            return kept
        data, found = self._ask(self._target(stretch), lambda data: self._decoded(data, stretch))
        if found.final:
            self._keep(stretch, data)
        return found

    def first(self) -> datetime | None:
        """When the prices of this form begin, as the service says; None where it does not. Raises `DownloadError`."""
        period = "TICK" if self.form.kind == "tick" else _UNITS[self.form.seconds].upper()
        target = f"instruments/{self.code}"
        _, found = self._ask(target, lambda data: dukascopy_json.instrument(dukascopy_json.parse(data)))
        if found.code != self.code:
            self.log(f"{self.code}: the service answers for {found.code}")
        return found.first.get(period)

    def _ask(self, target: str, decode: Callable[[bytes], _Found]) -> tuple[bytes, _Found]:
        """Download what lies at `target`, and decode it."""
        assert self.client is not None
        if self.asked and self.pause:
            time.sleep(self.pause)
        self.asked += 1
        found: list[_Found] = []
        data = download(
            f"{self.base_url}/{target}",
            policy=self.policy,
            verify=lambda data: found.append(decode(data)),
            log=self.log,
            headers={"User-Agent": self.user_agent, "Accept": "application/json", "Accept-Encoding": "gzip"},
            client=self.client,
        )
        return data, found[-1]

    def _target(self, stretch: Stretch) -> str:
        start, side = stretch.start, self.form.side.upper()
        if self.form.kind == "tick":
            return f"ticks/{self.code}/{start.year}/{start.month}/{start.day}/{start.hour}"
        place = f"candles/{_UNITS[self.form.seconds]}/{self.code}/{side}"
        if stretch.end + LAG > self.now:
            return f"{place}?from={int(start.timestamp()) * 1_000}"
        depth = {60: 3, 3_600: 2, 86_400: 1}[self.form.seconds]
        return "/".join([place, *map(str, (start.year, start.month, start.day)[:depth])])

    def _decoded(self, data: bytes, stretch: Stretch) -> Answer:
        """The prices in an answer, which must be those of `stretch`. Raises `ValueError` otherwise."""
        answer = dukascopy_json.parse(data)
        if self.form.kind == "tick":
            rows, closed = dukascopy_json.ticks(answer, within=(stretch.start, stretch.end)), 0
        else:
            # An answer from the start of an unfinished stretch on may reach past its end by now.
            within = (stretch.start, max(stretch.end, self.now + _LONG))
            rows, closed = dukascopy_json.candles(answer, seconds=self.form.seconds, within=within)
            known = min(stretch.end, self.now) - timedelta(seconds=self.form.seconds)
            rows = rows.filter(pl.col("time") <= known)
        settled = self.settle if rows.height or closed else max(self.settle, EMPTY_BELIEVED)
        return Answer(rows, closed, stretch.end + settled <= self.now, _digest(rows))

    def _place(self, stretch: Stretch) -> Path:
        """Where an answer is kept: `cache/<address>/EUR-USD/ticks/2026/07/13/12.json.gz`."""
        host = hashlib.sha256(self.base_url.encode()).hexdigest()[:8]
        ticks = self.form.kind == "tick"
        what = "ticks" if ticks else f"{_UNITS[self.form.seconds]}-{self.form.side}"
        parts = {0: "%Y/%m/%d/%H", 60: "%Y/%m/%d", 3_600: "%Y/%m", 86_400: "%Y"}[self.form.seconds]
        return self.cache / host / self.code / what / f"{stretch.start:{parts}}.json.gz"

    def _kept(self, stretch: Stretch) -> Answer | None:
        path = self._place(stretch)
        try:
            return self._decoded(gzip.decompress(path.read_bytes()), stretch)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except (OSError, EOFError, ValueError, zlib.error) as error:
            self.damaged += 1
            self.log(f"{path} cannot be used ({error}); {'asking again' if self.client else 'doing without'}")
            return None

    def _keep(self, stretch: Stretch, data: bytes) -> None:
        """Put an answer into the cache in one step. A disk that refuses it costs a download later, nothing else."""
        path = self._place(stretch)
        draft = path.with_name(f".{path.name}.{uuid.uuid4().hex}")
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            draft.write_bytes(gzip.compress(data, mtime=0))
            draft.replace(path)
        except OSError as error:
            if draft.exists():
                draft.unlink()
            self.log(f"the download could not be kept as {path}: {error}; going on without a copy")


def _digest(rows: pl.DataFrame) -> str:
    digest = hashlib.sha256()
    for column in rows.drop("line"):
        digest.update(column.to_physical().to_numpy().tobytes())
    return digest.hexdigest()


def _floor(moment: datetime, form: Form) -> datetime:
    """The start of the stretch that holds `moment`."""
    hour = moment.replace(minute=0, second=0, microsecond=0)
    if form.kind == "tick":
        return hour
    day = hour.replace(hour=0)
    return {60: day, 3_600: day.replace(day=1), 86_400: day.replace(month=1, day=1)}[form.seconds]


def _next(start: datetime, form: Form) -> datetime:
    if form.kind == "tick":
        return start + timedelta(hours=1)
    if form.seconds == 60:
        return start + timedelta(days=1)
    years, month = divmod(start.month, 12) if form.seconds == 3_600 else (1, 0)
    return datetime(start.year + years, month + 1, 1, tzinfo=UTC)
