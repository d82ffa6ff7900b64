"""The gate: sizes, Accept, request ids and whatever nobody caught; on a bare ASGI application."""

from __future__ import annotations

import json
import logging
from typing import Any

import anyio
import pytest
from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from serving.middleware import MAX_BODY, Gate
from serving.negotiation import JSON, best_of


async def reads_all(_: Scope, receive: Receive, send: Send) -> None:
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": str(size).encode()})


async def fails(_: Scope, _receive: Receive, _send: Send) -> None:
    raise RuntimeError("secret /etc/passwd 1.2345")


async def fails_late(_: Scope, _receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    raise RuntimeError("secret")


class Exchange:
    """One request, its chunks handed over one by one, and what was answered."""

    def __init__(self, chunks: list[bytes], headers: dict[str, str]) -> None:
        self.chunks = chunks
        self.taken = 0
        self.sent: list[Message] = []
        lines = [(name.encode(), value.encode("latin-1")) for name, value in headers.items()]
        self.scope: Scope = {"type": "http", "method": "POST", "path": "/livez", "headers": lines}

    async def receive(self) -> Message:
        chunk = self.chunks[self.taken]
        self.taken += 1
        return {"type": "http.request", "body": chunk, "more_body": self.taken < len(self.chunks)}

    async def send(self, message: Message) -> None:
        self.sent.append(message)

    @property
    def status(self) -> int:
        return int(self.sent[0]["status"])

    @property
    def headers(self) -> dict[str, str]:
        return {name.decode(): value.decode() for name, value in self.sent[0]["headers"]}

    @property
    def body(self) -> Any:
        return json.loads(self.sent[1]["body"])


def exchange(app: Any, chunks: list[bytes] | None = None, **headers: str) -> Exchange:
    made = Exchange(chunks or [b""], {name.replace("_", "-"): value for name, value in headers.items()})
    anyio.run(Gate(app), made.scope, made.receive, made.send)
    return made


def test_a_body_of_exactly_the_limit_passes() -> None:
    answer = exchange(reads_all, [b"x" * (MAX_BODY // 2)] * 2, content_length=str(MAX_BODY))
    assert (answer.status, answer.body) == (200, MAX_BODY)


def test_a_declared_size_over_the_limit_is_refused_before_a_byte_is_read() -> None:
    answer = exchange(reads_all, [b"x"], content_length=str(MAX_BODY + 1))
    assert (answer.status, answer.taken) == (413, 0)
    assert answer.headers["content-type"] == "application/problem+json"


def test_without_a_declared_size_reading_stops_at_the_limit() -> None:
    answer = exchange(reads_all, [b"x" * 100_000] * 1_000)
    assert (answer.status, answer.taken) == (413, MAX_BODY // 100_000 + 1)


@pytest.mark.parametrize("length", ["-1", "1_0", "ten", "1" * 5_000, "٣"])
def test_a_size_that_is_no_number_or_absurd_is_refused(length: str) -> None:
    made = Exchange([b""], {})
    made.scope["headers"] = [(b"content-length", length.encode())]
    anyio.run(Gate(reads_all), made.scope, made.receive, made.send)
    assert made.status in (400, 413)


@pytest.mark.parametrize(
    ("accept", "allowed"),
    [
        ("", False),
        ("*/*", True),
        ("application/json", True),
        ("APPLICATION/JSON; charset=utf-8", True),
        ("text/html, application/*;q=0.1", True),
        ("text/html", False),
        ("application/json;q=0", False),
        ("application/json;q=0, */*", False),
        ("*/*;q=0, application/json;q=0.2", True),
        ("application/json;q=secret", False),
    ],
)
def test_accept(accept: str, allowed: bool) -> None:
    assert (best_of(accept, [JSON]) == JSON) is allowed


def test_an_accept_that_json_cannot_satisfy_is_406_and_none_at_all_is_fine() -> None:
    assert exchange(reads_all, accept="text/html").status == 406
    assert exchange(reads_all).status == 200


def test_whatever_nobody_caught_is_a_bare_500_with_its_request_id(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, logger="serving"):
        answer = exchange(fails)
    assert answer.status == 500
    assert set(answer.body) == {"type", "title", "status", "code", "detail", "request_id"}
    assert answer.headers["x-request-id"] == answer.body["request_id"]
    assert "secret" not in json.dumps(answer.body)
    assert answer.body["request_id"] in caplog.text
    assert "secret /etc/passwd" in caplog.text


def test_a_failure_after_the_answer_began_is_not_papered_over() -> None:
    with pytest.raises(RuntimeError):
        exchange(fails_late)


def test_every_answer_has_an_id_of_its_own() -> None:
    first, second = exchange(reads_all), exchange(reads_all)
    assert len(first.headers["x-request-id"]) == 32
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


async def left_alone(_: Scope, _receive: Receive, _send: Send) -> None:
    raise ClientDisconnect


def test_a_client_that_leaves_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG, logger="serving"):
        assert exchange(left_alone).sent == []
    assert not caplog.records
