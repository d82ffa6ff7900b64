"""Files dropped for a pair: whether they are others than before, and whether they are copied whole."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from fx_assets.prices.sources.base import Request, SourceError
from fx_assets.prices.sources.from_files import find_files
from fx_assets.settings import Settings
from fx_assets.specs.schema import PairSpec
from fx_assets.storage.hashing import fingerprint

SETTLED_SECONDS = 5.0


def dropped(spec: PairSpec, settings: Settings) -> str | None:
    """Name of the pair's files as they lie there now; None where there is none, or one was written to just now."""
    request = Request(
        pair=spec.pair,
        source=spec.source,
        settings=settings,
        log=lambda _: None,
        now=datetime.now(UTC),
        history_start=spec.history_start,
    )
    return settled(lambda: find_files(request))


def settled(find: Callable[[], list[Path]]) -> str | None:
    """The same for files that `find` finds, which may raise `SourceError` where there is none."""
    try:
        found = [(str(path), path.stat()) for path in find()]
    except (SourceError, FileNotFoundError):
        return None  # nothing there, or moved away while it was looked at
    if any(time.time() - stat.st_mtime < SETTLED_SECONDS for _, stat in found):
        return None
    return fingerprint([[path, stat.st_size, stat.st_mtime_ns] for path, stat in found])
