"""One HTTP connection: deadlines and limits that uvicorn's own protocol lacks.

A head or a body that does not arrive in time, a client that does not read its answer, a head too
large, framing that two servers could read differently: the connection answers with a problem and
closes, and no application sees the request. The parser (llhttp, strict) refuses the rest by itself.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from serving import refusals
from serving.closing import CatchUp, Closing
from serving.heads import HEAD_BYTES, TARGET_BYTES, Refused, check_head, check_upgrade
from serving.middleware import MAX_BODY
from serving.refusals import Refusal

# A body as it is sent: chunk sizes, extensions and trailers count here and nowhere else.
WIRE_BYTES: Final = 2 * MAX_BODY + HEAD_BYTES
PIPELINED: Final = 100
# Clients that were about to send get this long to learn that the server is ending.
FAREWELL_SECONDS: Final = 1.0
LAST_LOOK_SECONDS: Final = 0.05


@dataclass(frozen=True)
class Limits:
    """Seconds until a connection is closed, and how many of them may be open at once."""

    head_seconds: float = 10.0
    body_seconds: float = 20.0
    write_seconds: float = 20.0
    max_connections: int = 2_000


class GuardedProtocol(CatchUp, HttpToolsProtocol):
    """uvicorn's protocol with deadlines, limits and a farewell that loses no request."""

    transport: Any  # a `Closing`; uvicorn says `asyncio.Transport`
    loop: asyncio.AbstractEventLoop

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: Limits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.limits, self.write_seconds = limits, limits.write_seconds
        self.url = b""
        self._refusal = refusals.MALFORMED
        self._deaf = False  # nothing more is read: what follows was refused
        self._ended = False  # the client sends no more
        self._leaving = False  # the server is ending
        self._in_body = False
        self._chunk = 0  # bytes that came last
        self._size = 0  # bytes of the message that is arriving; 0 between messages
        self._due: float | None = None
        self._timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Guard the new connection, or turn it away when there are too many."""
        closing = Closing(transport, self.loop, self.limits.write_seconds, self._unread)
        super().connection_made(cast(asyncio.Transport, closing))
        most = self.limits.max_connections
        if len(self.connections) <= most:
            self._wait(self.limits.head_seconds)
        elif len(self.connections) <= most + most // 8 + 8:
            self._refuse(refusals.TOO_MANY_CONNECTIONS)
        else:
            # Even being refused takes a moment and a descriptor.
            self._deaf = True
            transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        """Let go of every timer."""
        if self._timer is not None:
            self._timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what came, unless the connection was refused; then see whether the rest is awaited."""
        if self._deaf:
            return
        self._chunk = len(data)
        self._size += self._chunk
        super().data_received(data)
        if not self._size or self._deaf:
            self._due = None
        elif self._in_body and self._size > WIRE_BYTES:
            self._refuse(refusals.BODY_TOO_LARGE)
        elif not self._in_body and len(self.url) > TARGET_BYTES:
            self._refuse(refusals.TARGET_TOO_LONG)
        elif not self._in_body and self._size > HEAD_BYTES:
            self._refuse(refusals.HEAD_TOO_LARGE)
        elif self._due is None:
            self._wait(self.limits.body_seconds if self._in_body else self.limits.head_seconds)

    def eof_received(self) -> bool | None:  # type: ignore[override]
        """The client sends no more; true keeps the connection open for the answer it may still read."""
        self._ended = True
        if self._size and not self._deaf:
            self._refuse(refusals.INCOMPLETE)
        if self.transport.is_closing() or not self._busy() or self.cycle.response_started:
            return None
        self.cycle.keep_alive = False
        return True

    def on_headers_complete(self) -> None:
        """Check the head before a request is made of it."""
        upgrade = self.parser.should_upgrade()
        try:
            received = self._size if self._size > self._chunk else self._chunk
            chunked = check_head(self.url, self.headers, self.parser.get_http_version(), received)
            if upgrade:
                check_upgrade(self.headers, self._busy())
            if len(self.pipeline) >= PIPELINED:
                raise Refused(refusals.TOO_MANY_AT_ONCE)
        except Refused as refused:
            # The parser passes on only that something was raised.
            self._refusal = refused.refusal
            raise
        super().on_headers_complete()
        self._in_body, self._due = True, None
        if chunked:
            # Trailers go to a list that nobody reads, never among the headers of the request.
            self.headers = list(self.headers)
        if upgrade and not self._should_upgrade():
            # The parser reads no further here, so the answer to this request is the last one.
            self._deaf = True
            self.cycle.keep_alive = False
        elif self._leaving and self.cycle is not None:
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """The request is all there."""
        self._in_body, self._size = False, 0
        super().on_message_complete()

    def handle_websocket_upgrade(self) -> None:
        """Hand the bare transport over; with the request complete no deadline is left."""
        self.transport = self.transport.raw
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:  # noqa: ARG002
        """What uvicorn calls when the parser gives up. `msg` is its own text and is not used."""
        self._refuse(self._refusal)

    def shutdown(self) -> None:
        """Answer what is under way, tell clients to go, and close a little later what is idle."""
        self._leaving = True
        if self._busy() and not self.cycle.response_started:
            self.cycle.keep_alive = False
        # Timers run before sockets are read: the last look sees what came while this process had no turn.
        self.loop.call_later(FAREWELL_SECONDS, self.loop.call_later, LAST_LOOK_SECONDS, self._farewell)

    def _farewell(self) -> None:
        if self._busy():
            self.cycle.keep_alive = False
        elif not self._size:
            self.transport.close()

    def _busy(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _unread(self) -> bool:
        return not self._ended and (self._deaf or self._size > 0)

    def _wait(self, seconds: float) -> None:
        # The timer is left alone where it fires early enough: most requests then set none at all.
        self._due = self.loop.time() + seconds
        if self._timer is None or self._timer.when() > self._due:
            if self._timer is not None:
                self._timer.cancel()
            self._timer = self.loop.call_at(self._due, self._expired)

    def _expired(self) -> None:
        self._timer = None
        if self._due is None:
            return
        if self._due > self.loop.time():
            self._timer = self.loop.call_at(self._due, self._expired)
        elif self._in_body and self.flow.read_paused:
            self._wait(self.limits.body_seconds)  # the application has not taken what came
        elif self._size:
            self._refuse(refusals.TOO_SLOW)
        else:
            self.transport.close()  # nothing was asked

    def _refuse(self, refusal: Refusal) -> None:
        self._deaf, self._due = True, None
        cycle = self.cycle
        if self._busy() and not self._in_body:
            cycle.keep_alive = False  # answers that are under way come first; the last of them closes
            return
        if self._in_body and cycle is not None:
            if self.pipeline or cycle.response_started:
                self.transport.close()  # another answer would be taken for this one's
                return
            cycle.disconnected = True
            cycle.message_event.set()
        self.transport.write(refusal.render(self.server_state.default_headers))
        self.transport.close()
