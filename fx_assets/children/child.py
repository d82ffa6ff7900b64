"""What a child process does first. This module imports the standard library alone, so that it is bound at once."""

from __future__ import annotations

import ctypes
import json
import os
import resource
import signal
from collections.abc import Callable
from typing import Any

PR_SET_PDEATHSIG = 1


def bind_to_parent(parent: int) -> None:
    """Die with the parent, whatever ends it, and answer SIGTERM and SIGINT as a fresh process does.

    Raises `OSError` where the kernel refuses, `SystemExit` where the parent was gone before this.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL), 0, 0, 0) != 0:
        error = ctypes.get_errno()
        raise OSError(error, f"prctl(PR_SET_PDEATHSIG): {os.strerror(error)}")
    if os.getppid() != parent:
        raise SystemExit(f"parent {parent} ended before its child began")
    # Ignored or blocked signals are inherited; a child of such a parent could not be stopped.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGTERM, signal.SIGINT})


def open_channel() -> Callable[[dict[str, Any]], None]:
    """A function that writes one event as a line to what was stdout; all else printed goes to stderr."""
    channel = os.fdopen(os.dup(1), "w", encoding="utf-8", buffering=1)
    os.dup2(2, 1)

    def send(event: dict[str, Any]) -> None:
        channel.write(json.dumps(event, allow_nan=False) + "\n")

    return send


def limit_memory(size: int) -> None:
    """Let this process have `size` bytes of address space at most; what goes beyond raises `MemoryError`."""
    resource.setrlimit(resource.RLIMIT_AS, (size, size))
