"""The door in front of an application: which request needs what, and how it is refused. In this process."""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta
from pathlib import Path
from typing import Any

import anyio
import httpx
import pytest
from starlette.routing import BaseRoute
from starlette.types import Message, Receive, Scope, Send

from fx_assets.settings import Settings
from fx_assets.storage.keys import SCOPES, Rate
from fx_assets.storage.keys import Scope as KeyScope
from serving.access.keyring import KeyRing
from serving.access.middleware import Access, needed, permit
from serving.factory import create_app
from serving.problems import ProblemError
from tests.serving.access.place import NOW, Place, whoever

READ, PREDICT = "/v1/pairs", "/v1/models/har/predict"


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "home")


def ask(
    ring: KeyRing, path: str = READ, key: str | None = None, method: str = "GET", headers: Any = None
) -> httpx.Response:
    """One request to an application behind the door."""

    async def asked() -> httpx.Response:
        transport = httpx.ASGITransport(app=Access(whoever, ring))
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            given = {"authorization": f"Bearer {key}"} if key is not None else {}
            return await client.request(method, path, headers=headers or given)

    return asyncio.run(asked())


def problem(response: httpx.Response, status: int, code: str) -> dict[str, Any]:
    assert (response.status_code, response.headers["content-type"]) == (status, "application/problem+json")
    found: dict[str, Any] = response.json()
    assert (found["status"], found["code"], found["type"]) == (status, code, f"urn:fx-assets:problem:{code}")
    assert response.headers["content-length"] == str(len(response.content))
    return found


def test_a_key_lets_in_and_says_whose_it_is(place: Place) -> None:
    secret = place.key()
    ring = place.ring()
    for headers in (
        {"authorization": f"Bearer {secret}"},
        {"authorization": f"bearer   {secret}"},
        {"Authorization": f"BEARER {secret} "},
    ):
        assert ask(ring, headers=headers).json() == {"key_name": "desk"}


def test_whatever_is_wrong_with_a_key_the_answer_is_the_same(place: Place) -> None:
    secret = place.key()
    revoked = place.key("revoked")
    expired = place.key("expired", expires_at=NOW + timedelta(hours=1))
    place.revoke("revoked")
    ring = place.ring()
    place.clock.forward(3600)
    unknown = secret[:4] + "zzzzzzzz" + secret[12:]
    answers = [ask(ring, headers={"x": "y"}), *(ask(ring, key=key) for key in (revoked, expired, unknown, "", "fxk_"))]
    headers = [
        {"authorization": secret},
        {"authorization": f"Basic {secret}"},
        {"authorization": "Bearer"},
        {"authorization": f"Bearer {secret}, Bearer {secret}"},
        [("authorization", f"Bearer {secret}"), ("authorization", f"Bearer {secret}")],
        {"x-api-key": secret},
        {"cookie": f"fx_key={secret}"},
    ]
    answers += [ask(ring, headers=one) for one in headers]
    answers += [ask(ring, f"{READ}?key={secret}&access_token={secret}"), ask(ring, f"/{secret}")]
    for answer in answers:
        problem(answer, 401, "unauthorized")
        assert answer.headers["www-authenticate"] == "Bearer"
    assert len({answer.content for answer in answers}) == len({str(answer.headers) for answer in answers}) == 1
    assert ask(ring, key=secret).status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "scope"),
    [
        ("GET", "/livez", None),
        ("HEAD", "/readyz", None),
        ("GET", "/", None),
        ("GET", "/static/x.js", None),
        ("GET", "/metrics", "read"),
        ("GET", "/v1/forecasts/EURUSD/latest", "read"),
        ("HEAD", "/v1/forecasts/EURUSD/latest", "read"),
        ("GET", "/v1/forecasts/stream", "read"),
        ("GET", "/openapi.json", "read"),
        ("POST", "/v1/forecasts:batchGet", "read"),
        ("POST", "/v1/models/har/predict", "predict"),
        ("POST", "/har/predict", "predict"),
        ("GET", "/v1/models/har/predict", "read"),
        ("POST", "/static/predict", "predict"),
        ("POST", "/livez/predict", "predict"),
        ("POST", "/", "read"),
        ("DELETE", "/livez", "read"),
        ("GET", "//livez", "read"),
        ("GET", "/livez/", "read"),
        ("GET", "/Livez", "read"),
        ("GET", "/../livez", "read"),
    ],
)
def test_what_a_request_needs(method: str, path: str, scope: str | None) -> None:
    assert needed({"type": "http", "method": method, "path": path}) == scope


