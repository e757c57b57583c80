"""Proposals of the first of two persons, the mark of a restored book, orders by vehicle.

Processes of the version before go on beside it: they insert rows without these columns, and never look at them.

Revision ID: 0002
"""

import sqlalchemy as sa
from alembic import op

from adapters.order_book.tables import UtcDateTime

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    """Add the columns with their defaults, which rewrites no row, and the index."""
    empty = sa.text("''")
    for name, kind in (
        ("proposal", sa.String(length=16)),
        ("proposed_by", sa.String()),
        ("proposed_note", sa.String()),
        ("confirmed_by", sa.String()),
        ("confirmed_note", sa.String()),
    ):
        op.add_column("orders", sa.Column(name, kind, nullable=False, server_default=empty))
    for name in ("proposed_at", "restored_at"):
        op.add_column("orders", sa.Column(name, UtcDateTime(), nullable=True))
    op.create_index("orders_vehicle", "orders", ["vehicle_hash"], unique=False)
