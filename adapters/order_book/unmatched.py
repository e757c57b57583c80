"""Unmatched payments in the order book: kept once per payment, ended once by a person (`orders.unmatched`).

A refund is an order that begins with its refusal, inserted in the transaction that ends the payment: the order book has
one order per payment and per order ID, so that it and the order of an adoption exclude each other.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Row, and_, exists, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.order_book import audit_trail
from adapters.order_book.claims import order_values
from adapters.order_book.decisions import EVENT
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.rows import ENDING, NOT_ENDED, ORDERS, UNMATCHED, check_texts
from adapters.order_book.transactions import Transactions
from orders.clock import Clock
from orders.errors import TopUpError
from orders.paid_order import day_in_china
from orders.unmatched import UnmatchedPayment, UnmatchedState, begin_refunded, parse_unmatched

T = TypeVar("T")

_OF_THIS_PAYMENT: Final = and_(
    ORDERS.c.provider == UNMATCHED.c.provider, ORDERS.c.transaction_id == UNMATCHED.c.transaction_id
)
HAS_ORDER: Final = exists().where(_OF_THIS_PAYMENT)
IS_OPEN: Final = and_(UNMATCHED.c.ending.in_(("", "adopted")), ~HAS_ORDER)
"""As `UnmatchedState.is_open` says it."""

SignedBy = Callable[[UnmatchedPayment, bytes, bytes | None], bool]
"""Whether somebody who has a key wrote a record (its value, its `topup-mac`); True where no key is configured."""


@dataclass(frozen=True, slots=True)
class UnmatchedRecord:
    """A record of the topic of unmatched payments. `mac`: only where it holds, or where nobody here can tell."""

    payment: UnmatchedPayment
    value: bytes
    mac: bytes | None
    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class StoredUnmatched:
    """An unmatched payment as the book has it."""

    state: UnmatchedState
    kept_at: datetime
    partition: int
    offset: int


class UnknownPayment(TopUpError):
    """The book has no such unmatched payment."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"The order book has no unmatched payment {name}: `topup payments list --all` shows them; one that came a "
            "moment ago is kept as soon as a bridge has read it."
        )


def _whoever(payment: UnmatchedPayment, value: bytes, mac: bytes | None) -> bool:
    """Where nothing rests on it."""
    del payment, value, mac
    return True