def test_a_websocket_always_needs_a_key() -> None:
    assert {needed({"type": "websocket", "path": path}) for path in ("/v1/ws", "/", "/livez", "/static/x")} == {"read"}


def test_no_route_does_more_than_its_scope_says(tmp_path: Path) -> None:
    """A route that changes or costs something must be told apart in `needed`, and then listed here."""
    app = create_app(Settings(home=tmp_path, live=False))

    def every(routes: list[BaseRoute]) -> set[tuple[str, str]]:
        found = set()
        for route in routes:
            found |= every(list(getattr(route, "routes", None) or ()))
            found |= {(method, getattr(route, "path", "")) for method in getattr(route, "methods", None) or ()}
        return found

    documented = {(method.upper(), path) for path, methods in app.openapi()["paths"].items() for method in methods}
    others = {one for one in every(app.routes) | documented if one[0] not in {"GET", "HEAD"}}
    assert ("POST", "/v1/models/{model_id}/predict") in others or any(path.endswith("/predict") for _, path in others)
    reads = {path for method, path in others if needed({"type": "http", "method": method, "path": path}) == "read"}
    assert reads <= {"/v1/forecasts:batchGet"}


def test_a_key_of_another_scope_is_told_which_it_needs(place: Place) -> None:
    reader, predictor = place.key("reader", ["read"]), place.key("predictor", ["predict", "train"])
    ring = place.ring()
    assert ask(ring, key=reader).json() == {"key_name": "reader"}
    assert ask(ring, PREDICT, predictor, "POST").json() == {"key_name": "predictor"}
    for refused, scope in ((ask(ring, PREDICT, reader, "POST"), "predict"), (ask(ring, READ, predictor), "read")):
        found = problem(refused, 403, "forbidden")
        assert found["scope"] == scope
        assert f"scope {scope}" in found["detail"]
        assert f'scope="{scope}"' in refused.headers["www-authenticate"]


def test_what_holds_no_data_is_open_whatever_is_known(place: Place) -> None:
    place.key()
    place.file.unlink()
    place.file.mkdir()
    ring = place.ring()
    for path in ("/livez", "/readyz", "/", "/static/a.js"):
        assert ask(ring, path).json() == {"key_name": None}
    found = ask(ring, READ)
    problem(found, 503, "keys_unavailable")
    assert int(found.headers["retry-after"]) > 0


def test_while_the_door_is_open_nobody_is_asked(place: Place) -> None:
    ring = place.ring()
    assert ask(ring, PREDICT, method="POST").json() == {"key_name": None}
    assert ask(ring, key="fxk_nonsense").status_code == 200
    secret = place.key()
    ring.refresh()
    problem(ask(ring), 401, "unauthorized")
    assert ask(ring, key=secret).status_code == 200


def test_an_open_door_costs_one_look_at_it(place: Place) -> None:
    seen: list[tuple[Scope, Receive, Send]] = []

    async def inner(scope: Scope, receive: Receive, send: Send) -> None:
        seen.append((scope, receive, send))

    async def receive() -> Message:
        raise AssertionError

    async def send(_: Message) -> None:
        raise AssertionError

    scope: Scope = {"type": "http"}
    anyio.run(Access(inner, place.ring()), scope, receive, send)
    # Nothing was looked up in the scope (it has nothing), nothing added to it, and nothing is wrapped.
    assert seen == [({"type": "http"}, receive, send)]


