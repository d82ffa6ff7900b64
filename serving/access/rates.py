"""How often one key may ask: a token bucket, in the memory of one worker process."""

from __future__ import annotations

import time
from collections.abc import Callable

from fx_assets.storage.keys import Rate


class Bucket:
    """Full, it lets `rate.requests` through at once; it fills again evenly, in `rate.seconds`. For one thread."""

    __slots__ = ("_at", "_clock", "_full", "_level", "_per_second")

    def __init__(self, rate: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._full = float(rate.requests)
        self._per_second = rate.requests / rate.seconds
        self._clock = clock
        self._level = self._full
        self._at = clock()

    def take(self) -> float:
        """0 where the request may pass, which then counts; else in how many seconds the next one may."""
        now = self._clock()
        self._level = min(self._full, self._level + (now - self._at) * self._per_second)
        self._at = now
        if self._level < 1.0:
            return (1.0 - self._level) / self._per_second
        self._level -= 1.0
        return 0.0
