"""Goodwill refunds in the order book: decided by two persons, carried out by the rules of refunds (`orders.goodwill`).

One is worked on under its name, as an order is under its ID. Whatever changes it has the order's row locked first, so
that all of one order are decided one after the other, and its lines stand in the order's own audit trail.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar

from sqlalchemy import Row, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.order_book import audit_trail
from adapters.order_book.decisions import EVENT, HEAD
from adapters.order_book.rows import GOODWILL, ORDERS, UnknownOrder, check_texts, order_of
from adapters.order_book.transactions import Transactions
from orders import lifecycle
from orders.clock import Clock
from orders.errors import TopUpError
from orders.goodwill import Delivered, Goodwill, Word, begin
from orders.identities import goodwill_of
from orders.paid_order import PaidOrder
from orders.state import OrderState
from orders.unmatched import NO_VEHICLE

T = TypeVar("T")

_DECIDED: Final = (
    "amount_fen",
    "asked_by",
    "asked_note",
    "asked_at",
    "approved_by",
    "approved_note",
    "approved_at",
)
_MONEY: Final = tuple(
    field.name for field in dataclasses.fields(OrderState) if field.name in GOODWILL.c and field.name != "order_id"
)
"""What of an order's state stands in the row; the rest is as it began."""
NO_PACKAGE: Final = "goodwill"


class UnknownGoodwill(TopUpError):
    """The book has no such goodwill refund that two persons have decided."""

    def __init__(self, name: str) -> None:
        order_id, _, number = name.partition("/")
        super().__init__(
            f"Order {order_id} has no goodwill refund {number} that two persons have decided: see `topup orders show "
            f"{order_id}`, and TOPUP_DATABASE_URL."
        )


class StoredGoodwill:
    """A goodwill refund as a rule sees it (`activities.ports.StoredOrder`). Holds no vehicle."""

    unreadable: Exception | None = None

    def __init__(self, goodwill: Goodwill, row: Row[Any]) -> None:
        self.goodwill = goodwill
        self._row = row

    @property
    def order_id(self) -> str:
        """Its name."""
        return self.goodwill.name

    @property
    def claimed_at(self) -> datetime:
        """When it was decided."""
        return self.goodwill.refund.claimed_at

    @property
    def state(self) -> OrderState:
        """Its money part."""
        return self.goodwill.refund

    @property
    def order(self) -> PaidOrder:
        """What was paid, for a car that nobody has to know (a person may have been erased since)."""
        return order_of(self._row, dict(NO_VEHICLE), NO_PACKAGE)

    @property
    def refund_fen(self) -> int:
        """What is given back."""
        return self.goodwill.amount_fen

    @property
    def vehicle_hash(self) -> str:
        """Of the order's car; "" where its person was erased."""
        return self._row.vehicle_hash


class GoodwillRefunds:
    """Made by `OrderBook.goodwill`. Every method raises `Unavailable` where the database is away."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transaction = transactions
        self._clock = clock

    async def of(self, order_id: str) -> list[Goodwill]:
        """Those of an order, by number, proposals too."""
        async with self._transaction(write=False) as connection:
            return await _of(connection, order_id)

    async def read(self, name: str) -> StoredGoodwill:
        """One that was decided.

        Raises:
            UnknownGoodwill: there is none of this name, or nobody has confirmed it.
        """
        async with self._transaction(write=False) as connection:
            return await _decided(connection, name, await _order_row(connection, name))

    async def unsettled(self, *, claimed_before: datetime) -> list[StoredGoodwill]:
        """Those that were decided before and have not ended. Few at any time: people decide them one by one."""
        waits = (GOODWILL.c.approved_at.is_not(None), GOODWILL.c.outcome.is_(None))
        query = select(GOODWILL).where(*waits, GOODWILL.c.approved_at < claimed_before).order_by(GOODWILL.c.order_id)
        async with self._transaction(write=False) as connection:
            rows = (await connection.execute(query)).all()
            orders = select(ORDERS).where(ORDERS.c.order_id.in_({row.order_id for row in rows}))
            by_id = {row.order_id: row for row in await connection.execute(orders)} if rows else {}
        return [StoredGoodwill(_goodwill(row), by_id[row.order_id]) for row in rows if row.order_id in by_id]

    async def ask(
        self,
        order_id: str,
        rule: Callable[[Delivered, Sequence[Goodwill], datetime], Word],
        *,
        detail: Callable[[Word], Mapping[str, Any]],
    ) -> Word:
        """Run `orders.goodwill.ask` as one compare-and-set, with its line in the order's trail.

        Raises:
            UnknownOrder: the book has no such order.
            Unstorable: an operator's text holds what no database keeps.
        """
        async with self._transaction(write=True) as connection:
            row = await _order_row(connection, order_id, lock=True)
            given = await _of(connection, order_id)
            order = Delivered(order_id, row.status, row.outcome, row.amount_fen)
            word = rule(order, given, self._clock.now())
            asked = word.goodwill
            if asked is not None and asked not in given:
                await _write(connection, asked, is_new=asked.number not in {one.number for one in given})
            if word.became != "repeated":
                await _note(connection, row, self._clock.now(), "goodwill", detail(word))
        return word

    async def decide(
        self,
        name: str,
        rule: Callable[[StoredGoodwill], tuple[OrderState, T]],
        *,
        kind: str,
        detail: Callable[[T], Mapping[str, Any]],
    ) -> T:
        """Run a rule of `orders` as one compare-and-set, with its line in the order's trail.

        Raises:
            UnknownGoodwill: as `read`.
            Unstorable: the rule made a text that no database holds.
        """
        async with self._transaction(write=True) as connection:
            row = await _order_row(connection, name, lock=True)
            before = await _decided(connection, name, row)
            state, answer = rule(before)
            lifecycle.move(before.state.status, state.status)
            said = {"goodwill": before.goodwill.number, **detail(answer)}
            if state.status != before.state.status:
                said["goodwill_status"] = state.status
            if state != before.state:
                await _write(connection, dataclasses.replace(before.goodwill, refund=state), is_new=False)
            await _note(connection, row, self._clock.now(), f"goodwill_{kind}", said)
        return answer

    async def append(self, name: str, kind: str, detail: Mapping[str, Any]) -> None:
        """One line in the order's trail."""
        async with self._transaction(write=True) as connection:
            row = await _order_row(connection, name, lock=True)
            said = {"goodwill": _number(name), **detail}
            await _note(connection, row, self._clock.now(), f"goodwill_{kind}", said)