def test_who_asks_too_often_waits_and_others_do_not(place: Place) -> None:
    limited, other = place.key(rate=Rate(3, 60)), place.key("other", rate=Rate(3, 60))
    free = place.key("free")
    ring = place.ring()
    assert [ask(ring, key=limited).status_code for _ in range(3)] == [200, 200, 200]
    refused = ask(ring, key=limited)
    problem(refused, 429, "rate_limited")
    assert refused.headers["retry-after"] == "20"
    assert ask(ring, key=other).status_code == 200
    assert {ask(ring, key=free).status_code for _ in range(20)} == {200}
    for seconds, said in ((4.5, "16"), (15.0, "1")):
        place.monotonic.forward(seconds)
        assert ask(ring, key=limited).headers["retry-after"] == said
    place.monotonic.forward(0.5)
    assert ask(ring, key=limited).status_code == 200


def test_what_is_refused_does_not_count(place: Place) -> None:
    secret = place.key(scopes=["read"], rate=Rate(2, 60))
    ring = place.ring()
    for _ in range(5):
        problem(ask(ring, PREDICT, secret, "POST"), 403, "forbidden")
        problem(ask(ring, key=secret + "x"), 401, "unauthorized")
        assert ask(ring, "/livez", secret).status_code == 200
    assert [ask(ring, key=secret).status_code for _ in range(3)] == [200, 200, 429]


@pytest.mark.parametrize("wanted", SCOPES)
def test_by_an_open_door_every_step_is_permitted_and_by_no_key_none(wanted: KeyScope) -> None:
    permit({"type": "websocket"}, wanted)
    with pytest.raises(ProblemError) as error:
        permit({"type": "http", "state": {"key_name": None, "key": None}}, wanted)
    assert (error.value.status, error.value.extra) == (403, {"scope": wanted})


def test_an_open_door_has_no_limit(place: Place) -> None:
    ring = place.ring()
    assert {ask(ring).status_code for _ in range(20)} == {200}


def test_no_key_is_ever_logged_or_repeated(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    secret, limited = place.key(), place.key("limited", ["read"], rate=Rate(1, 60))
    ring = place.ring()
    answers = [ask(ring, key=secret), ask(ring, key=secret[:-1]), ask(ring, PREDICT, limited, "POST")]
    answers += [ask(ring, key=limited) for _ in range(2)]
    place.file.unlink()
    place.monotonic.forward(601)
    ring.refresh()
    answers.append(ask(ring, key=secret))
    assert [answer.status_code for answer in answers] == [200, 401, 403, 200, 429, 503]
    shown = caplog.text + "".join(answer.text + str(answer.headers) for answer in answers)
    assert secret[13:-1] not in shown
    assert limited[13:] not in shown


def test_the_api_itself_behind_the_door(place: Place) -> None:
    secret = place.key(scopes=["read"])
    app = create_app(place.settings)
    app.state.keyring.refresh()

    async def asked() -> list[int]:
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://api") as client:
            key = {"authorization": f"Bearer {secret}"}
            answers = [
                await client.get("/livez"),
                await client.get("/v1/models"),
                await client.get("/v1/models", headers=key),
                await client.post("/random_walk/predict", json={}, headers=key),
            ]
        return [answer.status_code for answer in answers]

    assert asyncio.run(asked()) == [200, 401, 200, 403]


@pytest.mark.parametrize(
    ("server", "status"),
    [
        (("127.0.0.1", 80), 200),
        (("::1", 80), 200),
        (("/run/api.sock", None), 200),
        (("192.0.2.7", 80), 401),
        (None, 200),
    ],
    ids=["loopback", "loopback6", "socket file", "network", "unknown"],
)
def test_an_open_door_is_open_to_this_machine_alone(place: Place, server: Any, status: int) -> None:
    ring = place.ring()
    assert ring.open
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "http.request", "body": b"", "more_body": False}

    scope = {"type": "http", "method": "GET", "path": READ, "headers": [], "query_string": b"", "server": server}
    anyio.run(Access(whoever, ring), scope, receive, send)
    assert sent[0]["status"] == status
