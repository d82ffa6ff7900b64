"""One worker of the forecast API: uvicorn as it is configured here, and how it begins and ends."""

from __future__ import annotations

import asyncio
import functools
import gc
import resource
import signal
import socket
import sys
from collections.abc import Callable
from types import FrameType
from typing import Any, Final

import uvicorn
from starlette.types import ASGIApp

from fx_assets.settings import Settings
from fx_assets.specs.problems import SpecError
from serving.closing import take_no_more
from serving.factory import create_app
from serving.protocol import GuardedProtocol, Limits
from serving.websocket_protocol import GuardedWebSocket

MOST_DESCRIPTORS: Final = 65_536
# Of the process's descriptors, those that files of the lake, databases and the event loop may need.
OTHER_DESCRIPTORS: Final = 128
# A message of a WebSocket may stay unfinished for as long as its client answers pings, so it is small.
WEBSOCKET_BYTES: Final = 262_144


def raise_descriptor_limit() -> int:
    """Let this process open as many files as the system grants it, up to 65,536; return how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_DESCRIPTORS if hard == resource.RLIM_INFINITY else min(hard, MOST_DESCRIPTORS)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return MOST_DESCRIPTORS if soft == resource.RLIM_INFINITY else soft
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted


def configuration(app: ASGIApp, settings: Settings) -> uvicorn.Config:
    """uvicorn's configuration of one worker, with the connections guarded."""
    limits = Limits(
        head_seconds=settings.head_seconds,
        body_seconds=settings.body_seconds,
        write_seconds=settings.write_seconds,
        max_connections=max(1, min(settings.max_connections, raise_descriptor_limit() - OTHER_DESCRIPTORS)),
    )
    http: Any = functools.partial(GuardedProtocol, limits=limits)
    ws: Any = functools.partial(GuardedWebSocket, write_seconds=limits.write_seconds)
    return uvicorn.Config(
        app,
        http=http,
        ws=ws,
        ws_max_size=WEBSOCKET_BYTES,
        ws_per_message_deflate=False,
        # A worker whose start fails must not serve as if it had not.
        lifespan="on",
        workers=1,
        access_log=False,
        log_level="warning",
        # The address of a client is that of its socket, whatever its headers say.
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=settings.idle_seconds,  # type: ignore[arg-type] # handed to call_later as it is
        timeout_graceful_shutdown=settings.drain_seconds,  # type: ignore[arg-type] # handed to wait_for as it is
    )


class Server(uvicorn.Server):
    """Says when it answers requests, and ends without losing one."""

    def __init__(
        self,
        config: uvicorn.Config,
        *,
        ready: Callable[[], None],
        ending: Callable[[], None] = lambda: None,
        parent: socket.socket | None = None,
    ) -> None:
        """`ending` is called first when the server ends; it also ends when `parent` is closed at the other side."""
        super().__init__(config)
        self._ready = ready
        self._ending = ending
        self._parent = parent

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Listen, and only then say so."""
        await super().startup(sockets=sockets)
        if not self.started:
            return
        if self._parent is not None:
            asyncio.get_running_loop().add_reader(self._parent, self._orphaned)
        # What was loaded stays: the collector need not look through all of it again and again.
        gc.collect()
        gc.freeze()
        self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take the connections that already wait, then end as uvicorn does."""
        self._ending()
        for listener in sockets or ():
            if self._parent is None:  # or other workers go on listening, and the parent does this in the end
                take_no_more(listener)
            await self._accept_waiting(listener)
        await super().shutdown(sockets)

    async def _accept_waiting(self, listener: socket.socket) -> None:
        """Whoever connected before the end is answered; the system would reset what is left in the queue."""
        loop = asyncio.get_running_loop()
        for _ in range(self.config.backlog):
            try:
                waiting, _address = listener.accept()
            except OSError:  # none waits
                return
            waiting.setblocking(False)
            await loop.connect_accepted_socket(self._protocol, waiting)

    def _protocol(self) -> asyncio.Protocol:
        made: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = made(
            config=self.config, server_state=self.server_state, app_state=self.lifespan.state
        )
        return protocol

    def _orphaned(self) -> None:
        assert self._parent is not None
        asyncio.get_running_loop().remove_reader(self._parent)
        self.should_exit = True


def serve(
    settings: Settings, listener: socket.socket, ready: Callable[[], None], parent: socket.socket | None = None
) -> int:
    """Serve on `listener` until SIGINT, SIGTERM or the end of `parent`.

    Returns the exit code: 0 ended as asked, 1 could not start, which is said on standard error.
    """
    try:
        app = create_app(settings)
    except SpecError as error:
        print(f"error: {error}", file=sys.stderr, flush=True)
        return 1
    # uvicorn ends in order on the first signal, then raises it again; ending as asked is exit code 0.
    signal.signal(signal.SIGTERM, _leave)
    signal.signal(signal.SIGINT, _leave)
    # Streams end with the server, not before: they would hold it open until they are cut off.
    server = Server(configuration(app, settings), ready=ready, ending=app.state.hub.close, parent=parent)
    with listener:
        server.run(sockets=[listener])
    return 0 if server.started else 1


def _leave(_signal: int, _frame: FrameType | None) -> None:
    raise SystemExit(0)
