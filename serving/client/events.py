"""Reads server-sent events from bytes as they come, cut anywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

LARGEST_EVENT: Final = 16_000_000
"""Bytes. A forecast has a few thousand."""


class EventTooLarge(Exception):
    """An event does not end."""


@dataclass(frozen=True)
class Event:
    """One block of the stream. `id` is None where it names none; `data` is None where it has none."""

    kind: str
    id: str | None
    data: bytes | None


class Events:
    """Bytes in, whole events out; what an end cuts off is dropped with this object."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._kind = "message"
        self._id: str | None = None
        self._data: list[bytes] = []
        self._size = 0
        self._begun = False

    @property
    def inside(self) -> bool:
        """Whether an event has begun and not ended."""
        return self._begun or bool(self._rest)

    def feed(self, part: bytes) -> list[Event]:
        """Events that are whole now. Raises `EventTooLarge`."""
        # A line can only end in what is new: looking through all again at each part would be quadratic.
        seen = len(self._rest)
        self._rest += part
        if self._size + len(self._rest) > LARGEST_EVENT:
            raise EventTooLarge
        if b"\n" not in self._rest[seen:]:
            return []
        *lines, rest = bytes(self._rest).split(b"\n")
        self._rest = bytearray(rest)
        found = []
        for line in lines:
            event = self._line(line.removesuffix(b"\r"))
            if event is not None:
                found.append(event)
        return found

    def _line(self, line: bytes) -> Event | None:
        if line:
            self._field(line)
            return None
        if not self._begun:
            return None
        event = Event(self._kind, self._id, b"\n".join(self._data) if self._data else None)
        self._kind, self._id, self._data, self._size, self._begun = "message", None, [], 0, False
        return event

    def _field(self, line: bytes) -> None:
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if not name:
            return  # a comment: the heartbeat
        self._begun = True
        if name == b"data":
            self._size += len(value)
            self._data.append(value)
        elif name == b"event":
            self._kind = value.decode("utf-8", "replace")
        elif name == b"id" and (text := value.decode("ascii", "replace")).isprintable() and text.isascii():
            self._id = text  # what is not printable could not be sent back in a header
