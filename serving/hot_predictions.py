"""Predictions answered before any router, by what the routes answer with."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Final

from starlette.types import ASGIApp, Receive, Scope, Send

from serving.registry import Registry
from serving.routers.predict import HEADERS, Answer, answers

_HEADERS: Final = tuple((name.encode(), value.encode()) for name, value in HEADERS.items())


class HotPredictions:
    """ASGI middleware: answers POST at the addresses of configured models, and passes on all else."""

    def __init__(self, app: ASGIApp, registry: Registry) -> None:
        self._app, self._answers = app, answers(registry)

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["method"] == "POST":
            answer = self._answers.get(scope["path"])
            if answer is not None:
                return _serve(answer, scope, receive, send)
        return self._app(scope, receive, send)


async def _serve(answer: Answer, scope: Scope, receive: Receive, send: Send) -> None:
    scope["state"]["route"] = scope["path"]
    content = await answer(scope, receive)
    headers = [*_HEADERS, (b"content-length", str(len(content)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": content})