class UnmatchedPayments:
    """Made by `OrderBook.unmatched`. Every method raises `Unavailable` where the database is away."""

    def __init__(self, transaction: Transactions, cipher: FieldCipher, clock: Clock) -> None:
        self._transaction = transaction
        self._cipher = cipher
        self._clock = clock
        insert = (sqlite if transaction.sqlite else postgresql).insert(UNMATCHED)
        proven = insert.excluded
        self._keep = insert.on_conflict_do_update(
            index_elements=["provider", "transaction_id"],
            set_={
                name: proven[name]
                for name in (
                    *(
                        "order_id",
                        "merchant_id",
                        "out_trade_no",
                        "amount_fen",
                        "currency",
                        "paid_at",
                        "paid_on",
                        "reason",
                    ),
                    *("partition", "offset", "record_value", "record_mac"),
                    *("ending", "proposal", "proposed_at"),
                )
            },
            # What somebody ended without a proof may have been forged to hide this one: it is open again, and what was
            # proposed for that one is none of this one's.
            where=and_(
                UNMATCHED.c.ending.in_(("", "settled")),
                UNMATCHED.c.record_mac.is_(None),
                proven.record_mac.is_not(None),
            ),
        )
        self._insert_order = (sqlite if transaction.sqlite else postgresql).insert(ORDERS).on_conflict_do_nothing()

    async def keep(self, connection: AsyncConnection, record: UnmatchedRecord) -> None:
        """Keep it in this transaction; its repeats are one. What was signed stands above what was not."""
        payment = record.payment
        values = payment.model_dump(mode="json", by_alias=False, exclude={"schema_"})
        check_texts(values)
        await connection.execute(
            self._keep,
            {
                **values,
                "order_id": payment.order_id,
                "paid_on": day_in_china(payment.paid_at),
                "kept_at": self._clock.now(),
                "partition": record.partition,
                "offset": record.offset,
                "record_value": record.value,
                "record_mac": record.mac,
                **NOT_ENDED,
            },
        )

    async def listed(self, signed: SignedBy, *, open_only: bool = True, limit: int = 100_000) -> list[StoredUnmatched]:
        """The oldest first."""
        query = _with_orders().order_by(UNMATCHED.c.kept_at).limit(limit)
        async with self._transaction(write=False) as connection:
            rows = await connection.execute(query.where(IS_OPEN) if open_only else query)
            return [_stored(row, signed) for row in rows]

    async def of(self, reference: str, signed: SignedBy = _whoever) -> list[StoredUnmatched]:
        """Those with this transaction or merchant's order number."""
        query = _with_orders().where(
            or_(UNMATCHED.c.transaction_id == reference, UNMATCHED.c.out_trade_no == reference)
        )
        async with self._transaction(write=False) as connection:
            return [_stored(row, signed) for row in await connection.execute(query)]

    async def read(self, provider: str, transaction_id: str, signed: SignedBy) -> StoredUnmatched:
        """One of them.

        Raises:
            UnknownPayment: there is none.
        """
        async with self._transaction(write=False) as connection:
            return _stored(await self._row(connection, provider, transaction_id), signed)

    async def decide(
        self,
        provider: str,
        transaction_id: str,
        signed: SignedBy,
        rule: Callable[[UnmatchedState, datetime], tuple[UnmatchedState, T]],
        *,
        kind: str,
        detail: Callable[[T], dict[str, Any]],
    ) -> tuple[UnmatchedState, T]:
        """Run a rule of `orders.unmatched` as one compare-and-set.

        Where it ends in a refund, the order that is only to be paid back is inserted with it, and a line of this kind
        stands in its trail; what ends otherwise has no order, and who ended it stands in the payment's own row.

        Raises:
            UnknownPayment: there is none.
            Unstorable: an operator's text holds what no database keeps.
        """
        async with self._transaction(write=True) as connection:
            before = _stored(await self._row(connection, provider, transaction_id, lock=True), signed).state
            now = self._clock.now()
            after, answer = rule(before, now)
            if after != before:
                values = {name: getattr(after, name) for name in ENDING}
                check_texts(values)
                mine = and_(UNMATCHED.c.provider == provider, UNMATCHED.c.transaction_id == transaction_id)
                await connection.execute(update(UNMATCHED).where(mine).values(**values))
            if after.ending == "refund" and before.ending != "refund":
                await self._insert_refund(connection, after, now, (kind, detail(answer)))
        return after, answer

    async def _insert_refund(
        self, connection: AsyncConnection, state: UnmatchedState, now: datetime, said: tuple[str, dict[str, Any]]
    ) -> None:
        order = state.payment.without_delivery()
        assert order is not None, "`orders.unmatched.refund` has looked"
        begun = begin_refunded(order, now)
        claimed = {"status": begun.status, "why": "unmatched payment, to be paid back"}
        first = audit_trail.line(audit_trail.BEGINNING, order.order_id, now, "claimed", claimed)
        second = audit_trail.line(first["hash"], order.order_id, now, *said)
        values = order_values(order, begun, self._cipher, claimed) | {"trail": second["hash"]}
        done = await connection.execute(self._insert_order.returning(ORDERS.c.order_id), values)
        if done.first() is None:  # somebody claimed an order of this payment, or of this number, since the look
            raise TopUpError(f"{state.payment.name} has just become an order: look again with `topup payments show`.")
        await connection.execute(EVENT, [first, second])

    async def _row(
        self, connection: AsyncConnection, provider: str, transaction_id: str, *, lock: bool = False
    ) -> Row[Any]:
        mine = and_(UNMATCHED.c.provider == provider, UNMATCHED.c.transaction_id == transaction_id)
        if lock:  # apart: the other query's subqueries take no lock
            await connection.execute(select(UNMATCHED.c.provider).where(mine).with_for_update())
        row = (await connection.execute(_with_orders().where(mine))).first()
        if row is None:
            raise UnknownPayment(f"{provider}:{transaction_id}")
        return row


def count_open() -> Any:
    """How many are open."""
    return select(func.count()).select_from(UNMATCHED).where(IS_OPEN)


def _with_orders() -> Any:
    its_order = select(ORDERS.c.order_id).where(_OF_THIS_PAYMENT).scalar_subquery()
    another = exists().where(ORDERS.c.order_id == UNMATCHED.c.order_id, ~_OF_THIS_PAYMENT)
    return select(UNMATCHED, its_order.label("its_order"), another.label("taken"))


def _stored(row: Row[Any], signed: SignedBy) -> StoredUnmatched:
    payment = parse_unmatched(None, row.record_value)
    state = UnmatchedState(
        payment=payment,
        signed=signed(payment, row.record_value, row.record_mac),
        order_id=row.its_order or "",
        taken=bool(row.taken),
        **{name: getattr(row, name) for name in ENDING},
    )
    return StoredUnmatched(state, row.kept_at, row.partition, row.offset)
