"""The process a training runs in: `python -m fx_assets.training.child FOLDER PARENT_PID`.

It reads the task from FOLDER and writes the result there; beside it only what must outlive it: last whole epochs, and
trials of a search. Its stdout carries JSON lines only: events of `records`, then `{"done": sha256 of done.json}` or
`{"failed": reason}`.
This module imports nothing heavy, so that the process is bound to its parent at once.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from fx_assets.children.child import bind_to_parent, open_channel


def run(folder: Path, send: Callable[[dict[str, Any]], None]) -> None:
    """Train what `folder` asks for and leave the result in it."""
    from fx_assets.settings import get_settings
    from fx_assets.training import exchange
    from fx_assets.training.records import event_to_json
    from fx_assets.training.trainers import trainer_for

    task = exchange.read_task(folder)
    materials = replace(task.materials, report=lambda event: send(event_to_json(event)))
    trained = trainer_for(task.spec, materials, get_settings()).fit(task.window, task.spec)
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
