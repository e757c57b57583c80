"""The order book's tables: one row per order ID for ever, its events (append-only), its notices per platform.

Beside them what became no order and needs a person: unmatched payments, dead letters, and how far each topic of them
was read.
"""

from datetime import UTC, datetime
from typing import Any, ClassVar, Final

from sqlalchemy import JSON, BigInteger, DateTime, Index, Integer, LargeBinary, UniqueConstraint, text
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator
from sqlmodel import Field, SQLModel


class UtcDateTime(TypeDecorator[datetime]):
    """Aware, UTC, to the microsecond, on every database (SQLite knows no time zones)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """To UTC; SQLite stores it naive."""
        if value is None:
            return None
        value = value.astimezone(UTC)
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Aware again."""
        del dialect
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


ADMISSION_COUNTS: Final = "first_pass"
"""The index's condition in the very words of the question: `first_pass IS true` reads the whole table (PostgreSQL 15
and SQLite, measured)."""


class OrderRow(SQLModel, table=True):
    """One paid order: what was paid, what may have been sent, what was heard, where it stands."""

    __tablename__: ClassVar[Any] = "orders"
    __table_args__: ClassVar[Any] = (
        UniqueConstraint("provider", "transaction_id", name="one_order_per_payment"),
        Index(
            "orders_first_pass",
            "order_id",
            sqlite_where=text(ADMISSION_COUNTS),
            postgresql_where=text(ADMISSION_COUNTS),
        ),
        Index(
            "orders_unsettled",
            "order_id",
            sqlite_where=text("outcome IS NULL"),
            postgresql_where=text("outcome IS NULL"),
        ),
        Index("orders_vehicle", "vehicle_hash"),
        Index("orders_paid_on", "provider", "paid_on", "transaction_id"),
        Index("orders_settled_at", "outcome", "settled_at", "order_id"),
        Index("orders_out_trade_no", "out_trade_no"),
        Index("orders_iccid", "iccid_hash"),
        Index("orders_msisdn", "msisdn_hash"),
        Index(
            "orders_need_operator",
            "order_id",
            sqlite_where=text("needs_operator"),
            postgresql_where=text("needs_operator"),
        ),
    )

    order_id: str = Field(primary_key=True, max_length=32)
    content_digest: bytes = Field(sa_type=LargeBinary)  # encrypted: in clear it gives a fleet's VINs to who guesses
    package_id: str = Field(max_length=64)
    amount_fen: int
    currency: str = Field(max_length=3)
    provider: str
    merchant_id: str = Field(max_length=64)
    out_trade_no: str = Field(max_length=64)
    transaction_id: str = Field(max_length=64)
    paid_at: str = Field(max_length=40)
    paid_on: str = Field(max_length=10)
    vehicle: bytes = Field(sa_type=LargeBinary)
    vehicle_hash: str = Field(max_length=32)
    iccid_hash: str = Field(max_length=32)
    msisdn_hash: str = Field(max_length=32)

    claimed_at: datetime = Field(sa_type=UtcDateTime)
    status: str = Field(max_length=16)
    first_pass: bool
    needs_operator: bool
    attention: str = Field(max_length=32)
    reason: str
    in_doubt_since: datetime | None = Field(default=None, sa_type=UtcDateTime)
    reopened_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    retry_requested_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    posts: int
    body: bytes | None = Field(default=None, sa_type=LargeBinary)
    completion_date: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_post_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    last_post_answered_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    carrier_not_before: datetime | None = Field(default=None, sa_type=UtcDateTime)
    not_found_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    cancel_reason: str = Field(max_length=32)
    resolution_note: str
    burn_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    burn_reason: str = Field(max_length=32)

    carrier_outcome: str | None = Field(default=None, max_length=16)
    carrier_code: str
    carrier_outcome_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    carrier_order_id: str
    contradicted: bool

    refund_sequence: int
    refund_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    refund_sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    refund_answered: str = Field(max_length=16)
    refund_denied: str
    refund_denied_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    paid_another_way: str
    refund_confirmed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    provider_refund_id: str

    outcome: str | None = Field(default=None, max_length=16)
    settled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    restored_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    proposal: str = Field(max_length=16)
    proposed_by: str
    proposed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    proposed_note: str
    confirmed_by: str
    confirmed_note: str
    trail: str = Field(max_length=64)


