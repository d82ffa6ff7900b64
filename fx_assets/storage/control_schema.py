"""Tables of the control database, and what a row of model versions says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import sqlalchemy as sa

METADATA = sa.MetaData()


class UTCDateTime(sa.types.TypeDecorator[datetime]):
    """Aware UTC in and out; SQLite keeps no zone, so it is put back."""

    impl = sa.DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:
        """To UTC; ValueError without a time zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value} has no time zone; use UTC")
        utc = value.astimezone(UTC)
        return utc.replace(tzinfo=None) if dialect.name == "sqlite" else utc

    def process_result_value(self, value: datetime | None, dialect: sa.Dialect) -> datetime | None:  # noqa: ARG002
        """Aware UTC."""
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


def _moment(name: str) -> sa.Column[datetime]:
    return sa.Column(name, UTCDateTime(), nullable=False)


LEASES = sa.Table(
    "leases",
    METADATA,
    sa.Column("asset", sa.String(200), primary_key=True),
    sa.Column("pair", sa.String(16), primary_key=True),
    sa.Column("token", sa.String(32), nullable=False),
    sa.Column("run_id", sa.String(200), nullable=False),
    _moment("acquired_at"),
)
CANCELLED_RUNS = sa.Table(
    "cancelled_runs", METADATA, sa.Column("run_id", sa.String(200), primary_key=True), _moment("at")
)
MODEL_VERSIONS = sa.Table(
    "model_versions",
    METADATA,
    sa.Column("model_id", sa.String(63), primary_key=True),
    sa.Column("scope", sa.String(16), primary_key=True),
    sa.Column("version", sa.String(32), primary_key=True),
    sa.Column("pairs", sa.JSON(), nullable=False),
    sa.Column("manifest_sha256", sa.String(64), nullable=False),
    _moment("created_at"),
    _moment("trained_until"),
    sa.Column("kind", sa.String(200), nullable=False),
    sa.Column("config_hash", sa.String(64), nullable=False),
    sa.Column("run_id", sa.String(200), nullable=False),
    sa.Column("fingerprint", sa.String(64), nullable=False),
)
# Rows are added and never changed: triggers of the migration see to it.
TRIALS = sa.Table(
    "trials",
    METADATA,
    sa.Column("study", sa.String(512), primary_key=True),
    sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("model_id", sa.String(63), nullable=False),
    sa.Column("kind", sa.String(200), nullable=False),
    sa.Column("pairs", sa.JSON(), nullable=False),
    sa.Column("values", sa.JSON(), nullable=False),
    sa.Column("state", sa.String(16), nullable=False),
    sa.Column("loss", sa.Double(), nullable=True),
    sa.Column("folds", sa.JSON(), nullable=False),
    _moment("started_at"),
    _moment("ended_at"),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("run_id", sa.String(200), nullable=False),
    _moment("recorded_at"),
    sqlite_with_rowid=False,
)
# Of each trial, what every one of its out-of-fold windows lost and earned: packed by `trial_series`. Append-only too.
TRIAL_SERIES = sa.Table(
    "trial_series",
    METADATA,
    sa.Column("study", sa.String(512), primary_key=True),
    sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
    sa.Column("pair", sa.String(16), primary_key=True),
    sa.Column("windows", sa.Integer(), nullable=False),
    sa.Column("left_out", sa.Integer(), nullable=False),
    sa.Column("content", sa.LargeBinary(), nullable=False),
    _moment("recorded_at"),
    sqlite_with_rowid=False,
)
# Which model serves a pair and frequency, from which moment on and why. Append-only; `number` counts without a gap.
DECISIONS = sa.Table(
    "decisions",
    METADATA,
    sa.Column("pair", sa.String(16), primary_key=True),
    sa.Column("frequency", sa.String(8), primary_key=True),
    sa.Column("number", sa.Integer(), primary_key=True, autoincrement=False),
    _moment("decided_at"),
    sa.Column("decision_date", sa.Date(), nullable=False),
    sa.Column("kind", sa.String(16), nullable=False),
    sa.Column("champion_before", sa.String(63), nullable=True),
    sa.Column("champion_after", sa.String(63), nullable=False),
    sa.Column("reason", sa.Text(), nullable=False),
    sa.Column("evidence", sa.JSON(), nullable=False),
    sa.Column("decided_by", sa.String(200), nullable=False),
    sa.Column("run_id", sa.String(200), nullable=False),
    sqlite_with_rowid=False,
)
# Keys of the API. `sha256` is of the whole key, which is nowhere kept; a revoked key keeps its row, and frees its name.
API_KEYS = sa.Table(
    "api_keys",
    METADATA,
    sa.Column("key_id", sa.String(8), primary_key=True),
    sa.Column("name", sa.String(63), nullable=False),
    sa.Column("scopes", sa.JSON(), nullable=False),
    sa.Column("sha256", sa.String(64), nullable=False),
    sa.Column("rate_requests", sa.Integer(), nullable=True),
    sa.Column("rate_seconds", sa.Integer(), nullable=True),
    _moment("created_at"),
    sa.Column("expires_at", UTCDateTime(), nullable=True),
    sa.Column("revoked_at", UTCDateTime(), nullable=True),
    sa.Index(
        "api_keys_name",
        "name",
        unique=True,
        sqlite_where=sa.text("revoked_at IS NULL"),
        postgresql_where=sa.text("revoked_at IS NULL"),
    ),
)


@dataclass(frozen=True)
class ModelVersion:
    """One trained checkpoint: `scope` is a pair or "panel"; times are aware, UTC once stored."""

    model_id: str
    scope: str
    version: str
    pairs: tuple[str, ...]
    manifest_sha256: str
    created_at: datetime
    trained_until: datetime
    kind: str
    config_hash: str
    run_id: str
    fingerprint: str

    @classmethod
    def from_manifest(cls, manifest: Mapping[str, Any], manifest_sha256: str) -> ModelVersion:
        """From a manifest with pairs, created_at, trained_until (ISO, with zone), kind, config_hash,
        run_id and fingerprint beside what the store adds. ValueError names what is missing or wrong.
        """
        wanted = ("pairs", "created_at", "trained_until", "kind", "config_hash", "run_id", "fingerprint")
        if missing := [key for key in wanted if key not in manifest]:
            raise ValueError(f"manifest of {manifest.get('model_id')}: {missing} missing, cannot register it")
        moments = {key: datetime.fromisoformat(str(manifest[key])) for key in ("created_at", "trained_until")}
        for key, moment in moments.items():
            if moment.tzinfo is None:
                raise ValueError(f"manifest of {manifest.get('model_id')}: {key} {moment} has no time zone")
        pairs = manifest["pairs"]
        if not isinstance(pairs, list) or not all(isinstance(pair, str) for pair in pairs):
            raise ValueError(f"manifest of {manifest.get('model_id')}: pairs {pairs!r} is no list of names")
        words = ("model_id", "scope", "version", "kind", "config_hash", "run_id", "fingerprint")
        return cls(
            pairs=tuple(pairs),
            manifest_sha256=manifest_sha256,
            created_at=moments["created_at"].astimezone(UTC),
            trained_until=moments["trained_until"].astimezone(UTC),
            **{word: str(manifest[word]) for word in words},
        )
