"""Predictions answered before any router, by the same handlers that its routes have."""

from __future__ import annotations

from starlette.requests import Request
from starlette.types import ASGIApp, Receive, Scope, Send

from serving.registry import Registry
from serving.routers.predict import handlers


class HotPredictions:
    """ASGI middleware: answers POST at the addresses of configured models, and passes on all else."""

    def __init__(self, app: ASGIApp, registry: Registry) -> None:
        self._app, self._handlers = app, handlers(registry)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["method"] == "POST":
            handler = self._handlers.get(scope["path"])
            if handler is not None:
                scope["state"]["route"] = scope["path"]
                response = await handler(Request(scope, receive))
                await response(scope, receive, send)
                return
        await self._app(scope, receive, send)
