"""The control database on a real PostgreSQL server, started for the test and thrown away."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from fx_assets.storage.artifacts import new_version
from fx_assets.storage.control import Control, ControlUnavailable, LeaseLost, ModelVersion

pytestmark = pytest.mark.slow


def as_server(*command: object) -> list[str]:
    """PostgreSQL refuses to run as root; its own user exists wherever its packages are installed."""
    plain = [str(part) for part in command]
    return ["runuser", "-u", "postgres", "--", *plain] if os.geteuid() == 0 else plain


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    if not found:
        pytest.skip("no PostgreSQL server on this machine")
    if importlib.util.find_spec("psycopg2") is None:
        pytest.skip("psycopg2 is not installed: pip install 'fx-assets[postgres]'")
    programs = found[-1].parent
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        if os.geteuid() == 0:
            shutil.chown(folder, "postgres")
        data = folder / "data"
        # A socket in a private folder and no address at all: nothing to collide with, nothing exposed.
        options = f"-c listen_addresses='' -c unix_socket_directories='{folder}'"
        run = {"check": True, "capture_output": True, "cwd": folder, "timeout": 120}
        subprocess.run(as_server(programs / "initdb", "-D", data, "-A", "trust", "-U", "fx", "-N"), **run)  # type: ignore[call-overload]
        start = ("pg_ctl", "-D", data, "-l", folder / "log", "-o", options, "-w", "start")
        subprocess.run(as_server(programs / start[0], *start[1:]), **run)  # type: ignore[call-overload]
        try:
            yield f"postgresql+psycopg2://fx:secret@/postgres?host={folder}"
        finally:
            stop = ("-D", data, "-m", "immediate", "-w", "stop")
            subprocess.run(as_server(programs / "pg_ctl", *stop), **run)  # type: ignore[call-overload]


def test_the_control_database_works_on_postgresql(url: str) -> None:
    opened: list[Control] = []
    threads = [threading.Thread(target=lambda: opened.append(Control(url))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(opened) == 4, "a fresh database opened by four at once is initialised once"
    control, other = opened[:2]

    older = control.acquire("prices/raw", "EURUSD", "older")
    newer = other.acquire("prices/raw", "EURUSD", "newer")
    with pytest.raises(LeaseLost, match="held by run newer"), control.publishing(older):
        pytest.fail("the body must not run")

    now = datetime(2026, 11, 21, 3, tzinfo=UTC)
    version = ModelVersion("har", "EURUSD", new_version(now), ("EURUSD",), "m", now, now, "har", "c", "newer", "f")
    cancelling = threading.Thread(target=lambda: control.cancel("newer"))
    with other.publishing(newer) as transaction:
        cancelling.start()
        cancelling.join(1.0)
        assert cancelling.is_alive(), "a cancel waits for the publication that is in progress"
        transaction.register(version)
    cancelling.join()
    assert control.versions("har", "EURUSD") == [version]
    assert control.version_at("har", "EURUSD", now) == version
    with pytest.raises(LeaseLost, match="was cancelled"), other.publishing(newer):
        pytest.fail("the body must not run")


def test_first_leases_taken_at_once_leave_one(url: str) -> None:
    control, leases = Control(url), []
    threads = [
        threading.Thread(target=lambda n=n: leases.append(control.acquire("bars/1d", "EURUSD", f"run-{n}")))
        for n in range(4)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(leases) == 4
    valid = 0
    for lease in leases:
        try:
            with control.publishing(lease):
                valid += 1
        except LeaseLost:
            continue
    assert valid == 1


def test_a_server_that_is_gone_is_named_without_its_password(url: str) -> None:
    with pytest.raises(ControlUnavailable) as gone:
        Control(url.replace("?host=", "?host=/nowhere"))
    assert "secret" not in str(gone.value)
