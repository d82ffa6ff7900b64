"""Who may ask for what: a key's scopes and its rate, before anything else sees the request. Pure ASGI."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Iterable
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fx_assets.storage import keys
from serving.access.answers import FORBIDDEN, KEYS_UNAVAILABLE, UNAUTHORIZED, Refusal, end, rate_limited, refuse
from serving.access.door import is_public
from serving.access.keyring import HeldKey, KeyRing, KeysUnavailable
from serving.dashboard.files import is_open

# A browser cannot give a WebSocket a header: it names this protocol, and the key as one more.
SUBPROTOCOL: Final = "fx-assets"
_BEARER_PROTOCOL: Final = "bearer."
_SAFE: Final = frozenset({"GET", "HEAD"})
_ALWAYS_OPEN: Final = frozenset({"/livez", "/readyz"})
# Answers that may last for days, so that their key may end before them. A WebSocket is always one.
_LASTING: Final = frozenset({"/v1/forecasts/stream"})
_LAST_MESSAGES: Final = frozenset({"http.response.body", "websocket.http.response.body"})


def needed(scope: Scope) -> keys.Scope | None:
    """The scope that a request needs; None where it needs no key at all."""
    if scope["type"] == "http":
        path: str = scope["path"]
        if scope["method"] in _SAFE and (path in _ALWAYS_OPEN or is_open(path)):
            return None
        if scope["method"] == "POST" and path.endswith("/predict"):
            return "predict"
    return "read"


def reached_locally(scope: Scope) -> bool:
    """Whether the request came in at an address of this machine alone.

    The settings may say loopback while another server than ours (`uvicorn serving.app:app --host ...`) listens on more.
    """
    server = scope.get("server")
    return server is None or not is_public(server[0])


def permit(scope: Scope, wanted: keys.Scope) -> None:
    """One more step within a request that was let in, such as a message of a WebSocket; it counts towards the rate.

    Raises `ProblemError` 403 where its key lacks the scope `wanted`, 429 where it comes too early.
    """
    state = scope.get("state", {})
    if "key" not in state:  # the door was open
        return
    if (refusal := _refused(state["key"], wanted)) is not None:
        raise refusal.problem()


def _refused(key: HeldKey | None, wanted: keys.Scope) -> Refusal | None:
    if key is None or wanted not in key.scopes:
        return FORBIDDEN[wanted]
    if key.bucket is not None and (wait_s := key.bucket.take()):
        return rate_limited(wait_s)
    return None


class Access:
    """ASGI middleware: refuses with 401, 403, 429 or 503, or lets a request through and says whose it is.

    The request's state then has `key_name` and, for `permit`, `key`; both None where no key was needed. While the door
    is open it has neither: all that is done then is to see that the door is open.
    """

    def __init__(self, app: ASGIApp, keyring: KeyRing) -> None:
        self._app = app
        self._keyring = keyring

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if (self._keyring.open and reached_locally(scope)) or scope["type"] == "lifespan":
            return self._app(scope, receive, send)  # at the cost of no coroutine of its own
        return self._guarded(scope, receive, send)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        state = scope.setdefault("state", {})
        wanted = needed(scope)
        if wanted is None:
            state["key_name"] = state["key"] = None
            await self._app(scope, receive, send)
            return
        try:
            key = self._keyring.find(_presented(scope))
        except KeysUnavailable:
            await refuse(scope, receive, send, KEYS_UNAVAILABLE)
            return
        if key is None:
            await refuse(scope, receive, send, UNAUTHORIZED)
            return
        if (refusal := _refused(key, wanted)) is not None:
            await refuse(scope, receive, send, refusal)
            return
        state["key_name"], state["key"] = key.name, key
        if scope["type"] == "websocket" or scope["path"] in _LASTING:
            await self._lasting(key, scope, receive, send)
        else:
            await self._app(scope, receive, send)

    async def _lasting(self, key: HeldKey, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer until the answer or the key ends."""
        started = finished = revoked = False

        async def heard() -> Message:
            nonlocal finished
            message = await receive()
            finished = finished or message["type"] in {"http.disconnect", "websocket.disconnect"}
            return message

        async def answer(message: Message) -> None:
            nonlocal started, finished
            kind = message["type"]
            started = True
            last = kind == "websocket.close" or (kind in _LAST_MESSAGES and not message.get("more_body", False))
            finished = finished or last
            await send(message)

        def revoke() -> None:
            nonlocal revoked
            revoked = True
            answering.cancel()

        answering = asyncio.ensure_future(self._app(scope, heard, answer))
        with self._keyring.watching(key, revoke):
            try:
                await answering
            except asyncio.CancelledError:
                if not revoked:
                    raise
        if not revoked or finished:
            return
        with contextlib.suppress(OSError):  # whoever asked has gone meanwhile
            if started or scope["type"] == "websocket":
                await end(scope, send)
            else:
                await refuse(scope, receive, send, UNAUTHORIZED)


def _presented(scope: Scope) -> bytes:
    """The key as it was sent; empty where there is none, or more than one."""
    sent = [value for name, value in scope["headers"] if name == b"authorization"]
    if sent or scope["type"] == "http":
        return _bearer(sent)
    protocols: list[str] = scope.get("subprotocols", [])
    found = [name for name in protocols if name.startswith(_BEARER_PROTOCOL)]
    # Out of sight for whoever accepts: a server repeats to the client the protocol that was chosen.
    scope["subprotocols"] = [name for name in protocols if name not in found]
    if SUBPROTOCOL not in protocols or len(found) != 1:
        return b""
    return found[0].removeprefix(_BEARER_PROTOCOL).encode("utf-8", "replace")


def _bearer(sent: Iterable[bytes]) -> bytes:
    values = list(sent)
    if len(values) != 1:
        return b""
    scheme, _, key = values[0].partition(b" ")
    return key.strip(b" ") if scheme.lower() == b"bearer" else b""
