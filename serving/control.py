"""The control database as the reader uses it: opened when first needed, never needed for a forecast."""

from __future__ import annotations

import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy.engine import make_url

from fx_assets.settings import Settings
from fx_assets.storage.control import Control
from fx_assets.storage.errors import ControlUnavailable, WriteFailed
from serving.problems import ProblemError

log = logging.getLogger("serving")

# A reader that waits longer than this for a lock had better answer 503.
_LOCK_SECONDS = 2.0


class LazyControl:
    """Opens the control database on first use and again after it was gone. Thread safe."""

    def __init__(self, settings: Settings) -> None:
        self._url = settings.control_database
        url = make_url(self._url)
        file = url.database if url.get_backend_name() == "sqlite" else None
        self._file = Path(file) if file and file != ":memory:" else None
        self._lock = threading.Lock()
        self._control: Control | None = None

    def open(self) -> Control:
        """The database. Raises `ProblemError` 503 while it is missing, locked or of another version."""
        with answering_503(), self._lock:
            if self._file is not None:
                self._check_file(self._file)
            if self._control is None:
                self._control = Control(self._url, timeout_s=_LOCK_SECONDS)
            return self._control

    def close(self) -> None:
        """Give the connections back."""
        with self._lock:
            if self._control is not None:
                self._control.close()

    def _check_file(self, file: Path) -> None:
        # SQLite would create an empty database in place of one that is gone, and every model would
        # seem untrained.
        try:
            file.stat()
        except OSError as error:
            raise ControlUnavailable(f"{file}: {error.strerror}") from error
        # A connection that is kept open goes on reading a file that was replaced since (its inode may
        # even be used again); opening it costs a fraction of a millisecond.
        if self._control is not None:
            self._control.close()


@contextmanager
def answering_503() -> Iterator[None]:
    """Turn a failing control database into 503; its message, which may hold a path, goes to the log."""
    try:
        yield
    except (ControlUnavailable, WriteFailed) as error:
        log.warning("control database unavailable: %s", error)
        detail = "The control database cannot be read at the moment. Forecasts are still served."
        raise ProblemError(503, "control_unavailable", detail, headers={"retry-after": "5"}) from error
