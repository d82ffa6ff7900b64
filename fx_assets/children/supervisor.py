"""Runs a command in a session of its own and sees to it that nothing of it survives.

The command must call `child.bind_to_parent` first, which covers the one case this side cannot: its
own death by SIGKILL. A descendant that leaves the session (setsid) is out of reach, unless it binds
itself to its own parent in turn.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

POLL_S = 0.1
ENDING_POLL_S = 0.02
KILL_WAIT_S = 10.0  # from SIGKILL until the kernel must have removed the processes
LONGEST_LINE = 1 << 20
STDERR_TAIL = 8192
INTERRUPTS = frozenset({signal.SIGINT, signal.SIGTERM})


class ChildFailed(RuntimeError):
    """A child process could not do its work: past its time, or not to be ended."""


class TimeLimitPassed(ChildFailed):
    """The command took longer than it may."""


@dataclass(frozen=True)
class Ended:
    """How a command ended: exit code (negative: the signal) and the last of its stderr."""

    exit_code: int
    stderr: str

    @property
    def reason(self) -> str:
        """`exit code 1` or `killed by SIGKILL`."""
        if self.exit_code >= 0:
            return f"exit code {self.exit_code}"
        return f"killed by {signal.Signals(-self.exit_code).name}"


def supervise(
    command: Sequence[str],
    *,
    folder: Path,
    environ: Mapping[str, str],
    time_limit_s: float,
    grace_s: float,
    on_line: Callable[[bytes], None],
) -> Ended:
    """Run `command` in `folder`, handing each line of its stdout to `on_line`; return when it has ended.

    On any exception here (an interrupt, one raised by `on_line`) or past the time limit its whole
    process group gets SIGTERM, `grace_s` seconds later SIGKILL, and is reaped before the exception goes on.
    Call it from the main thread where interrupts must reach it. Raises `TimeLimitPassed` at the time limit.
    """
    deadline = time.monotonic() + time_limit_s
    # An interrupt between fork and assignment would leave a process that nobody knows of, so it waits.
    held = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
    try:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
        )
    except BaseException:
        signal.pthread_sigmask(signal.SIG_SETMASK, held)
        raise
    with _Output(process, on_line) as output:
        try:
            signal.pthread_sigmask(signal.SIG_SETMASK, held)
            while not _has_ended(process.pid):
                if time.monotonic() > deadline:
                    raise TimeLimitPassed(f"time limit of {time_limit_s:g} s passed")
                output.pump(POLL_S)
        finally:
            held = signal.pthread_sigmask(signal.SIG_BLOCK, INTERRUPTS)
            try:
                _end_group(process, grace_s)
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, held)
        output.drain()
        return Ended(process.returncode, output.stderr)


def confined_to(folder: Path) -> dict[str, str]:
    """Variables of the environment that keep the caches of libraries, and their reports, inside a folder."""
    places = ("TMPDIR", "HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")
    caches = ("MPLCONFIGDIR", "NUMBA_CACHE_DIR", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR")
    return {**dict.fromkeys(places + caches, str(folder)), "ORT_DISABLE_TELEMETRY": "1"}


def living(group: int) -> list[int]:
    """Process ids of a group that are not zombies, read from /proc."""
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                stat = (entry / "stat").read_text()
            except (FileNotFoundError, ProcessLookupError):
                continue  # it ended between the listing and the look
            state, _, process_group = stat.rpartition(")")[2].split()[:3]
            if int(process_group) == group and state not in "ZX":
                found.append(int(entry.name))
    return found


def _has_ended(pid: int) -> bool:
    # WNOWAIT leaves the zombie: until it is reaped its group id cannot be given to strangers.
    return os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _end_group(process: subprocess.Popen[bytes], grace_s: float) -> None:
    """Leave nothing of the group: ask, wait, kill, reap. A leader that has ended gave its children their time."""
    group = process.pid
    if not _has_ended(group):
        os.killpg(group, signal.SIGTERM)
        _wait_for_none(group, grace_s)
    os.killpg(group, signal.SIGKILL)
    survivors = _wait_for_none(group, KILL_WAIT_S)
    process.wait()
    if survivors:
        raise ChildFailed(f"processes {survivors} outlived SIGKILL by {KILL_WAIT_S:g} s; the machine needs a look")


def _wait_for_none(group: int, seconds: float) -> list[int]:
    deadline = time.monotonic() + seconds
    while (alive := living(group)) and time.monotonic() < deadline:
        time.sleep(ENDING_POLL_S)
    return alive


class _Output:
    """The two pipes of a process: stdout cut into lines, of stderr only the end is kept."""

    def __init__(self, process: subprocess.Popen[bytes], on_line: Callable[[bytes], None]) -> None:
        assert process.stdout is not None
        assert process.stderr is not None
        self._pipes: tuple[IO[bytes], IO[bytes]] = (process.stdout, process.stderr)
        self._selector = selectors.DefaultSelector()
        for pipe, take in zip(self._pipes, (self._take_lines, self._take_tail), strict=True):
            os.set_blocking(pipe.fileno(), False)
            self._selector.register(pipe, selectors.EVENT_READ, take)
        self._on_line = on_line
        self._line = b""
        self._tail = b""

    def __enter__(self) -> _Output:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        for pipe in self._pipes:
            pipe.close()

    @property
    def stderr(self) -> str:
        """The last of stderr, stripped."""
        return self._tail.decode(errors="replace").strip()

    def pump(self, timeout_s: float) -> bool:
        """Read what is there, waiting at most so long for it; whether there was anything."""
        ready = self._selector.select(timeout_s)
        for key, _ in ready:
            chunk = os.read(key.fd, 1 << 16)
            if chunk:
                key.data(chunk)
            else:
                self._selector.unregister(key.fileobj)
        return bool(ready)

    def drain(self) -> None:
        """Read what is left. Every writer is dead by now, so this ends."""
        while self.pump(0):
            pass

    def _take_lines(self, chunk: bytes) -> None:
        *lines, self._line = (self._line + chunk).split(b"\n")
        if len(self._line) > LONGEST_LINE:
            raise ChildFailed(f"the process wrote a line of over {LONGEST_LINE} bytes to its event channel")
        for line in lines:
            self._on_line(line)

    def _take_tail(self, chunk: bytes) -> None:
        self._tail = (self._tail + chunk)[-STDERR_TAIL:]
