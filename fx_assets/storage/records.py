"""What is committed beside the rows: the outcome of checks, and the state of an asset."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from fx_assets.storage.errors import FormatError
from fx_assets.storage.hashing import canonical_json

STATE_FORMAT = 1

Scalar = float | int | str | bool | None


@dataclass(frozen=True)
class CheckOutcome:
    """One check of an asset's rows: whether it passed, and whether failing blocks the commit.

    Raises ValueError or TypeError when `metadata` holds what JSON cannot say (NaN, numpy integers, ...).
    """

    name: str
    passed: bool
    blocking: bool = True
    description: str = ""
    metadata: Mapping[str, Scalar] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _checked(self, f"check {self.name!r}")


@dataclass(frozen=True)
class State:
    """What an asset knew when it committed: it travels inside the data file it describes.

    `fingerprint` is of the inputs, spec and code; `content_hash` of the rows; `committed_at` is UTC.
    Raises ValueError for a `committed_at` without time zone and for metadata that JSON cannot say.
    """

    asset: str
    pair: str
    fingerprint: str
    content_hash: str
    checks: tuple[CheckOutcome, ...]
    rows: int
    run_id: str
    committed_at: datetime
    metadata: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.committed_at.tzinfo is None:
            raise ValueError(f"state of {self.asset}: committed_at {self.committed_at} has no time zone; use UTC")
        object.__setattr__(self, "committed_at", self.committed_at.astimezone(UTC))
        object.__setattr__(self, "checks", tuple(self.checks))
        _checked(self, f"state of {self.asset}")

    def to_json(self) -> str:
        """Canonical JSON, with the number of its format."""
        body = {**asdict(self), "committed_at": self.committed_at.isoformat(), "format": STATE_FORMAT}
        return canonical_json(body)

    @classmethod
    def from_json(cls, text: str | bytes) -> State:
        """The state that `to_json` wrote; FormatError names a format this version does not read."""
        body: dict[str, Any] = json.loads(text)
        found = body.pop("format", None)
        if found != STATE_FORMAT:
            raise FormatError(
                f"state of {body.get('asset', 'an unnamed asset')} has format {found!r}, this version reads "
                f"{STATE_FORMAT}: materialize the asset again, or use the version that wrote it"
            )
        body["committed_at"] = datetime.fromisoformat(body["committed_at"])
        body["checks"] = tuple(CheckOutcome(**check) for check in body["checks"])
        return cls(**body)


def _checked(record: CheckOutcome | State, where: str) -> None:
    """Refuse metadata JSON cannot say, and detach it from the caller's mapping."""
    try:
        object.__setattr__(record, "metadata", json.loads(canonical_json(dict(record.metadata))))
    except (TypeError, ValueError) as error:
        raise type(error)(f"{where}, metadata: {error}") from error
