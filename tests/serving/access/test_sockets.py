"""The door on real sockets: WebSockets are refused before they are accepted, and what lasts ends with its key."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from fx_assets.storage.keys import Rate
from serving.access.keyring import KeyRing
from tests.serving.access.place import Place, serving, until, whoever, with_lifespan

STREAM = "/v1/forecasts/stream"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "home")


@contextmanager
def started(place: Place) -> Iterator[int]:
    ring = KeyRing(place.settings, refresh_s=0.05)
    with serving(with_lifespan(whoever, ring)) as port:
        yield port


def opened(port: int, *protocols: str, **headers: str) -> ClientConnection:
    return connect(
        f"ws://127.0.0.1:{port}/v1/ws",
        subprotocols=[Subprotocol(name) for name in protocols] or None,
        additional_headers=headers,
    )


def test_a_websocket_takes_its_key_by_header_or_as_a_protocol(place: Place) -> None:
    secret, reader = place.key(), place.key("reader", ["read"])
    with started(place) as port:
        with opened(port, Authorization=f"Bearer {secret}") as socket:
            assert json.loads(socket.recv()) == {"key_name": "desk", "subprotocols": []}
        with opened(port, "fx-assets", f"bearer.{reader}") as socket:
            said = json.loads(socket.recv())
            assert said == {"key_name": "reader", "subprotocols": ["fx-assets"]}
            assert socket.subprotocol == "fx-assets"
            assert socket.response is not None
            assert reader not in str(socket.response.headers)


def test_a_websocket_without_a_valid_key_is_refused_before_it_is_accepted(place: Place) -> None:
    secret, limited = place.key(), place.key("limited", rate=Rate(1, 3600))
    predictor = place.key("predictor", ["predict"])
    with started(place) as port:
        refused: list[tuple[tuple[str, ...], dict[str, str]]] = [
            ((), {}),
            (("fx-assets",), {}),
            ((f"bearer.{secret}",), {}),
            (("fx-assets", f"bearer.{secret}x"), {}),
            (("fx-assets", f"bearer.{secret}", f"bearer.{limited}"), {}),
            (("fx-assets", f"bearer.{secret}"), {"Authorization": "Bearer nonsense"}),
            ((), {"Cookie": f"fx_key={secret}"}),
        ]
        bodies = set()
        for protocols, headers in refused:
            with pytest.raises(InvalidStatus) as error:
                opened(port, *protocols, **headers)
            assert error.value.response.status_code == 401
            assert error.value.response.headers["www-authenticate"] == "Bearer"
            bodies.add(bytes(error.value.response.body or b""))
        (body,) = bodies
        assert json.loads(body)["code"] == "unauthorized"
        with opened(port, Authorization=f"Bearer {limited}"):
            pass
        for key, status in ((limited, 429), (predictor, 403)):
            with pytest.raises(InvalidStatus) as error:
                opened(port, Authorization=f"Bearer {key}")
            assert error.value.response.status_code == status


def test_each_message_may_need_a_scope_and_counts_towards_the_rate(place: Place) -> None:
    limited, reader = place.key("limited", rate=Rate(3, 3600)), place.key("reader", ["read"])
    with started(place) as port:
        for key, codes in ((limited, ["200", "200", "429", "429"]), (reader, ["403", "403"])):
            with opened(port, Authorization=f"Bearer {key}") as socket:
                socket.recv()
                for code in codes:
                    socket.send("bars")
                    assert socket.recv() == code


def test_what_lasts_ends_when_its_key_is_revoked(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    secret, other = place.key(), place.key("other")
    key = {"Authorization": f"Bearer {secret}"}
    with (
        started(place) as port,
        httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client,
        opened(port, Authorization=f"Bearer {other}") as stays,
    ):
        with client.stream("GET", STREAM, headers=key) as stream, opened(port, **key) as socket:
            lines = stream.iter_lines()
            assert json.loads(next(lines))["key_name"] == json.loads(socket.recv())["key_name"] == "desk"
            place.revoke()
            assert list(lines) == [], "it ends in order, so that the client asks again and is told 401"
            with pytest.raises(ConnectionClosed) as closed:
                socket.recv(timeout=60)
            assert closed.value.rcvd is not None
            assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (1008, "unauthorized")
        assert client.get(STREAM, headers=key).status_code == 401
        assert json.loads(stays.recv())["key_name"] == "other"
        assert stays.ping().wait(60)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_what_lasts_ends_when_its_key_expires(place: Place) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    secret = place.key(expires_at=soon, created_at=soon - timedelta(hours=1))
    key = {"Authorization": f"Bearer {secret}"}
    with started(place) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        with client.stream("GET", STREAM, headers=key) as stream:
            assert len(list(stream.iter_lines())) == 1
        assert client.get("/v1/pairs", headers=key).status_code == 401


def test_whoever_leaves_by_themselves_leaves_in_order(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    key = {"Authorization": f"Bearer {place.key()}"}
    with started(place) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        with client.stream("GET", STREAM, headers=key) as stream:
            next(stream.iter_lines())
        with opened(port, **key):
            pass
        place.revoke()
        until(lambda: client.get("/v1/pairs", headers=key).status_code == 401, "the key is out")
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


def test_the_first_key_closes_the_door_of_a_running_reader(place: Place) -> None:
    with started(place) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        assert client.get("/v1/pairs").json() == {"key_name": None}
        with opened(port) as socket:
            socket.send("bars")
            assert [json.loads(socket.recv()) for _ in range(2)] == [{"key_name": None, "subprotocols": []}, 200]
        secret = place.key()
        until(lambda: client.get("/v1/pairs").status_code == 401, "the door closes")
        assert client.get("/v1/pairs", headers={"Authorization": f"Bearer {secret}"}).json()["key_name"] == "desk"
        assert client.get("/livez").status_code == 200


def test_a_posted_body_that_is_refused_leaves_the_connection_in_order(place: Place) -> None:
    key = {"Authorization": f"Bearer {place.key()}"}
    with started(place) as port, httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
        for _ in range(3):
            assert client.post("/har/predict", content=b"x" * 300_000).status_code == 401
            assert client.get("/v1/pairs", headers=key).status_code == 200


def test_many_at_once_get_what_the_rate_allows_and_not_more(place: Place) -> None:
    secret = place.key(rate=Rate(20, 3600))
    codes: list[int] = []
    with started(place) as port:

        def hammer() -> None:
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=60) as client:
                key = {"Authorization": f"Bearer {secret}"}
                codes.extend(client.get("/v1/pairs", headers=key).status_code for _ in range(10))

        threads = [threading.Thread(target=hammer) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert (codes.count(200), codes.count(429)) == (20, 20)
