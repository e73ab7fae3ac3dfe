"""Alembic's entry: run the revisions on the connection that `migrations.upgrade` opened."""

from alembic import context

from control_plane.api import metadata

context.configure(connection=context.config.attributes["connection"], target_metadata=metadata)
with context.begin_transaction():
    context.run_migrations()
