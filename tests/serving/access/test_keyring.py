"""The keys in memory: who is let in, for how long without a database, and what a change on record changes."""

from __future__ import annotations

import asyncio
import hmac
import inspect
import logging
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import timedelta
from pathlib import Path

import pytest

from fx_assets.storage.keys import Rate
from serving.access import keyring
from serving.access.keyring import KeyRing, KeysUnavailable
from tests.serving.access.place import NOW, Place, ticks


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path / "home")


@contextmanager
def broken(place: Place) -> Iterator[None]:
    """The database cannot be read meanwhile."""
    kept = place.file.rename(place.file.with_suffix(".kept"))
    place.file.mkdir()
    try:
        yield
    finally:
        place.file.rmdir()
        kept.rename(place.file)


def test_a_key_is_found_by_all_of_it_and_by_nothing_less(place: Place) -> None:
    secret, other = place.key().encode(), place.key("other").encode()
    ring = place.ring()
    found = ring.find(secret)
    assert found is not None
    assert (found.name, found.scopes) == ("desk", frozenset({"read", "predict"}))
    for wrong in (
        b"",
        b"fxk_",
        secret[:-1],
        secret + b"A",
        secret[:12] + other[12:],
        b"x" + secret[1:],
        secret[4:],
        secret.swapcase(),
        secret * 1000,
        "fxk_ä".encode("latin-1"),
    ):
        assert ring.find(wrong) is None


