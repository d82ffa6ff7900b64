"""Connections to the control database, and its schema: SQLite in WAL, or PostgreSQL by URL."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from pathlib import Path
from typing import Any

import sqlalchemy as sa
from sqlalchemy.exc import DBAPIError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from fx_assets.storage.durable import make_folders, naming
from fx_assets.storage.errors import ControlUnavailable

HEAD = "0004"  # newest migration; a test holds it equal to Alembic's own answer
_ADVISORY_LOCK = 0x66786173  # "fxas": any number that other programs on the server do not use


def connect(url: str, timeout_s: float) -> sa.Engine:
    """An engine whose database has the newest schema; ControlUnavailable where that cannot be."""
    parsed = sa.make_url(url)
    lock: AbstractContextManager[None] = nullcontext()
    if parsed.get_backend_name() == "sqlite":
        engine = _sqlite(parsed, timeout_s)
        lock = _file_lock(Path(str(parsed.database) + ".lock"))
    else:
        engine = sa.create_engine(parsed, pool_pre_ping=True)
    with unavailable(engine):
        if _revision(engine) != HEAD:
            with lock:
                _upgrade(engine)
    return engine


@contextmanager
def unavailable(engine: sa.Engine) -> Iterator[None]:
    """Turn a database that is locked, gone or broken into ControlUnavailable, without its password."""
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        cause = error.orig if isinstance(error, DBAPIError) else error
        raise ControlUnavailable(
            f"control database {engine.url.render_as_string(hide_password=True)}: {cause}. "
            f"Nothing was recorded; see that it runs, is writable and is not locked, then run again"
        ) from error


@contextmanager
def transaction(engine: sa.Engine, *, write: bool) -> Iterator[sa.Connection]:
    """One transaction; a writing one holds SQLite's write lock from its first moment."""
    with unavailable(engine), engine.connect() as connection:
        connection = connection.execution_options(fx_write=write)
        with connection.begin():
            yield connection


def _sqlite(url: sa.URL, timeout_s: float) -> sa.Engine:
    if not url.database or url.database == ":memory:":
        raise ValueError("the control database must be a file: processes share it")
    make_folders(Path(url.database).absolute().parent)
    engine = sa.create_engine(url, connect_args={"timeout": timeout_s})

    def on_connect(connection: Any, _: object) -> None:
        # The driver would begin transactions late and by itself; `on_begin` does it instead.
        connection.isolation_level = None
        connection.execute("PRAGMA synchronous=FULL")
        connection.execute("PRAGMA foreign_keys=ON")

    def on_begin(connection: sa.Connection) -> None:
        write = connection.get_execution_options().get("fx_write", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")

    sa.event.listen(engine, "connect", on_connect)
    sa.event.listen(engine, "begin", on_begin)
    return engine


@contextmanager
def _file_lock(path: Path) -> Iterator[None]:
    with naming(path, "lock"), path.open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield


def _revision(engine: sa.Engine) -> str | None:
    with transaction(engine, write=False) as connection:
        if not sa.inspect(connection).has_table("alembic_version"):
            return None
        row = connection.execute(sa.text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


def _upgrade(engine: sa.Engine) -> None:
    """Bring the schema to HEAD; the caller holds the file lock, PostgreSQL an advisory one."""
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    if engine.dialect.name == "sqlite":
        # WAL stays set in the file. Changing it does not wait for others, so it belongs under the lock.
        raw = engine.raw_connection()
        try:
            raw.cursor().execute("PRAGMA journal_mode=WAL")
        finally:
            raw.close()
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    with transaction(engine, write=True) as connection:
        if engine.dialect.name == "postgresql":
            connection.execute(sa.text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK})
        config.attributes["connection"] = connection
        try:
            command.upgrade(config, "head")
        except CommandError as error:
            raise ControlUnavailable(
                f"control database {engine.url.render_as_string(hide_password=True)}: {error}. It was written "
                f"by a newer version of fx-assets: upgrade this one"
            ) from error
