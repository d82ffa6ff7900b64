"""What can go wrong between a program and the forecast API, as exceptions that say what to do.

No message holds a key, and none quotes an answer that is no problem document of the API.
"""

from __future__ import annotations

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
import orjson

from serving.client.exchange import Answer, Failure, Request
from serving.client.retrying import retry_after


class ForecastError(Exception):
    """Anything that kept a call from its result.

    `status`, `code`, `detail` and `request_id` are those of the answer; None where there was none, or where it did
    not say. `problem` has every member of the answer's problem document.
    """

    def __init__(
        self,
        message: str,
        *,
        status: int | None = None,
        code: str | None = None,
        detail: str | None = None,
        request_id: str | None = None,
        retry_after: float | None = None,
        problem: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.detail = detail
        self.request_id = request_id
        self.retry_after = retry_after
        """Seconds that the service asks to wait; None where it does not say."""
        self.problem: Mapping[str, Any] = problem or {}


class TransportError(ForecastError):
    """No whole answer came: no connection, or one that broke."""


class TimedOut(TransportError, TimeoutError):
    """No whole answer came in time; or `wait` ended without a new forecast."""


class InvalidAnswer(ForecastError):
    """The answer is none of the forecast API's: perhaps `server` names something else."""


class Refused(ForecastError):
    """The service does not do what was asked (4xx); asking again changes nothing."""


class Unauthorized(Refused):
    """401: there is no valid key."""


class Forbidden(Refused):
    """403: the key has not the scope that this needs."""


class NotFound(Refused):
    """404 or 410: there is no such pair, model, forecast or certificate, or not any more."""


class InvalidInput(Refused, ValueError):
    """What was given cannot be used; `index` is where in it: `()`, `(row,)` or `(row, column)`."""

    @property
    def index(self) -> tuple[int, ...]:
        """Place of what is wrong, as the service counts: rows from 0, oldest first."""
        found = self.problem.get("index")
        return tuple(found) if isinstance(found, list) and all(type(part) is int for part in found) else ()


class RateLimited(Refused):
    """429: this key asks more often than its rate; `retry_after` says for how many seconds to wait."""


class ServerError(ForecastError):
    """5xx: the service failed; its log has the cause under `request_id`."""


class Unavailable(ServerError):
    """502, 503 or 504: not now, perhaps later."""


_KINDS: Final[Mapping[int, type[ForecastError]]] = {
    400: InvalidInput,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    410: NotFound,
    413: InvalidInput,
    422: InvalidInput,
    429: RateLimited,
    502: Unavailable,
    503: Unavailable,
    504: Unavailable,
}


class _Problem(msgspec.Struct):
    """What of a problem document (RFC 9457) is read."""

    code: str | None = None
    detail: str | None = None


def invalid(detail: str) -> InvalidInput:
    """What the client itself refuses to send."""
    return InvalidInput(detail, code="invalid_input", detail=detail)


def refusal(request: Request, answer: Answer) -> ForecastError:
    """The exception of an answer other than the one that was asked for."""
    status = answer.status
    said = _problem(answer)
    request_id = answer.headers.get("x-request-id")
    if status < 400:
        return InvalidAnswer(
            f"{request.name}: got {_named(status)}, which the forecast API never answers; check the server's address",
            status=status,
            request_id=request_id,
        )
    known = msgspec.convert(said, _Problem)
    kind = _KINDS.get(status, Refused if status < 500 else ServerError)
    wait = retry_after(answer.headers)
    parts = [f"{request.name}: {_named(status)}"]
    if known.code is not None:
        parts.append(f" ({known.code})")
    parts.append(f": {known.detail}" if known.detail else ": without a problem document of the forecast API")
    if wait is not None:
        parts.append(f" [may be asked again in {wait:g} s]")
    if request_id is not None:
        parts.append(f" [request {request_id}]")
    return kind(
        "".join(parts),
        status=status,
        code=known.code,
        detail=known.detail,
        request_id=request_id,
        retry_after=wait,
        problem=said,
    )


def broken(request: Request, failure: Failure, tries: int = 1) -> TransportError:
    """The exception of an exchange that brought no whole answer."""
    kind = TimedOut if failure.timed_out else TransportError
    made = kind(f"{request.name}: {failure.said}" + (f" [{tries} tries]" if tries > 1 else ""))
    made.__cause__ = failure.cause
    return made


def _problem(answer: Answer) -> dict[str, Any]:
    """The problem document; empty where the answer is none."""
    if answer.media_type != "application/problem+json":
        return {}
    try:
        found = orjson.loads(answer.body)
        msgspec.convert(found, _Problem)
    except (orjson.JSONDecodeError, msgspec.ValidationError):
        return {}
    return found if isinstance(found, dict) else {}


def _named(status: int) -> str:
    try:
        return f"{status} {HTTPStatus(status).phrase}"
    except ValueError:
        return str(status)
