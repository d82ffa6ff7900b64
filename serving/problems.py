"""Errors as `application/problem+json` (RFC 9457), and the handlers that make every error one.

No answer ever repeats what the client sent, nor a trace, a path or a value of this machine.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

MEDIA_TYPE = "application/problem+json"

log = logging.getLogger("serving")


class ProblemError(Exception):
    """An answer other than the one asked for.

    `code` is a stable word for programs (`unknown_pair`), `detail` a sentence for people; `extra`
    holds further members. None of them may hold text of the request.
    """

    def __init__(
        self, status: int, code: str, detail: str, *, headers: Mapping[str, str] | None = None, **extra: Any
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.headers = dict(headers or {})
        self.extra = extra


def problem_body(status: int, code: str, detail: str, extra: Mapping[str, Any] | None = None) -> bytes:
    """The JSON of one problem."""
    title = HTTPStatus(status).phrase
    members = {"type": f"urn:fx-assets:problem:{code}", "title": title, "status": status, "code": code}
    return orjson.dumps({**members, "detail": detail, **(extra or {})})


def problem_response(error: ProblemError) -> Response:
    """The whole answer for `error`."""
    body = problem_body(error.status, error.code, error.detail, error.extra)
    return Response(body, status_code=error.status, media_type=MEDIA_TYPE, headers=error.headers)


def install(app: FastAPI) -> None:
    """Replace the handlers of FastAPI and Starlette, which answer in other formats and echo the input."""
    app.add_exception_handler(ProblemError, _problem)
    app.add_exception_handler(HTTPException, _http_exception)
    app.add_exception_handler(RequestValidationError, _validation_error)


async def _problem(_: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem_response(error)


async def _http_exception(_: Request, error: Exception) -> Response:
    # Raised by the router: no such address (404), or an address with another method (405).
    assert isinstance(error, HTTPException)
    status = error.status_code
    code = {404: "not_found", 405: "method_not_allowed"}.get(status, "http_error")
    detail = {404: "There is nothing at this address.", 405: "This address does not take this method."}
    return problem_response(
        ProblemError(status, code, detail.get(status, HTTPStatus(status).phrase), headers=error.headers)
    )


async def _validation_error(_: Request, error: Exception) -> Response:
    # FastAPI's own handler answers 500 where the input it echoes is NaN; this one echoes nothing.
    assert isinstance(error, RequestValidationError)
    faults = [{"where": str(item["loc"][0]), "type": str(item["type"])} for item in error.errors()]
    return problem_response(
        ProblemError(422, "invalid_request", "The request does not fit this address.", errors=faults)
    )