def _number(name: str) -> int:
    found = goodwill_of(name)
    assert found is not None, "whoever asks here has looked"
    return found[1]


async def _order_row(connection: AsyncConnection, name: str, *, lock: bool = False) -> Row[Any]:
    order_id = name.partition("/")[0]
    query = select(ORDERS).where(ORDERS.c.order_id == order_id)
    row = (await connection.execute(query.with_for_update() if lock else query)).one_or_none()
    if row is None:
        raise UnknownOrder(order_id)
    return row


async def _of(connection: AsyncConnection, order_id: str) -> list[Goodwill]:
    query = select(GOODWILL).where(GOODWILL.c.order_id == order_id).order_by(GOODWILL.c.number)
    return [_goodwill(row) for row in await connection.execute(query)]


async def _decided(connection: AsyncConnection, name: str, order: Row[Any]) -> StoredGoodwill:
    mine = (GOODWILL.c.order_id == order.order_id, GOODWILL.c.number == _number(name))
    row = (await connection.execute(select(GOODWILL).where(*mine))).one_or_none()
    if row is None or row.approved_at is None:
        raise UnknownGoodwill(name)
    return StoredGoodwill(_goodwill(row), order)


async def _write(connection: AsyncConnection, goodwill: Goodwill, *, is_new: bool) -> None:
    began = begin(goodwill.order_id, goodwill.number, goodwill.refund.claimed_at)
    kept = dataclasses.replace(began, **{name: getattr(goodwill.refund, name) for name in _MONEY})
    assert kept == goodwill.refund, "a rule has changed what no goodwill refund has"
    values = {name: getattr(goodwill, name) for name in _DECIDED}
    values |= {name: getattr(goodwill.refund, name) for name in _MONEY}
    check_texts(values)
    key = {"order_id": goodwill.order_id, "number": goodwill.number}
    if is_new:
        await connection.execute(insert(GOODWILL).values(**key, **values))
        return
    mine = (GOODWILL.c.order_id == goodwill.order_id, GOODWILL.c.number == goodwill.number)
    await connection.execute(update(GOODWILL).where(*mine).values(**values))


async def _note(
    connection: AsyncConnection, order: Row[Any], now: datetime, kind: str, detail: Mapping[str, Any]
) -> None:
    line = audit_trail.line(order.trail, order.order_id, now, kind, detail)
    await connection.execute(HEAD, {"of_order": order.order_id, "head": line["hash"]})
    await connection.execute(EVENT, line)


def _goodwill(row: Row[Any]) -> Goodwill:
    began = begin(row.order_id, row.number, row.approved_at or row.asked_at)
    return Goodwill(
        order_id=row.order_id,
        number=row.number,
        refund=dataclasses.replace(began, **{name: getattr(row, name) for name in _MONEY}),
        **{name: getattr(row, name) for name in _DECIDED},
    )
