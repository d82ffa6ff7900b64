"""Predictions one after the other, quick ones between reads and all others in a thread; too many are refused."""

from __future__ import annotations

import asyncio
import math
import threading
import time
from collections.abc import Callable
from queue import SimpleQueue
from typing import Any, Final, TypeVar

from serving.problems import ProblemError

T = TypeVar("T")

# Beyond as many the loop leaves them to the thread: each reader would wait for a whole one of them, again and again.
MOST_BETWEEN_READS: Final = 8


class Predictions:
    """One thread, since two are slower than one; at most `most` calls wait or run.

    Called from the event loop's thread only. A plain queue instead of an executor: handing a call over and its answer
    back costs a third. It still costs as much as a small network does, so that calls known to be quick run on the loop.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._asked: SimpleQueue[tuple[asyncio.Future[Any], Callable[[], Any]] | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._turn = asyncio.Lock()
        self._seconds = 0.05  # one call takes, as the last ones did
        self.waiting = 0
        self.refused = 0

    async def run(self, what: Callable[[], T], *, quick: bool = False) -> T:
        """The answer of `what`; `quick`: it takes a moment and waits for nothing.

        Raises `ProblemError` 503 at once where the queue is full.
        """
        if self.waiting >= self._most:
            self.refused += 1
            wait = max(1, math.ceil(self.waiting * self._seconds))
            detail = "More predictions wait than this service takes; come again later."
            raise ProblemError(503, "too_busy", detail, headers={"retry-after": str(wait)})
        self.waiting += 1
        try:
            return await (
                self._between_reads(what) if quick and self.waiting <= MOST_BETWEEN_READS else self._in_thread(what)
            )
        finally:
            self.waiting -= 1

    async def _between_reads(self, what: Callable[[], T]) -> T:
        await self._turn.acquire()
        try:
            return self._timed(what)
        finally:
            # The next one has to wait for a round of the loop, in which whatever else came is served.
            asyncio.get_running_loop().call_soon(self._turn.release)

    async def _in_thread(self, what: Callable[[], T]) -> T:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name="predict", daemon=True)
            self._thread.start()
        answered: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._asked.put((answered, what))
        return await answered

    def close(self) -> None:
        """End the thread once it has done what it was given."""
        self._asked.put(None)

    def _work(self) -> None:
        while (asked := self._asked.get()) is not None:
            answered, what = asked
            try:
                made, error = self._timed(what), None
            except BaseException as raised:  # whatever it is, it belongs to who asked
                made, error = None, raised
            try:
                answered.get_loop().call_soon_threadsafe(_settle, answered, made, error)
            except RuntimeError:  # the loop has ended, and with it who asked
                return

    def _timed(self, what: Callable[[], T]) -> T:
        began = time.perf_counter()
        try:
            return what()
        finally:
            self._seconds += 0.1 * (time.perf_counter() - began - self._seconds)


def _settle(answered: asyncio.Future[Any], made: Any, error: BaseException | None) -> None:
    if answered.cancelled():  # who asked is gone
        return
    if error is None:
        answered.set_result(made)
    else:
        answered.set_exception(error)
