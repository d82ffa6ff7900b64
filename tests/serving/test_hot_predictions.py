"""Predictions in front of the routers: the same answers as behind them, and no router asked."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.middleware import Middleware

from fx_assets.settings import Settings
from serving.factory import create_app
from serving.hot_predictions import HotPredictions
from tests.support import running_api
from tests.support.running_api import Api
from tests.support.tiny_lake import TinyLake

PATHS = ("/v1/models/solo/predict", "/solo/predict")


def _name(item: Middleware) -> str:
    return getattr(item.cls, "__name__", "")


def opened(built: TinyLake, *, hot: bool) -> Iterator[Api]:
    def changed(settings: Settings) -> FastAPI:
        app = create_app(settings)
        app.user_middleware[:] = [item for item in app.user_middleware if _name(item) != "HotPredictions"]
        if hot:
            app.user_middleware.append(Middleware(HotPredictions, registry=app.state.registry))
            app.router.routes.clear()
        return app

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(running_api, "create_app", changed)
        with running_api.running(built) as client:
            yield client


@pytest.fixture(scope="module")
def routed(built: TinyLake) -> Iterator[Api]:
    """Answers by FastAPI's routes alone."""
    yield from opened(built, hot=False)


@pytest.fixture(scope="module")
def hot(built: TinyLake) -> Iterator[Api]:
    """Has no route at all."""
    yield from opened(built, hot=True)


def said(client: Api, path: str, **asked: Any) -> tuple[int, str, str | None, Any]:
    answer = client.post(path, **asked)
    told = answer.json()
    for name in ("issued_at", "lineage"):  # when, and by which request
        told.pop(name, None)
    return answer.status_code, answer.headers["content-type"], answer.headers.get("cache-control"), told


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("status", "asked"),
    [
        (200, {"json": {"data": [[1.1 + index / 1000] for index in range(30)]}}),
        (200, {"json": {"pair": "EURUSD"}}),
        (422, {"json": {"data": [[1.1]] * 29}}),
        (422, {"json": {"data": [[-1.1]] * 30}}),
        (422, {"json": {"pair": "XXXYYY"}}),
        (415, {"content": b"{}", "headers": {"content-type": "text/plain"}}),
        (400, {"content": b"{", "headers": {"content-type": "application/json"}}),
        (413, {"content": b" " * 1_000_001, "headers": {"content-type": "application/json"}}),
    ],
)
def test_it_answers_as_the_routes_do(routed: Api, hot: Api, path: str, status: int, asked: dict[str, Any]) -> None:
    answer = said(hot, path, **asked)
    assert answer[0] == status
    assert answer == said(routed, path, **asked)


def test_all_else_is_passed_on(hot: Api) -> None:
    for method, path in (("GET", PATHS[0]), ("POST", "/v1/models/other/predict"), ("POST", PATHS[0] + "/")):
        assert hot.request(method, path).status_code == 404, "there is no route"
