"""What the connection itself answers, before any application sees the request: problems, always the last answer.

None of them holds anything of what the client sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from uvicorn.protocols.http.httptools_impl import STATUS_LINE

from serving.problems import MEDIA_TYPE, problem_body


@dataclass(frozen=True)
class Refusal:
    """One answer that ends a connection; `headers` are further header lines."""

    status: int
    code: str
    detail: str
    headers: tuple[tuple[bytes, bytes], ...] = ()

    def render(self, default_headers: Iterable[tuple[bytes, bytes]]) -> bytes:
        """The whole answer as it goes over the wire."""
        body = problem_body(self.status, self.code, self.detail)
        lines = (
            *default_headers,
            (b"content-type", MEDIA_TYPE.encode()),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
            *self.headers,
        )
        head = b"".join(name + b": " + value + b"\r\n" for name, value in lines)
        return STATUS_LINE[self.status] + head + b"\r\n" + body


MALFORMED: Final = Refusal(400, "malformed_request", "This is not a well-formed HTTP/1.1 request.")
INCOMPLETE: Final = Refusal(400, "incomplete_request", "The client closed its side before the request ended.")
BAD_HOST: Final = Refusal(400, "bad_host", "An HTTP/1.1 request has exactly one Host header.")
UPGRADE_NOT_ALONE: Final = Refusal(
    400, "upgrade_not_alone", "A request to change the protocol has no body and follows no unanswered one."
)
TOO_MANY_AT_ONCE: Final = Refusal(400, "too_many_at_once", "Too many requests were sent without waiting for an answer.")
TOO_SLOW: Final = Refusal(408, "request_timeout", "The request did not arrive in time.")
BODY_TOO_LARGE: Final = Refusal(413, "body_too_large", "The body, as it is sent, is too large.")
TARGET_TOO_LONG: Final = Refusal(414, "target_too_long", "The address of the request is too long.")
HEAD_TOO_LARGE: Final = Refusal(431, "headers_too_large", "The headers of the request are too large or too many.")
UNKNOWN_CODING: Final = Refusal(501, "unknown_transfer_coding", "The only transfer coding taken is chunked.")
TOO_MANY_CONNECTIONS: Final = Refusal(
    503, "too_many_connections", "Too many connections are open; try again shortly.", ((b"retry-after", b"1"),)
)
UNKNOWN_VERSION: Final = Refusal(505, "http_version", "Only HTTP/1.1 and HTTP/1.0 are spoken here.")
