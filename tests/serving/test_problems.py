"""Errors as problem+json: FastAPI's own handlers, which echo the input, are replaced."""

from __future__ import annotations

import asyncio
import math

import httpx
import orjson
import pytest
from fastapi import FastAPI, HTTPException
from pydantic import BaseModel

from serving import problems
from serving.problems import ProblemError


class Body(BaseModel):
    """Something to fit."""

    count: int


def application() -> FastAPI:
    app = FastAPI()
    problems.install(app)

    @app.post("/typed")
    async def typed(body: Body) -> None:
        del body

    @app.get("/typed/{number}")
    async def numbered(number: int) -> None:
        del number

    @app.get("/refused")
    async def refused() -> None:
        raise ProblemError(503, "asleep", "Come back later.", headers={"retry-after": "5"}, until="noon")

    @app.get("/http")
    async def http() -> None:
        raise HTTPException(418, "secret")

    return app


def send(method: str, path: str, content: bytes = b"") -> httpx.Response:
    async def exchange() -> httpx.Response:
        transport = httpx.ASGITransport(app=application())
        async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
            return await client.request(method, path, content=content, headers={"content-type": "application/json"})

    return asyncio.run(exchange())


@pytest.mark.parametrize("content", [b'{"count": NaN}', b'{"count": "secret"}', b'{"secret": [[[1]]]}', b"secret"])
def test_what_fastapi_itself_refuses_is_422_without_the_input(content: bytes) -> None:
    answer = send("POST", "/typed", content)
    assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
    assert answer.json()["errors"][0]["where"] == "body"
    assert "secret" not in answer.text
    assert "NaN" not in answer.text


def test_a_parameter_in_the_path_is_not_echoed_either() -> None:
    answer = send("GET", "/typed/secret")
    assert (answer.status_code, "secret" in answer.text) == (422, False)


def test_a_problem_has_its_members_and_headers() -> None:
    answer = send("GET", "/refused")
    assert answer.json() == {
        "type": "urn:fx-assets:problem:asleep",
        "title": "Service Unavailable",
        "status": 503,
        "code": "asleep",
        "detail": "Come back later.",
        "until": "noon",
    }
    assert answer.headers["retry-after"] == "5"


def test_an_exception_of_the_framework_becomes_a_problem_without_its_text() -> None:
    answer = send("GET", "/http")
    assert (answer.status_code, answer.headers["content-type"]) == (418, "application/problem+json")
    assert "secret" not in answer.text


def test_numbers_that_are_not_finite_cannot_get_into_a_problem() -> None:
    assert orjson.loads(problems.problem_body(422, "x", "y", {"value": math.nan}))["value"] is None
