"""The reads that come most, answered before any router: the latest forecast of a pair, in its rendered bytes."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Mapping
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from fx_assets.specs.schema import PairSpec
from serving.negotiation import header, wants_csv
from serving.rendering import Body, Headers, Rendered, Served, matches, unmodified
from serving.snapshot import LiveSnapshot, Snapshot, default_model

LATEST: Final = "/v1/forecasts/{pair}/latest"
_METHODS: Final = frozenset({"GET", "HEAD"})

Read = tuple[Served, PairSpec]


def reads_of(snapshot: Snapshot, pairs: Mapping[str, PairSpec]) -> dict[str, Read]:
    """By path, what is served there where nothing more is asked for: each pair's champion."""
    found = {}
    for name, spec in pairs.items():
        served = snapshot.of(name, spec.frequencies[0])
        model = default_model(served)
        if model is not None:
            found[LATEST.replace("{pair}", name)] = (served[model], spec)
    return found


class HotReads:
    """ASGI middleware: answers what `reads_of` has, and passes on all else."""

    def __init__(self, app: ASGIApp, live: LiveSnapshot, pairs: Mapping[str, PairSpec]) -> None:
        self._app, self._live, self._pairs = app, live, pairs
        self._built: tuple[Snapshot, dict[str, Read]] = (live.current, reads_of(live.current, pairs))

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "http" and scope["method"] in _METHODS and not scope["query_string"]:
            read = self._reads().get(scope["path"])
            if read is not None:
                return _serve(*read, scope, send)
        return self._app(scope, receive, send)

    def _reads(self) -> dict[str, Read]:
        built, current = self._built, self._live.current
        if built[0] is not current:
            # One assignment of one object; two requests that build it at once build the same.
            self._built = built = (current, reads_of(current, self._pairs))
        return built[1]


async def _serve(served: Served, pair: PairSpec, scope: Scope, send: Send) -> None:
    scope["state"]["route"] = LATEST
    now = time.time()
    rendered = served.fresh(now) or served.render(pair, datetime.fromtimestamp(now, UTC))
    status, headers, body = answer(rendered, scope, now)
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def answer(rendered: Rendered, scope: Scope, now: float) -> tuple[int, Headers, bytes]:
    """Status, headers and body for a rendered document, in the form and under the conditions of the request.

    `now`: seconds of the epoch.
    """
    body: Body = rendered.body("csv" if wants_csv(scope) else "json")
    headers: Headers = [*body.headers, (b"cache-control", rendered.cache_control(now))]
    if _not_modified(body, rendered, scope):
        return 304, [*body.unsent, headers[-1]], b""
    return 200, headers, b"" if scope["method"] == "HEAD" else body.content


def response(rendered: Rendered, scope: Scope, now: float) -> Response:
    """`answer` for a route of FastAPI."""
    status, headers, body = answer(rendered, scope, now)
    made = Response(body, status_code=status)
    made.raw_headers = list(headers)
    return made


def _not_modified(body: Body, rendered: Rendered, scope: Scope) -> bool:
    tag = header(scope, b"if-none-match")
    if tag is not None:  # then the date does not count (RFC 9110 13.2.2)
        return matches(tag, body.etag)
    since = header(scope, b"if-modified-since")
    return since is not None and unmodified(since, rendered.modified)
