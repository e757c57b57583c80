"""The audit trail refuses two more ways to lose a line, which no row trigger of before sees.

PostgreSQL's TRUNCATE fires no DELETE trigger, and SQLite's INSERT OR REPLACE deletes without one.

Revision ID: 0003
"""

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Add the triggers; no row changes."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            """
            CREATE TRIGGER order_events_no_truncate BEFORE TRUNCATE ON order_events
            FOR EACH STATEMENT EXECUTE FUNCTION order_events_are_append_only()
            """
        )
    else:
        op.execute(
            """
            CREATE TRIGGER order_events_no_replace BEFORE INSERT ON order_events
            WHEN EXISTS (SELECT 1 FROM order_events WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END
            """
        )
