"""Leases, cancellation, model versions, and the crash between artifact and row."""

from __future__ import annotations

import fcntl
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fx_assets.storage.artifacts import ArtifactStore, StagedArtifact, new_version
from fx_assets.storage.control import Control, ControlUnavailable, LeaseLost, ModelVersion
from fx_assets.storage.lake import Lake
from tests.storage.helpers import child, no_guard, rows, state

NOW = datetime(2026, 11, 21, 3, 0, tzinfo=UTC)


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'home' / 'control.db'}"


@pytest.fixture
def control(url: str) -> Control:
    return Control(url)


def manifest(created: datetime = NOW, **changes: Any) -> dict[str, Any]:
    return {
        "pairs": ["EURUSD", "USDJPY"],
        "created_at": created.isoformat(),
        "trained_until": (created - timedelta(days=30)).isoformat(),
        "kind": "har",
        "config_hash": "c" * 64,
        "run_id": "run-1",
        "fingerprint": "f" * 64,
        **changes,
    }


def staged(store: ArtifactStore, created: datetime = NOW, scope: str = "panel") -> StagedArtifact:
    return store.stage("majors", scope, new_version(created), {"params.json": b"{}"}, manifest(created))


def version_of(artifact: StagedArtifact) -> ModelVersion:
    return ModelVersion.from_manifest(artifact.manifest, artifact.manifest_sha256)


def register(control: Control, version: ModelVersion) -> None:
    lease = control.acquire("checkpoints/majors", "EURUSD", "run-1")
    with control.publishing(lease) as transaction:
        transaction.register(version)


def test_a_lease_publishes_until_a_newer_run_takes_it(control: Control) -> None:
    older = control.acquire("prices/raw", "EURUSD", "older")
    with control.publishing(older):
        pass
    newer = control.acquire("prices/raw", "EURUSD", "newer")
    with pytest.raises(LeaseLost, match="held by run newer"), control.publishing(older):
        pytest.fail("the body must not run")
    with control.publishing(newer):
        pass


def test_leases_of_other_pairs_and_assets_are_apart(control: Control) -> None:
    lease = control.acquire("prices/raw", "EURUSD", "one")
    control.acquire("prices/raw", "USDJPY", "two")
    control.acquire("bars/1d", "EURUSD", "three")
    with control.publishing(lease):
        pass


def test_a_lease_nobody_gave_is_refused(control: Control) -> None:
    lease = replace(control.acquire("prices/raw", "EURUSD", "one"), pair="USDJPY")
    with pytest.raises(LeaseLost, match="held by nobody"), control.publishing(lease):
        pytest.fail("the body must not run")


def by_table(control: Control) -> Callable[[], bool]:
    control.cancel("run-1")
    return lambda: False


def by_callable(_: Control) -> Callable[[], bool]:
    return lambda: True


@pytest.mark.parametrize("way", [by_table, by_callable])
def test_a_cancelled_run_publishes_nothing(control: Control, tmp_path: Path, way: Any) -> None:
    lake, store = Lake(tmp_path / "lake"), ArtifactStore(tmp_path / "artifacts")
    lake.write("prices/raw", "EURUSD", rows("EURUSD", 1), state=state(), mode="replace", guard=no_guard)
    lease = control.acquire("prices/raw", "EURUSD", "run-1")
    artifact = staged(store)
    is_cancelled = way(control)
    with pytest.raises(LeaseLost, match="run-1"):
        lake.write(
            "prices/raw",
            "EURUSD",
            rows("EURUSD", 2),
            state=state(),
            mode="replace",
            guard=lambda: control.publishing(lease, is_cancelled=is_cancelled),
        )
    with (  # noqa: PT012
        pytest.raises(LeaseLost, match="run-1"),
        control.publishing(lease, is_cancelled=is_cancelled) as transaction,
    ):
        artifact.publish()
        transaction.register(version_of(artifact))
    assert set(lake.read("prices/raw", "EURUSD").column("close").to_pylist()) == {1.0}
    assert len(list(lake.root.rglob("*.parquet"))) == 1
    assert (store.published(), control.versions("majors", "panel")) == ([], [])


