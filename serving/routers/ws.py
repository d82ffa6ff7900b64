"""`/v1/ws`: new forecasts of the pairs a client subscribes to, and predictions from bars as they come in."""

from __future__ import annotations

import asyncio
import contextlib
import uuid
from collections import deque
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson
from fastapi import APIRouter
from starlette.websockets import WebSocket, WebSocketDisconnect

from serving.access.middleware import permit
from serving.control import LazyControl
from serving.dependencies import ControlDep, HubDep, LakeDep, PredictionsDep, RegistryDep
from serving.hub import Hub, Listener, event_id, place_of
from serving.middleware import MAX_BODY
from serving.prediction import Forecaster, answered
from serving.problems import ProblemError, problem_body
from serving.queue import Predictions
from serving.registry import Opened, Registry
from serving.routers.stream import missed, newest, place_now, wanted_of
from serving.snapshot import LiveSnapshot
from serving.validation import decode, predict_request

router = APIRouter()

_MOST_WINDOWS = 32
_FIELDS = {
    "subscribe": {"type", "pairs", "model", "frequency", "after"},
    "bars": {"type", "model_id", "pair", "rows"},
    "ping": {"type"},
}


@router.websocket("/v1/ws")
async def talk(
    websocket: WebSocket,
    lake: LakeDep,
    registry: RegistryDep,
    hub: HubDep,
    predictions: PredictionsDep,
    control: ControlDep,
) -> None:
    """Each message is one JSON object with a `type`; what is wrong with one is answered and ends nothing."""
    await websocket.accept("fx-assets" if "fx-assets" in websocket.scope.get("subprotocols", ()) else None)
    talk = _Talk(websocket, lake, registry, hub, predictions, control)
    try:
        while True:
            message = await websocket.receive()
            if message["type"] == "websocket.disconnect":
                return
            await talk.hear(message)
    except WebSocketDisconnect:
        return
    finally:
        await talk.end()


@dataclass(eq=False)
class _Talk:
    """One connection: what it subscribed to, and the windows of bars it sent."""

    websocket: WebSocket
    lake: LiveSnapshot
    registry: Registry
    hub: Hub
    predictions: Predictions
    control: LazyControl
    listener: Listener | None = None
    sender: asyncio.Task[None] | None = None
    windows: dict[tuple[str, str], deque[Any]] = field(default_factory=dict)

    async def hear(self, message: Any) -> None:
        """Answer one message."""
        try:
            asked = _object(message)
            kind = asked.get("type")
            if not isinstance(kind, str) or kind not in _FIELDS:
                raise _unfit(f"type: expected one of {', '.join(_FIELDS)}")
            if unknown := len(asked.keys() - _FIELDS[kind]):
                raise _unfit(f"expected the fields {', '.join(sorted(_FIELDS[kind]))}; got {unknown} unknown")
            if kind == "subscribe":
                await self._subscribe(asked)
            elif kind == "bars":
                await self._bars(asked)
            else:
                await self._send({"type": "pong"})
        except ProblemError as error:
            problem = orjson.Fragment(problem_body(error.status, error.code, error.detail, error.extra))
            await self._send({"type": "error", "problem": problem})

    async def end(self) -> None:
        """Stop listening."""
        if self.listener is not None:
            self.hub.leave(self.listener)
        if self.sender is not None:
            self.sender.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self.sender

    async def _subscribe(self, asked: dict[str, Any]) -> None:
        """Instead of what it listened to before: the newest of each pair now, or what came after `after`; then news."""
        names = asked.get("pairs")
        if names is not None and not (isinstance(names, list) and names and all(isinstance(n, str) for n in names)):
            raise _unfit("pairs: expected a list of pairs, or leave it out for all")
        texts = {name: asked.get(name) for name in ("model", "frequency", "after")}
        for name, text in texts.items():
            if not isinstance(text, str | None):
                raise _unfit(f"{name}: expected text")
        wanted = wanted_of(
            self.registry, None if names is None else ",".join(names), texts["model"], texts["frequency"]
        )
        await self.end()
        snapshot, after = self.lake.current, place_of(texts["after"])
        now = place_now(snapshot)
        self.listener = self.hub.join(wanted, now if after is None else max(after, now))
        if after is None:
            for content in newest(snapshot, self.registry, wanted, datetime.now(UTC)):
                await self._forecast(event_id(now), content)
        else:
            for event in await missed(snapshot, wanted, after):
                await self._forecast(event.id, event.content)
        await self._send({"type": "subscribed", "id": event_id(now if after is None else max(after, now))})
        self.sender = asyncio.create_task(self._news(self.listener))

    async def _news(self, listener: Listener) -> None:
        while (event := await listener.queue.get()) is not None:
            await self._forecast(event.id, event.content)
        # Too many waited, or the service ends: the client comes back with `after`.
        await self.websocket.close(1013)

    async def _bars(self, asked: dict[str, Any]) -> None:
        model_id, rows = asked.get("model_id"), asked.get("rows")
        if not isinstance(model_id, str):
            raise _unfit("model_id: expected text")
        if not isinstance(rows, list) or not rows:
            raise _unfit("rows: expected a list of rows, oldest first")
        spec = self.registry.spec(model_id)
        pairs = self.registry.catalog.pairs_of(spec)
        own = {"data": rows} if asked.get("pair") is None else {"data": rows, "pair": asked["pair"]}
        pair = predict_request(own, pairs).pair
        permit(self.websocket.scope, "predict")
        key = (model_id, pair)
        if key not in self.windows and len(self.windows) >= _MOST_WINDOWS:
            raise _unfit(f"a connection keeps windows of at most {_MOST_WINDOWS} models and pairs")
        window = self.windows.setdefault(key, deque(maxlen=spec.window))
        window.extend(rows)
        if len(window) < spec.window:
            told = {"model_id": model_id, "pair": pair, "have": len(window), "need": spec.window}
            await self._send({"type": "waiting", **told})
            return
        request = predict_request({"data": list(window), "pair": pair}, pairs)
        forecaster = Forecaster(self.registry, self.lake, Opened(self.control))
        try:
            content = await answered(forecaster, self.predictions, spec, request, f"ws-{uuid.uuid4().hex}")
        except ProblemError as error:
            if error.status == 422:  # a row that cannot be used would spoil every window it is in
                del self.windows[key]
            raise
        await self._send({"type": "prediction", "document": orjson.Fragment(content)})

    async def _forecast(self, place: str, content: bytes) -> None:
        await self._send({"type": "forecast", "id": place, "document": orjson.Fragment(content)})

    async def _send(self, content: dict[str, Any]) -> None:
        await self.websocket.send_text(orjson.dumps(content).decode())


def _object(message: Any) -> dict[str, Any]:
    text = message.get("text")
    content = text.encode("utf-8", "surrogatepass") if text is not None else message.get("bytes") or b""
    if len(content) > MAX_BODY:
        raise ProblemError(413, "body_too_large", f"The message is larger than {MAX_BODY:,} bytes.")
    value = decode(content)
    if not isinstance(value, dict):
        raise _unfit("expected a JSON object with a type")
    return value


def _unfit(detail: str) -> ProblemError:
    return ProblemError(422, "invalid_input", detail)