def test_an_unknown_key_takes_the_steps_of_a_known_one(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    secret = place.key().encode()
    ring = place.ring()
    steps: list[tuple[int, int]] = []
    compare = hmac.compare_digest

    def counted(first: bytes, second: bytes) -> bool:
        steps.append((len(first), len(second)))
        return compare(first, second)

    monkeypatch.setattr(hmac, "compare_digest", counted)
    for presented in (secret, secret[:-1] + b"!", b"fxk_unknown0_" + b"A" * 43, b"", b"x" * 100_000):
        ring.find(presented)
    assert steps == [(32, 32)] * 5


def test_a_key_ends_by_the_clock_without_a_reading(place: Place) -> None:
    secret = place.key(expires_at=NOW + timedelta(seconds=30)).encode()
    ring = place.ring()
    place.clock.forward(29.999)
    found = ring.find(secret)
    assert found is not None
    assert ring.holds(found)
    place.clock.forward(0.001)
    assert ring.find(secret) is None
    assert not ring.holds(found)


def test_a_revoked_key_ends_with_the_next_reading_and_others_stay(place: Place) -> None:
    secret, other = place.key().encode(), place.key("other").encode()
    ring = place.ring()
    found = ring.find(secret)
    place.revoke()
    late = place.key("late").encode()
    assert found is not None
    assert ring.find(secret) is not None
    assert ring.find(late) is None
    ring.refresh()
    assert ring.find(secret) is None
    assert not ring.holds(found)
    assert ring.find(other) is not None
    assert ring.find(late) is not None


def test_nothing_of_a_key_is_shown(place: Place) -> None:
    secret = place.key()
    ring = place.ring()
    found = ring.find(secret.encode())
    assert found is not None
    for shown in (repr(ring), repr(found)):
        assert secret[13:] not in shown
        assert str(found.digest) not in shown
        assert found.digest.hex() not in shown


def test_the_door_is_open_on_loopback_until_the_first_key_and_never_again(
    place: Place, caplog: pytest.LogCaptureFixture
) -> None:
    ring = place.ring(read=False)
    assert not ring.open, "before anything is known nobody is let in"
    ring.refresh()
    assert ring.open
    secret = place.key().encode()
    ring.refresh()
    assert not ring.open
    assert caplog.messages == ["a key is on record now: from here on every request needs one"]
    assert ring.find(secret) is not None
    place.revoke()
    ring.refresh()
    assert not ring.open, "a revoked key is on record too"
    with closing(sqlite3.connect(place.file)) as connection, connection:
        connection.execute("DELETE FROM api_keys")
    ring.refresh()
    assert not ring.open, "who empties the table does not open the door of a running reader"


def test_off_loopback_it_is_never_open(tmp_path: Path) -> None:
    ring = Place(tmp_path / "home", "0.0.0.0").ring()
    assert not ring.open
    assert ring.find(b"fxk_") is None


def test_without_the_database_keys_are_good_for_ten_minutes(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    secret = place.key().encode()
    ring = place.ring()
    with broken(place):
        for _ in range(3):
            place.monotonic.forward(200)
            ring.refresh()
            assert ring.find(secret) is not None
        place.monotonic.forward(0.001)
        for presented in (secret, b"", b"fxk_unknown0_" + b"A" * 43):
            with pytest.raises(KeysUnavailable):
                ring.find(presented)
        for _ in range(3):
            ring.refresh()
        first, second = caplog.messages
        assert "the keys cannot be read, those in memory stay good for 400 s: " in first
        assert "every request is answered 503" in second
    ring.refresh()
    assert ring.find(secret) is not None
    assert caplog.messages[2:] == ["the keys can be read again"]


def test_an_open_door_closes_without_the_database_too(place: Place) -> None:
    with place.store():
        ring = place.ring()
    assert ring.open
    with broken(place):
        ring.refresh()
        assert ring.open
        place.monotonic.forward(600.001)
        ring.settle()
        assert not ring.open
        with pytest.raises(KeysUnavailable):
            ring.find(b"")
    ring.refresh()
    assert ring.open


def test_a_database_that_is_gone_is_no_database_without_keys(place: Place) -> None:
    secret = place.key().encode()
    ring = place.ring()
    place.file.unlink()
    ring.refresh()
    assert not ring.open
    assert ring.find(secret) is not None
    place.monotonic.forward(601)
    with pytest.raises(KeysUnavailable):
        ring.find(secret)


def test_a_ring_that_never_read_knows_nobody(place: Place) -> None:
    secret = place.key().encode()
    with broken(place):
        ring = place.ring()
        with pytest.raises(KeysUnavailable):
            ring.find(secret)
    assert not ring.open


def test_a_reading_keeps_what_a_key_has_used_of_its_rate(place: Place) -> None:
    secret = place.key(rate=Rate(2, 60)).encode()
    place.key("other", rate=Rate(2, 60))
    ring = place.ring()
    for _ in range(2):
        found = ring.find(secret)
        assert found is not None
        assert found.bucket is not None
        assert found.bucket.take() == 0
        ring.refresh()
    found = ring.find(secret)
    assert found is not None
    assert found.bucket is not None
    assert found.bucket.take() > 0


def test_what_is_kept_is_bounded_by_the_keys_in_force(place: Place) -> None:
    ring = place.ring()
    for number in range(20):
        place.key("desk", rate=Rate(2, 60))
        ring.refresh()
        ring.find(b"fxk_%08d_" % number + b"A" * 43)
        place.revoke("desk")
    ring.refresh()
    assert repr(ring) == "KeyRing(0 keys, closed)"


async def reading(place: Place, refresh_s: float = 0.05) -> KeyRing:
    ring = KeyRing(place.settings, refresh_s=refresh_s)
    await ring.start()
    return ring


def test_in_the_background_it_follows_the_record(place: Place) -> None:
    async def follow() -> None:
        ring = await reading(place)
        assert ring.open, "it has read once before it is started"
        secret = await asyncio.to_thread(place.key)
        while ring.open or ring.find(secret.encode()) is None:
            await asyncio.sleep(0.01)
        found = ring.find(secret.encode())
        assert found is not None
        told = asyncio.Event()
        with ring.watching(found, told.set):
            await asyncio.to_thread(place.revoke)
            await told.wait()
        assert ring.find(secret.encode()) is None
        await ring.stop()

    asyncio.run(asyncio.wait_for(follow(), 60))


def test_whoever_has_gone_is_not_told(place: Place) -> None:
    async def follow() -> list[str]:
        told: list[str] = []
        secret = await asyncio.to_thread(place.key)
        ring = await reading(place)
        found = ring.find(secret.encode())
        assert found is not None
        stays = asyncio.Event()
        with ring.watching(found, lambda: told.append("stays")), ring.watching(found, stays.set):
            with ring.watching(found, lambda: told.append("gone")):
                pass
            await asyncio.to_thread(place.revoke)
            await stays.wait()
            await asyncio.sleep(0.2)
        await ring.stop()
        return told

    assert asyncio.run(asyncio.wait_for(follow(), 60)) == ["stays"], "told once, and only who still waits"


def test_a_database_that_does_not_answer_holds_up_nobody(place: Place) -> None:
    secret = place.key()

    async def follow() -> None:
        with closing(sqlite3.connect(place.file, isolation_level=None)) as holder:
            holder.execute("PRAGMA locking_mode = EXCLUSIVE")
            holder.execute("BEGIN EXCLUSIVE")
            ring = KeyRing(place.settings, refresh_s=0.05)
            starting = asyncio.ensure_future(ring.start())
            # The reading waits for the lock in its thread; the loop goes on.
            assert await ticks(starting) > 10
            with pytest.raises(KeysUnavailable):
                ring.find(secret.encode())
        while not ring.available:
            await asyncio.sleep(0.01)
        assert ring.find(secret.encode()) is not None
        await ring.stop()

    asyncio.run(asyncio.wait_for(follow(), 60))


def test_a_revoked_key_is_out_within_five_seconds() -> None:
    defaults = inspect.signature(KeyRing).parameters
    refresh_s = defaults["refresh_s"].default
    # From the moment it is revoked: the next reading, and for an answer that lasts the next look at its key.
    assert refresh_s + keyring._TICK_SECONDS < 5.0
    assert defaults["good_for_s"].default == 600.0


def test_the_start_says_nothing_while_all_is_well(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    place.key()

    async def follow() -> None:
        ring = await reading(place)
        await asyncio.sleep(0.2)
        await ring.stop()

    with caplog.at_level(logging.INFO, "serving"):
        asyncio.run(asyncio.wait_for(follow(), 60))
    assert caplog.messages == []
