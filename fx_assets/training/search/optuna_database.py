"""Optuna's database: opened without a race, quiet, and with errors that say what to do."""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import sqlalchemy as sa
from optuna.exceptions import StorageInternalError
from sqlalchemy.exc import SQLAlchemyError

from fx_assets.storage.durable import make_folders
from fx_assets.training.search.coordinator import SearchUnavailable
from fx_assets.training.search.turns import turn

BORN = "born"
TIMEOUT_S = 30  # a locked SQLite database is waited for this long


def database_url(text: str) -> sa.URL:
    """The URL of a database that can be searched with; SQLite's folder is made. Raises `ValueError` for another."""
    url = sa.make_url(text)
    backend = url.get_backend_name()
    if backend == "sqlite":
        if not url.database or url.database == ":memory:":
            raise ValueError("the database of searches must be a file: a search that goes on needs its trials")
        if not Path(url.database).is_absolute():  # a training works in a folder that is deleted afterwards
            raise ValueError(f"{text}: expected an absolute path, e.g. sqlite:////data/search.db; set FX_SEARCH_URL")
        make_folders(Path(url.database).absolute().parent)
    elif backend != "postgresql":
        raise ValueError(f"searches are kept in SQLite or PostgreSQL, not {backend}; set FX_SEARCH_URL")
    return url


@dataclass(frozen=True)
class Study:
    """An open study of Optuna, `inner`. `name`: ours, with the moment it was made, so that one made anew is another."""

    inner: optuna.Study
    storage: optuna.storages.RDBStorage
    name: str

    def mark(self, number: int, name: str) -> None:
        """Set an attribute of a trial that has begun."""
        study_id = self.storage.get_study_id_from_name(self.inner.study_name)
        trial_id = self.storage.get_trial_id_from_study_id_trial_number(study_id, number)
        self.storage.set_trial_user_attr(trial_id, name, True)


@contextmanager
def opened(url: sa.URL, name: str) -> Iterator[Study]:
    """The study, made where it is missing."""
    with _quiet():
        storage = _storage(url)
        try:
            study = optuna.create_study(
                storage=storage, study_name=name, pruner=optuna.pruners.NopPruner(), load_if_exists=True
            )
            if BORN not in study.user_attrs:
                study.set_user_attr(BORN, f"{datetime.now(UTC):%Y%m%dT%H%M%S%fZ}")
            yield Study(study, storage, f"{name}/{study.user_attrs[BORN]}")
        finally:
            storage.remove_session()
            storage.engine.dispose()


def _storage(url: sa.URL) -> optuna.storages.RDBStorage:
    arguments: dict[str, Any] = {"pool_pre_ping": True}
    if url.get_backend_name() == "sqlite":
        arguments = {"connect_args": {"timeout": TIMEOUT_S}}
    # Optuna fills in braces (which SQLAlchemy before 2.1 leaves as they are), and makes its tables with no thought of
    # others who do the same.
    address = url.render_as_string(hide_password=False).replace("{", "{{").replace("}", "}}")
    with turn(url, "tables"):
        if url.get_backend_name() == "sqlite":
            with closing(sqlite3.connect(str(url.database), timeout=TIMEOUT_S)) as connection:
                connection.execute("PRAGMA journal_mode=WAL")
        return optuna.storages.RDBStorage(address, engine_kwargs=arguments)


@contextmanager
def told(url: sa.URL) -> Iterator[None]:
    """Turn what the database refuses into `SearchUnavailable`, with what to do and without its password."""
    try:
        yield
    except (SQLAlchemyError, StorageInternalError, sqlite3.Error) as error:
        cause = error.__cause__ or error
        raise SearchUnavailable(
            f"database of searches {url.render_as_string(hide_password=True)}: {cause}. Finished trials are kept; "
            f"see that it runs, is writable and is not locked, then run again"
        ) from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Trials are reported by us: Optuna's own lines stay out of the log. Levels are put back."""
    loggers = [logging.getLogger(name) for name in ("optuna", "alembic")]
    levels = [logger.level for logger in loggers]
    loggers[0].setLevel(logging.ERROR)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
