"""Raw connections, for what no HTTP client would send, and a small application behind the guarded protocol."""

from __future__ import annotations

import asyncio
import json
import select
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fx_assets.settings import Settings
from serving.main import bind
from serving.server import Server, configuration

PATIENCE = 30.0


@dataclass(frozen=True)
class Answer:
    """One response as it came."""

    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Wire:
    """One connection of a client that sends bytes as a test says."""

    def __init__(self, port: int, *, receive_buffer: int | None = None) -> None:
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self.file = self.socket.makefile("rb")

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.file.close()
        self.socket.close()

    def send(self, content: bytes) -> Wire:
        """Send all of it."""
        self.socket.sendall(content)
        return self

    def get(self, path: str) -> Answer:
        """One ordinary request on this connection."""
        return self.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n\r\n".encode()).answer()

    def finish(self) -> Wire:
        """Say that nothing more will be sent."""
        self.socket.shutdown(socket.SHUT_WR)
        return self

    def answer(self, *, to_head: bool = False) -> Answer:
        """Read one response; interim ones are passed over."""
        while True:
            line = self.file.readline()
            assert line.startswith(b"HTTP/1.1 "), line
            status, headers = int(line.split(b" ", 2)[1]), self._headers()
            if status >= 200:
                return Answer(status, headers, b"" if to_head or status == 304 else self._body(headers))

    def interim(self) -> int:
        """Read one interim response and return its status."""
        line = self.file.readline()
        self._headers()
        return int(line.split(b" ", 2)[1])

    def rest(self) -> bytes:
        """All that comes until the server closes; a reset ends it too."""
        parts = []
        try:
            while part := self.file.read1(65_536):
                parts.append(part)
        except ConnectionError:
            pass
        return b"".join(parts)

    def readable(self) -> bool:
        """Whether something came, or the end; waits for neither."""
        poll = select.poll()  # not select.select: it takes no descriptor over 1,023
        poll.register(self.socket, select.POLLIN)
        return bool(poll.poll(0))

    def _headers(self) -> dict[str, str]:
        headers: dict[str, str] = {}
        while line := self.file.readline().strip():
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.strip().lower()] = value.strip()
        return headers

    def _body(self, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return self.file.read(int(headers["content-length"]))
        if headers.get("transfer-encoding") != "chunked":
            return self.file.read()
        parts = []
        while size := int(self.file.readline(), 16):
            parts.append(self.file.read(size))
            self.file.readline()
        self.file.readline()
        return b"".join(parts)


def wait_until(condition: Any, what: str) -> None:
    """Wait for something that must come about; how long it takes is of no interest."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


@dataclass
class SmallApp:
    """An ASGI application that waits, streams and echoes as it is asked."""

    release: threading.Event = field(default_factory=threading.Event)
    ended_streams: int = 0
    disconnects: int = 0
    served: int = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            for kind in ("startup", "shutdown"):
                await receive()
                await send({"type": f"lifespan.{kind}.complete"})
            return
        if scope["type"] == "websocket":
            await self._talk(scope, receive, send)
            return
        self.served += 1
        path = scope["path"]
        if path == "/body":
            await self._body(scope, receive, send)
        elif path == "/wait":
            while not self.release.is_set():
                await asyncio.sleep(0.01)
            await answer(send, b"waited")
        elif path == "/late":
            while not self.release.is_set():
                await asyncio.sleep(0.01)
            await answer(send, b"enough", status=413, headers=[(b"connection", b"close")])
        elif path == "/fail":
            raise RuntimeError("secret /etc/passwd 1.2345")
        elif path == "/early":
            await answer(send, b"enough", status=413, headers=[(b"connection", b"close")])
        elif path == "/stream":
            await self._stream(receive, send)
        elif path.startswith("/big/"):
            await answer(send, b"x" * int(path.removeprefix("/big/")))
        else:
            await answer(send, b"hello")

    async def _body(self, scope: Scope, receive: Receive, send: Send) -> None:
        size, more = 0, True
        while more:
            message: Message = await receive()
            if message["type"] == "http.disconnect":
                self.disconnects += 1
                return
            size, more = size + len(message["body"]), message["more_body"]
        names = sorted({name.decode() for name, _ in scope["headers"]})
        await answer(send, json.dumps({"size": size, "headers": names}).encode())

    async def _stream(self, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.create_task(_gone(receive))
        while not gone.done():
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await asyncio.sleep(0)
        self.ended_streams += 1

    async def _talk(self, scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        while (message := await receive())["type"] != "websocket.disconnect":
            if scope["path"] == "/flood":
                try:
                    while True:
                        await send({"type": "websocket.send", "bytes": b"x" * 65_536})
                except OSError:
                    self.ended_streams += 1
                    return
            await send({"type": "websocket.send", "text": message["text"]})


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def answer(send: Send, body: bytes, status: int = 200, headers: list[tuple[bytes, bytes]] | None = None) -> None:
    """The whole response."""
    lines = [(b"content-length", str(len(body)).encode()), *(headers or [])]
    await send({"type": "http.response.start", "status": status, "headers": lines})
    await send({"type": "http.response.body", "body": body})


@dataclass
class Running:
    """A guarded server in a thread of this process."""

    port: int
    app: SmallApp
    server: Server

    @property
    def connections(self) -> int:
        """How many are open."""
        return len(self.server.server_state.connections)


@contextmanager
def guarded(
    home: Path,
    *,
    wrap: Callable[[ASGIApp], ASGIApp] = lambda app: app,
    send_buffer: int | None = None,
    ending: Callable[[], None] = lambda: None,
    **settings: Any,
) -> Iterator[Running]:
    """Serve `SmallApp` with these settings, behind a middleware where one is given."""
    app, ready = SmallApp(), threading.Event()
    with bind("127.0.0.1", 0) as listener:
        if send_buffer is not None:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        server = Server(configuration(wrap(app), Settings(home=home, **settings)), ready=ready.set, ending=ending)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        assert ready.wait(PATIENCE)
        try:
            yield Running(listener.getsockname()[1], app, server)
        finally:
            app.release.set()
            server.should_exit = True
            thread.join(PATIENCE)
            assert not thread.is_alive()
