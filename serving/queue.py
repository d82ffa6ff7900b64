"""Predictions one after the other, in a thread of their own; beyond a few that wait, none is taken."""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from serving.problems import ProblemError

T = TypeVar("T")


class Predictions:
    """One thread, since two are slower than one; at most `most` calls wait or run.

    Called from the event loop's thread only.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="predict")
        self._seconds = 0.05  # one call takes, as the last ones did
        self.waiting = 0
        self.refused = 0

    async def run(self, what: Callable[[], T]) -> T:
        """The answer of `what`. Raises `ProblemError` 503 at once where the queue is full."""
        if self.waiting >= self._most:
            self.refused += 1
            wait = max(1, math.ceil(self.waiting * self._seconds))
            detail = "More predictions wait than this service takes; come again later."
            raise ProblemError(503, "too_busy", detail, headers={"retry-after": str(wait)})
        self.waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, self._timed, what)
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """End the thread once it has done what it was given."""
        self._thread.shutdown(wait=False)

    def _timed(self, what: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return what()
        finally:
            self._seconds += 0.1 * (time.perf_counter() - began - self._seconds)
