"""A server that answers with whatever bytes a test wants, as slowly and as brokenly as it wants."""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from serving.access.answers import Refusal
from serving.problems import MEDIA_TYPE

# Bytes are sent, a number is waited for in seconds, None is for ever.
Part = bytes | float | None
Script = Sequence[Part]


class Hostile:
    """Plays one script a request, the last one again and again; each on a connection of its own, then closed."""

    def __init__(self, scripts: Sequence[Script]) -> None:
        self._scripts = list(scripts)
        self.requests: list[str] = []
        self.url = ""
        self._answering: set[asyncio.Task[Any]] = set()

    @property
    def last_event_ids(self) -> list[str | None]:
        """Of each request, where it wanted to go on."""
        found = []
        for request in self.requests:
            lines = [line for line in request.splitlines() if line.lower().startswith("last-event-id:")]
            found.append(lines[0].partition(":")[2].strip() if lines else None)
        return found

    async def answer(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection."""
        task = asyncio.current_task()
        assert task is not None
        self._answering.add(task)
        try:
            await self._play(reader, writer)
            writer.close()
        finally:
            if not writer.is_closing():
                writer.transport.abort()
            with contextlib.suppress(ConnectionError):
                await writer.wait_closed()
            self._answering.discard(task)

    async def _play(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = [int(line.partition(":")[2]) for line in head.lower().splitlines() if "content-length" in line]
            body = await reader.readexactly(length[0] if length else 0)
            script = self._scripts[min(len(self.requests), len(self._scripts) - 1)]
            self.requests.append(head + body.decode())
            for part in script:
                if isinstance(part, bytes):
                    writer.write(part)
                    await writer.drain()
                elif part is None:
                    await reader.read()  # until the client goes
                else:
                    await asyncio.sleep(part)

    @contextlib.asynccontextmanager
    async def listening(self) -> AsyncIterator[None]:
        """On a free port of loopback."""
        server = await asyncio.start_server(self.answer, "127.0.0.1", 0)
        self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        try:
            yield
        finally:
            server.close()
            # What is open when the loop ends is closed by the garbage collector, with a warning in some later test.
            for task in (waiting := list(self._answering)):
                task.cancel()
            await asyncio.gather(*waiting, return_exceptions=True)


@contextmanager
def hostile(*scripts: Script) -> Iterator[Hostile]:
    """A server in a thread."""
    made, started, stop = Hostile(scripts), threading.Event(), asyncio.Event()
    loops: list[asyncio.AbstractEventLoop] = []

    async def serve() -> None:
        loops.append(asyncio.get_running_loop())
        async with made.listening():
            started.set()
            await stop.wait()

    thread = threading.Thread(target=asyncio.run, args=(serve(),), daemon=True)
    thread.start()
    assert started.wait(30)
    try:
        yield made
    finally:
        loops[0].call_soon_threadsafe(stop.set)
        thread.join()


def http(status: int, body: bytes = b"", media_type: str = "application/json", **headers: str) -> list[Part]:
    """A whole answer."""
    lines = {"content-type": media_type, "content-length": str(len(body)), "connection": "close"}
    lines |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
    return [f"HTTP/1.1 {status} Whatever\r\n{head}\r\n".encode() + body]


def problem(status: int, code: str, **headers: str) -> list[Part]:
    """A problem document of the API."""
    body = json.dumps({"status": status, "code": code, "detail": f"said {code}"}).encode()
    return http(status, body, "application/problem+json", x_request_id="r-1", **headers)


def refused(refusal: Refusal) -> list[Part]:
    """A refusal of the door as it is sent."""
    return http(refusal.status, refusal.body, MEDIA_TYPE, **refusal.headers)


def stream(*parts: Part, end: bool = True) -> list[Part]:
    """A stream of events in chunks; without `end` it breaks off."""
    head = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
    chunks = [b"%x\r\n%b\r\n" % (len(part), part) if isinstance(part, bytes) else part for part in parts]
    return [head, *chunks, *([b"0\r\n\r\n"] if end else [])]


def event(document: dict[str, Any], place: str | None = None) -> bytes:
    """One forecast of a stream."""
    name = b"" if place is None else b"id: %b\n" % place.encode()
    return name + b"event: forecast\ndata: %b\n\n" % json.dumps(document).encode()
