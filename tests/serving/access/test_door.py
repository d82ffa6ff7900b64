"""Where the reader may listen: off loopback only with a key that opens the door."""

from __future__ import annotations

import logging
from datetime import timedelta
from pathlib import Path

import pytest

from serving.access.door import DoorError, check_door, is_loopback
from tests.serving.access.place import NOW, Place

OFF_LOOPBACK = ["0.0.0.0", "::", "", "192.0.2.1", "example.org", "localhost.example.org", "127.0.0.1.example.org"]


@pytest.mark.parametrize("host", ["127.0.0.1", "127.3.2.1", "::1", "localhost"])
def test_loopback_is_what_only_this_machine_reaches(host: str) -> None:
    assert is_loopback(host)


@pytest.mark.parametrize("host", OFF_LOOPBACK)
def test_off_loopback_it_needs_a_key(host: str, tmp_path: Path) -> None:
    assert not is_loopback(host)
    place = Place(tmp_path / "home", host)
    with pytest.raises(
        DoorError, match=r"there is none; make one: fx-assets keys create NAME; or .*FX_HOST=127\.0\.0\.1"
    ):
        check_door(place.settings)
    assert not place.settings.home.exists()
    place.key()
    check_door(place.settings)


def test_keys_that_open_nothing_are_not_enough(tmp_path: Path) -> None:
    place = Place(tmp_path / "home", "0.0.0.0")
    place.key("revoked")
    place.revoke("revoked")
    place.key("expired", created_at=NOW - timedelta(days=400), expires_at=NOW - timedelta(days=399))
    with pytest.raises(DoorError, match="every one on record is revoked or expired; make one"):
        check_door(place.settings)
    place.key("valid")
    check_door(place.settings)


def test_off_loopback_keys_that_cannot_be_read_are_none(tmp_path: Path) -> None:
    place = Place(tmp_path / "home", "0.0.0.0")
    place.key()
    place.file.write_bytes(b"not a database" * 1000)
    with pytest.raises(DoorError, match=r"the keys cannot be read: .*not a database"):
        check_door(place.settings)


def test_on_loopback_an_open_door_is_said_in_one_line(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    place = Place(tmp_path / "home")
    with caplog.at_level(logging.INFO, "serving"):
        check_door(place.settings)
    (line,) = caplog.messages
    assert "no key is on record: on 127.0.0.1 the forecast API answers everyone on this machine" in line
    caplog.clear()
    place.key()
    place.revoke()
    check_door(place.settings)
    place.file.write_bytes(b"not a database" * 1000)
    check_door(place.settings)
    assert caplog.messages == []
