"""One WebSocket connection: a client that does not read what it is sent is dropped."""

from __future__ import annotations

import asyncio
from asyncio.transports import BaseTransport
from typing import Any, cast

from uvicorn.config import Config
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from serving.closing import CatchUp, Closing


class GuardedWebSocket(CatchUp, WebSocketsSansIOProtocol):
    """uvicorn's protocol, with an end for writes that stay blocked; its pings find clients that are gone."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        write_seconds: float,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.write_seconds = write_seconds

    def connection_made(self, transport: BaseTransport) -> None:
        """Guard the connection that an HTTP request opened."""
        closing = Closing(cast(asyncio.Transport, transport), self.loop, self.write_seconds, lambda: False)
        super().connection_made(cast(asyncio.Transport, closing))
