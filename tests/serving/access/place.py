"""An installation with keys, clocks that a test moves, and an application that says who it was asked by."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from fx_assets.settings import Settings
from fx_assets.storage.keys import KeyStore, Rate, make
from fx_assets.storage.keys import Scope as KeyScope
from serving.access.keyring import KeyRing
from serving.access.middleware import SUBPROTOCOL, Access, permit
from serving.problems import ProblemError

NOW = datetime(2026, 11, 22, 9, tzinfo=UTC)


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now

    def forward(self, seconds: float) -> None:
        """Let time pass."""
        self.now += seconds


class Place:
    """A home with or without a control database, and the keys that were made in it."""

    def __init__(self, home: Path, host: str = "127.0.0.1") -> None:
        self.settings = Settings(home=home, host=host, live=False)
        self.file = home / "control.db"
        self.monotonic, self.clock = Clock(1000.0), Clock(NOW.timestamp())

    def key(
        self,
        name: str = "desk",
        scopes: Sequence[KeyScope] = ("read", "predict"),
        *,
        expires_at: datetime | None = None,
        rate: Rate | None = None,
        created_at: datetime = NOW,
    ) -> str:
        """Make a key and put it on record; the whole key."""
        made = make(name, scopes, created_at=created_at, expires_at=expires_at, rate=rate)
        with self.store() as store:
            store.add(made.record)
        return made.secret

    def revoke(self, name: str = "desk") -> None:
        """End a key."""
        with self.store() as store:
            store.revoke(name)

    @contextlib.contextmanager
    def store(self) -> Iterator[KeyStore]:
        """The keys on record, to be written to."""
        store = KeyStore(self.settings.control_database)
        try:
            yield store
        finally:
            store.close()

    def ring(self, *, read: bool = True) -> KeyRing:
        """A ring on the clocks of this place, that reads when it is told to."""
        ring = KeyRing(self.settings, monotonic=self.monotonic, now=self.clock)
        if read:
            ring.refresh()
        return ring


async def whoever(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers every request with who asked; at `/v1/forecasts/stream` and over a WebSocket until it is stopped.

    Over a WebSocket each message asks whether its sender may predict.
    """
    said = {"key_name": scope.get("state", {}).get("key_name")}
    if scope["type"] == "websocket":
        await receive()
        offered = scope["subprotocols"]
        await send({"type": "websocket.accept", "subprotocol": SUBPROTOCOL if SUBPROTOCOL in offered else None})
        await send({"type": "websocket.send", "text": json.dumps({**said, "subprotocols": offered})})
        while (await receive())["type"] != "websocket.disconnect":
            try:
                permit(scope, "predict")
                await send({"type": "websocket.send", "text": "200"})
            except ProblemError as error:
                await send({"type": "websocket.send", "text": str(error.status)})
        return
    lasting = scope["path"] == "/v1/forecasts/stream"
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"application/json")]})
    await send({"type": "http.response.body", "body": json.dumps(said).encode() + b"\n", "more_body": lasting})
    while lasting and (await receive())["type"] != "http.disconnect":
        pass


def with_lifespan(app: ASGIApp, ring: KeyRing) -> ASGIApp:
    """The application behind its door, whose ring is read in the background while it runs."""
    behind = Access(app, ring)

    async def served(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await behind(scope, receive, send)
            return
        await receive()
        await ring.start()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await ring.stop()
        await send({"type": "lifespan.shutdown.complete"})

    return served


@contextlib.contextmanager
def serving(app: ASGIApp) -> Iterator[int]:
    """A real uvicorn on loopback; its port."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        bound.listen()
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=5))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]}, daemon=True)
        thread.start()
        while not server.started and thread.is_alive():
            time.sleep(0.01)
        assert server.started, "it did not start; its log says why"
        try:
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join()


def until(happened: Callable[[], Any], what: str) -> None:
    """Wait for it; a minute is for ever."""
    deadline = time.monotonic() + 60
    while not happened():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


async def ticks(running: asyncio.Future[Any]) -> int:
    """How often another task of the loop got its turn while this one ran."""
    count = 0
    while not running.done():
        await asyncio.sleep(0.01)
        count += 1
    return count
