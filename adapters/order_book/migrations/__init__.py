"""Brings the order book's schema to the newest version (`topup setup`), with Alembic.

Only who migrates loads Alembic: it is a tenth of what a process imports at its start (measured).
"""

from importlib import import_module
from typing import Final

from sqlalchemy import Connection, inspect, text

NEWEST: Final = "0001"
"""The newest revision in `versions/`."""
_TABLE: Final = "alembic_version"


def upgrade(connection: Connection) -> None:
    """Run every migration that `connection`'s database lacks; idempotent."""
    import_module("adapters.order_book.migrations.upgrading").upgrade(connection)


def versions(connection: Connection) -> tuple[str, str]:
    """The schema's version in this database (`""`: none), and the newest there is."""
    if not inspect(connection).has_table(_TABLE):
        return "", NEWEST
    return connection.scalar(text(f"SELECT version_num FROM {_TABLE}")) or "", NEWEST  # noqa: S608 - our own constant
