"""Keys of the API: made, listed and revoked; of the key itself only its SHA-256 is kept.

A fast hash is enough: slow ones (bcrypt, argon2) are there to make the guessing of passwords dear, which people choose
from a small set. A key holds 256 random bits, so whoever reads the table has as many guesses to make as for any of
them, while the reader can afford one SHA-256 with every request.
"""

from __future__ import annotations

import hashlib
import re
import secrets
import string
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, Literal, get_args

import sqlalchemy as sa
from sqlalchemy.exc import IntegrityError

from fx_assets.storage.control_engine import connect, transaction
from fx_assets.storage.control_schema import API_KEYS
from fx_assets.storage.errors import StorageError

Scope = Literal["read", "predict", "train"]
KeyState = Literal["valid", "expired", "revoked"]

SCOPES: Final[tuple[Scope, ...]] = get_args(Scope)
PREFIX: Final = "fxk_"
ID_LENGTH: Final = 8
_SECRET_BYTES: Final = 32
# Ids are read aloud and compared by eye: no capitals, and nothing that double-clicking would cut in two.
_ID_ALPHABET: Final = string.ascii_lowercase + string.digits
_NAME: Final = re.compile(r"[a-z][a-z0-9_-]{0,62}")
_SHA256: Final = re.compile(r"[0-9a-f]{64}")
_RATE: Final = re.compile(r"([1-9][0-9]{0,6})/(s|min|h)")
_UNITS: Final = {"s": 1, "min": 60, "h": 3600}


class NameTaken(StorageError):
    """A key of this name is on record and not revoked."""


class UnknownKey(StorageError, LookupError):
    """No key of this name is on record, or none that could still be revoked."""


@dataclass(frozen=True)
class Rate:
    """At most `requests` at once, and as many again in every `seconds`."""

    requests: int
    seconds: int

    def __post_init__(self) -> None:
        if self.requests < 1 or self.seconds not in _UNITS.values():
            raise ValueError(f"a rate of {self.requests} requests in {self.seconds} s is none; e.g. 600/min")

    @classmethod
    def parse(cls, text: str) -> Rate:
        """From `10/s`, `600/min` or `5000/h`. Raises `ValueError` for anything else."""
        found = _RATE.fullmatch(text)
        if found is None:
            raise ValueError(f"expected a rate such as 10/s, 600/min or 5000/h, got {text!r}")
        return cls(int(found[1]), _UNITS[found[2]])

    def __str__(self) -> str:
        unit = next(name for name, seconds in _UNITS.items() if seconds == self.seconds)
        return f"{self.requests}/{unit}"


@dataclass(frozen=True)
class ApiKey:
    """What is on record of a key; moments are aware, UTC once stored. `rate` None: no limit; `expires_at` None: never.

    Raises `ValueError` for what is no key.
    """

    key_id: str
    name: str
    scopes: tuple[Scope, ...]
    sha256: str = field(repr=False)
    rate: Rate | None
    created_at: datetime
    expires_at: datetime | None
    revoked_at: datetime | None = None

    def __post_init__(self) -> None:
        if _NAME.fullmatch(self.name) is None:
            raise ValueError(
                f"name {self.name!r}: expected a lower-case letter, then up to 62 of a to z, 0 to 9, _ and -"
            )
        if not self.scopes or set(self.scopes) - set(SCOPES) or len(set(self.scopes)) != len(self.scopes):
            raise ValueError(f"scopes of {self.name}: expected some of {', '.join(SCOPES)}, each once")
        if len(self.key_id) != ID_LENGTH or _SHA256.fullmatch(self.sha256) is None:
            raise ValueError(f"{self.name} has no id of {ID_LENGTH} characters, or no SHA-256")
        if self.expires_at is not None and self.expires_at <= self.created_at:
            raise ValueError(f"{self.name} would expire at {self.expires_at.isoformat()}, before it is made")

    def state(self, now: datetime) -> KeyState:
        """Whether it opens the door at `now` (aware)."""
        if self.revoked_at is not None:
            return "revoked"
        return "expired" if self.expires_at is not None and self.expires_at <= now else "valid"


@dataclass(frozen=True)
class NewKey:
    """A key as it was made: the only moment at which its `secret`, the whole key, is known."""

    record: ApiKey
    secret: str = field(repr=False)


def digest(secret: bytes) -> bytes:
    """SHA-256 of a whole key, 32 bytes."""
    return hashlib.sha256(secret).digest()


