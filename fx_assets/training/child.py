"""The process a training runs in: `python -m fx_assets.training.child FOLDER PARENT_PID`.

It reads the task from FOLDER, writes the result there and nothing anywhere else. Its stdout carries
JSON lines only: `Progress` events, then `{"done": sha256 of done.json}` or `{"failed": reason}`.
This module imports nothing heavy, so that the process is bound to its parent at once.
"""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

from fx_assets.children.child import bind_to_parent, open_channel


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
        features=task.features,
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
