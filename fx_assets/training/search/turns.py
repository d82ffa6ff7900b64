"""One process at a time: a right that ends with the process which holds it, also when that is killed."""

from __future__ import annotations

import fcntl
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import sqlalchemy as sa

POLL_S = 0.2


@contextmanager
def turn(url: sa.URL, name: str, waiting: Callable[[], None] = lambda: None) -> Iterator[None]:
    """Hold the right to `name` at a database; where another process has it, say `waiting` once and wait.

    By a locked file beside a SQLite database, which is gone afterwards; by an advisory lock of PostgreSQL.
    """
    digest = hashlib.sha256(name.encode()).hexdigest()
    if url.get_backend_name() == "sqlite":
        held = _locked_file(Path(f"{url.database}.{digest[:16]}.lock"), waiting)
    else:
        held = _advisory(url, int(digest[:15], 16), waiting)
    with held:
        yield


@contextmanager
def _locked_file(path: Path, waiting: Callable[[], None]) -> Iterator[None]:
    said = False
    while True:
        handle = path.open("a")
        try:
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                if not said:
                    waiting()
                    said = True
                fcntl.flock(handle, fcntl.LOCK_EX)
            if _is_at(handle, path):
                break
            handle.close()  # the holder before has removed the file: this lock says nothing
        except BaseException:
            handle.close()
            raise
    try:
        yield
    finally:
        path.unlink(missing_ok=True)  # while it is locked: whoever waits for it looks again
        handle.close()


def _is_at(handle: IO[str], path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle.fileno()), path.stat())
    except FileNotFoundError:
        return False


@contextmanager
def _advisory(url: sa.URL, key: int, waiting: Callable[[], None]) -> Iterator[None]:
    engine = sa.create_engine(url, poolclass=sa.NullPool, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        # Asked for again and again: a signal does not reach a process that waits inside the driver.
        said = False
        while not connection.execute(sa.select(sa.func.pg_try_advisory_lock(key))).scalar():
            if not said:
                waiting()
                said = True
            time.sleep(POLL_S)
        yield  # closing the connection gives it back
