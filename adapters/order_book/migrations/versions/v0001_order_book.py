"""The order book, its events and notices, and what became no order.

Revision ID: 0001
"""

from typing import Any

import sqlalchemy as sa
from alembic import op

from adapters.order_book.tables import UtcDateTime

revision = "0001"
down_revision = None


def upgrade() -> None:
    """Create the tables; refuse changes of the audit trail in the database itself."""
    op.create_table(
        "notices",
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("result", sa.String(length=16), nullable=False),
        sa.Column("platform", sa.String(length=64), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("remark", sa.String(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "result", "platform"),
    )
    op.create_table(
        "order_events",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("detail", sa.JSON(), nullable=False),
        sa.Column("hash", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("order_events_order", "order_events", ["order_id"], unique=False)
    op.create_table(
        "orders",
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("content_digest", sa.LargeBinary(), nullable=False),
        sa.Column("package_id", sa.String(length=64), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("currency", sa.String(length=3), nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("merchant_id", sa.String(length=64), nullable=False),
        sa.Column("out_trade_no", sa.String(length=64), nullable=False),
        sa.Column("transaction_id", sa.String(length=64), nullable=False),
        sa.Column("paid_at", sa.String(length=40), nullable=False),
        sa.Column("paid_on", sa.String(length=10), nullable=False),
        sa.Column("vehicle", sa.LargeBinary(), nullable=False),
        sa.Column("vehicle_hash", sa.String(length=32), nullable=False),
        sa.Column("iccid_hash", sa.String(length=32), nullable=False),
        sa.Column("msisdn_hash", sa.String(length=32), nullable=False),
        sa.Column("claimed_at", UtcDateTime(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("first_pass", sa.Boolean(), nullable=False),
        sa.Column("needs_operator", sa.Boolean(), nullable=False),
        sa.Column("attention", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("in_doubt_since", UtcDateTime(), nullable=True),
        sa.Column("reopened_at", UtcDateTime(), nullable=True),
        sa.Column("retry_requested_at", UtcDateTime(), nullable=True),
        sa.Column("posts", sa.Integer(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=True),
        sa.Column("completion_date", UtcDateTime(), nullable=True),
        sa.Column("last_post_at", UtcDateTime(), nullable=True),
        sa.Column("last_post_answered_at", UtcDateTime(), nullable=True),
        sa.Column("carrier_not_before", UtcDateTime(), nullable=True),
        sa.Column("not_found_at", UtcDateTime(), nullable=True),
        sa.Column("cancel_reason", sa.String(length=32), nullable=False),
        sa.Column("resolution_note", sa.String(), nullable=False),
        sa.Column("burn_at", UtcDateTime(), nullable=True),
        sa.Column("burn_reason", sa.String(length=32), nullable=False),
        sa.Column("carrier_outcome", sa.String(length=16), nullable=True),
        sa.Column("carrier_code", sa.String(), nullable=False),
        sa.Column("carrier_outcome_at", UtcDateTime(), nullable=True),
        sa.Column("carrier_order_id", sa.String(), nullable=False),
        sa.Column("contradicted", sa.Boolean(), nullable=False),
        sa.Column("refund_sequence", sa.Integer(), nullable=False),
        sa.Column("refund_at", UtcDateTime(), nullable=True),
        sa.Column("refund_sent_at", UtcDateTime(), nullable=True),
        sa.Column("refund_answered", sa.String(length=16), nullable=False),
        sa.Column("refund_denied", sa.String(), nullable=False),
        sa.Column("refund_denied_at", UtcDateTime(), nullable=True),
        sa.Column("paid_another_way", sa.String(), nullable=False),
        sa.Column("refund_confirmed_at", UtcDateTime(), nullable=True),
        sa.Column("provider_refund_id", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.Column("restored_at", UtcDateTime(), nullable=True),
        sa.Column("proposal", sa.String(length=16), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("proposed_at", UtcDateTime(), nullable=True),
        sa.Column("proposed_note", sa.String(), nullable=False),
        sa.Column("confirmed_by", sa.String(), nullable=False),
        sa.Column("confirmed_note", sa.String(), nullable=False),
        sa.Column("trail", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("order_id"),
        sa.UniqueConstraint("provider", "transaction_id", name="one_order_per_payment"),
    )
    op.create_index(
        "orders_first_pass",
        "orders",
        ["order_id"],
        unique=False,
        sqlite_where=sa.text("first_pass"),
        postgresql_where=sa.text("first_pass"),
    )
    op.create_index(
        "orders_unsettled",
        "orders",
        ["order_id"],
        unique=False,
        sqlite_where=sa.text("outcome IS NULL"),
        postgresql_where=sa.text("outcome IS NULL"),
    )
    op.create_index("orders_vehicle", "orders", ["vehicle_hash"], unique=False)
    op.create_index("orders_paid_on", "orders", ["provider", "paid_on", "transaction_id"], unique=False)
    op.create_index("orders_settled_at", "orders", ["outcome", "settled_at", "order_id"], unique=False)
    op.create_index("orders_out_trade_no", "orders", ["out_trade_no"], unique=False)
    op.create_index("orders_iccid", "orders", ["iccid_hash"], unique=False)
    op.create_index("orders_msisdn", "orders", ["msisdn_hash"], unique=False)
    _append_only()
    _reconciliation()
    _what_became_no_order()
    _watched()
    _held()
    _goodwill()


def _reconciliation() -> None:
    """Bills and statements taken in, and the differences found (contracts §10)."""
    op.create_table(
        "bills",
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("token", sa.String(length=32), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("lines", sa.Integer(), nullable=False),
        sa.Column("payments_fen", sa.BigInteger(), nullable=False),
        sa.Column("refunds_fen", sa.BigInteger(), nullable=False),
        sa.Column("judged", sa.Boolean(), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("source", "day"),
    )
    op.create_table(
        "bill_lines",
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("transaction_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=8), nullable=False),
        sa.Column("refund_number", sa.String(length=96), nullable=False),
        sa.Column("out_trade_no", sa.String(length=64), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.String(length=19), nullable=False),
        sa.Column("ended", sa.String(length=8), nullable=False),
        sa.PrimaryKeyConstraint("source", "day", "transaction_id", "kind", "refund_number"),
    )
    op.create_index("bill_lines_payment", "bill_lines", ["source", "transaction_id"], unique=False)
    op.create_index("bill_lines_out_trade_no", "bill_lines", ["source", "out_trade_no"], unique=False)
    op.create_table(
        "statement_lines",
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("carrier_order_id", sa.String(length=128), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.PrimaryKeyConstraint("day", "order_id", "carrier_order_id"),
    )
    op.create_index("statement_lines_order", "statement_lines", ["order_id"], unique=False)
    op.create_table(
        "differences",
        sa.Column("id", sa.String(length=256), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("source", sa.String(length=16), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("why", sa.String(), nullable=False),
        sa.Column("transaction_id", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=64), nullable=False),
        sa.Column("book_fen", sa.BigInteger(), nullable=True),
        sa.Column("outside_fen", sa.BigInteger(), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("put_as", sa.String(length=16), nullable=False),
        sa.Column("first_seen", UtcDateTime(), nullable=False),
        sa.Column("opened_at", UtcDateTime(), nullable=False),
        sa.Column("closed_at", UtcDateTime(), nullable=True),
        sa.Column("operator", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("proposal", sa.String(length=128), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("proposed_at", UtcDateTime(), nullable=True),
        sa.Column("proposed_note", sa.String(), nullable=False),
        sa.Column("confirmed_by", sa.String(), nullable=False),
        sa.Column("confirmed_note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("differences_day", "differences", ["day", "source"], unique=False)
    op.create_index("differences_payment", "differences", ["source", "transaction_id"], unique=False)
    op.create_index(
        "differences_open",
        "differences",
        ["day"],
        unique=False,
        sqlite_where=sa.text("state = 'open'"),
        postgresql_where=sa.text("state = 'open'"),
    )


def _what_became_no_order() -> None:
    op.create_table(
        "unmatched_payments",
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("transaction_id", sa.String(length=64), nullable=False),
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("merchant_id", sa.String(), nullable=False),
        sa.Column("out_trade_no", sa.String(), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("currency", sa.String(), nullable=False),
        sa.Column("paid_at", sa.String(length=40), nullable=False),
        sa.Column("paid_on", sa.String(length=10), nullable=False),
        sa.Column("reason", sa.String(length=16), nullable=False),
        sa.Column("kept_at", UtcDateTime(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("record_value", sa.LargeBinary(), nullable=False),
        sa.Column("record_mac", sa.LargeBinary(), nullable=True),
        *_ending(),
        sa.PrimaryKeyConstraint("provider", "transaction_id"),
    )
    op.create_index("unmatched_payments_out_trade_no", "unmatched_payments", ["out_trade_no"], unique=False)
    op.create_table(
        "dead_letters",
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("offset", sa.BigInteger(), nullable=False),
        sa.Column("timestamp_ms", sa.BigInteger(), nullable=False),
        sa.Column("place", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("error", sa.String(), nullable=False),
        sa.Column("dead_at", sa.String(), nullable=False),
        sa.Column("kept_at", UtcDateTime(), nullable=False),
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("provider", sa.String(length=16), nullable=False),
        sa.Column("transaction_id", sa.String(length=64), nullable=False),
        sa.Column("amount_fen", sa.BigInteger(), nullable=False),
        sa.Column("paid_on", sa.String(length=10), nullable=False),
        *_ending(),
        sa.PrimaryKeyConstraint("topic", "partition", "offset", "timestamp_ms"),
    )
    op.create_index("dead_letters_payment", "dead_letters", ["provider", "transaction_id"], unique=False)
    for table in ("unmatched_payments", "dead_letters"):
        op.create_index(f"{table}_paid_on", table, ["provider", "paid_on", "transaction_id"], unique=False)
    for table in ("unmatched_payments", "dead_letters"):
        is_open = sa.text("ending = ''")
        op.create_index(f"{table}_open", table, ["kept_at"], sqlite_where=is_open, postgresql_where=is_open)
    op.create_table(
        "read_positions",
        sa.Column("topic", sa.String(), nullable=False),
        sa.Column("partition", sa.Integer(), nullable=False),
        sa.Column("topic_id", sa.String(), nullable=False),
        sa.Column("next_offset", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("topic", "partition"),
    )


def _ending() -> list[sa.Column[Any]]:
    return [
        sa.Column("ending", sa.String(length=16), nullable=False),
        sa.Column("ended_at", UtcDateTime(), nullable=True),
        sa.Column("ended_by", sa.String(), nullable=False),
        sa.Column("ended_note", sa.String(), nullable=False),
        sa.Column("proposal", sa.String(length=64), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("proposed_at", UtcDateTime(), nullable=True),
        sa.Column("proposed_note", sa.String(), nullable=False),
        sa.Column("confirmed_by", sa.String(), nullable=False),
        sa.Column("confirmed_note", sa.String(), nullable=False),
    ]


def _watched() -> None:
    """Who looks at what waits, what was pushed to whom, and the indexes that make looking cheap."""
    unpublished, parked = sa.text("state IN ('waiting', 'pending')"), sa.text("needs_operator")
    op.create_index(
        "notices_unpublished", "notices", ["platform"], sqlite_where=unpublished, postgresql_where=unpublished
    )
    op.create_index("orders_need_operator", "orders", ["order_id"], sqlite_where=parked, postgresql_where=parked)
    op.create_table(
        "duties",
        sa.Column("name", sa.String(length=32), nullable=False),
        sa.Column("holder", sa.String(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("name"),
    )
    op.create_table(
        "pushes",
        sa.Column("order_id", sa.String(length=40), nullable=False),
        sa.Column("attention", sa.String(length=32), nullable=False),
        sa.Column("at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("order_id"),
    )
    told_parked = sa.text("attention <> ''")
    op.create_index("pushes_parked", "pushes", ["order_id"], sqlite_where=told_parked, postgresql_where=told_parked)


def _append_only() -> None:
    """Refuse changes of the audit trail: also TRUNCATE, and SQLite's INSERT OR REPLACE, which fire no row trigger."""
    if op.get_bind().dialect.name == "postgresql":
        op.execute(
            """
            CREATE FUNCTION order_events_are_append_only() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN RAISE EXCEPTION 'order_events is append-only'; END $$
            """
        )
        op.execute(
            """
            CREATE TRIGGER order_events_append_only BEFORE UPDATE OR DELETE ON order_events
            FOR EACH STATEMENT EXECUTE FUNCTION order_events_are_append_only()
            """
        )
        op.execute(
            """
            CREATE TRIGGER order_events_no_truncate BEFORE TRUNCATE ON order_events
            FOR EACH STATEMENT EXECUTE FUNCTION order_events_are_append_only()
            """
        )
    else:
        for verb in ("UPDATE", "DELETE"):
            op.execute(
                f"""
                CREATE TRIGGER order_events_no_{verb.lower()} BEFORE {verb} ON order_events
                BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END
                """
            )
        op.execute(
            """
            CREATE TRIGGER order_events_no_replace BEFORE INSERT ON order_events
            WHEN EXISTS (SELECT 1 FROM order_events WHERE id = NEW.id)
            BEGIN SELECT RAISE(ABORT, 'order_events is append-only'); END
            """
        )


def _held() -> None:
    """What operators keep the orders away from, and from when on the next call to a limited part may leave."""
    op.create_table(
        "holds",
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("held_at", UtcDateTime(), nullable=False),
        sa.Column("held_by", sa.String(), nullable=False),
        sa.Column("note", sa.String(), nullable=False),
        sa.Column("until", UtcDateTime(), nullable=True),
        sa.Column("released_at", UtcDateTime(), nullable=True),
        sa.Column("released_by", sa.String(), nullable=False),
        sa.Column("released_note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    not_released = sa.text("released_at IS NULL")
    op.create_index("holds_not_released", "holds", ["part"], sqlite_where=not_released, postgresql_where=not_released)
    op.create_table(
        "call_slots",
        sa.Column("part", sa.String(length=16), nullable=False),
        sa.Column("next_at_us", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("part"),
    )


def _goodwill() -> None:
    """Goodwill refunds of delivered orders, for ever."""
    op.create_table(
        "goodwill_refunds",
        sa.Column("order_id", sa.String(length=32), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("amount_fen", sa.Integer(), nullable=False),
        sa.Column("asked_by", sa.String(), nullable=False),
        sa.Column("asked_note", sa.String(), nullable=False),
        sa.Column("asked_at", UtcDateTime(), nullable=False),
        sa.Column("approved_by", sa.String(), nullable=False),
        sa.Column("approved_note", sa.String(), nullable=False),
        sa.Column("approved_at", UtcDateTime(), nullable=True),
        sa.Column("attention", sa.String(length=32), nullable=False),
        sa.Column("reason", sa.String(), nullable=False),
        sa.Column("reopened_at", UtcDateTime(), nullable=True),
        sa.Column("retry_requested_at", UtcDateTime(), nullable=True),
        sa.Column("refund_sequence", sa.Integer(), nullable=False),
        sa.Column("refund_at", UtcDateTime(), nullable=True),
        sa.Column("refund_sent_at", UtcDateTime(), nullable=True),
        sa.Column("refund_answered", sa.String(length=16), nullable=False),
        sa.Column("refund_denied", sa.String(), nullable=False),
        sa.Column("refund_denied_at", UtcDateTime(), nullable=True),
        sa.Column("paid_another_way", sa.String(), nullable=False),
        sa.Column("refund_confirmed_at", UtcDateTime(), nullable=True),
        sa.Column("provider_refund_id", sa.String(), nullable=False),
        sa.Column("outcome", sa.String(length=16), nullable=True),
        sa.Column("settled_at", UtcDateTime(), nullable=True),
        sa.Column("proposal", sa.String(length=16), nullable=False),
        sa.Column("proposed_by", sa.String(), nullable=False),
        sa.Column("proposed_at", UtcDateTime(), nullable=True),
        sa.Column("proposed_note", sa.String(), nullable=False),
        sa.Column("confirmed_by", sa.String(), nullable=False),
        sa.Column("confirmed_note", sa.String(), nullable=False),
        sa.PrimaryKeyConstraint("order_id", "number"),
    )
    not_ended = sa.text("approved_at IS NOT NULL AND outcome IS NULL")
    op.create_index(
        "goodwill_refunds_not_ended",
        "goodwill_refunds",
        ["order_id"],
        sqlite_where=not_ended,
        postgresql_where=not_ended,
    )
    op.create_index("goodwill_refunds_settled_at", "goodwill_refunds", ["settled_at"])
