"""Streams without the network: events in, each forecast out once; and coming back when a stream breaks."""

from __future__ import annotations

import time
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import Final

import msgspec
import orjson

from serving.client.calls import EVENTS, instant
from serving.client.errors import ForecastError, InvalidAnswer, TimedOut, broken, invalid, refusal
from serving.client.events import Event, Events, EventTooLarge
from serving.client.exchange import Answer, Emit, Failure, Flow, Open, Pause, Read, Request
from serving.client.options import Options
from serving.client.results import Forecast, forecast

_PATH: Final = "/v1/forecasts/stream"
_SLACK_SECONDS: Final = 1.0


class _End(Enum):
    CLEAN = "the service ended the stream"
    RENEW = "the stream is opened again, to be waited on for a shorter time"


class Streaming:
    """One stream: where it is, and what is done when it ends.

    What a stream begins with has no ids until all of it was sent: it is held back until the first id. So a break before
    that loses nothing and repeats nothing; after it the last id says where to go on.
    """

    def __init__(
        self,
        options: Options,
        pairs: Sequence[str] | None,
        model: str | None,
        frequency: str | None,
        *,
        reconnect: bool = True,
        last_event_id: str | None = None,
        timeout: float | None = None,
    ) -> None:
        if isinstance(pairs, str) or (pairs is not None and not pairs):
            raise invalid('pairs: expected a list of pairs such as ["EURUSD"], or None for all')
        if last_event_id is not None and not (last_event_id.isascii() and last_event_id.isprintable()):
            raise invalid("last_event_id: expected the event_id of a forecast of an earlier stream")
        asked = {"pairs": None if pairs is None else ",".join(pairs), "model": model, "frequency": frequency}
        self._asked = {name: value for name, value in asked.items() if value is not None}
        self._retrying, self._silence, self._reconnect = options.retrying, options.silence, reconnect
        self._until = float("inf") if timeout is None else time.monotonic() + timeout
        self._mark = last_event_id
        self._failed = 0

    def forecasts(self) -> Flow[None]:
        """Emits forecasts. Raises `ForecastError` where coming back cannot help, and `TimedOut` at `until`."""
        while True:
            if self._left() <= 0:
                raise TimedOut(f"GET {_PATH}: there was no newer forecast within the timeout")
            ended = yield from self._connection()
            if ended is _End.RENEW:
                continue
            if not self._reconnect or (isinstance(ended, Answer) and ended.status < 500 and ended.status != 429):
                if isinstance(ended, _End):
                    return
                raise self._error(ended)
            self._failed += 1
            wait = self._retrying.comeback(self._failed, ended if isinstance(ended, Answer) else None)
            yield Pause(max(0.0, min(wait, self._left())))

    def newer(self, after: Forecast | datetime | None) -> Flow[Forecast]:
        """The first forecast that is newer than `after`, than a moment, or than what there is now. Raises as above."""
        if isinstance(after, datetime):
            instant("after", after)  # refuses one without a zone
        flow = self.forecasts()
        effect = next(flow)
        while True:
            if not isinstance(effect, Emit):
                effect = flow.send((yield effect))
                continue
            found: Forecast = effect.item
            if after is None and self._mark is None:
                after = found  # what the stream begins with is what there is now
            elif is_newer(found, after):
                return found
            effect = next(flow)

    def _connection(self) -> Flow[_End | Failure | Answer]:
        """Emits the forecasts of one connection, until it ends: how it did."""
        patience = min(self._silence, self._left())
        reply: Answer | Failure = yield Open(self._request(), patience)
        if isinstance(reply, Failure) or reply.status != 200:
            return reply
        if reply.media_type != EVENTS:
            said = "the answer is no stream of events; check the server's address"
            raise InvalidAnswer(f"GET {_PATH}: {said}", status=200)
        events, held = Events(), list[Event]()
        while True:
            part = yield Read()
            if isinstance(part, Failure):
                return part
            if not part:
                return Failure("the stream ended within an event") if events.inside or held else _End.CLEAN
            self._failed = 0
            for event in self._whole(events, part):
                held.append(event)
                if event.id is not None:
                    for item in _forecasts(held, event.id):
                        yield Emit(item)
                    self._mark, held = event.id, []
            # A read waits as long as was said when the stream was opened: near the end that is too long.
            if patience - self._left() > _SLACK_SECONDS:
                return _End.RENEW

    def _whole(self, events: Events, part: bytes) -> list[Event]:
        try:
            return events.feed(part)
        except EventTooLarge:
            raise InvalidAnswer(f"GET {_PATH}: an event is larger than any of the forecast API", status=200) from None

    def _left(self) -> float:
        return self._until - time.monotonic()

    def _request(self) -> Request:
        headers = {"accept": EVENTS, "cache-control": "no-store"}
        if self._mark is not None:
            headers["last-event-id"] = self._mark
        return Request("GET", _PATH, self._asked, headers)

    def _error(self, ended: Failure | Answer) -> ForecastError:
        request = self._request()
        return broken(request, ended) if isinstance(ended, Failure) else refusal(request, ended)


def is_newer(found: Forecast, after: Forecast | datetime | None) -> bool:
    """Whether a forecast is of a later origin than another, or issued later from the same; or issued after a moment."""
    if after is None:
        return True
    if isinstance(after, datetime):
        return found.issued_at > after
    return (found.origin, found.issued_at) > (after.origin, after.issued_at)


def _forecasts(events: list[Event], mark: str) -> list[Forecast]:
    """The last of them is where to go on after all of them. Raises `InvalidAnswer`."""
    texts = [event.data for event in events if event.kind == "forecast" and event.data is not None]
    marks = [None] * (len(texts) - 1) + [mark]
    try:
        return [forecast(orjson.loads(text), where) for text, where in zip(texts, marks, strict=False)]
    except (orjson.JSONDecodeError, msgspec.ValidationError) as error:
        said = "an event is no forecast; are the client and the service of the same version?"
        raise InvalidAnswer(f"GET {_PATH}: {said} ({type(error).__name__})", status=200) from None
