"""What a client may do wrong, over a real socket: always a problem, never a 500, never an echo."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from serving.middleware import MAX_BODY
from tests.support.running_api import Api

PATH = "/v1/models/random_walk/predict"
JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"", 400),
        (b"{", 400),
        (b'{"pair": "\xff"}', 400),
        (b"[" * 100_000, 400),
        (b'{"data":' + b"[" * 100_000, 400),
        (b'{"a":' * 100_000, 400),
        (b"NaN", 422),
        (b"null", 422),
        (b"[]", 422),
        (b'"secret"', 422),
        (b'{"secret": 1}', 422),
        (b'{"pair": "\\ud800"}', 422),
        (b'{"pair": "EURUSD", "data": NaN}', 422),
        (b'{"pair": "EURUSD", "as_of": "secret"}', 422),
    ],
)
def test_bad_bodies(shared_client: Api, content: bytes, status: int) -> None:
    answer = shared_client.post(PATH, content=content, headers=JSON)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert {"type", "title", "status", "code", "detail"} <= set(answer.json())
    assert "secret" not in answer.text


@given(st.binary(max_size=200))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_bytes_whatever_make_a_500(shared_client: Api, content: bytes) -> None:
    answer = shared_client.post(PATH, content=content, headers=JSON)
    assert answer.status_code in (400, 422)


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["data", "pair", "as_of"]), inner),
    max_leaves=10,
)


@given(st.fixed_dictionaries({}, optional={"data": VALUES, "pair": st.just("EURUSD") | VALUES, "as_of": VALUES}))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_values_whatever_make_a_500(shared_client: Api, body: dict[str, Any]) -> None:
    content = json.dumps(body).encode("utf-8", "surrogatepass")
    answer = shared_client.post(PATH, content=content, headers=JSON)
    assert answer.status_code in (200, 400, 422), answer.text
    if answer.status_code == 200:
        assert {name for name, value in body.items() if value is not None} == {"pair"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"content-type": "text/plain"},
        {"content-type": "application/x-www-form-urlencoded"},
        {"content-type": "application/json; charset=latin-1"},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/jsonp"},
    ],
)
def test_another_content_type_is_415(shared_client: Api, headers: dict[str, str]) -> None:
    answer = shared_client.post(PATH, content=b'{"pair": "EURUSD"}', headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_media_type")


def test_json_in_utf_8_said_so_is_taken(shared_client: Api) -> None:
    headers = {"content-type": 'Application/JSON; charset="UTF-8"'}
    assert shared_client.post(PATH, content=b'{"pair": "EURUSD"}', headers=headers).status_code == 200


def test_another_accept_is_406(shared_client: Api) -> None:
    for path in ("/livez", "/v1/forecasts/EURUSD/latest"):
        answer = shared_client.get(path, headers={"accept": "text/html"})
        assert (answer.status_code, answer.headers["content-type"]) == (406, "application/problem+json")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nothing", 404),
        ("POST", "/", 405),
        ("GET", "/docs", 404),
        ("GET", "/v1/pairs/", 404),
        ("POST", "/livez", 405),
        ("GET", PATH, 405),
        ("DELETE", "/v1/forecasts/EURUSD/latest", 405),
    ],
)
def test_addresses_and_methods_that_are_not_there(shared_client: Api, method: str, path: str, status: int) -> None:
    answer = shared_client.request(method, path)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "application/problem+json")
    assert ("allow" in answer.headers) == (status == 405)


@pytest.mark.parametrize(
    "target",
    [
        "/v1/forecasts/../latest",
        "/v1/forecasts/..%2f..%2fetc%2fpasswd/latest",
        "/v1/forecasts/%2e%2e/latest",
        "/v1/forecasts/%00/latest",
        "/v1/forecasts/EURUSD%00/latest",
        "/v1/forecasts/..\\..\\latest/latest",
        "/v1/forecasts/%ff%fe/latest",
        "/v1/forecasts/" + "A" * 5000 + "/latest",
        "/v1/models/..",
        "/v1/models/%2e%2e%2fmodels",
        "/v1/models/" + "a" * 5000,
        "/v1/models/random_walk%00",
        "/v1/forecasts/EURUSD/latest?model=../../secret",
        "/v1/forecasts/EURUSD/latest?model=%00",
        "/v1/forecasts/EURUSD/latest?as_of=%00%ff",
    ],
)
def test_no_path_is_built_from_request_text(shared_client: Api, target: str) -> None:
    status, body = raw(shared_client, f"GET {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
    assert status in (404, 422), body
    assert json.loads(body)["status"] == status
    assert b"secret" not in body


def raw(client: Api, request: bytes | Iterator[bytes]) -> tuple[int, bytes]:
    """Send bytes as they are; status and body of the answer."""
    with socket.create_connection(("127.0.0.1", client.port), timeout=10) as wire:
        try:
            for part in [request] if isinstance(request, bytes) else request:
                wire.sendall(part)
        except (BrokenPipeError, ConnectionResetError):
            pass  # the service answered before it had everything, and hung up: that is what is tested
        received = b""
        while chunk := wire.recv(65536):
            received += chunk
    head, _, body = received.partition(b"\r\n\r\n")
    return int(head.split()[1]), body


HEAD = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n".encode()


def test_a_declared_body_over_the_limit_is_413_before_it_is_sent(shared_client: Api) -> None:
    status, body = raw(shared_client, HEAD + f"Content-Length: {MAX_BODY + 1}\r\n\r\n".encode())
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")


def test_an_endless_chunked_body_is_413_and_the_connection_ends(shared_client: Api) -> None:
    def endless() -> Iterator[bytes]:
        yield HEAD + b"Transfer-Encoding: chunked\r\n\r\n"
        for _ in range(400):  # 40 MB, were it taken
            yield b"186a0\r\n" + b"x" * 100_000 + b"\r\n"

    status, body = raw(shared_client, endless())
    assert (status, json.loads(body)["code"]) == (413, "body_too_large")
    assert shared_client.get("/livez").status_code == 200


def test_a_body_just_under_the_limit_is_read(shared_client: Api) -> None:
    content = b'{"pair": "EURUSD", "data": ' + b" " * (MAX_BODY - 100) + b"[]}"
    assert shared_client.post(PATH, content=content, headers=JSON).status_code == 422


def test_an_unhandled_exception_is_500_with_a_request_id_and_nothing_else(
    client: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise RuntimeError("secret of /work")

    monkeypatch.setattr("serving.routers.predict.Forecaster.answer_json", fail)
    answer = client.post(PATH, json={"pair": "EURUSD"})
    assert answer.status_code == 500
    assert set(answer.json()) == {"type", "title", "status", "code", "detail", "request_id"}
    assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert "secret" not in answer.text
    assert client.get("/livez").status_code == 200