class EventRow(SQLModel, table=True):
    """One transition or external call, never changed or deleted (triggers refuse it). No personal data in clear."""

    __tablename__: ClassVar[Any] = "order_events"
    __table_args__: ClassVar[Any] = (Index("order_events_order", "order_id"),)

    id: int | None = Field(
        default=None, primary_key=True, sa_type=BigInteger().with_variant(Integer, "sqlite")
    )  # SQLite counts only an INTEGER key by itself
    order_id: str = Field(max_length=32)
    at: datetime = Field(sa_type=UtcDateTime)
    kind: str = Field(max_length=32)
    detail: dict[str, Any] = Field(sa_type=JSON)
    hash: str = Field(max_length=64)


_UNPUBLISHED: Final = text("state IN ('waiting', 'pending')")


class NoticeRow(SQLModel, table=True):
    """What became of one notice on one platform."""

    __tablename__: ClassVar[Any] = "notices"
    __table_args__: ClassVar[Any] = (
        Index("notices_unpublished", "platform", sqlite_where=_UNPUBLISHED, postgresql_where=_UNPUBLISHED),
    )

    order_id: str = Field(primary_key=True, max_length=32)
    result: str = Field(primary_key=True, max_length=16)
    platform: str = Field(primary_key=True, max_length=64)
    state: str = Field(max_length=16)
    remark: str
    at: datetime = Field(sa_type=UtcDateTime)


class BillRow(SQLModel, table=True):
    """A provider's bill or the carrier's statement (source `carrier`) of one day in China; whole once, and for ever."""

    __tablename__: ClassVar[Any] = "bills"

    source: str = Field(primary_key=True, max_length=16)
    day: str = Field(primary_key=True, max_length=10)
    state: str = Field(max_length=16)
    token: str = Field(max_length=32)
    why: str
    sha256: str = Field(max_length=64)
    size_bytes: int = Field(sa_type=BigInteger)
    lines: int
    payments_fen: int = Field(sa_type=BigInteger)
    refunds_fen: int = Field(sa_type=BigInteger)
    judged: bool
    at: datetime = Field(sa_type=UtcDateTime)


class BillLineRow(SQLModel, table=True):
    """A line of a bill; counts once the bill is whole. `ended`: how a refund ended, asked of the provider."""

    __tablename__: ClassVar[Any] = "bill_lines"
    __table_args__: ClassVar[Any] = (
        Index("bill_lines_payment", "source", "transaction_id"),
        Index("bill_lines_out_trade_no", "source", "out_trade_no"),
    )

    source: str = Field(primary_key=True, max_length=16)
    day: str = Field(primary_key=True, max_length=10)
    transaction_id: str = Field(primary_key=True, max_length=64)
    kind: str = Field(primary_key=True, max_length=8)
    refund_number: str = Field(primary_key=True, max_length=96)
    out_trade_no: str = Field(max_length=64)
    amount_fen: int = Field(sa_type=BigInteger)
    at: str = Field(max_length=19)
    ended: str = Field(max_length=8)


class StatementLineRow(SQLModel, table=True):
    """An order in a final state at the carrier; counts once the day's statement is whole."""

    __tablename__: ClassVar[Any] = "statement_lines"
    __table_args__: ClassVar[Any] = (Index("statement_lines_order", "order_id"),)

    day: str = Field(primary_key=True, max_length=10)
    order_id: str = Field(primary_key=True, max_length=64)
    carrier_order_id: str = Field(primary_key=True, max_length=128)
    state: str = Field(max_length=16)


