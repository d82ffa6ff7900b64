"""The keys on record as the reader reads them: nothing is created, upgraded or waited for."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa

from fx_assets.settings import Settings
from fx_assets.storage.control_engine import unavailable
from fx_assets.storage.control_schema import API_KEYS
from fx_assets.storage.errors import ControlUnavailable
from fx_assets.storage.keys import ApiKey, on_record

_WAIT_SECONDS: Final = 2
# libpq: a server that does not answer, at connecting or later, is given up instead of waited for.
_POSTGRESQL: Final = {
    "connect_timeout": _WAIT_SECONDS,
    "tcp_user_timeout": _WAIT_SECONDS * 1000,
    "options": f"-c statement_timeout={_WAIT_SECONDS * 1000}",
}


class KeyRecord:
    """The table of keys in the control database of one installation. For one thread at a time."""

    def __init__(self, settings: Settings) -> None:
        url = sa.make_url(settings.control_database)
        self._file: Path | None = None
        if url.get_backend_name() == "sqlite":
            if not url.database or url.database == ":memory:":
                raise ValueError("the control database must be a file: processes share it")
            self._file = Path(url.database)
        self._url = url
        self._engine: sa.Engine | None = None

    def read(self) -> list[ApiKey] | None:
        """Every key ever made, the oldest first; None where there is no database yet.

        Raises `ControlUnavailable` where there is one that cannot be read.
        """
        if self._file is not None and not self._exists(self._file):
            return None
        if self._engine is None:
            self._engine = self._connected()
        with unavailable(self._engine), self._engine.connect() as connection:
            # A database of before there were keys; whoever makes the first one brings it up to date.
            if not sa.inspect(connection).has_table(API_KEYS.name):
                return []
            try:
                return on_record(connection)
            except (ValueError, TypeError) as error:
                raise ControlUnavailable(f"the table {API_KEYS.name} holds what is no key: {error}") from error

    def close(self) -> None:
        """Give the connections back."""
        if self._engine is not None:
            self._engine.dispose()

    @staticmethod
    def _exists(file: Path) -> bool:
        try:
            file.stat()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise ControlUnavailable(f"{file}: {error.strerror}") from error
        return True

    def _connected(self) -> sa.Engine:
        if self._file is None:
            arguments: dict[str, Any] = _POSTGRESQL if self._url.get_backend_name() == "postgresql" else {}
            try:
                return sa.create_engine(self._url, pool_pre_ping=True, pool_size=1, connect_args=arguments)
            except ModuleNotFoundError as error:
                raise ControlUnavailable(f"{error}: pip install 'fx-assets[postgres]'") from error
        # rw and not rwc: SQLite must not make an empty database, which would say that there are no keys. Nothing is
        # kept open between readings: a connection would go on reading a file that was replaced since.
        address = f"file:{quote(str(self._file.absolute()))}?mode=rw"
        return sa.create_engine(
            self._url,
            creator=lambda: sqlite3.connect(address, uri=True, timeout=_WAIT_SECONDS, check_same_thread=False),
            poolclass=sa.NullPool,
        )
