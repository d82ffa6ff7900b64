"""Alembic's entry: runs the migrations on the connection that `migrate.upgrade` hands over."""

from __future__ import annotations

from alembic import context

from fx_assets.storage.control_schema import METADATA

context.configure(connection=context.config.attributes["connection"], target_metadata=METADATA)
with context.begin_transaction():
    context.run_migrations()
