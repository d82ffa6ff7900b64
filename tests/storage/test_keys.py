"""Keys of the API: what is kept of one, whose name is taken, and that an end is for ever."""

from __future__ import annotations

import hashlib
import re
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa

from fx_assets.storage.control import Control
from fx_assets.storage.errors import ControlUnavailable
from fx_assets.storage.keys import SCOPES, ApiKey, KeyStore, NameTaken, NewKey, Rate, UnknownKey, make
from tests.storage.test_control_postgres import url as server

NOW = datetime(2026, 11, 22, 9, 0, 0, 123456, tzinfo=UTC)
server_url = server  # the fixture: a PostgreSQL server for this module, thrown away afterwards


def new(name: str = "desk", **changes: Any) -> NewKey:
    values: dict[str, Any] = {"scopes": ["read"], "created_at": NOW, "expires_at": NOW + timedelta(days=90)}
    return make(name, **{**values, **changes})


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "control.db"


@pytest.fixture
def store(path: Path) -> KeyStore:
    return KeyStore(f"sqlite:///{path}")


def test_a_key_is_an_id_and_256_random_bits() -> None:
    made = [new() for _ in range(50)]
    for one in made:
        found = re.fullmatch(r"fxk_([a-z0-9]{8})_([A-Za-z0-9_-]{43})", one.secret)
        assert found is not None
        assert found[1] == one.record.key_id
        assert one.record.sha256 == hashlib.sha256(one.secret.encode()).hexdigest()
    assert len({one.record.key_id for one in made}) == len({one.secret[-43:] for one in made}) == 50


def test_the_key_itself_is_kept_nowhere(store: KeyStore, path: Path) -> None:
    made = new()
    store.add(made.record)
    store.close()
    written = b"".join(file.read_bytes() for file in path.parent.iterdir())
    assert made.record.key_id.encode() in written
    assert made.record.sha256.encode() in written
    assert made.secret[-43:].encode() not in written
    assert made.secret[-43:] not in repr(made)
    assert made.record.sha256 not in repr(made)


def test_what_is_on_record_comes_back_as_it_was(store: KeyStore) -> None:
    first = new("first", scopes=["train", "read"], rate=Rate(600, 60)).record
    second = new("second", created_at=NOW + timedelta(seconds=1), expires_at=None).record
    for key in (second, first):
        store.add(key)
    assert store.all() == [first, second]
    assert first.scopes == ("read", "train")
    assert store.all()[0].created_at.tzinfo is UTC


@pytest.mark.parametrize("name", ["", "Desk", "1desk", "-desk", "_desk", "desk ", "dé", "desk\n", "a" * 64, "a/b"])
def test_a_name_is_a_small_word(name: str) -> None:
    with pytest.raises(ValueError, match="expected a lower-case letter"):
        new(name)
    assert new("a" + "_-9" * 20 + "zz").record.name


@pytest.mark.parametrize("scopes", [[], ["write"], ["read", "admin"]], ids=["none", "other", "one other"])
def test_scopes_are_those_there_are(scopes: list[str]) -> None:
    with pytest.raises(ValueError, match="expected some of read, predict, train"):
        new(scopes=scopes)
    assert new(scopes=["read", "read"]).record.scopes == ("read",)
    assert new(scopes=SCOPES).record.scopes == SCOPES


def test_a_key_that_was_never_valid_is_not_made() -> None:
    with pytest.raises(ValueError, match="before it is made"):
        new(expires_at=NOW)


def test_a_key_ends_at_its_moment_or_when_it_is_revoked(store: KeyStore) -> None:
    key = new(expires_at=NOW + timedelta(days=1)).record
    assert key.expires_at is not None
    moments = [NOW, key.expires_at - timedelta(microseconds=1), key.expires_at]
    assert [key.state(when) for when in moments] == ["valid", "valid", "expired"]
    assert new(expires_at=None).record.state(NOW + timedelta(days=36500)) == "valid"
    store.add(key)
    ended = store.revoke("desk", NOW + timedelta(hours=1))
    assert ended.revoked_at == NOW + timedelta(hours=1)
    assert store.all() == [ended]
    assert {ended.state(when) for when in moments} == {"revoked"}


def test_a_name_is_free_again_once_its_key_is_revoked_and_only_then(store: KeyStore) -> None:
    first, again = new(expires_at=NOW + timedelta(days=1)).record, new(created_at=NOW + timedelta(days=2)).record
    store.add(first)
    with pytest.raises(NameTaken, match=r"desk was made on 2026-11-22\. .*fx-assets keys revoke desk"):
        store.add(new().record)
    later = new(created_at=NOW + timedelta(days=2))
    with pytest.raises(NameTaken, match="it is expired"):
        store.add(later.record)
    store.revoke("desk")
    store.add(again)
    assert [key.key_id for key in store.all()] == [first.key_id, again.key_id]
    assert store.revoke("desk").key_id == again.key_id, "the one that is in force is revoked, not the older one"


