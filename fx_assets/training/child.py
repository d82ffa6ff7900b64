"""The process a training runs in: `python -m fx_assets.training.child FOLDER PARENT_PID`.

It reads the task from FOLDER, writes the result there and nothing anywhere else. Its stdout carries
JSON lines only: `Progress` events, then `{"done": sha256 of done.json}` or `{"failed": reason}`.
This module imports the standard library alone, so that the process is bound to its parent at once.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
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
        raise SystemExit(f"parent {parent} ended before its training began")
    # Ignored or blocked signals are inherited; a training started by such a parent could not be stopped.
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


def run(folder: Path, send: Callable[[dict[str, Any]], None]) -> None:
    """Train what `folder` asks for and leave the result in it."""
    from fx_assets.training import exchange
    from fx_assets.training.trainers import train_here

    task = exchange.read_task(folder)
    trained = train_here(
        task.spec,
        task.histories,
        window=task.window,
        scratch=folder,
        seed=task.seed,
        progress=lambda event: send(event.to_json()),
    )
    send({"done": exchange.write_result(folder, trained)})


def main(arguments: list[str]) -> int:
    """Exit code 0 with a result in the folder, 1 without."""
    folder, parent = Path(arguments[0]), int(arguments[1])
    bind_to_parent(parent)
    send = open_channel()
    try:
        run(folder, send)
    except Exception as error:
        traceback.print_exc()
        send({"failed": f"{type(error).__name__}: {error}"})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
