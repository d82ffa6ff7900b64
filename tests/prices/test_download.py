"""Downloads against a real server that behaves and misbehaves."""

from __future__ import annotations

import gzip
import re
from collections.abc import Callable

import pytest

from fx_assets.prices.download import DownloadError, RetryPolicy, connection, download
from tests.support.replay import (
    DISCONNECT,
    HTML,
    RESET,
    Answer,
    Replay,
    Reply,
    cut,
    failing,
    hanging,
    replaying,
    short,
    too_many,
)

QUICK = RetryPolicy(attempts=3, connect=2, read=2, first_wait=0.001, longest_wait=0.002, longest_retry_after=0.01)
BODY = b'{"prices": [1, 2, 3]}'


def whole(data: bytes) -> None:
    if not data.endswith(b"}"):
        raise ValueError("it does not end")


def get(server: Replay, *, policy: RetryPolicy = QUICK, log: Callable[[str], None] = lambda _: None) -> bytes:
    return download(f"{server.url}/prices?key=secret", policy=policy, verify=whole, log=log)


@pytest.mark.parametrize(
    ("answer", "cause", "requests"),
    [
        (short(BODY), "peer closed connection without sending complete message body", 3),
        (short(BODY, len(BODY)), "peer closed connection without sending complete message body", 3),
        (too_many("3600"), "HTTP 429", 3),
        (failing(500), "HTTP 500", 3),
        (failing(503), "HTTP 503", 3),
        (RESET, "read error", 3),
        (DISCONNECT, "Server disconnected", 3),
        (HTML, "answered a web page instead of data", 1),
        (cut(BODY), "answered something else: it does not end", 1),
        (failing(404), "HTTP 404", 1),
    ],
    ids=["short", "headers only", "429", "500", "503", "reset", "disconnect", "html", "cut", "404"],
)
def test_what_cannot_be_had(answer: Answer, cause: str, requests: int) -> None:
    said: list[str] = []
    with replaying({"/prices": answer}) as server:
        with pytest.raises(DownloadError, match=cause) as caught:
            get(server, log=said.append)
        assert len(server.paths) == requests
    status = re.fullmatch(r"HTTP (\d+)", cause)
    assert caught.value.status == (int(status[1]) if status else None)
    assert len(said) == requests - 1
    assert "secret" not in " ".join([*said, str(caught.value)])


@pytest.mark.parametrize("first", [short(BODY), too_many("0"), failing(502), RESET, DISCONNECT])
def test_what_passes_is_tried_again(first: Answer) -> None:
    with replaying({"/prices": [first, BODY]}) as server:
        assert get(server) == BODY
        assert len(server.paths) == 2


def test_a_server_that_says_nothing_is_left_and_asked_again() -> None:
    said: list[str] = []
    with replaying({"/prices": [hanging(20), BODY]}) as server:
        assert get(server, policy=RetryPolicy(**{**QUICK.__dict__, "read": 0.2}), log=said.append) == BODY
    assert "read timeout" in said[0]


def test_the_server_says_how_long_to_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("tenacity.nap.time.sleep", slept.append)
    policy = RetryPolicy(**{**QUICK.__dict__, "longest_retry_after": 20.0})
    with replaying({"/prices": [too_many("7"), too_many("3600"), BODY]}) as server:
        assert get(server, policy=policy) == BODY
    assert slept == [7.0, 20.0]


def test_headers_are_sent_and_may_replace_the_usual_ones() -> None:
    packed = Reply(gzip.compress(BODY), headers={"Content-Encoding": "gzip"})
    headers = {"Authorization": "Bearer x", "Accept-Encoding": "gzip"}
    with replaying({"/prices": packed}) as server:
        url = f"{server.url}/prices"
        assert download(url, policy=QUICK, verify=whole, log=print, headers=headers) == BODY
        (seen,) = server.seen
    assert (seen.headers["authorization"], seen.headers["accept-encoding"]) == ("Bearer x", "gzip")


def test_several_downloads_share_one_connection() -> None:
    with replaying({"/prices": BODY}) as server:
        with connection(QUICK) as client:
            for _ in range(3):
                download(f"{server.url}/prices", policy=QUICK, verify=whole, log=print, client=client)
        assert server.connections == 1
        get(server)
        assert server.connections == 2


def test_a_connection_outlives_a_failure() -> None:
    with (
        replaying({"/prices": [RESET, short(BODY), failing(503), BODY], "/next": BODY}) as server,
        connection(QUICK) as client,
    ):
        policy = RetryPolicy(**{**QUICK.__dict__, "attempts": 4})
        for path in ("prices", "next"):
            assert download(f"{server.url}/{path}", policy=policy, verify=whole, log=print, client=client) == BODY