def test_cancelling_is_for_ever_and_harmless_twice(control: Control) -> None:
    control.acquire("prices/raw", "EURUSD", "run-1")
    control.cancel("run-1")
    control.cancel("run-1")
    assert (control.is_cancelled("run-1"), control.is_cancelled("run-2")) == (True, False)
    with pytest.raises(LeaseLost, match="was cancelled"):
        control.acquire("bars/1d", "EURUSD", "run-1")
    with control.publishing(control.acquire("prices/raw", "EURUSD", "run-2")):
        pass


def test_cancelling_rotates_the_token(control: Control, url: str) -> None:
    """Whoever checks only the token (another version, a rebuilt table) refuses too."""
    lease = control.acquire("prices/raw", "EURUSD", "run-1")
    control.cancel("run-1")
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("DELETE FROM cancelled_runs"))
    with pytest.raises(LeaseLost), control.publishing(lease):
        pytest.fail("the body must not run")


def test_a_cancelled_run_is_refused_though_its_token_holds(control: Control, url: str) -> None:
    """On PostgreSQL a run may take its first lease at the moment it is cancelled: nothing to rotate yet."""
    lease = control.acquire("prices/raw", "EURUSD", "run-1")
    control.cancel("run-1")
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("UPDATE leases SET token = :token"), {"token": lease.token})
    with pytest.raises(LeaseLost, match="was cancelled"), control.publishing(lease):
        pytest.fail("the body must not run")


def test_a_run_is_not_cancelled_while_it_publishes(control: Control, url: str) -> None:
    """The check and the log entry are one: a cancel waits until the publication has ended."""
    lease = control.acquire("prices/raw", "EURUSD", "run-1")
    impatient = Control(url, timeout_s=0.2)
    with control.publishing(lease), pytest.raises(ControlUnavailable, match="locked"):
        impatient.cancel("run-1")
    impatient.cancel("run-1")
    assert control.is_cancelled("run-1")


def test_readers_go_on_while_someone_publishes(control: Control, url: str) -> None:
    lease = control.acquire("prices/raw", "EURUSD", "run-1")
    with control.publishing(lease):
        assert Control(url, timeout_s=0.2).versions("majors", "panel") == []


def test_an_error_in_the_body_records_nothing(control: Control, tmp_path: Path) -> None:
    version = version_of(staged(ArtifactStore(tmp_path / "artifacts")))
    lease = control.acquire("checkpoints/majors", "EURUSD", "run-1")
    with pytest.raises(RuntimeError, match="disk full"), control.publishing(lease) as transaction:  # noqa: PT012
        transaction.register(version)
        raise RuntimeError("disk full")
    assert control.versions("majors", "panel") == []
    with control.publishing(lease) as transaction:
        transaction.register(version)
    assert control.versions("majors", "panel") == [version]


def test_versions_are_newest_first_and_found_by_time(control: Control, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "artifacts")
    versions = [version_of(staged(store, NOW + timedelta(hours=h))) for h in (2, 0, 1)]
    for version in versions:
        register(control, version)
    register(control, version_of(staged(store, NOW, "EURUSD")))
    late, early, middle = versions
    assert control.versions("majors", "panel") == [late, middle, early]
    at = control.version_at
    assert at("majors", "panel", NOW - timedelta(microseconds=1)) is None
    assert at("majors", "panel", NOW) == early
    tokyo = timezone(timedelta(hours=9))
    assert at("majors", "panel", (NOW + timedelta(minutes=90)).astimezone(tokyo)) == middle
    assert at("majors", "panel", NOW + timedelta(days=9)) == late
    with pytest.raises(sa.exc.StatementError, match="no time zone"):
        at("majors", "panel", datetime(2026, 11, 21))


def test_a_version_never_changes(control: Control, tmp_path: Path) -> None:
    version = version_of(staged(ArtifactStore(tmp_path / "artifacts")))
    register(control, version)
    register(control, version)
    with pytest.raises(ValueError, match="other content"):
        register(control, replace(version, manifest_sha256="0" * 64))
    assert control.versions("majors", "panel") == [version]