class DifferenceRow(SQLModel, table=True):
    """A difference of money, by its subject, and how it was closed (contracts §10)."""

    __tablename__: ClassVar[Any] = "differences"
    __table_args__: ClassVar[Any] = (
        Index("differences_day", "day", "source"),
        Index("differences_payment", "source", "transaction_id"),
        Index("differences_open", "day", sqlite_where=text("state = 'open'"), postgresql_where=text("state = 'open'")),
    )

    id: str = Field(primary_key=True, max_length=256)
    kind: str = Field(max_length=32)
    source: str = Field(max_length=16)
    day: str = Field(max_length=10)
    why: str
    transaction_id: str = Field(max_length=64)
    order_id: str = Field(max_length=64)
    book_fen: int | None = Field(default=None, sa_type=BigInteger)
    outside_fen: int | None = Field(default=None, sa_type=BigInteger)
    state: str = Field(max_length=16)
    put_as: str = Field(max_length=16)
    first_seen: datetime = Field(sa_type=UtcDateTime)
    opened_at: datetime = Field(sa_type=UtcDateTime)
    closed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    operator: str
    note: str
    proposal: str = Field(default="", max_length=128)
    proposed_by: str = ""
    proposed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    proposed_note: str = ""
    confirmed_by: str = ""
    confirmed_note: str = ""


_OPEN: Final = text("ending = ''")


class UnmatchedPaymentRow(SQLModel, table=True):
    """A genuine payment that became no order by itself: once per payment, for ever, and how a person has ended it."""

    __tablename__: ClassVar[Any] = "unmatched_payments"
    __table_args__: ClassVar[Any] = (
        Index(
            "unmatched_payments_open", "kept_at", sqlite_where=text("ending = ''"), postgresql_where=text("ending = ''")
        ),
        Index("unmatched_payments_out_trade_no", "out_trade_no"),
        Index("unmatched_payments_paid_on", "provider", "paid_on", "transaction_id"),
    )

    provider: str = Field(primary_key=True, max_length=16)
    transaction_id: str = Field(primary_key=True, max_length=64)
    order_id: str = Field(max_length=32)
    merchant_id: str
    out_trade_no: str
    amount_fen: int = Field(sa_type=BigInteger)
    currency: str
    paid_at: str = Field(max_length=40)
    paid_on: str = Field(max_length=10)
    reason: str = Field(max_length=16)
    kept_at: datetime = Field(sa_type=UtcDateTime)
    partition: int
    offset: int = Field(sa_type=BigInteger)
    record_value: bytes = Field(sa_type=LargeBinary)
    record_mac: bytes | None = Field(default=None, sa_type=LargeBinary)

    ending: str = Field(max_length=16)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_by: str
    ended_note: str

    proposal: str = Field(max_length=64)
    proposed_by: str
    proposed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    proposed_note: str
    confirmed_by: str
    confirmed_note: str


class DeadLetterRow(SQLModel, table=True):
    """A record that became no order, by where it came from, and how a person has ended it. Its bytes stay in Kafka."""

    __tablename__: ClassVar[Any] = "dead_letters"
    __table_args__: ClassVar[Any] = (
        Index("dead_letters_open", "kept_at", sqlite_where=_OPEN, postgresql_where=_OPEN),
        Index("dead_letters_payment", "provider", "transaction_id"),
        Index("dead_letters_paid_on", "provider", "paid_on", "transaction_id"),
    )

    topic: str = Field(primary_key=True)
    partition: int = Field(primary_key=True)
    offset: int = Field(primary_key=True, sa_type=BigInteger)
    timestamp_ms: int = Field(primary_key=True, sa_type=BigInteger)
    place: str = Field(max_length=32)
    reason: str
    error: str
    dead_at: str
    kept_at: datetime = Field(sa_type=UtcDateTime)
    order_id: str = Field(max_length=32)
    provider: str = Field(max_length=16)
    transaction_id: str = Field(max_length=64)
    amount_fen: int = Field(sa_type=BigInteger)
    paid_on: str = Field(max_length=10)

    ending: str = Field(max_length=16)
    ended_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    ended_by: str
    ended_note: str

    proposal: str = Field(max_length=64)
    proposed_by: str
    proposed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    proposed_note: str
    confirmed_by: str
    confirmed_note: str


