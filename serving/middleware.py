"""The gate in front of every request, as pure ASGI: nothing is buffered, and nothing unhandled gets out.

It gives each request an id, times it, refuses an `Accept` that the address cannot satisfy (406), counts the bytes
of the body while they arrive (413), and turns what nobody caught into a bare 500.
"""

from __future__ import annotations

import itertools
import logging
import time
import uuid
from collections.abc import Awaitable, Callable
from typing import Final

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.negotiation import chosen, header, offers
from serving.problems import MEDIA_TYPE, ProblemError, problem_body

MAX_BODY: Final = 1_000_000
# An id is unique among all workers and restarts: what is random once, then a count.
_PROCESS: Final = uuid.uuid4().hex[:20]
_COUNT: Final = itertools.count()

log = logging.getLogger("serving")


Count = Callable[[Scope, int, float], None]


def _not_counted(_scope: Scope, _status: int, _seconds: float) -> None:
    """Where nothing is counted."""


def _too_large() -> ProblemError:
    detail = f"The body is larger than {MAX_BODY:,} bytes."
    return ProblemError(413, "body_too_large", detail, headers={"connection": "close"})


def check_head(scope: Scope) -> None:
    """Refuse what the head of a request already shows to be wrong. Raises `ProblemError` 400, 406 or 413.

    The form to answer in goes into the request's state as `media_type`, where the request says anything about it.
    """
    accept = header(scope, b"accept")
    if accept and accept != "*/*" and (offered := offers(scope["path"])) is not None:
        scope["state"]["media_type"] = chosen(accept, offered)
    length = header(scope, b"content-length")
    if length is not None:
        if not length.isascii() or not length.isdigit():
            raise ProblemError(400, "bad_content_length", "Content-Length is not a number.")
        # Compared by digits first: converting a very long number is itself work.
        if len(length) > 18 or int(length) > MAX_BODY:
            raise _too_large()


class Gate:
    """ASGI middleware; outermost of the project's own."""

    def __init__(self, app: ASGIApp, count: Count = _not_counted) -> None:
        """`count` hears of each answer: its request, its status, and the seconds from the head to the last byte."""
        self._app, self._count = app, count

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        request_id = f"{_PROCESS}{next(_COUNT):012x}"
        scope.setdefault("state", {})["request_id"] = request_id
        status = received = 0

        async def counted() -> Message:
            nonlocal received
            message = await receive()
            if message["type"] == "http.request":
                received += len(message.get("body", b""))
                if received > MAX_BODY:
                    raise _too_large()
            return message

        # No coroutine of its own: every answer would pay for it twice.
        def answer(message: Message) -> Awaitable[None]:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", ()), (b"x-request-id", request_id.encode())]
            return send(message)

        try:
            check_head(scope)
            await self._app(scope, counted, answer)
        except ProblemError as error:
            if status:
                raise
            body = problem_body(error.status, error.code, error.detail, error.extra)
            await _send(answer, error.status, body, error.headers)
        except ClientDisconnect:
            return  # whoever asked has gone: there is nobody to answer, and nothing failed here
        except Exception:
            log.exception("request %s failed", request_id)
            if status:
                raise
            detail = "The request failed. The log of the service has the cause under this request id."
            await _send(answer, 500, problem_body(500, "internal_error", detail, {"request_id": request_id}), {})
        finally:
            self._count(scope, status or 500, time.perf_counter() - began)


async def _send(send: Send, status: int, body: bytes, headers: dict[str, str]) -> None:
    lines = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **headers}
    head = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in lines.items()]
    await send({"type": "http.response.start", "status": status, "headers": head})
    await send({"type": "http.response.body", "body": body})
