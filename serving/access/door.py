"""Whether the reader may open its door: off loopback only with keys."""

from __future__ import annotations

import functools
import ipaddress
import logging
from datetime import UTC, datetime
from typing import Final

from fx_assets.settings import Settings
from fx_assets.storage.errors import ControlUnavailable
from serving.access.record import KeyRecord

log = logging.getLogger("serving")

_LOCAL_NAMES: Final = frozenset({"localhost"})
_MAKE_ONE: Final = "make one: fx-assets keys create NAME; or listen on loopback only: FX_HOST=127.0.0.1"


class DoorError(OSError):
    """The reader must not listen where it was told to; the message says why and what to do."""


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach `host`, an address or a name; no name but localhost is trusted to be."""
    address = _address(host)
    return host in _LOCAL_NAMES if address is None else address.is_loopback


@functools.lru_cache(maxsize=64)
def is_public(host: str) -> bool:
    """Whether `host`, the end of a connection as a server gives it, is an address that others can reach.

    A path of a socket is none, nor a name as tests give it.
    """
    address = _address(host)
    return address is not None and not address.is_loopback


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        return ipaddress.ip_address(host)
    except ValueError:
        return None


def check_door(settings: Settings) -> None:
    """Before listening on `settings.host`: raise `DoorError` off loopback where no key could be used.

    On loopback without any key on record one line of the log says that the door is open to whoever is on this machine.
    """
    record = KeyRecord(settings)
    try:
        keys = record.read()
    except ControlUnavailable as error:
        if is_loopback(settings.host):
            return  # the key ring says the same, and lets nobody in until the keys are known
        raise DoorError(f"FX_HOST is {settings.host!r}, and the keys cannot be read: {error}") from error
    finally:
        record.close()
    if is_loopback(settings.host):
        if not keys:
            log.warning(
                "no key is on record: on %s the forecast API answers everyone on this machine; fx-assets keys create "
                "makes the first key, and from then on every request needs one",
                settings.host,
            )
        return
    now = datetime.now(UTC)
    if not keys:
        raise DoorError(
            f"FX_HOST is {settings.host!r}: off loopback the forecast API needs keys, and there is none; {_MAKE_ONE}"
        )
    if all(key.state(now) != "valid" for key in keys):
        raise DoorError(
            f"FX_HOST is {settings.host!r}: off loopback the forecast API needs keys, and every one on record is "
            f"revoked or expired; {_MAKE_ONE}"
        )
