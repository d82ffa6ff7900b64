"""Hands every forecast that is published to all who listen; who does not keep up is dropped, and comes back."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field

from fx_assets.forecasting.document import ForecastDocument
from serving.rendering import document_json
from serving.snapshot import Published

_QUEUE = 256
"""Events that wait for one listener; a night of all pairs and models is fewer."""

Place = tuple[int, int]


@dataclass(frozen=True)
class Wanted:
    """What a listener asked for: None is any; without a model, what each pair is served by."""

    pairs: frozenset[str] | None = None
    model: str | None = None
    frequency: str | None = None

    def takes(self, document: ForecastDocument) -> bool:
        """Whether it asked for this document."""
        model = document.champion if self.model is None else self.model
        return (
            (self.pairs is None or document.pair in self.pairs)
            and document.model_id == model
            and self.frequency in (None, document.frequency)
        )


@dataclass(frozen=True)
class Event:
    """One published document, rendered once for all listeners."""

    place: Place
    document: ForecastDocument
    content: bytes

    @property
    def id(self) -> str:
        """What a listener names to go on after it."""
        return event_id(self.place)


@dataclass(eq=False)
class Listener:
    """What waits for one connection: `None` in the queue means that it ends here."""

    wanted: Wanted
    after: Place
    queue: asyncio.Queue[Event | None] = field(default_factory=lambda: asyncio.Queue(_QUEUE + 1))

    def offer(self, event: Event) -> bool:
        """Put the event behind the others, if it was asked for; False where too many wait already."""
        if event.place <= self.after or not self.wanted.takes(event.document):
            return True
        if self.queue.qsize() >= _QUEUE:
            return False
        self.queue.put_nowait(event)
        return True


class Hub:
    """All listeners of one worker. Its methods are called in the event loop's thread, `publish_soon` in any."""

    def __init__(self) -> None:
        self._listeners: set[Listener] = set()
        self._loop: asyncio.AbstractEventLoop | None = None
        self.closed = False

    def start(self) -> None:
        """Take the running loop as the one of all listeners."""
        self._loop, self.closed = asyncio.get_running_loop(), False

    def publish_soon(self, published: Sequence[Published]) -> None:
        """Hand over what was published, from another thread."""
        events = events_of(published)
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.publish, events)

    def publish(self, events: Iterable[Event]) -> None:
        """Hand over events, in order."""
        for event in events:
            for listener in [each for each in self._listeners if not each.offer(event)]:
                self._end(listener)

    def join(self, wanted: Wanted, after: Place) -> Listener:
        """Begin to listen to what comes after `after`."""
        listener = Listener(wanted, after)
        self._listeners.add(listener)
        if self.closed:
            self._end(listener)
        return listener

    def leave(self, listener: Listener) -> None:
        """Stop listening."""
        self._listeners.discard(listener)

    def close(self) -> None:
        """End every stream, so that the worker can end."""
        self.closed = True
        for listener in list(self._listeners):
            self._end(listener)

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def _end(self, listener: Listener) -> None:
        self._listeners.discard(listener)
        listener.queue.put_nowait(None)  # the queue has one place more than events may take


def events_of(published: Iterable[Published]) -> list[Event]:
    """Each document with its bytes."""
    return [Event(item.place, item.document, document_json(item.document)) for item in published]


def event_id(place: Place) -> str:
    """A place as text."""
    return f"{place[0]}.{place[1]}"


def place_of(text: str | None) -> Place | None:
    """The place that an event id names; None for what is none: then a stream begins as if there were no id."""
    number, dot, within = (text or "").partition(".")
    parts: Collection[str] = (number, within)
    if dot and all(part.isascii() and part.isdigit() and len(part) <= 18 for part in parts):
        return int(number), int(within)
    return None
