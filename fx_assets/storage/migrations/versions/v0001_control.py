"""Leases, cancelled runs and model versions."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the three tables."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "leases",
        sa.Column("asset", sa.String(200), primary_key=True),
        sa.Column("pair", sa.String(16), primary_key=True),
        sa.Column("token", sa.String(32), nullable=False),
        sa.Column("run_id", sa.String(200), nullable=False),
        sa.Column("acquired_at", moment, nullable=False),
    )
    op.create_table(
        "cancelled_runs",
        sa.Column("run_id", sa.String(200), primary_key=True),
        sa.Column("at", moment, nullable=False),
    )
    op.create_table(
        "model_versions",
        sa.Column("model_id", sa.String(63), primary_key=True),
        sa.Column("scope", sa.String(16), primary_key=True),
        sa.Column("version", sa.String(32), primary_key=True),
        sa.Column("pairs", sa.JSON(), nullable=False),
        sa.Column("manifest_sha256", sa.String(64), nullable=False),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("trained_until", moment, nullable=False),
        sa.Column("kind", sa.String(200), nullable=False),
        sa.Column("config_hash", sa.String(64), nullable=False),
        sa.Column("run_id", sa.String(200), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("model_versions", "cancelled_runs", "leases"):
        op.drop_table(table)
