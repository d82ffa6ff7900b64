"""Several workers behind one socket: a parent that listens, starts them, replaces them and ends them.

Each worker is a process of its own (`serving.worker`), given the listening socket and a channel: it
writes `READY` once it answers, and either side learns from the channel's end that the other is gone.
"""

from __future__ import annotations

import logging
import selectors
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import Final

from serving.closing import take_no_more

READY: Final = b"+"
# Of prometheus_client: a folder in which several processes count together, named before it is imported.
SHARED_COUNTS: Final = "PROMETHEUS_MULTIPROC_DIR"
MOST_FAILURES: Final = 5
FIRST_PAUSE_SECONDS: Final = 0.2
LONGEST_PAUSE_SECONDS: Final = 30.0
# What a worker may take, after its time to drain, to let go of its files.
KILL_AFTER_SECONDS: Final = 5.0

log = logging.getLogger("serving")


@dataclass(eq=False)
class _Worker:
    process: subprocess.Popen[bytes]
    channel: socket.socket
    ready: bool = False
    outdated: bool = False  # ends once its successor answers
    leaving: bool = False  # was told to end


class Supervisor:
    """Keeps `count` workers answering until it is told to end.

    SIGTERM and SIGINT end it: requests under way are answered for `drain_seconds`; a second signal ends
    the workers at once. SIGHUP replaces the workers one by one. A worker that dies is replaced at once.
    """

    def __init__(
        self,
        count: int,
        listener: socket.socket,
        environment: Mapping[str, str],
        ready: Callable[[], None],
        drain_seconds: float,
        module: str = "serving.worker",
    ) -> None:
        """`ready` is called once, when the first worker answers; `module` is what a worker runs."""
        self._count = count
        self._listener = listener
        self._environment = dict(environment)
        self._announce = ready
        self._drain_seconds = drain_seconds
        self._module = module
        self._workers: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._announced = False
        self._failures = 0  # starts that failed in a row
        self._not_before = 0.0  # of the next start, as time.monotonic() counts
        self._deadline: float | None = None  # of the end, likewise
        self._signals: list[int] = []
        self._code = 0

    def run(self) -> int:
        """Return the exit code: 0 ended as asked, 1 the workers could not start, which is said."""
        with self._listener, self._selector, self._hearing_signals():
            while self._deadline is None or self._workers:
                self._start_missing()
                for key, _ in self._selector.select(self._patience()):
                    key.data()
                if self._deadline is not None and time.monotonic() >= self._deadline:
                    self._kill_all()
        return self._code

    def _start_missing(self) -> None:
        while self._missing() and time.monotonic() >= self._not_before:
            ours, theirs = socket.socketpair()
            given = (self._listener.fileno(), theirs.fileno())
            with theirs:
                process = subprocess.Popen(
                    [sys.executable, "-m", self._module, *map(str, given)],
                    pass_fds=given,
                    env=self._environment,
                    stdin=subprocess.DEVNULL,
                    # Ctrl-C in a terminal reaches a whole group; the parent alone decides what it means.
                    process_group=0,
                )
            worker = _Worker(process, ours)
            self._workers.append(worker)
            self._selector.register(ours, selectors.EVENT_READ, lambda worker=worker: self._hear(worker))

    def _missing(self) -> int:
        if self._deadline is not None:
            return 0
        staying = [worker for worker in self._workers if not worker.leaving]
        # A successor comes first, then one of the outdated goes.
        return self._count + any(worker.outdated for worker in staying) - len(staying)

    def _patience(self) -> float | None:
        if self._deadline is not None:
            return max(0.0, self._deadline - time.monotonic())
        return max(0.0, self._not_before - time.monotonic()) if self._missing() else None

    def _hear(self, worker: _Worker) -> None:
        try:
            heard = worker.channel.recv(1)
        except ConnectionError:
            heard = b""
        if heard:
            self._is_ready(worker)
        else:
            self._is_dead(worker)

    def _is_ready(self, worker: _Worker) -> None:
        worker.ready = True
        self._failures, self._not_before = 0, 0.0
        if not self._announced:
            self._announced = True
            self._announce()
        answering = [each for each in self._workers if each.ready and not each.leaving]
        if len(answering) > self._count:
            self._tell_to_end(next(each for each in answering if each.outdated))

    def _is_dead(self, worker: _Worker) -> None:
        self._selector.unregister(worker.channel)
        worker.channel.close()
        code = worker.process.wait()
        self._workers.remove(worker)
        if worker.leaving:
            return
        if worker.ready:
            log.warning("worker %d ended (%s); another takes its place", worker.process.pid, _how(code))
            return
        self._failures += 1
        log.warning("worker %d ended at its start (%s)", worker.process.pid, _how(code))
        if any(each.ready for each in self._workers):
            for each in self._workers:
                each.outdated = False  # better these than none
        elif self._failures >= MOST_FAILURES or (code >= 0 and not self._announced):
            print("error: the workers of the forecast API cannot start; why is said above", file=sys.stderr, flush=True)
            self._code = 1
            self._end()
            return
        pause = min(LONGEST_PAUSE_SECONDS, FIRST_PAUSE_SECONDS * 2 ** (self._failures - 1))
        self._not_before = time.monotonic() + pause

    def _end(self) -> None:
        take_no_more(self._listener)
        # Closed here first: the system turns new connections away as soon as every worker has closed its own.
        self._listener.close()
        self._deadline = time.monotonic() + self._drain_seconds + KILL_AFTER_SECONDS
        for worker in self._workers:
            self._tell_to_end(worker)

    def _tell_to_end(self, worker: _Worker) -> None:
        worker.leaving = True
        worker.process.send_signal(signal.SIGTERM)

    def _kill_all(self) -> None:
        self._deadline = time.monotonic() + KILL_AFTER_SECONDS
        for worker in self._workers:
            worker.process.kill()

    @contextmanager
    def _hearing_signals(self) -> Iterator[None]:
        """Signals wake the selector, so that none is handled in the middle of something else."""
        hears, wakes = socket.socketpair()
        for end in (hears, wakes):
            end.setblocking(False)
        self._selector.register(hears, selectors.EVENT_READ, lambda: self._heard_signals(hears))
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        with hears, wakes:
            before = {number: signal.signal(number, self._note_signal) for number in numbers}
            woken = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
            try:
                yield
            finally:
                signal.set_wakeup_fd(woken)
                for number, handler in before.items():
                    signal.signal(number, handler)

    def _note_signal(self, number: int, _frame: FrameType | None) -> None:
        self._signals.append(number)

    def _heard_signals(self, hears: socket.socket) -> None:
        hears.recv(4096)
        noted, self._signals = self._signals, []
        for number in noted:
            if number == signal.SIGHUP:
                for worker in self._workers:
                    worker.outdated = not worker.leaving
            elif self._deadline is None:
                self._end()
            else:
                self._kill_all()


def _how(code: int) -> str:
    return f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
