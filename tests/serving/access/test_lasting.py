"""Answers that last, message by message: as servers that can do less than uvicorn, and clients that go, send them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.access.keyring import KeyRing
from serving.access.middleware import Access
from tests.serving.access.place import Place

STREAM = "/v1/forecasts/stream"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "home")


class Connection:
    """What a server hands to an application, and what it gets back."""

    def __init__(self, kind: str, secret: str, **more: Any) -> None:
        headers = [(b"authorization", f"Bearer {secret}".encode())]
        self.scope: Scope = {"type": kind, "path": STREAM, "method": "GET", "headers": headers, **more}
        self.sent: list[Message] = []
        self.incoming: asyncio.Queue[Message] = asyncio.Queue()
        self.idle = asyncio.Event()
        if kind == "websocket":
            self.incoming.put_nowait({"type": "websocket.connect"})

    async def receive(self) -> Message:
        if self.incoming.empty():
            self.idle.set()  # all that was sent has been heard, and the application waits for more
        return await self.incoming.get()

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    async def through(self, app: ASGIApp, ring: KeyRing) -> None:
        await Access(app, ring)(self.scope, self.receive, self.send)


async def waits(scope: Scope, receive: Receive, send: Send) -> None:
    """Begins no answer."""
    del scope, send
    while True:
        await receive()


async def begins(scope: Scope, receive: Receive, send: Send) -> None:
    """Begins an answer that does not end."""
    if scope["type"] == "websocket":
        await receive()
        await send({"type": "websocket.accept"})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
    await waits(scope, receive, send)


async def finishes(scope: Scope, receive: Receive, send: Send) -> None:
    """Finishes its answer, and then lingers."""
    if scope["type"] == "websocket":
        await send({"type": "websocket.close", "code": 1000})
    else:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"all"})
    await waits(scope, receive, send)


CLOSE = {"type": "websocket.close", "code": 1008, "reason": "unauthorized"}
END = {"type": "http.response.body", "body": b"", "more_body": False}


def sent_when_revoked(place: Place, kind: str, app: ASGIApp, *, gone: bool = False) -> list[Message]:
    """What a connection is sent after its key was revoked."""
    secret = place.key()

    async def follow() -> list[Message]:
        ring = KeyRing(place.settings, refresh_s=0.05)
        await ring.start()
        connection = Connection(kind, secret)
        answering = asyncio.ensure_future(connection.through(app, ring))
        await connection.idle.wait()
        before = len(connection.sent)
        if gone:
            connection.idle.clear()
            connection.incoming.put_nowait({"type": f"{kind}.disconnect"})
            await connection.idle.wait()
        await asyncio.to_thread(place.revoke)
        await answering
        await ring.stop()
        return connection.sent[before:]

    return asyncio.run(asyncio.wait_for(follow(), 60))


@pytest.mark.parametrize(("kind", "last"), [("websocket", CLOSE), ("http", END)], ids=["websocket", "http"])
def test_an_answer_that_has_begun_is_ended(place: Place, kind: str, last: Message) -> None:
    assert sent_when_revoked(place, kind, begins) == [last]


def test_an_answer_that_has_not_begun_is_a_refusal(place: Place) -> None:
    start, body = sent_when_revoked(place, "http", waits)
    assert (start["status"], b"unauthorized" in body["body"]) == (401, True)


def test_a_websocket_that_was_not_accepted_yet_is_closed(place: Place) -> None:
    assert sent_when_revoked(place, "websocket", waits) == [CLOSE]


@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_nothing_is_sent_after_the_end(place: Place, kind: str) -> None:
    assert sent_when_revoked(place, kind, finishes) == []


@pytest.mark.parametrize("kind", ["websocket", "http"])
def test_nothing_is_sent_to_who_has_gone(place: Place, kind: str) -> None:
    assert sent_when_revoked(place, kind, begins, gone=True) == []


def test_a_server_that_cannot_send_the_answer_closes_the_websocket(place: Place) -> None:
    place.key()
    ring = place.ring()
    plain, able = Connection("websocket", "x"), Connection("websocket", "x", extensions={"websocket.http.response": {}})
    asyncio.run(plain.through(waits, ring))
    assert plain.sent == [CLOSE]
    asyncio.run(able.through(waits, ring))
    assert [message["type"] for message in able.sent] == [
        "websocket.http.response.start",
        "websocket.http.response.body",
    ]
    gone = Connection("websocket", "x")
    gone.incoming = asyncio.Queue()
    gone.incoming.put_nowait({"type": "websocket.disconnect"})
    asyncio.run(gone.through(waits, ring))
    assert gone.sent == []


def test_a_server_that_ends_may_cancel_what_lasts(place: Place) -> None:
    connection, ring = Connection("http", place.key()), place.ring()
    ended: list[str] = []

    async def tidy(scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await begins(scope, receive, send)
        finally:
            ended.append("tidied")

    async def follow() -> None:
        answering = asyncio.ensure_future(connection.through(tidy, ring))
        await connection.idle.wait()
        answering.cancel()
        with pytest.raises(asyncio.CancelledError):
            await answering

    asyncio.run(asyncio.wait_for(follow(), 60))
    assert ended == ["tidied"]
    assert [message["type"] for message in connection.sent] == ["http.response.start"]


def test_what_fails_fails_as_it_would_without_a_door(place: Place) -> None:
    connection, ring = Connection("http", place.key()), place.ring()

    async def fails(*_: object) -> None:
        raise LookupError("its own")

    with pytest.raises(LookupError, match="its own"):
        asyncio.run(connection.through(fails, ring))
