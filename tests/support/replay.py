"""A real HTTP server on loopback that replays answers, well or badly, as a test says.

    with replaying({"/v1/candles": body, "/v1/ticks?from=7": [too_many("1"), body]}) as server:
        fetch(server.url + "/v1/candles")
    assert server.paths == ["/v1/candles"]

A route is a path, with its query where that matters (looked up first). It leads to an answer, to a list of answers
(one a request, the last for ever), or to a function of the request. Bytes stand for a good answer with that body. What
has no route gets 404. Routes may be changed while the server runs.
"""

from __future__ import annotations

import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest


@dataclass(frozen=True)
class Seen:
    """One request as it came in; the names of `headers` are in lower case."""

    target: str
    headers: Mapping[str, str]

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def query(self) -> dict[str, str]:
        """The last value of each key."""
        return {key: values[-1] for key, values in parse_qs(urlsplit(self.target).query).items()}


@dataclass(frozen=True)
class Reply:
    """One answer. `length`: the Content-Length to claim, the true one if None, none at all (the end of the connection
    ends the body) if -1. `end`: after the body (cut at `length` if that is shorter) the connection stays ("keep"), is
    closed, or is reset. `silent`: no status and no headers either, only the `end`. `wait`: seconds before it starts."""

    body: bytes = b""
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    length: int | None = None
    end: Literal["keep", "close", "reset"] = "keep"
    silent: bool = False
    wait: float = 0.0


Answer = bytes | Reply
Route = Answer | list[Answer] | Callable[[Seen], Answer]


def too_many(retry_after: str) -> Reply:
    """429 that asks to come back later: seconds or a date."""
    return Reply(b"slow down", 429, {"Retry-After": retry_after})


def failing(status: int = 503) -> Reply:
    """An answer of the server's own trouble."""
    return Reply(b"{}", status)


def short(body: bytes, missing: int = 1) -> Reply:
    """A body that ends before the Content-Length that was promised."""
    return Reply(body[: len(body) - missing], length=len(body), end="close")


def cut(body: bytes, missing: int = 1) -> Reply:
    """A body that ends early where no length was promised: only its content can tell."""
    return Reply(body[: len(body) - missing], length=-1, end="close")


def hanging(seconds: float) -> Reply:
    """No answer for that long, or until the server stops."""
    return Reply(wait=seconds, silent=True, end="close")


RESET = Reply(silent=True, end="reset")
DISCONNECT = Reply(silent=True, end="close")
HTML = Reply(b"\n<!doctype html><title>Sign in</title>", headers={"Content-Type": "text/html"})


@dataclass
class Replay:
    """The running server: where it is, what it answers, and what it was asked."""

    url: str
    routes: dict[str, Route]
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    _turns: dict[str, int] = field(default_factory=dict)

    @property
    def paths(self) -> list[str]:
        """The targets (path and query) asked for, in order."""
        return [request.target for request in self.seen]

    def answer(self, request: Seen) -> Reply:
        """What `request` gets; lists move on by one."""
        key = request.target if request.target in self.routes else request.path
        route = self.routes.get(key, Reply(b"no such thing", 404))
        if callable(route):
            route = route(request)
        if isinstance(route, list):
            turn = self._turns.get(key, 0)
            self._turns[key] = turn + 1
            route = route[min(turn, len(route) - 1)]
        return Reply(route) if isinstance(route, bytes) else route


@contextmanager
def replaying(routes: Mapping[str, Route] | None = None) -> Iterator[Replay]:
    """The server, while this lasts. A proxy that the machine may have set is not used for it."""
    stopping, guard = threading.Event(), threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"  # connections stay open, so that reuse can be seen
        disable_nagle_algorithm = True
        timeout = 30

        def setup(self) -> None:
            super().setup()
            with guard:
                server.connections += 1

        def do_GET(self) -> None:
            seen = Seen(self.path, {name.lower(): value for name, value in self.headers.items()})
            with guard:
                server.seen.append(seen)
                reply = server.answer(seen)
            if reply.wait and stopping.wait(reply.wait):
                reply = replace(reply, silent=True, end="close")
            if not reply.silent:
                self._send(reply)
            self.close_connection = reply.end != "keep"
            if reply.end == "reset":
                # A socket closed without lingering sends RST instead of FIN.
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.connection.close()

        def _send(self, reply: Reply) -> None:
            self.send_response(reply.status)
            for name, value in reply.headers.items():
                self.send_header(name, value)
            if reply.length != -1:
                self.send_header("Content-Length", str(len(reply.body) if reply.length is None else reply.length))
            if reply.end == "close":
                self.send_header("Connection", "close")
            self.end_headers()
            self.wfile.write(reply.body)

        def log_message(self, format: str, *args: object) -> None: ...

    class Http(ThreadingHTTPServer):
        def handle_error(self, request: object, client_address: object) -> None: ...  # the client went away

    with pytest.MonkeyPatch.context() as patch, Http(("127.0.0.1", 0), Handler) as http:
        patch.setenv("NO_PROXY", "127.0.0.1")
        server = Replay(f"http://127.0.0.1:{http.server_port}", dict(routes or {}))
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield server
        finally:
            stopping.set()
            http.shutdown()
            thread.join()
