"""Decisions about champions, and the series of every trial: both refuse every change, as the ledger does."""

from __future__ import annotations

from collections.abc import Iterator

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_TABLES = {
    "trial_series": (("study", "number", "pair"), "the ledger of trials is append-only"),
    "decisions": (("pair", "frequency", "number"), "decisions are append-only"),
}


def upgrade() -> None:
    """Create both tables and their triggers."""
    moment = sa.DateTime(timezone=True)
    op.create_table(
        "trial_series",
        sa.Column("study", sa.String(512), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("pair", sa.String(16), primary_key=True),
        sa.Column("windows", sa.Integer(), nullable=False),
        sa.Column("left_out", sa.Integer(), nullable=False),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        sa.Column("recorded_at", moment, nullable=False),
        sqlite_with_rowid=False,  # or a row could be replaced by its row id
    )
    op.create_table(
        "decisions",
        sa.Column("pair", sa.String(16), primary_key=True),
        sa.Column("frequency", sa.String(8), primary_key=True),
        sa.Column("number", sa.Integer(), primary_key=True),
        sa.Column("decided_at", moment, nullable=False),
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
    triggers = _sqlite if op.get_bind().dialect.name == "sqlite" else _postgresql
    for table, (key, message) in _TABLES.items():
        for statement in triggers(table, key, message):
            op.execute(statement)


def _sqlite(table: str, key: tuple[str, ...], message: str) -> Iterator[str]:
    refuse = f"BEGIN SELECT RAISE(ABORT, '{message}'); END"
    yield f"CREATE TRIGGER {table}_no_update BEFORE UPDATE ON {table} {refuse}"
    yield f"CREATE TRIGGER {table}_no_delete BEFORE DELETE ON {table} {refuse}"
    # INSERT OR REPLACE deletes without asking the trigger above (sqlite.org/lang_conflict.html).
    same = " AND ".join(f"{column} = NEW.{column}" for column in key)
    yield (
        f"CREATE TRIGGER {table}_no_replace BEFORE INSERT ON {table} "
        f"WHEN EXISTS (SELECT 1 FROM {table} WHERE {same}) {refuse}"
    )


def _postgresql(table: str, key: tuple[str, ...], message: str) -> Iterator[str]:
    del key
    yield (
        f"CREATE FUNCTION {table}_refuse() RETURNS trigger LANGUAGE plpgsql AS "
        f"$$ BEGIN RAISE EXCEPTION '{message}'; END $$"
    )
    refuse = f"EXECUTE FUNCTION {table}_refuse()"
    yield f"CREATE TRIGGER {table}_no_change BEFORE UPDATE OR DELETE ON {table} FOR EACH ROW {refuse}"
    yield f"CREATE TRIGGER {table}_no_truncate BEFORE TRUNCATE ON {table} FOR EACH STATEMENT {refuse}"


def downgrade() -> None:
    """Never: what was tried and what was decided stays on record."""
    raise NotImplementedError("0003 is not undone: decisions and series would be lost; restore a backup instead")
