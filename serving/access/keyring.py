"""Every key in memory: read again every few seconds, good for ten minutes without the control database."""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import math
import secrets
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Final

from fx_assets.settings import Settings
from fx_assets.storage.errors import ControlUnavailable
from fx_assets.storage.keys import ID_LENGTH, PREFIX, ApiKey, digest
from serving.access.door import is_loopback
from serving.access.rates import Bucket
from serving.access.record import KeyRecord

log = logging.getLogger("serving")

# A key is out within 5 s of being revoked: reading and noticing it take their share of them.
REFRESH_SECONDS: Final = 4.0
GOOD_FOR_SECONDS: Final = 600.0
_TICK_SECONDS: Final = 0.5
# The first reading may hold up the start this long; after that requests are answered, with 503 until it is there.
_FIRST_SECONDS: Final = 10.0
_LONGEST: Final = 128
_ID: Final = slice(len(PREFIX), len(PREFIX) + ID_LENGTH)
# What an unknown key is compared with: nobody has a key of this digest.
_NOBODYS: Final = secrets.token_bytes(32)


class KeysUnavailable(Exception):
    """Nobody can say which keys are valid: the control database could not be read for too long, or not once."""


@dataclass(frozen=True, slots=True)
class HeldKey:
    """A key that was not revoked when it was read. `expires`: seconds since 1970, infinite for never."""

    key_id: str
    name: str
    scopes: frozenset[str]
    expires: float
    digest: bytes = field(repr=False)
    bucket: Bucket | None = field(repr=False)


class KeyRing:
    """The keys of one installation, as one worker process knows them.

    `open`: whether requests need no key at all. That is so on loopback only, as long as no key was ever on record; a
    revoked or expired one is on record too. Once it is False for that reason it stays so until the process ends.

    `find`, `holds` and `watching` are for the thread of the event loop, `refresh` for any other.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        refresh_s: float = REFRESH_SECONDS,
        good_for_s: float = GOOD_FOR_SECONDS,
        monotonic: Callable[[], float] = time.monotonic,
        now: Callable[[], float] = time.time,
    ) -> None:
        self.open = False
        self._record = KeyRecord(settings)
        self._loopback = is_loopback(settings.host)
        self._refresh_s, self._good_for_s = refresh_s, good_for_s
        self._monotonic, self._now = monotonic, now
        self._held: dict[bytes, HeldKey] = {}
        self._on_record = False
        self._good_until = -math.inf
        self._failing = self._said_stale = False
        self._lock = threading.Lock()
        self._watched: dict[object, tuple[HeldKey, Callable[[], object]]] = {}
        self._poll: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"KeyRing({len(self._held)} keys, {'open' if self.open else 'closed'})"

    @property
    def available(self) -> bool:
        """Whether it is known which keys are valid."""
        return self._monotonic() <= self._good_until

    def find(self, presented: bytes) -> HeldKey | None:
        """The key that was sent, if it is valid now; None for any other. Raises `KeysUnavailable`.

        An unknown key takes the same steps as a known one.
        """
        if not self.available:
            raise KeysUnavailable
        if len(presented) > _LONGEST:
            presented = b""
        held = self._held.get(presented[_ID])
        same = hmac.compare_digest(digest(presented), _NOBODYS if held is None else held.digest)
        return held if same and held is not None and self._now() < held.expires else None

    def holds(self, key: HeldKey) -> bool:
        """Whether a key that was found earlier is still valid."""
        return self.available and key.key_id.encode() in self._held and self._now() < key.expires

    @contextlib.contextmanager
    def watching(self, key: HeldKey, end: Callable[[], object]) -> Iterator[None]:
        """Call `end` as soon as the key ends while the body runs: a request may last for days."""
        mark = object()
        self._watched[mark] = (key, end)
        try:
            yield
        finally:
            self._watched.pop(mark, None)

    async def start(self) -> None:
        """Read the keys and go on reading them in the background until `stop`."""
        first = self._reader()
        deadline = time.monotonic() + _FIRST_SECONDS
        while first is not None and first.is_alive() and time.monotonic() < deadline:
            await asyncio.sleep(0.005)
        self._poll = asyncio.create_task(self._keep_up(first))

    async def stop(self) -> None:
        """End reading."""
        if self._poll is not None:
            self._poll.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._poll
        self._record.close()

    def refresh(self) -> None:
        """Read the keys now. A database that cannot be read is said in the log, once, and the keys stay as they are."""
        began = self._monotonic()
        try:
            keys = self._record.read()
            if keys is None and self._on_record:
                raise ControlUnavailable("the control database is gone")
        except ControlUnavailable as error:
            self._failed(error)
            return
        held = self._hold(keys or ())
        with self._lock:
            if keys and not self._on_record:
                if self.open:
                    log.warning("a key is on record now: from here on every request needs one")
                self._on_record = True
            if self._failing:
                log.warning("the keys can be read again")
            self._failing = self._said_stale = False
            self._held = held
            # Counted from the beginning: what was written since may not be among what was read.
            self._good_until = began + self._good_for_s
        self.settle()

    def settle(self) -> None:
        """Draw what follows from the time that has passed: whether the door is open, whether the keys are too old."""
        with self._lock:
            self.open = self.available and self._loopback and not self._on_record
            if not self.available and not self._said_stale:
                self._said_stale = True
                log.error("the keys are not known: every request is answered 503 until they can be read")

    def _hold(self, keys: Iterable[ApiKey]) -> dict[bytes, HeldKey]:
        held = {}
        for key in keys:
            if key.revoked_at is not None:
                continue
            known = self._held.get(key.key_id.encode())
            bucket = known.bucket if known is not None else None
            if bucket is None and key.rate is not None:
                bucket = Bucket(key.rate, self._monotonic)
            expires = math.inf if key.expires_at is None else key.expires_at.timestamp()
            held[key.key_id.encode()] = HeldKey(
                key.key_id, key.name, frozenset(key.scopes), expires, bytes.fromhex(key.sha256), bucket
            )
        return held

    def _failed(self, error: Exception) -> None:
        with self._lock:
            if not self._failing:
                self._failing = True
                left = max(0.0, self._good_until - self._monotonic())
                log.warning("the keys cannot be read, those in memory stay good for %.0f s: %s", left, error)
        self.settle()

    def _reader(self) -> threading.Thread | None:
        # A thread of its own: the loop's pool may be full of predictions, and a reading that hangs ends with the
        # process, since nobody waits for a daemon.
        thread = threading.Thread(target=self.refresh, name="keys", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no more threads on this machine, for now
            self._failed(error)
            return None
        return thread

    async def _keep_up(self, reading: threading.Thread | None) -> None:
        due = time.monotonic() + self._refresh_s
        while True:
            await asyncio.sleep(min(_TICK_SECONDS, self._refresh_s))
            if time.monotonic() >= due and (reading is None or not reading.is_alive()):
                due = time.monotonic() + self._refresh_s
                reading = self._reader()
            self.settle()
            for mark, (key, end) in list(self._watched.items()):
                if not self.holds(key):
                    del self._watched[mark]
                    end()
