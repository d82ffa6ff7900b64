"""A Dagster home that is made once, whole, and before anybody opens it.

Webserver and daemon started together on a fresh SQLite home race to create its tables
(dagster issue 27390), so every entry point goes through `prepare_home` first.
"""

from __future__ import annotations

import fcntl
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from fx_assets.settings import Settings, export_dagster_home

_READY = ".fx-ready"


def prepare_home(settings: Settings) -> Path:
    """Make DAGSTER_HOME under a lock, with `configs/dagster.yaml` and its tables; return its path.

    Idempotent and safe to call from several processes at once. A `dagster.yaml` that is already
    there is left as it is: it may be an operator's own.
    """
    home = export_dagster_home(settings)
    home.mkdir(parents=True, exist_ok=True)
    with (home / ".fx-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (home / "dagster.yaml").exists():
            shutil.copyfile(settings.configs / "dagster.yaml", home / "dagster.yaml")
        if not (home / _READY).exists():
            _create_tables(home)
            (home / _READY).touch()
    return home


def _create_tables(home: Path) -> None:
    import dagster as dg

    with dg.DagsterInstance.from_config(str(home)) as instance:
        # Opening each store creates its tables: runs, events and schedules are separate databases.
        instance.get_runs_count()
        instance.all_asset_keys()
        instance.all_instigator_state()


@contextmanager
def warm_databases(home: Path) -> Iterator[None]:
    """Keep Dagster's SQLite files open while many runs are executed in this process.

    Dagster opens and closes a connection for each event, and SQLite folds the whole write-ahead log
    back into the file, with an fsync, whenever the last connection closes. One that stays open spares
    that. It holds no lock between statements, so others read and write as before.
    """
    with ExitStack() as stack:
        for path in (home / "history" / "runs.db", home / "history" / "runs" / "index.db"):
            if path.exists():
                connection = stack.enter_context(closing(sqlite3.connect(path)))
                connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
        yield