def test_a_crash_between_artifact_and_row_is_repaired(control: Control, tmp_path: Path) -> None:
    store = ArtifactStore(tmp_path / "artifacts")
    known = staged(store, NOW)
    known.publish()
    register(control, version_of(known))
    lost, torn = staged(store, NOW + timedelta(hours=1)), staged(store, NOW + timedelta(hours=2))
    lease = control.acquire("checkpoints/majors", "EURUSD", "run-1")
    with pytest.raises(KeyboardInterrupt), control.publishing(lease) as transaction:  # noqa: PT012
        lost.publish()
        transaction.register(version_of(lost))
        raise KeyboardInterrupt
    assert control.versions("majors", "panel") == [version_of(known)]
    (torn.publish() / "params.json").write_bytes(b"")
    store.stage("majors", "panel", new_version(NOW + timedelta(hours=3)), {}, {"kind": "har"}).publish()
    rebuilt = control.rebuild_versions(store)
    assert rebuilt.inserted == [version_of(lost)]
    assert [("params.json" in s, "missing" in s) for s in rebuilt.skipped] == [(True, False), (False, True)]
    assert control.versions("majors", "panel") == [version_of(lost), version_of(known)]
    assert control.rebuild_versions(store).inserted == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"created_at": "2026-11-21T00:00:00"}, "created_at .* no time zone"),
        ({"pairs": "EURUSD"}, "no list of names"),
        ({"pairs": ["EURUSD", 3]}, "no list of names"),
    ],
)
def test_a_manifest_that_says_nonsense_is_refused(changes: dict[str, Any], message: str) -> None:
    body = {"model_id": "majors", "scope": "panel", "version": new_version(NOW), **manifest(**changes)}
    with pytest.raises(ValueError, match=message):
        ModelVersion.from_manifest(body, "0" * 64)


def test_a_fresh_home_opened_by_many_processes_is_initialised_once(url: str) -> None:
    code = """
import sys
from fx_assets.storage.control import Control
print("ready", flush=True)
sys.stdin.readline()
Control(sys.argv[1]).acquire("prices/raw", "EURUSD", sys.argv[2])
"""
    processes = [child(code, url, str(number)) for number in range(4)]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("\n")
        process.stdin.flush()
    for process in processes:
        _, err = process.communicate(timeout=120)
        assert process.returncode == 0, err
    with sa.create_engine(url).connect() as connection:
        assert connection.execute(sa.text("SELECT count(*) FROM leases")).scalar() == 1
        assert connection.execute(sa.text("PRAGMA journal_mode")).scalar() == "wal"


def test_the_schema_is_made_under_a_lock(url: str, tmp_path: Path) -> None:
    (tmp_path / "home").mkdir()
    opening = threading.Thread(target=lambda: Control(url))
    with (tmp_path / "home" / "control.db.lock").open("a") as handle:
        fcntl.flock(handle, fcntl.LOCK_EX)
        opening.start()
        opening.join(0.5)
        assert opening.is_alive(), "it waits for whoever makes the schema"
    opening.join(60)
    assert not opening.is_alive()


@pytest.mark.usefixtures("control")
def test_migrations_and_tables_agree(url: str) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    from fx_assets.storage import control_engine, migrations
    from fx_assets.storage.control_schema import METADATA

    scripts = ScriptDirectory(str(Path(str(migrations.__file__)).parent))
    assert scripts.get_current_head() == control_engine.HEAD
    with sa.create_engine(url).connect() as connection:
        assert compare_metadata(MigrationContext.configure(connection), METADATA) == []


def test_a_database_of_a_newer_version_is_refused(control: Control, url: str) -> None:
    control.close()
    with sa.create_engine(url).begin() as connection:
        connection.execute(sa.text("UPDATE alembic_version SET version_num = '9999'"))
    with pytest.raises(ControlUnavailable, match=r"9999.*\n?.*newer version"):
        Control(url)


def test_a_locked_database_is_an_error_with_a_remedy(url: str, tmp_path: Path) -> None:
    impatient = Control(url, timeout_s=0.2)
    holder = sqlite3.connect(tmp_path / "home" / "control.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(ControlUnavailable, match=r"control\.db: database is locked"):
        impatient.acquire("prices/raw", "EURUSD", "run-1")
    holder.execute("ROLLBACK")
    holder.close()
    impatient.acquire("prices/raw", "EURUSD", "run-1")


def test_a_broken_database_is_an_error_and_keeps_passwords(tmp_path: Path) -> None:
    path = tmp_path / "control.db"
    path.write_bytes(b"this is no database at all, it is text" * 100)
    with pytest.raises(ControlUnavailable, match="not a database"):
        Control(f"sqlite:///{path}")
    with pytest.raises(ValueError, match="must be a file"):
        Control("sqlite://")