def make(
    name: str, scopes: Iterable[Scope], *, created_at: datetime, expires_at: datetime | None, rate: Rate | None = None
) -> NewKey:
    """A new key, on nobody's record yet: `fxk_`, its id, `_` and 256 random bits. Raises `ValueError` as `ApiKey`."""
    key_id = "".join(secrets.choice(_ID_ALPHABET) for _ in range(ID_LENGTH))
    secret = f"{PREFIX}{key_id}_{secrets.token_urlsafe(_SECRET_BYTES)}"
    wanted = set(scopes)
    ordered = tuple(scope for scope in SCOPES if scope in wanted) + tuple(sorted(wanted - set(SCOPES)))
    sha256 = digest(secret.encode()).hex()
    return NewKey(ApiKey(key_id, name, ordered, sha256, rate, created_at, expires_at), secret)


def record(connection: sa.Connection, key: ApiKey) -> None:
    """Put a key on record. Raises `NameTaken` where a key of its name is not revoked."""
    table = API_KEYS.c
    held = connection.execute(sa.select(API_KEYS).where(table.name == key.name, table.revoked_at.is_(None)))
    row = held.mappings().first()
    if row is not None:
        other = of_row(row)
        state = f"; it is {other.state(key.created_at)}" if other.state(key.created_at) != "valid" else ""
        raise NameTaken(
            f"a key named {key.name} was made on {other.created_at:%Y-%m-%d}{state}. Choose another name, or revoke "
            f"that one first: fx-assets keys revoke {key.name}"
        )
    values = {name: value for name, value in vars(key).items() if name != "rate"}
    limits = (None, None) if key.rate is None else (key.rate.requests, key.rate.seconds)
    values |= {"scopes": list(key.scopes), "rate_requests": limits[0], "rate_seconds": limits[1]}
    try:
        connection.execute(sa.insert(API_KEYS).values(values))
    except IntegrityError as error:  # PostgreSQL: two looked before either had written
        raise NameTaken(f"another key named {key.name} was made at the same moment: fx-assets keys list") from error


def on_record(connection: sa.Connection) -> list[ApiKey]:
    """Every key ever made, the oldest first. Raises `ValueError` for a damaged row."""
    query = sa.select(API_KEYS).order_by(API_KEYS.c.created_at, API_KEYS.c.key_id)
    return [of_row(row) for row in connection.execute(query).mappings()]


def of_row(row: Mapping[Any, Any]) -> ApiKey:
    """The key of a row of `API_KEYS`. Raises `ValueError` for one that holds none."""
    values = dict(row)
    requests, seconds = values.pop("rate_requests"), values.pop("rate_seconds")
    rate = None if requests is None else Rate(requests, seconds)
    return ApiKey(**{**values, "scopes": tuple(values["scopes"]), "rate": rate})


class KeyStore:
    """Keys in the control database at a SQLAlchemy URL; its schema is brought up to date on opening.

    Every method raises `ControlUnavailable` when the database is gone or stays locked for `timeout_s`.
    """

    def __init__(self, url: str, *, timeout_s: float = 30.0) -> None:
        self._engine = connect(url, timeout_s)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def add(self, key: ApiKey) -> None:
        """Put a key on record. Raises `NameTaken` where a key of its name is not revoked."""
        with transaction(self._engine, write=True) as connection:
            record(connection, key)

    def all(self) -> list[ApiKey]:
        """Every key ever made, the oldest first."""
        with transaction(self._engine, write=False) as connection:
            return on_record(connection)

    def revoke(self, name: str, when: datetime | None = None) -> ApiKey:
        """End the key of this name at `when` (aware; None: now) for ever; what is on record of it then.

        Raises `UnknownKey` where there is none, or only such as were revoked.
        """
        table = API_KEYS.c
        with transaction(self._engine, write=True) as connection:
            found = sa.update(API_KEYS).where(table.name == name, table.revoked_at.is_(None))
            done = connection.execute(found.values(revoked_at=when or datetime.now(UTC)).returning(table.key_id))
            key_id = done.scalar()
            known = [key for key in on_record(connection) if key.name == name]
        if key_id is None:
            ended = max((key.revoked_at for key in known if key.revoked_at is not None), default=None)
            said = "there is no key of that name" if ended is None else f"it was revoked at {ended.isoformat()}"
            raise UnknownKey(f"{name}: {said}; fx-assets keys list shows every key")
        return next(key for key in known if key.key_id == key_id)
