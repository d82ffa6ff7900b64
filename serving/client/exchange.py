"""What a call asks of the network, and what it gets: plain values, with no network in them.

The logic of the client is generators (`Flow`): they yield an effect, are sent its reply, and return the result. What
performs effects (`serving.client.sync`, `serving.client.asynchronous`) decides nothing.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import httpx

LARGEST_ANSWER: Final = 256_000_000
"""Bytes. More than any answer of the API has; what sends more is something else."""


@dataclass(frozen=True)
class Request:
    """One HTTP request, below the server's address. Whose it is, is added by whoever sends it."""

    method: str
    path: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None

    @property
    def name(self) -> str:
        """For messages."""
        return f"{self.method} {self.path}"


@dataclass(frozen=True)
class Answer:
    """One HTTP answer; the body is empty while it is still to be read."""

    status: int
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def media_type(self) -> str:
        """The content type without its parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True)
class Failure:
    """No whole answer. `connected` is False where the request cannot have arrived."""

    said: str
    timed_out: bool = False
    connected: bool = True
    cause: Exception | None = None


@dataclass(frozen=True)
class Send:
    """Send, and read the whole answer before `until` (of `time.monotonic`). Reply: `Answer` or `Failure`."""

    request: Request
    until: float


@dataclass(frozen=True)
class Open:
    """Send, and read no more than the head, instead of what is open. `silence`: seconds that a read may take.

    Reply: `Answer`, whose body is still to be read where its status is 200, or `Failure`.
    """

    request: Request
    silence: float


@dataclass(frozen=True)
class Read:
    """The next bytes of what is open. Reply: `bytes`, empty at the end, or `Failure`."""


@dataclass(frozen=True)
class Pause:
    """Wait so many seconds. Reply: None."""

    seconds: float


@dataclass(frozen=True)
class Emit:
    """One more item for whoever iterates. Reply: None."""

    item: Any


Effect = Send | Open | Read | Pause | Emit
Reply = Answer | Failure | bytes | None
T = TypeVar("T")
Flow = Generator[Effect, Any, T]


class Collected:
    """The body of an answer as it comes in."""

    def __init__(self, until: float) -> None:
        self._until, self._parts, self._size = until, list[bytes](), 0

    def add(self, part: bytes) -> Failure | None:
        """Take one more part; a `Failure` where there are too many, or where it took too long."""
        self._parts.append(part)
        self._size += len(part)
        if self._size > LARGEST_ANSWER:
            return Failure(f"the answer is larger than {LARGEST_ANSWER:,} bytes; check the server's address")
        if time.monotonic() > self._until:
            return Failure("the answer was not whole within the deadline", timed_out=True)
        return None

    @property
    def content(self) -> bytes:
        """All parts."""
        return b"".join(self._parts)


NO_ANSWER: Final = (httpx.TransportError, httpx.DecodingError)
"""What httpx raises where no whole answer comes."""


def failure_of(error: httpx.TransportError | httpx.DecodingError) -> Failure:
    """What an exception of httpx says about the exchange."""
    if isinstance(error, httpx.ConnectTimeout):
        return Failure("no connection to the server in time", timed_out=True, connected=False, cause=error)
    if isinstance(error, httpx.PoolTimeout):
        said = "no connection of this client became free in time; too many calls at once"
        return Failure(said, timed_out=True, cause=error)
    if isinstance(error, httpx.TimeoutException):
        return Failure("the server did not go on with its answer in time", timed_out=True, cause=error)
    if isinstance(error, httpx.ConnectError):
        return Failure(f"no connection to the server ({error})", connected=False, cause=error)
    return Failure(f"the connection broke ({type(error).__name__}: {error})", cause=error)
