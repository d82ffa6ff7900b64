"""Every call of the client but its streams, without the network: requests, conditions, retries, answers."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final, TypeVar
from urllib.parse import quote

import msgspec
import orjson

from serving.client import rows
from serving.client.errors import InvalidAnswer, broken, invalid, refusal
from serving.client.exchange import Answer, Emit, Failure, Flow, Pause, Request, Send
from serving.client.options import Options
from serving.client.results import (
    Batch,
    Certificate,
    Forecast,
    Model,
    Outcome,
    Pair,
    Readiness,
    forecast,
)

T = TypeVar("T")
_MOST_KEPT: Final = 64
_PAGE: Final = 100
_JSON: Final = {"content-type": "application/json"}
EVENTS: Final = "text/event-stream"


class Kept:
    """The newest forecasts that were read, with their entity tags; those not asked for longest go first.

    Bytes are kept, not forecasts: what a caller does to the `raw` of one is not seen by the next.
    """

    def __init__(self, most: int = _MOST_KEPT) -> None:
        self._most, self._lock = most, threading.Lock()
        self._answers: dict[tuple[str, ...], tuple[str, bytes]] = {}

    def get(self, key: tuple[str, ...]) -> tuple[str, bytes] | None:
        """Tag and body of what was read last; None where nothing is kept."""
        with self._lock:
            found = self._answers.pop(key, None)
            if found is not None:
                self._answers[key] = found
            return found

    def put(self, key: tuple[str, ...], tag: str, body: bytes) -> None:
        """Keep an answer."""
        with self._lock:
            self._answers.pop(key, None)
            self._answers[key] = (tag, body)
            while len(self._answers) > self._most:
                del self._answers[next(iter(self._answers))]

    def __len__(self) -> int:
        return len(self._answers)


class Calls:
    """Flows of the calls; each raises `ForecastError`."""

    def __init__(self, options: Options) -> None:
        self.retrying = options.retrying
        self.kept = Kept()

    def latest(
        self, pair: str, model: str | None, frequency: str | None, as_of: datetime | str | None
    ) -> Flow[Forecast]:
        """The newest forecast; its body is sent only where it has changed since the last time."""
        path = f"/v1/forecasts/{_segment('pair', pair)}/latest"
        asked = _given(model=model, frequency=frequency, as_of=instant("as_of", as_of))
        key = (path, *itertools.chain(*asked.items()))
        kept = self.kept.get(key)
        request = Request("GET", path, asked, {} if kept is None else {"if-none-match": kept[0]})
        answer = yield from self.answered(request, 200 if kept is None else 304)
        if answer.status == 304 and kept is not None:
            return _read(request, kept[1], forecast)
        tag = answer.headers.get("etag")
        found = _read(request, answer.body, forecast)
        if tag is not None:
            self.kept.put(key, tag, answer.body)
        return found

    def latest_many(self, pairs: Sequence[str], model: str | None, frequency: str | None) -> Flow[Batch]:
        """The newest forecasts of several pairs."""
        asked = {"pairs": list(pairs), **_given(model=model, frequency=frequency)}
        request = Request("POST", "/v1/forecasts:batchGet", {}, _JSON, rows.body_of(asked))
        answer = yield from self.answered(request)
        return _read(request, answer.body, _batch)

    def predict(self, model_id: str, data: Any, pair: str | None, as_of: datetime | str | None) -> Flow[Forecast]:
        """A forecast of the caller's rows, or of the lake's."""
        path = f"/v1/models/{_segment('model_id', model_id)}/predict"
        content: dict[str, Any] = {**_given(pair=pair, as_of=instant("as_of", as_of))}
        if data is not None:
            columns = None
            if rows.is_frame(data):
                # Asked for anew each time: columns in the order of yesterday would give wrong numbers, and no error.
                model = yield from self.model(model_id)
                if not model.columns:
                    raise invalid(f"model_id: {model_id} has no columns to match ({model.state}); models() says more")
                columns = model.columns
            content["data"] = rows.rows_of(data, columns)
        request = Request("POST", path, {}, _JSON, rows.body_of(content))
        answer = yield from self.answered(request)
        return _read(request, answer.body, forecast)

    def history(
        self,
        pair: str,
        start: datetime | str | None,
        end: datetime | str | None,
        model: str | None,
        frequency: str | None,
        limit: int | None,
    ) -> Flow[None]:
        """Emits earlier forecasts, newest origin first, page by page."""
        if limit is not None and limit < 1:
            raise invalid("limit: expected a whole number from 1 on, or None for all")
        path = f"/v1/forecasts/{_segment('pair', pair)}"
        first, until = instant("start", start), instant("end", end)
        asked = _given(model=model, frequency=frequency, **{"from": first, "to": until})
        left, cursor, seen = limit, None, set[str]()
        while True:
            size = _PAGE if left is None else min(left, _PAGE)
            request = Request("GET", path, {**asked, **_given(cursor=cursor), "limit": str(size)})
            answer = yield from self.answered(request)
            found, cursor = _read(request, answer.body, _page)
            for item in found[:left]:
                yield Emit(item)
            left = None if left is None else left - len(found)
            if cursor is None or (left is not None and left <= 0):
                return
            if cursor in seen:
                raise InvalidAnswer(f"{request.name}: the pages lead in a circle; this is a fault of the service")
            seen.add(cursor)
            # The pages that follow are of the model of the first, also if another becomes champion meanwhile.
            asked.setdefault("model", _model_of(found, request))

    def version(self, pair: str, forecast_id: str) -> Flow[Forecast]:
        """One published forecast."""
        path = f"/v1/forecasts/{_segment('pair', pair)}/versions/{_segment('forecast_id', forecast_id)}"
        return (yield from self._got(Request("GET", path), forecast))

    def outcomes(
        self, pair: str, model: str | None, frequency: str | None, horizon: int, limit: int | None
    ) -> Flow[tuple[Outcome, ...]]:
        """Forecasts that came due."""
        asked = _given(
            model=model, frequency=frequency, horizon=str(horizon), limit=None if limit is None else str(limit)
        )
        path = f"/v1/forecasts/{_segment('pair', pair)}/outcomes"
        return (yield from self._got(Request("GET", path, asked), _listed("outcomes", Outcome)))

    def pairs(self) -> Flow[tuple[Pair, ...]]:
        """Every configured pair."""
        return (yield from self._got(Request("GET", "/v1/pairs"), _listed("pairs", Pair)))

    def models(self) -> Flow[tuple[Model, ...]]:
        """Every configured model."""
        return (yield from self._got(Request("GET", "/v1/models"), _listed("models", Model)))

    def model(self, model_id: str) -> Flow[Model]:
        """One model."""
        path = f"/v1/models/{_segment('model_id', model_id)}"
        return (yield from self._got(Request("GET", path), _whole(Model)))

    def certificate(self, model_id: str, pair: str | None) -> Flow[Certificate]:
        """What a model was measured to be worth."""
        path = f"/v1/models/{_segment('model_id', model_id)}/certificate"
        return (yield from self._got(Request("GET", path, _given(pair=pair)), _whole(Certificate)))

    def ready(self) -> Flow[Readiness]:
        """Whether there is a forecast to give; that there is none is an answer too, and is not asked for again."""
        request = Request("GET", "/readyz")
        answer = yield from self.answered(request, 503)
        if answer.status == 503 and (error := refusal(request, answer)).code != "not_ready":
            raise error
        return _read(request, answer.body, lambda raw: _whole(Readiness)({**raw, "ready": answer.status == 200}))

    def answered(self, request: Request, *also: int) -> Flow[Answer]:
        """The answer of status 200, or one of `also`, after as many tries as may be."""
        began = time.monotonic()
        until = began + self.retrying.deadline
        for tries in itertools.count(1):
            reply = yield Send(request, until)
            if isinstance(reply, Answer) and (reply.status == 200 or reply.status in also):
                return reply
            wait = self.retrying.wait(tries, reply, time.monotonic() - began)
            if wait is None:
                raise broken(request, reply, tries) if isinstance(reply, Failure) else refusal(request, reply)
            yield Pause(wait)
        raise AssertionError("tries have an end")

    def _got(self, request: Request, read: Callable[[Any], T]) -> Flow[T]:
        answer = yield from self.answered(request)
        return _read(request, answer.body, read)


def instant(name: str, moment: datetime | str | None) -> str | None:
    """A moment as the API takes it. Raises `InvalidInput` for one without its zone; text is sent as it is."""
    if not isinstance(moment, datetime):
        return moment
    if moment.tzinfo is None:
        raise invalid(f"{name}: expected an instant with its time zone, such as datetime(2026, 10, 30, 16, tzinfo=UTC)")
    return moment.astimezone(UTC).isoformat()


def _segment(name: str, value: str) -> str:
    """A name as one part of a path. Raises `InvalidInput` for what would be another path."""
    if not isinstance(value, str) or not value.strip("."):
        raise invalid(f"{name}: expected a name")
    return quote(value, safe="")


def _given(**parameters: str | None) -> dict[str, str]:
    return {name: value for name, value in parameters.items() if value is not None}


def _read(request: Request, body: bytes, read: Callable[[Any], T]) -> T:
    """The result in an answer. Raises `InvalidAnswer`, which names the field and quotes nothing."""
    try:
        raw = orjson.loads(body)
        if not isinstance(raw, dict):
            raise msgspec.ValidationError("Expected `object`")
        return read(raw)
    except orjson.JSONDecodeError as error:
        said = f"the answer is not JSON ({error.msg} at character {error.pos}); check the server's address"
        raise InvalidAnswer(f"{request.name}: {said}", status=200) from None
    except msgspec.ValidationError as error:
        said = f"the answer is not as expected ({error}); are the client and the service of the same version?"
        raise InvalidAnswer(f"{request.name}: {said}", status=200) from error


def _whole(kind: type[T]) -> Callable[[Mapping[str, Any]], T]:
    return lambda raw: msgspec.convert({**raw, "-raw": raw}, kind)


def _listed(name: str, kind: type[T]) -> Callable[[Mapping[str, Any]], tuple[T, ...]]:
    def read(raw: Mapping[str, Any]) -> tuple[T, ...]:
        return tuple(msgspec.convert({**item, "-raw": item}, kind) for item in _objects(raw, name))

    return read


def _batch(raw: Mapping[str, Any]) -> Batch:
    found = {item.pair: item for item in map(forecast, _objects(raw, "forecasts"))}
    return Batch(
        version=msgspec.convert(raw.get("version"), int | None),
        forecasts=found,
        missing=msgspec.convert(raw.get("missing"), tuple[str, ...]),
    )


def _page(raw: Mapping[str, Any]) -> tuple[list[Forecast], str | None]:
    found = [forecast(item) for item in _objects(raw, "forecasts")]
    return found, msgspec.convert(raw.get("next"), str | None)


def _objects(raw: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    return msgspec.convert(raw.get(name), list[dict[str, Any]])


def _model_of(found: Sequence[Forecast], request: Request) -> str:
    if not found:
        raise InvalidAnswer(f"{request.name}: an empty page has another after it; this is a fault of the service")
    return found[0].model_id
