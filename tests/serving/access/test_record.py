"""Reading the keys: what is missing is not made, what is old not upgraded, what is broken not taken for empty."""

from __future__ import annotations

import shutil
import sqlite3
from contextlib import closing
from datetime import timedelta
from pathlib import Path

import pytest
import sqlalchemy as sa

from fx_assets.settings import Settings
from fx_assets.storage.errors import ControlUnavailable
from serving.access.record import KeyRecord
from tests.serving.access.place import NOW, Place
from tests.storage.test_control_postgres import url as server

server_url = server  # the fixture: a PostgreSQL server for this module, thrown away afterwards


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "home")


def test_without_a_database_there_is_none_and_none_is_made(place: Place) -> None:
    assert KeyRecord(place.settings).read() is None
    assert not place.settings.home.exists()


def test_a_database_of_before_keys_has_none_and_stays_as_it_is(place: Place) -> None:
    place.settings.home.mkdir()
    with closing(sqlite3.connect(place.file)) as connection:
        connection.execute("CREATE TABLE leases (asset TEXT)")
    before = place.file.read_bytes()
    assert KeyRecord(place.settings).read() == []
    assert place.file.read_bytes() == before


def test_every_key_is_read_the_revoked_ones_too(place: Place) -> None:
    record = KeyRecord(place.settings)
    place.key("first")
    place.revoke("first")
    place.key("second", created_at=NOW + timedelta(seconds=1))
    found = record.read()
    assert found is not None
    assert [(key.name, key.revoked_at is None) for key in found] == [("first", False), ("second", True)]


def test_a_file_that_was_put_in_its_place_is_what_is_read(place: Place, tmp_path: Path) -> None:
    other = Place(tmp_path / "other")
    place.key("old")
    other.key("new")
    record = KeyRecord(place.settings)
    assert [key.name for key in record.read() or ()] == ["old"]
    for file in place.settings.home.iterdir():
        file.unlink()
    shutil.copy(other.file, place.file)
    assert [key.name for key in record.read() or ()] == ["new"]


def test_what_cannot_be_read_is_not_taken_for_empty(place: Place) -> None:
    place.key()
    place.file.write_bytes(b"not a database" * 1000)
    with pytest.raises(ControlUnavailable, match="not a database"):
        KeyRecord(place.settings).read()
    place.file.unlink()
    place.file.mkdir()
    with pytest.raises(ControlUnavailable, match="unable to open"):
        KeyRecord(place.settings).read()


@pytest.mark.parametrize(
    ("column", "value"),
    [("scopes", '["all"]'), ("scopes", "read"), ("expires_at", "tomorrow"), ("sha256", "none"), ("rate_requests", -1)],
)
def test_a_damaged_key_is_not_left_out(column: str, value: object, place: Place) -> None:
    place.key()
    with closing(sqlite3.connect(place.file)) as connection, connection:
        connection.execute(f"UPDATE api_keys SET {column} = ?", (value,))
    with pytest.raises(ControlUnavailable, match="holds what is no key"):
        KeyRecord(place.settings).read()


def test_a_folder_that_cannot_be_entered_is_not_taken_for_empty(place: Place) -> None:
    place.settings.home.write_text("a file where the folder was")
    with pytest.raises(ControlUnavailable, match="Not a directory"):
        KeyRecord(place.settings).read()


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:"])
def test_keys_live_in_a_file_or_on_a_server(url: str) -> None:
    with pytest.raises(ValueError, match="must be a file"):
        KeyRecord(Settings.model_validate({"control_url": url}))


@pytest.mark.slow
def test_on_postgresql_too_nothing_is_made_by_reading(server_url: str, tmp_path: Path) -> None:
    place = Place(tmp_path)
    place.settings = Settings.model_validate({"control_url": server_url})
    record = KeyRecord(place.settings)
    assert record.read() == []
    engine = sa.create_engine(server_url)
    with engine.connect() as connection:
        assert sa.inspect(connection).get_table_names() == []
    engine.dispose()
    secret = place.key()
    assert [key.key_id in secret for key in record.read() or ()] == [True]
    place.revoke()
    assert [key.revoked_at is None for key in record.read() or ()] == [False]
    record.close()
    gone = Settings.model_validate({"control_url": server_url.replace("?host=", "?host=/nowhere")})
    with pytest.raises(ControlUnavailable) as error:
        KeyRecord(gone).read()
    assert "secret@" not in str(error.value)
