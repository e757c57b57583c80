"""Alembic's entry: runs on the connection that `adapters.order_book.migrations.upgrade` was given."""

from alembic import context

from adapters.order_book import tables

context.configure(connection=context.config.attributes["connection"], target_metadata=tables.SQLModel.metadata)
with context.begin_transaction():
    context.run_migrations()
