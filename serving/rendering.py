"""Answers as bytes: JSON by orjson, and forecasts rendered once for as long as they say the same."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from starlette.responses import Response

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.freshness import as_served, freshness_of
from fx_assets.specs.schema import PairSpec
from fx_assets.timegrid.calendars import calendar


def json_response(content: Any) -> Response:
    """200 with `content` as JSON."""
    return Response(orjson.dumps(content), media_type="application/json")


def document_json(document: ForecastDocument) -> bytes:
    """A document as JSON; floats are written so that they read back to the last bit."""
    return orjson.dumps(document.model_dump(mode="json"))


@dataclass(frozen=True)
class Rendered:
    """The bytes of a document, and their digest as a strong entity tag."""

    body: bytes
    etag: str


class Served:
    """A document of the snapshot with its rendered bytes, which change only with its freshness."""

    __slots__ = ("_rendered", "document")

    def __init__(self, document: ForecastDocument) -> None:
        self.document = document
        self._rendered: tuple[tuple[bool, datetime], Rendered] | None = None

    def render(self, pair: PairSpec, now: datetime) -> Rendered:
        """The document's bytes with `stale` and `valid_until` as they are at `now`."""
        days = calendar(pair.calendar)
        current = freshness_of(self.document, days, pair.freshness, now)
        state = (current.stale, current.valid_until)
        last = self._rendered
        if last is not None and last[0] == state:
            return last[1]
        body = document_json(as_served(self.document, days, pair.freshness, now))
        rendered = Rendered(body, f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"')
        # One assignment of one object: a reader sees the old or the new pair, never a mixture.
        self._rendered = (state, rendered)
        return rendered


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` header names `etag` (RFC 9110 13.1.2: weak comparison, or `*`)."""
    if if_none_match is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags
