"""Against a server that fails, lies, dawdles and breaks off: what is tried again, and what the exceptions say."""

from __future__ import annotations

import json
import logging
import socket
import traceback
from typing import Any

import pytest

from serving.access.answers import FORBIDDEN, UNAUTHORIZED, rate_limited
from serving.client import exchange
from serving.client.errors import (
    Forbidden,
    ForecastError,
    InvalidAnswer,
    InvalidInput,
    NotFound,
    RateLimited,
    Refused,
    ServerError,
    TimedOut,
    TransportError,
    Unauthorized,
    Unavailable,
)
from serving.client.retrying import Retrying
from tests.serving.client.conftest import Make
from tests.serving.client.hostile import hostile, http, problem, refused
from tests.support.running_api import Api

KEY = "fxk_0123456789ab_this-is-a-secret"
PAIRS = http(200, b'{"pairs": [{"pair": "EURUSD", "state": "ready"}]}')
BROKEN = [b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 500\r\n\r\n{"]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Retries wait for nothing but what the service asks."""
    monkeypatch.setattr(Retrying, "drawn", lambda *_: 0.0)


@pytest.mark.parametrize(
    "first",
    [
        problem(503, "too_busy"),
        problem(503, "too_busy", retry_after="0"),
        problem(429, "rate_limited"),
        http(502),
        http(504),
        [b""],
        BROKEN,
    ],
    ids=["503", "retry-after", "429", "502", "504", "no answer", "broken"],
)
def test_what_may_pass_is_tried_again(make: Make, first: list[Any]) -> None:
    with hostile(first, first, PAIRS) as server, make(server.url) as client:
        assert [item.pair for item in client.pairs()] == ["EURUSD"]
        assert len(server.requests) == 3
        assert len(set(server.requests)) == 1


@pytest.mark.parametrize("call", ["batch", "predict"])
def test_a_post_that_changes_nothing_is_tried_again_too(make: Make, shared_client: Api, call: str) -> None:
    document = shared_client.get("/v1/forecasts/EURUSD/latest").content
    batch = b'{"version": 1, "missing": [], "forecasts": [' + document + b"]}"
    answer = http(200, batch if call == "batch" else document)
    with hostile(problem(503, "too_busy"), answer) as server, make(server.url) as client:
        if call == "batch":
            assert client.latest_many(["EURUSD"]).forecasts["EURUSD"].pair == "EURUSD"
        else:
            assert client.predict("solo", [[1.1]]).pair == "EURUSD"
        assert len(server.requests) == 2
        assert server.requests[0] == server.requests[1]


@pytest.mark.parametrize(
    ("script", "kind", "requests"),
    [
        (problem(400, "malformed_json"), InvalidInput, 1),
        (refused(UNAUTHORIZED), Unauthorized, 1),
        (refused(FORBIDDEN["predict"]), Forbidden, 1),
        (problem(404, "unknown_pair"), NotFound, 1),
        (problem(409, "features_not_stored"), Refused, 1),
        (problem(410, "gone"), NotFound, 1),
        (problem(422, "invalid_input"), InvalidInput, 1),
        (refused(rate_limited(3600.0)), RateLimited, 1),
        (problem(500, "internal_error"), ServerError, 1),
        (problem(503, "too_busy"), Unavailable, 3),
        (problem(503, "too_busy", retry_after="99999999999999999999999"), Unavailable, 1),
        (http(302, location="http://127.0.0.1:9/"), InvalidAnswer, 1),
        (http(204), InvalidAnswer, 1),
        (http(304), InvalidAnswer, 1),
    ],
    ids=lambda value: value.__name__ if isinstance(value, type) else None,
)
def test_each_status_is_an_exception_of_its_own(
    make: Make, script: list[Any], kind: type[ForecastError], requests: int
) -> None:
    with hostile(script) as server, make(server.url, api_key=KEY, retries=2) as client:
        with pytest.raises(kind) as raised:
            client.pairs()
        assert len(server.requests) == requests
        assert f"authorization: bearer {KEY}" in server.requests[0].lower()
    error = raised.value
    assert type(error) is kind
    assert str(error.status) in str(error)
    assert "GET /v1/pairs" in str(error)
    if error.detail is not None:
        assert error.detail in str(error)


def test_what_an_exception_knows(make: Make) -> None:
    with (
        hostile(refused(rate_limited(41.2))) as server,
        make(server.url) as client,
        pytest.raises(RateLimited) as limited,
    ):
        client.pairs()
    assert (limited.value.retry_after, limited.value.code, limited.value.status) == (42.0, "rate_limited", 429)
    body = json.dumps({"code": "invalid_input", "detail": "no", "index": [3, 0]}).encode()
    script = http(422, body, "application/problem+json", x_request_id="r-7")
    with hostile(script) as server, make(server.url) as client, pytest.raises(InvalidInput) as raised:
        client.predict("solo", [[1.0]])
    assert (raised.value.index, raised.value.request_id) == ((3, 0), "r-7")
    assert isinstance(raised.value, ValueError)


@pytest.mark.parametrize(
    ("body", "media_type"),
    [
        (b"<html>secret</html>", "text/html"),
        (b"", "application/json"),
        (b"[]", "application/json"),
        (b"null", "application/json"),
        (b'{"pairs": 7}', "application/json"),
        (b'{"pairs": [{"pair": ["secret"]}]}', "application/json"),
        (b'{"pairs": ["secret"]}', "application/json"),
        (b"\xff\xfe", "application/json"),
        (b'{"pairs": [' * 5_000, "application/json"),
    ],
    ids=["html", "empty", "list", "null", "number", "field", "text", "no utf-8", "deep"],
)
def test_an_answer_that_is_none_of_the_api(make: Make, body: bytes, media_type: str) -> None:
    with hostile(http(200, body, media_type)) as server, make(server.url) as client:
        with pytest.raises(InvalidAnswer, match="GET /v1/pairs") as raised:
            client.pairs()
        assert len(server.requests) == 1
    assert "secret" not in str(raised.value)


@pytest.mark.parametrize("body", [b"<html>secret</html>", b"[1]", b'{"code": ["secret"]}', b"{"])
def test_an_error_without_a_problem_document_is_not_quoted(make: Make, body: bytes) -> None:
    for media_type in ("text/html", "application/problem+json"):
        script, said = http(500, body, media_type), "without a problem document"
        with hostile(script) as server, make(server.url) as client, pytest.raises(ServerError, match=said) as raised:
            client.pairs()
        assert "secret" not in str(raised.value)
        assert raised.value.code is None


def test_json_that_is_no_problem_document_is_not_quoted(make: Make) -> None:
    with hostile(http(500, b'{"detail": "secret", "code": "secret"}')) as server, make(server.url) as client:
        with pytest.raises(ServerError) as raised:
            client.pairs()
        assert len(server.requests) == 1
    assert "secret" not in str(raised.value)


def test_a_server_that_says_nothing(make: Make) -> None:
    with hostile([None]) as server, make(server.url, timeout=0.2) as client:
        with pytest.raises(TimedOut) as raised:
            client.pairs()
        assert len(server.requests) == 1  # who is slow is not given more to do
    assert isinstance(raised.value, TimeoutError)


def test_an_answer_without_end_is_left_at_the_deadline(make: Make) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n"
    drops = [head, *[part for _ in range(5_000) for part in (b"1\r\n \r\n", 0.02)]]
    with (
        hostile(drops) as server,
        make(server.url, timeout=5.0, deadline=0.5) as client,
        pytest.raises(TimedOut, match="deadline"),
    ):
        client.pairs()


def test_an_answer_that_is_too_large_is_left(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exchange, "LARGEST_ANSWER", 1_000)
    with (
        hostile(http(200, b" " * 100_000)) as server,
        make(server.url, retries=0) as client,
        pytest.raises(TransportError, match="larger"),
    ):
        client.pairs()


def test_retries_end_with_the_deadline(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Retrying, "drawn", lambda *_: 0.2)
    with hostile(problem(503, "too_busy")) as server, make(server.url, retries=1_000, deadline=0.5) as client:
        with pytest.raises(Unavailable):
            client.pairs()
        assert 1 <= len(server.requests) <= 3


def test_nobody_there(make: Make) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    with (
        make(f"http://127.0.0.1:{port}", retries=2) as client,
        pytest.raises(TransportError, match="3 tries") as raised,
    ):
        client.pairs()
    assert raised.value.status is None
    assert not isinstance(raised.value, TimedOut)


def test_the_key_is_nowhere_to_be_read(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    seen = []
    for script in (PAIRS, problem(500, "internal_error"), BROKEN, [b""]):
        with hostile(script) as server, make(server.url, api_key=KEY, retries=0) as client:
            seen.append(repr(client))
            try:
                client.pairs()
            except ForecastError as error:
                seen += [repr(error), "".join(traceback.format_exception(error))]
            assert KEY in server.requests[0]
    assert len(seen) == 10
    assert "HTTP Request" in caplog.text
    assert KEY not in "".join(seen) + caplog.text


@pytest.mark.parametrize("key", ["", "two words", "line\nend", "fxk_\u00e4", "\x00"])
def test_a_key_that_cannot_be_sent_is_not_quoted(make: Make, key: str) -> None:
    with pytest.raises(ValueError, match="api_key") as raised:
        make(api_key=key)
    assert not key or key not in str(raised.value)


@pytest.mark.parametrize(
    "server", ["127.0.0.1:8000", "ftp://x", "http://", "http://me:secret@x", "http://x/?key=secret", "", "http://x/#y"]
)
def test_an_address_that_is_none_is_not_quoted(make: Make, server: str) -> None:
    with pytest.raises(ValueError, match="server: expected") as raised:
        make(server)
    assert "secret" not in str(raised.value)


def test_below_a_path_of_a_proxy(make: Make) -> None:
    with hostile(PAIRS) as server, make(f"{server.url}/fx/") as client:
        client.pairs()
        assert server.requests[0].startswith("GET /fx/v1/pairs ")


def page(document: bytes, count: int, following: str | None) -> list[Any]:
    """A page of a history."""
    return http(
        200, b'{"forecasts": [%b], "next": %b}' % (b",".join([document] * count), json.dumps(following).encode())
    )


def test_pages_that_lead_nowhere_have_an_end(make: Make, shared_client: Api) -> None:
    document = shared_client.get("/v1/forecasts/EURUSD/latest").content
    for scripts, count in (([page(document, 1, "a")], 2), ([page(document, 1, "a"), page(document, 0, "b")], 1)):
        found = []
        with hostile(*scripts) as server, make(server.url) as client:
            with pytest.raises(InvalidAnswer, match="fault of the service"):
                found.extend(client.history("EURUSD"))  # what came before is kept
            assert len(server.requests) == 2
            assert "model=random_walk" in server.requests[1]
            assert "cursor=a" in server.requests[1]
        assert len(found) == count
    with hostile(page(document, 7, "a")) as server, make(server.url) as client:
        assert len(list(client.history("EURUSD", limit=3))) == 3
        assert "limit=3" in server.requests[0]


def test_ready_is_asked_again_where_nobody_answers(make: Make) -> None:
    script = http(200, b'{"status": "ready", "forecasts": 3}')
    with hostile([b""], problem(502, "x"), script) as server, make(server.url) as client:
        assert client.ready().forecasts == 3
    with hostile(problem(503, "keys_unavailable")) as server, make(server.url) as client:
        with pytest.raises(Unavailable):
            client.ready()
        assert len(server.requests) == 1
