"""A real HTTP server on loopback that answers as each test says, and the pairs and requests the tests use."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from fx_assets.prices.batch import Batch
from fx_assets.prices.sources.base import PriceSource, Request
from fx_assets.settings import Settings
from fx_assets.specs.schema import PairSpec, SourceSpec

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
RANGES = {"EURUSD": (0.5, 2.0), "USDJPY": (50.0, 300.0), "EURJPY": (60.0, 300.0), "GBPUSD": (0.7, 3.0)}


@dataclass(frozen=True)
class Answer:
    """One response. `length` is the Content-Length to claim; `close` cuts the connection before any answer;
    with a `pause` the body comes byte by byte, that many seconds apart."""

    status: int = 200
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)
    length: int | None = None
    close: bool = False
    pause: float = 0.0


@dataclass
class Server:
    """Answers in the order of `answers`, the last one for ever; `requests` counts."""

    url: str
    answers: list[Answer] = field(default_factory=list)
    requests: int = 0


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    # A proxy that the machine may have set is not for loopback.
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    scripted: Server
    stopping = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            scripted.requests += 1
            answer = scripted.answers[min(scripted.requests, len(scripted.answers)) - 1]
            if answer.close:
                return
            self.send_response(answer.status)
            for name, value in answer.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(answer.body) if answer.length is None else answer.length))
            self.end_headers()
            if not answer.pause:
                self.wfile.write(answer.body)
                return
            for byte in answer.body:
                if stopping.wait(answer.pause):
                    return
                self.wfile.write(bytes([byte]))

        def log_message(self, format: str, *args: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        scripted = Server(f"http://127.0.0.1:{http.server_port}/eurofxref-hist.zip")
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield scripted
        stopping.set()
        http.shutdown()
        thread.join()


@pytest.fixture
def settings_for(tmp_path: Path) -> Callable[[str], Settings]:
    return lambda url: Settings(home=tmp_path, live=True, ecb_url=url)


@pytest.fixture
def offline(tmp_path: Path) -> Settings:
    return Settings(home=tmp_path, live=False)


def pair(name: str = "EURUSD", **changes: object) -> PairSpec:
    body: dict[str, object] = {
        "pair": name,
        "pip": 0.01 if name.endswith("JPY") else 0.0001,
        "source": SourceSpec(kind="ecb"),
        "calendar": "target",
        "history_start": date(1999, 1, 4),
        "plausible_range": RANGES.get(name, (1e-3, 1e3)),
    }
    return PairSpec.model_validate({**body, **changes})


def request(settings: Settings, spec: PairSpec | None = None, **changes: Any) -> Request:
    """What is asked of the source of `spec` at `NOW`, for the first time."""
    spec = spec or pair()
    body: dict[str, Any] = {
        "pair": spec.pair,
        "source": spec.source,
        "settings": settings,
        "log": lambda _: None,
        "now": NOW,
        "history_start": spec.history_start,
        "fx_week": spec.calendar != "24x7",
    }
    return Request(**{**body, **changes})


@dataclass(frozen=True)
class Given:
    """All that a source gave for a request. `rejects` have the `origin` of their batch beside them."""

    batches: list[Batch]
    cursor: dict[str, Any]
    notes: dict[str, str | int]

    @property
    def rows(self) -> pl.DataFrame:
        return pl.concat([batch.rows for batch in self.batches], how="diagonal") if self.batches else pl.DataFrame()

    @property
    def rejects(self) -> pl.DataFrame:
        frames = [batch.rejects.with_columns(origin=pl.lit(batch.origin)) for batch in self.batches]
        return pl.concat(frames) if frames else pl.DataFrame()


def answer_of(adapter: PriceSource, asked: Request) -> Given:
    """Read the feed to its end."""
    feed = adapter.open(asked)
    batches = list(feed.batches)
    return Given(batches, feed.cursor, feed.notes)
