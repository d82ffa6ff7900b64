"""`/v1/forecasts/stream`: every new forecast as it is published, as server-sent events."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from starlette.responses import StreamingResponse

from serving.dependencies import HubDep, LakeDep, RegistryDep
from serving.hub import Event, Hub, Place, Wanted, event_id, events_of, place_of
from serving.openapi import problems, query
from serving.queries import known_model, pair_of, parameters
from serving.registry import Registry
from serving.snapshot import LiveSnapshot, Snapshot, model_of

router = APIRouter(prefix="/v1/forecasts", tags=["stream"])

HEARTBEAT_SECONDS = 15.0
_HEADERS = {"cache-control": "no-store", "x-accel-buffering": "no"}


@router.get(
    "/stream",
    summary="New forecasts as server-sent events",
    response_class=StreamingResponse,
    responses={200: {"content": {"text/event-stream": {"schema": {"type": "string"}}}}, **problems(404, 422)},
    openapi_extra={"parameters": query("pairs", "model", "frequency")},
)
async def stream(request: Request, lake: LakeDep, registry: RegistryDep, hub: HubDep) -> StreamingResponse:
    """Events `forecast`, each a forecast document; `pairs` (separated by commas), `model` and `frequency` choose.

    It begins with the newest document of each pair; with `Last-Event-ID`, with what was published after that event.
    Nothing is lost or repeated between a stream and the one that goes on after it.
    """
    asked = parameters(request, "pairs", "model", "frequency")
    wanted = wanted_of(registry, asked.get("pairs"), asked.get("model"), asked.get("frequency"))
    after = place_of(request.headers.get("last-event-id"))
    events = _events(hub, lake, registry, wanted, after)
    return StreamingResponse(events, media_type="text/event-stream", headers=_HEADERS)


def wanted_of(registry: Registry, pairs: str | None, model: str | None, frequency: str | None) -> Wanted:
    """What was asked for. Raises `ProblemError` 404 for a pair or model that is not there."""
    names = None if pairs is None else frozenset(pairs.split(","))
    for name in sorted(names or ()):
        pair_of(registry, name)
    known_model(registry, model)
    return Wanted(names, model, frequency)


def newest(snapshot: Snapshot, registry: Registry, wanted: Wanted, now: datetime) -> list[bytes]:
    """The newest document of each pair asked for, rendered as it is at `now`."""
    found = []
    for name, spec in registry.catalog.pairs.items():
        if wanted.pairs is not None and name not in wanted.pairs:
            continue
        served = snapshot.of(name, wanted.frequency or spec.frequencies[0])
        model = model_of(served, wanted.model)
        if model is not None and model in served:
            found.append(served[model].render(spec, now).json.content)
    return found


def place_now(snapshot: Snapshot) -> Place:
    """After all that the snapshot has."""
    return (0 if snapshot.forecasts is None else snapshot.forecasts.newest_file(), 2**31)


async def _events(
    hub: Hub, lake: LiveSnapshot, registry: Registry, wanted: Wanted, after: Place | None
) -> AsyncIterator[bytes]:
    snapshot = lake.current
    now = place_now(snapshot)
    # What this snapshot has is read from it, what it has not comes from the hub. Another worker may be ahead.
    listener = hub.join(wanted, now if after is None else max(after, now))
    try:
        if after is None:
            for content in newest(snapshot, registry, wanted, datetime.now(UTC)):
                yield b"event: forecast\ndata: %b\n\n" % content
            # Whoever comes back before the first event goes on from here.
            yield b"id: %b\n\n" % event_id(now).encode()
        else:
            for event in await missed(snapshot, wanted, after):
                yield _frame(event)
        while True:
            try:
                event_or_end = await asyncio.wait_for(listener.queue.get(), HEARTBEAT_SECONDS)
            except TimeoutError:
                yield b": still here\n\n"
                continue
            if event_or_end is None:
                return
            yield _frame(event_or_end)
    finally:
        hub.leave(listener)


async def missed(snapshot: Snapshot, wanted: Wanted, after: Place) -> list[Event]:
    """What was published after `after` and is in the snapshot. Raises `UNREADABLE`: then the client must come again."""
    if snapshot.forecasts is None:
        return []
    pairs = [pair for pair in snapshot.forecasts.pairs() if wanted.pairs is None or pair in wanted.pairs]
    found = [item for pair in pairs for item in await run_in_threadpool(snapshot.published, pair, after[0] - 1)]
    later = [item for item in found if item.place > after and wanted.takes(item.document)]
    return events_of(sorted(later, key=lambda item: item.place))


def _frame(event: Event) -> bytes:
    return b"id: %b\nevent: forecast\ndata: %b\n\n" % (event.id.encode(), event.content)
