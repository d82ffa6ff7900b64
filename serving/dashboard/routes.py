"""The dashboard at `/` and its files under `/static/`: GET and HEAD, entity tags, gzip, and a strict policy."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from serving.dashboard.files import PREFIX, StaticFile, site
from serving.negotiation import weighted
from serving.problems import ProblemError
from serving.rendering import matches

# Neither inline script nor inline style, nothing from another host, and no text that becomes markup.
POLICY: Final = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "base-uri 'none'",
        "form-action 'none'",
        "frame-ancestors 'none'",
        "require-trusted-types-for 'script'",
        "trusted-types fx-assets",
    )
)
_SECURITY: Final = {
    "content-security-policy": POLICY,
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}
_FOREVER: Final = "public, max-age=31536000, immutable"


def build() -> APIRouter:
    """The routes of the dashboard. Reads and compresses its files first; raises `MissingScript`."""
    pages = site()

    async def serve(request: Request) -> Response:
        page = pages.get(request.scope["path"])
        if page is None:
            raise ProblemError(404, "not_found", "There is nothing at this address.")
        return answer(page, request)

    router = APIRouter(include_in_schema=False)
    for path in ("/", PREFIX + "{path:path}"):
        router.add_route(path, serve, methods=["GET", "HEAD"], include_in_schema=False)
    return router


def answer(page: StaticFile, request: Request) -> Response:
    """A file in the encoding that the request takes, or 304 where it has it already."""
    body, tag = page.body, f'"{page.digest}"'
    headers = {**_SECURITY, "vary": "accept-encoding", "cache-control": _FOREVER if page.forever else "no-cache"}
    if page.gzipped is not None and takes_gzip(request.headers.get("accept-encoding", "")):
        # Another representation has another tag (RFC 9110 8.8.3).
        body, tag = page.gzipped, f'"{page.digest}-gzip"'
        headers["content-encoding"] = "gzip"
    headers["etag"] = tag
    if matches(request.headers.get("if-none-match"), tag):
        headers.pop("content-encoding", None)
        return Response(status_code=304, headers=headers)
    headers["content-length"] = str(len(body))
    return Response(b"" if request.method == "HEAD" else body, media_type=page.media_type, headers=headers)


def takes_gzip(accept_encoding: str) -> bool:
    """Whether an `Accept-Encoding` header allows gzip (RFC 9110 12.5.3): named, or by `*`, with a weight over 0."""
    weights = dict(weighted(accept_encoding))
    return weights.get("gzip", weights.get("*", 0.0)) > 0
