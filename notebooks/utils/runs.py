"""Assets made from a notebook, as real Dagster runs."""

from __future__ import annotations

import io
from concurrent.futures import ThreadPoolExecutor

import dagster as dg
from rich.console import Console

from fx_assets.commands.night import run_selection
from fx_assets.settings import Settings


def make(settings: Settings, pair: str, *assets: str) -> str:
    """Materialize `assets` (`bars/1d`) of a pair in the order of the graph, and say in a line what was done.

    Raises `RuntimeError` with the reasons where a step fails.
    """
    chosen = {dg.AssetKey.from_user_string(name) for name in assets}
    # What the console would show is a progress bar for terminals.
    quiet = Console(file=io.StringIO(), force_jupyter=False)
    # In a thread: that of a notebook runs an event loop already, and Dagster runs one of its own.
    with ThreadPoolExecutor(max_workers=1) as worker:
        done = worker.submit(run_selection, settings, chosen, [pair], quiet).result()
    if done.failed:
        raise RuntimeError("\n".join(done.failed))
    return done.summary
