"""The ledger of trials, which refuses every change."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_MESSAGE = "the ledger of trials is append-only"
_SQLITE = (
    f"CREATE TRIGGER trials_no_update BEFORE UPDATE ON trials BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END",
    f"CREATE TRIGGER trials_no_delete BEFORE DELETE ON trials BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END",
    # INSERT OR REPLACE deletes without asking the trigger above (sqlite.org/lang_conflict.html).
    "CREATE TRIGGER trials_no_replace BEFORE INSERT ON trials "
    "WHEN EXISTS (SELECT 1 FROM trials WHERE study = NEW.study AND number = NEW.number) "
    f"BEGIN SELECT RAISE(ABORT, '{_MESSAGE}'); END",
)
_POSTGRESQL = (
    "CREATE FUNCTION trials_refuse() RETURNS trigger LANGUAGE plpgsql AS "
    f"$$ BEGIN RAISE EXCEPTION '{_MESSAGE}'; END $$",
    "CREATE TRIGGER trials_no_change BEFORE UPDATE OR DELETE ON trials FOR EACH ROW EXECUTE FUNCTION trials_refuse()",
    "CREATE TRIGGER trials_no_truncate BEFORE TRUNCATE ON trials FOR EACH STATEMENT EXECUTE FUNCTION trials_refuse()",
)


def upgrade() -> None:
    """Create the table and its triggers."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "trials",
        sa.Column("study", sa.String(512), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("model_id", sa.String(63), nullable=False),
        sa.Column("kind", sa.String(200), nullable=False),
        sa.Column("pairs", sa.JSON(), nullable=False),
        sa.Column("values", sa.JSON(), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("loss", sa.Double(), nullable=True),
        sa.Column("folds", sa.JSON(), nullable=False),
        sa.Column("started_at", moment, nullable=False),
        sa.Column("ended_at", moment, nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("run_id", sa.String(200), nullable=False),
        sa.Column("recorded_at", moment, nullable=False),
        sqlite_with_rowid=False,  # or a row could be replaced by its row id
    )
    for statement in _SQLITE if op.get_bind().dialect.name == "sqlite" else _POSTGRESQL:
        op.execute(statement)


def downgrade() -> None:
    """Never: what was tried stays on record."""
    raise NotImplementedError("0002 is not undone: the ledger of trials would be lost; restore a backup instead")
