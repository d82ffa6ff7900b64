"""Predictions one after the other, in a thread of their own; beyond a few that wait, none is taken."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, TypeVar

from serving.problems import ProblemError

T = TypeVar("T")


class Predictions:
    """One thread, since two are slower than one; at most `most` calls wait or run.

    Called from the event loop's thread only. A plain queue instead of an executor: handing a call over and its answer
    back costs a third.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._asked: SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
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
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="predict", daemon=True)
            self._thread.start()
        answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self.waiting += 1
        self._asked.put((answered, what))
        try:
            return await answered
        finally:
            self.waiting -= 1

    def close(self) -> None:
        """End the thread once it has done what it was given."""
        self._asked.put(None)

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            answered, what = asked
            began = time.perf_counter()
            try:
                made, error = what(), None
            except BaseException as raised:  # whatever it is, it belongs to who asked
                made, error = None, raised
            self._seconds += 0.1 * (time.perf_counter() - began - self._seconds)
            try:
                answered.get_loop().call_soon_threadsafe(_settle, answered, made, error)
            except RuntimeError:  # the loop has ended, and with it who asked
                return


def _settle(answered: asyncio.Future[Any], made: Any, error: BaseException | None) -> None:
    if answered.cancelled():  # who asked is gone
        return
    if error is None:
        answered.set_result(made)
    else:
        answered.set_exception(error)
