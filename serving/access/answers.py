"""How a request is refused at the door, over HTTP and before a WebSocket is accepted."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Receive, Scope, Send

from fx_assets.storage.keys import SCOPES
from serving.problems import MEDIA_TYPE, ProblemError, problem_body

_POLICY_VIOLATION: Final = 1008
_RETRY_SECONDS: Final = 5


@dataclass(frozen=True)
class Refusal:
    """A whole answer; nothing in it is of the request."""

    status: int
    code: str
    detail: str
    headers: Mapping[str, str]
    extra: Mapping[str, Any]
    body: bytes
    lines: tuple[tuple[bytes, bytes], ...]

    def problem(self) -> ProblemError:
        """The same as an error: a new one each time, since one that is raised again and again grows."""
        return ProblemError(self.status, self.code, self.detail, headers=self.headers, **self.extra)


def _refusal(status: int, code: str, detail: str, headers: Mapping[str, str], **extra: Any) -> Refusal:
    body = problem_body(status, code, detail, extra)
    lines = {"content-type": MEDIA_TYPE, "content-length": str(len(body)), **headers}
    encoded = tuple((name.encode(), value.encode()) for name, value in lines.items())
    return Refusal(status, code, detail, headers, extra, body, encoded)


# One answer for a key that is missing, malformed, unknown, expired or revoked: it tells nobody which of these it is.
UNAUTHORIZED: Final = _refusal(
    401,
    "unauthorized",
    "This address needs a valid key, as Authorization: Bearer fxk_...; the operator of the service makes them.",
    {"www-authenticate": "Bearer"},
)
KEYS_UNAVAILABLE: Final = _refusal(
    503,
    "keys_unavailable",
    "It cannot be said at the moment which keys are valid. Try again.",
    {"retry-after": str(_RETRY_SECONDS)},
)
FORBIDDEN: Final = {
    scope: _refusal(
        403,
        "forbidden",
        f"This needs a key of scope {scope}, which this key has not.",
        {"www-authenticate": f'Bearer error="insufficient_scope", scope="{scope}"'},
        scope=scope,
    )
    for scope in SCOPES
}


def rate_limited(wait_s: float) -> Refusal:
    """The answer to a request that came too early by `wait_s` seconds, which it says rounded up."""
    seconds = max(1, math.ceil(wait_s))
    detail = "This key has asked more often than its rate allows. Try again after Retry-After seconds."
    return _refusal(429, "rate_limited", detail, {"retry-after": str(seconds)}, retry_after=seconds)


async def refuse(scope: Scope, receive: Receive, send: Send, refusal: Refusal) -> None:
    """Send the answer; a WebSocket is refused before it is accepted, with the whole answer where the server can."""
    kind = "http.response"
    if scope["type"] == "websocket":
        message = await receive()
        if message["type"] != "websocket.connect":
            return
        if "websocket.http.response" not in scope.get("extensions", {}):
            await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": refusal.code})
            return
        kind = "websocket.http.response"
    await send({"type": f"{kind}.start", "status": refusal.status, "headers": list(refusal.lines)})
    await send({"type": f"{kind}.body", "body": refusal.body})


async def end(scope: Scope, send: Send) -> None:
    """End an answer that has begun."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": _POLICY_VIOLATION, "reason": UNAUTHORIZED.code})
    else:
        await send({"type": "http.response.body", "body": b"", "more_body": False})