def test_the_database_itself_keeps_names_apart(store: KeyStore, path: Path) -> None:
    store.add(new().record)
    with closing(sqlite3.connect(path)) as other, pytest.raises(sqlite3.IntegrityError, match="UNIQUE"):
        other.execute(
            "INSERT INTO api_keys SELECT 'abcdefgh', name, scopes, sha256, NULL, NULL, created_at, NULL, NULL "
            "FROM api_keys"
        )


def test_what_is_not_there_cannot_be_revoked(store: KeyStore) -> None:
    with pytest.raises(UnknownKey, match="nobody: there is no key of that name"):
        store.revoke("nobody")
    store.add(new().record)
    when = store.revoke("desk", NOW + timedelta(hours=1)).revoked_at
    with pytest.raises(UnknownKey, match="desk: it was revoked at 2026-11-22T10:00:00"):
        store.revoke("desk")
    assert store.all()[0].revoked_at == when, "the moment it ended stays"


@pytest.mark.parametrize(
    ("text", "rate"), [("10/s", Rate(10, 1)), ("600/min", Rate(600, 60)), ("5000/h", Rate(5000, 3600))], ids=str
)
def test_rates_are_read_and_written(text: str, rate: Rate, store: KeyStore) -> None:
    assert Rate.parse(text) == rate
    assert str(rate) == text
    store.add(new(rate=rate).record)
    assert store.all()[0].rate == rate


@pytest.mark.parametrize("text", ["", "600", "0/min", "-1/s", "1.5/s", "600/d", "600/minute", "10 /s", "99999999/s"])
def test_what_is_no_rate_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="expected a rate such as"):
        Rate.parse(text)


def together(url: str, rounds: int) -> tuple[list[ApiKey], list[str]]:
    """Four make keys of one name after the other, each at the same moment: what is on record, and who was refused."""
    gate, refused, failed = threading.Barrier(4), list[str](), list[BaseException]()

    def create() -> None:
        own = KeyStore(url)
        try:
            for number in range(rounds):
                gate.wait(60)
                try:
                    own.add(new(f"desk-{number}").record)
                except NameTaken as taken:
                    refused.append(str(taken))
        except BaseException as error:
            failed.append(error)
            gate.abort()
        finally:
            own.close()

    KeyStore(url).close()
    threads = [threading.Thread(target=create) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    return KeyStore(url).all(), refused


def test_of_those_who_take_a_name_at_once_one_gets_it(path: Path) -> None:
    found, refused = together(f"sqlite:///{path}", rounds=5)
    assert sorted(key.name for key in found) == [f"desk-{number}" for number in range(5)]
    assert len(refused) == 15


@pytest.mark.slow
def test_keys_work_on_postgresql(server_url: str) -> None:
    found, refused = together(server_url, rounds=20)
    assert len({key.name for key in found}) == len(found) == 20
    assert len(refused) == 60
    store = KeyStore(server_url)
    ended = store.revoke("desk-3")
    assert ended.revoked_at is not None
    again = new("desk-3", rate=Rate(10, 1), expires_at=None).record
    store.add(again)
    assert next(key for key in store.all() if key.key_id == again.key_id) == again
    with pytest.raises(UnknownKey, match="no key of that name"):
        store.revoke("desk-99")
    store.close()


def test_a_damaged_row_is_said_to_be_one(store: KeyStore, path: Path) -> None:
    store.add(new().record)
    with closing(sqlite3.connect(path)) as other, other:
        other.execute("UPDATE api_keys SET scopes = '[\"everything\"]'")
    with pytest.raises(ValueError, match="scopes of desk"):
        store.all()


def test_a_database_that_is_locked_is_an_error_with_a_remedy(path: Path) -> None:
    impatient = KeyStore(f"sqlite:///{path}", timeout_s=0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as holder:
        holder.execute("BEGIN IMMEDIATE")
        with pytest.raises(ControlUnavailable, match="locked"):
            impatient.add(new().record)


def test_an_installation_of_before_keys_is_brought_up_to_date_and_never_back(path: Path) -> None:
    from alembic import command
    from alembic.config import Config

    from fx_assets.storage import migrations

    config = Config()
    config.set_main_option("script_location", str(Path(str(migrations.__file__)).parent))
    config.set_main_option("path_separator", "os")
    with sa.create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0003")
    Control(f"sqlite:///{path}").cancel("run-1")
    store = KeyStore(f"sqlite:///{path}")
    key = new().record
    store.add(key)
    with sa.create_engine(f"sqlite:///{path}").begin() as connection:
        config.attributes["connection"] = connection
        with pytest.raises(NotImplementedError, match="restore a backup"):
            command.downgrade(config, "0003")
    assert store.all() == [key]
    assert Control(f"sqlite:///{path}").is_cancelled("run-1")
