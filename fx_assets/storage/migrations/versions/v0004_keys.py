"""Keys of the API: one name is held by at most one key that was not revoked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table and its index."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "api_keys",
        sa.Column("key_id", sa.String(8), primary_key=True),
        sa.Column("name", sa.String(63), nullable=False),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("rate_requests", sa.Integer(), nullable=True),
        sa.Column("rate_seconds", sa.Integer(), nullable=True),
        sa.Column("created_at", moment, nullable=False),
        sa.Column("expires_at", moment, nullable=True),
        sa.Column("revoked_at", moment, nullable=True),
    )
    held = sa.text("revoked_at IS NULL")
    op.create_index("api_keys_name", "api_keys", ["name"], unique=True, sqlite_where=held, postgresql_where=held)


def downgrade() -> None:
    """Never: a door that keys have closed would stand open again."""
    raise NotImplementedError("0004 is not undone: every key would be lost; restore a backup instead")