class ReadPositionRow(SQLModel, table=True):
    """How far a topic was read into the two tables above; changed with them, so that nothing is missed or skipped."""

    __tablename__: ClassVar[Any] = "read_positions"

    topic: str = Field(primary_key=True)
    partition: int = Field(primary_key=True)
    topic_id: str
    next_offset: int = Field(sa_type=BigInteger)


class DutyRow(SQLModel, table=True):
    """What one process at a time does for all, and until when which one has it."""

    __tablename__: ClassVar[Any] = "duties"

    name: str = Field(primary_key=True, max_length=32)
    holder: str
    until: datetime = Field(sa_type=UtcDateTime)


_TOLD_PARKED: Final = text("attention <> ''")


class PushRow(SQLModel, table=True):
    """What a push has last said of an order (or goodwill refund) that needed a person: its `attention`, `""`: freed."""

    __tablename__: ClassVar[Any] = "pushes"
    __table_args__: ClassVar[Any] = (
        Index("pushes_parked", "order_id", sqlite_where=_TOLD_PARKED, postgresql_where=_TOLD_PARKED),
    )

    order_id: str = Field(primary_key=True, max_length=40)
    attention: str = Field(max_length=32)
    at: datetime = Field(sa_type=UtcDateTime)


_NOT_RELEASED: Final = text("released_at IS NULL")


class HoldRow(SQLModel, table=True):
    """One operator's hold of carrier or provider, and who has ended it; kept for ever."""

    __tablename__: ClassVar[Any] = "holds"
    __table_args__: ClassVar[Any] = (
        Index("holds_not_released", "part", sqlite_where=_NOT_RELEASED, postgresql_where=_NOT_RELEASED),
    )

    id: int | None = Field(default=None, primary_key=True, sa_type=BigInteger().with_variant(Integer, "sqlite"))
    part: str = Field(max_length=16)
    held_at: datetime = Field(sa_type=UtcDateTime)
    held_by: str
    note: str
    until: datetime | None = Field(default=None, sa_type=UtcDateTime)
    released_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    released_by: str
    released_note: str


class CallSlotRow(SQLModel, table=True):
    """From when on the next call to a limited part may leave: Unix time in microseconds, by the database's clock."""

    __tablename__: ClassVar[Any] = "call_slots"

    part: str = Field(primary_key=True, max_length=16)
    next_at_us: int = Field(sa_type=BigInteger)


_NOT_ENDED: Final = text("approved_at IS NOT NULL AND outcome IS NULL")


class GoodwillRow(SQLModel, table=True):
    """A goodwill refund of a delivered order: who has decided it, and its money part as an order's row has it."""

    __tablename__: ClassVar[Any] = "goodwill_refunds"
    __table_args__: ClassVar[Any] = (
        Index("goodwill_refunds_not_ended", "order_id", sqlite_where=_NOT_ENDED, postgresql_where=_NOT_ENDED),
        Index("goodwill_refunds_settled_at", "settled_at"),
    )

    order_id: str = Field(primary_key=True, max_length=32)
    number: int = Field(primary_key=True)
    amount_fen: int
    asked_by: str
    asked_note: str
    asked_at: datetime = Field(sa_type=UtcDateTime)
    approved_by: str
    approved_note: str
    approved_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    attention: str = Field(max_length=32)
    reason: str
    reopened_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    retry_requested_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    refund_sequence: int
    refund_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    refund_sent_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    refund_answered: str = Field(max_length=16)
    refund_denied: str
    refund_denied_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    paid_another_way: str
    refund_confirmed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    provider_refund_id: str

    outcome: str | None = Field(default=None, max_length=16)
    settled_at: datetime | None = Field(default=None, sa_type=UtcDateTime)

    proposal: str = Field(max_length=16)
    proposed_by: str
    proposed_at: datetime | None = Field(default=None, sa_type=UtcDateTime)
    proposed_note: str
    confirmed_by: str
    confirmed_note: str
