"""Answers as bytes: JSON by orjson, and forecasts rendered once for as long as they say the same."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime, parsedate_to_datetime
from functools import cached_property
from typing import Any, Final, Literal

import orjson
from starlette.responses import Response

from fx_assets.forecasting.document import ForecastDocument
from fx_assets.forecasting.freshness import as_served
from fx_assets.specs.schema import PairSpec
from fx_assets.timegrid.calendars import TradingCalendar, calendar
from fx_assets.timegrid.trading_dates import bar_end, expected_last_date

Form = Literal["json", "csv"]
MEDIA_TYPES: Final[dict[Form, str]] = {"json": "application/json", "csv": "text/csv; charset=utf-8"}

# The night begins so long after the roll (fx_assets/orchestration/schedules.py): no newer forecast comes before.
_NIGHT_AFTER_ROLL: Final = timedelta(minutes=15)

Headers = list[tuple[bytes, bytes]]


def json_response(content: Any, **headers: str) -> Response:
    """200 with `content` as JSON."""
    return Response(
        orjson.dumps(content),
        media_type="application/json",
        headers={name.replace("_", "-"): value for name, value in headers.items()},
    )


def document_json(document: ForecastDocument) -> bytes:
    """A document as JSON; floats are written so that they read back to the last bit."""
    return orjson.dumps(document.model_dump(mode="json"))


def documents_csv(documents: Sequence[ForecastDocument]) -> bytes:
    """Documents as CSV: a head and a row for each horizon of each, quantiles as columns `q0.1`.

    The columns are those of the first document's levels; a level that another has not is empty there.
    """
    levels = list(documents[0].horizons[0].quantiles) if documents else []
    shared = ("pair", "model_id", "model_version", "frequency", "origin", "data_as_of", "issued_at", "valid_until")
    told = (*shared, "stale", "last_price", "verdict", "forecast_id")
    own = ("h", "target_date", "target_time", "median", "volatility")
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\r\n")
    writer.writerow([*told, *own, *(f"q{level}" for level in levels)])
    for document in documents:
        content = document.model_dump(mode="json", include={*told, "horizons"})
        for horizon in content["horizons"]:
            prices = [horizon["quantiles"].get(level) for level in levels]
            writer.writerow([*(content[name] for name in told), *(horizon[name] for name in own), *prices])
    return text.getvalue().encode()


@dataclass(frozen=True)
class Body:
    """Bytes in one form, and the headers that go with them whenever they are sent."""

    content: bytes
    etag: str
    headers: Headers
    """Content type and length, entity tag, Last-Modified and Vary."""
    unsent: Headers
    """Those of a 304: RFC 9110 15.4.5 wants no content type or length."""


def body_of(content: bytes, form: Form, modified: datetime) -> Body:
    """`content` with a strong entity tag: the digest of its bytes."""
    etag = f'"{hashlib.blake2b(content, digest_size=16).hexdigest()}"'
    lines = {
        "content-type": MEDIA_TYPES[form],
        "content-length": str(len(content)),
        "etag": etag,
        "last-modified": http_date(modified),
        "vary": "accept",
    }
    headers = [(name.encode(), value.encode()) for name, value in lines.items()]
    return Body(content, etag, headers, [item for item in headers if not item[0].startswith(b"content-")])


class Rendered:
    """A document as it is said from one change of its freshness to the next; CSV is made when first asked for."""

    def __init__(self, document: ForecastDocument, modified: datetime) -> None:
        self.document = document
        self.modified = modified.replace(microsecond=0)
        self.expected = (document.valid_until + _NIGHT_AFTER_ROLL).timestamp()
        """When the next forecast is expected, seconds of the epoch."""
        self.json = body_of(document_json(document), "json", self.modified)

    @cached_property
    def csv(self) -> Body:
        """The document as CSV."""
        return body_of(documents_csv([self.document]), "csv", self.modified)

    def body(self, form: Form) -> Body:
        """The bytes in the form asked for."""
        return self.json if form == "json" else self.csv

    def cache_control(self, now: float) -> bytes:
        """Until the next expected issue at `now` (seconds of the epoch); once that is late, ask every time."""
        left = int(self.expected - now)
        return b"private, max-age=%d" % left if left > 0 else b"no-cache"


class Served:
    """A document of the snapshot with its rendered bytes, which change only with its freshness."""

    __slots__ = ("_holds", "document")

    def __init__(self, document: ForecastDocument) -> None:
        self.document = document
        self._holds: tuple[float, float, Rendered] | None = None  # from, until (seconds of the epoch)

    def fresh(self, now: float) -> Rendered | None:
        """The bytes rendered last, if they hold at `now` (seconds of the epoch)."""
        holds = self._holds
        return holds[2] if holds is not None and holds[0] <= now < holds[1] else None

    def render(self, pair: PairSpec, now: datetime) -> Rendered:
        """The document's bytes with `stale` and `valid_until` as they are at `now` (aware)."""
        found = self.fresh(now.timestamp())
        if found is not None:
            return found
        days = calendar(pair.calendar)
        said = as_served(self.document, days, pair.freshness, now)
        # Freshness counts open dates that have ended: from one end to the next it says the same.
        ended = expected_last_date(days, now)
        since, until = bar_end(ended), bar_end(days.next_days(ended, 1)[0])
        last = None if self._holds is None else self._holds[2]
        if last is None or (last.document.stale, last.document.valid_until) != (said.stale, said.valid_until):
            last = Rendered(said, self._modified(said, days, pair.freshness))
        # One assignment of one object: a reader sees the old or the new, never a mixture.
        self._holds = (since.timestamp(), until.timestamp(), last)
        return last

    def _modified(self, said: ForecastDocument, days: TradingCalendar, limit: int) -> datetime:
        """The last instant at which anything changed in what is said: issue, certificate, or freshness."""
        moments = [self.document.issued_at]
        if self.document.certificate is not None:
            moments.append(self.document.certificate.measured_at)
        if said.stale:
            moments.append(bar_end(days.next_days(said.data_as_of, limit + 1)[-1]))
        return max(moments)


def http_date(moment: datetime) -> str:
    """An instant as HTTP writes it."""
    return format_datetime(moment.astimezone(UTC), usegmt=True)


def matches(if_none_match: str | None, etag: str) -> bool:
    """Whether an `If-None-Match` header names `etag` (RFC 9110 13.1.2: weak comparison, or `*`)."""
    if if_none_match is None or if_none_match == etag:
        return if_none_match is not None
    tags = {tag.strip().removeprefix("W/") for tag in if_none_match.split(",")}
    return etag in tags or "*" in tags


def unmodified(if_modified_since: str, modified: datetime) -> bool:
    """Whether nothing changed since an `If-Modified-Since` header; one that is no date is passed over (13.1.3)."""
    try:
        since = parsedate_to_datetime(if_modified_since)
    except (ValueError, OverflowError):
        return False
    return modified <= (since if since.tzinfo is not None else since.replace(tzinfo=UTC))
