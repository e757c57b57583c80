"""What the order book and the bills know of payments and orders, page by page: each a few short, indexed reads."""

from collections import defaultdict
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Any, Final

from sqlalchemy import ColumnElement, Executable, Row, Select, and_, exists, or_, select

from adapters.order_book.rows import GOODWILL, ORDERS
from adapters.order_book.taking_in import BILL_LINES, BILLS, STATEMENT_LINES, WAIT_SECONDS
from adapters.order_book.transactions import Transactions
from orders.goodwill import GIVEN_UP, ended_elsewhere
from reconciliation.days import CARRIER, day_of, span
from reconciliation.evidence import (
    Billed,
    BilledRefund,
    BookOrder,
    GivenBack,
    KnownPayment,
    OrderEvidence,
    PaymentEvidence,
    Sale,
    Twin,
)
from reconciliation.ports import Known

PAGE: Final = 1_000
"""One statement's keys; a page is some MiB at the most, so that memory stays flat however long the day."""
_ORDER_COLUMNS: Final = (
    ORDERS.c.order_id,
    ORDERS.c.provider,
    ORDERS.c.transaction_id,
    ORDERS.c.out_trade_no,
    ORDERS.c.merchant_id,
    ORDERS.c.amount_fen,
    ORDERS.c.paid_on,
    ORDERS.c.claimed_at,
    ORDERS.c.carrier_outcome,
    ORDERS.c.outcome,
    ORDERS.c.settled_at,
    ORDERS.c.refund_sequence,
    ORDERS.c.refund_at,
    ORDERS.c.refund_confirmed_at,
    ORDERS.c.paid_another_way,
    ORDERS.c.provider_refund_id,
)
_WHOLE_BILL: Final = exists().where(
    BILLS.c.source == BILL_LINES.c.source, BILLS.c.day == BILL_LINES.c.day, BILLS.c.state == "whole"
)
_WHOLE_STATEMENT: Final = exists().where(
    BILLS.c.source == CARRIER, BILLS.c.day == STATEMENT_LINES.c.day, BILLS.c.state == "whole"
)


def book_order(row: Row[Any]) -> BookOrder:
    """An order's row as the rules see it."""
    return BookOrder(
        order_id=row.order_id,
        provider=row.provider,
        transaction_id=row.transaction_id,
        out_trade_no=row.out_trade_no,
        merchant_id=row.merchant_id,
        amount_fen=row.amount_fen,
        paid_on=row.paid_on,
        claimed_on=day_of(row.claimed_at),
        carrier_outcome=row.carrier_outcome,
        outcome=row.outcome,
        settled_on=_day(row.settled_at),
        refund_sequence=row.refund_sequence,
        refund_on=_day(row.refund_at),
        refund_confirmed_on=_day(row.refund_confirmed_at),
        paid_another_way=ended_elsewhere(row.paid_another_way, row.provider_refund_id),
    )


class Evidence:
    """Gathers what there is, without locks."""

    def __init__(self, transactions: Transactions, known: Known) -> None:
        self._transaction = partial(transactions, seconds=WAIT_SECONDS)
        self._known = known

    # --- payments ----------------------------------------------------------------------------------------------------

    async def payments(self, provider: str, day: str, extra: Sequence[str]) -> AsyncIterator[Sequence[PaymentEvidence]]:
        """Every payment of which that day's bill or the book of that day knows anything, and `extra` ones."""
        async for keys in self._of_the_bill(provider, day):
            yield await self.of_payments(provider, keys)
        async for keys in self._of_the_book(provider, day):
            yield await self.of_payments(provider, keys)
        async for known in self._known.paid_on(provider, day):
            yield await self.of_payments(provider, [one.transaction_id for one in known])
        async for page in self.some_payments(provider, extra):
            yield page

    async def some_payments(self, provider: str, keys: Sequence[str]) -> AsyncIterator[Sequence[PaymentEvidence]]:
        """These payments alone."""
        for start in range(0, len(keys), PAGE):
            yield await self.of_payments(provider, keys[start : start + PAGE])

    async def paid_on(self, provider: str, day: str) -> AsyncIterator[Sequence[PaymentEvidence]]:
        """Every payment of a day, once: the book's day before the bill's."""
        seen_known: set[str] = set()
        async for keys in self._keys(
            select(ORDERS.c.transaction_id).where(ORDERS.c.provider == provider, ORDERS.c.paid_on == day),
            ORDERS.c.transaction_id,
        ):
            yield await self.of_payments(provider, keys)
        async for known in self._known.paid_on(provider, day):
            names = dict.fromkeys(one.transaction_id for one in known if one.transaction_id not in seen_known)
            seen_known.update(names)
            page = await self.of_payments(provider, list(names))
            yield [one for one in page if one.order is None]
        async for keys in self._of_the_bill(provider, day):
            page = await self.of_payments(provider, keys)
            yield [one for one in page if one.billed is not None and not one.is_known and one.paid_on == day]

    async def of_payments(self, provider: str, keys: Sequence[str]) -> list[PaymentEvidence]:
        """What there is about these payments."""
        if not keys:
            return []
        lines = await self._rows(
            select(BILL_LINES).where(
                BILL_LINES.c.source == provider, BILL_LINES.c.transaction_id.in_(keys), _WHOLE_BILL
            )
        )
        found = await self._rows(
            select(*_ORDER_COLUMNS).where(ORDERS.c.provider == provider, ORDERS.c.transaction_id.in_(keys))
        )
        given = await self._given_back([row.order_id for row in found])
        orders = {row.transaction_id: replace(book_order(row), goodwill=tuple(given[row.order_id])) for row in found}
        known: defaultdict[str, list[KnownPayment]] = defaultdict(list)
        for one in await self._known.of(provider, keys):
            known[one.transaction_id].append(one)
        billed = {row.transaction_id: row for row in reversed(_sorted(lines, "payment"))}  # the first stays
        refunds: defaultdict[str, dict[str, BilledRefund]] = defaultdict(dict)
        for row in _sorted(lines, "refund"):
            one = BilledRefund(row.day, row.at, row.refund_number, row.amount_fen, row.ended)
            refunds[row.transaction_id].setdefault(row.refund_number, one)
        twins = await self._twins(provider, billed.values(), orders)
        return [
            PaymentEvidence(
                provider=provider,
                transaction_id=key,
                billed=None if key not in billed else _billed(billed[key]),
                refunds=tuple(refunds[key].values()) if key in refunds else (),
                order=orders.get(key),
                known=tuple(known.get(key, ())),
                twins=tuple(twins.get(key, ())),
            )
            for key in dict.fromkeys(keys)
        ]

    async def _given_back(self, order_ids: Sequence[str]) -> defaultdict[str, list[GivenBack]]:
        """The goodwill refunds of these orders that two persons have decided, by order."""
        given: defaultdict[str, list[GivenBack]] = defaultdict(list)
        mine = (GOODWILL.c.order_id.in_(order_ids), GOODWILL.c.approved_at.is_not(None))
        rows = await self._rows(select(GOODWILL).where(*mine).order_by(GOODWILL.c.number)) if order_ids else ()
        for row in rows:
            given[row.order_id].append(_given_back(row))
        return given

    async def _twins(
        self, provider: str, billed: Iterable[Row[Any]], orders: dict[str, BookOrder]
    ) -> dict[str, list[Twin]]:
        """Other transactions for one `out_trade_no`, of those that are no order."""
        mine = {row.transaction_id: row.out_trade_no for row in billed if row.transaction_id not in orders}
        if not mine:
            return {}
        numbers = list(dict.fromkeys(mine.values()))
        lines = await self._rows(
            select(BILL_LINES.c.transaction_id, BILL_LINES.c.out_trade_no, BILL_LINES.c.at).where(
                BILL_LINES.c.source == provider,
                BILL_LINES.c.out_trade_no.in_(numbers),
                BILL_LINES.c.kind == "payment",
                _WHOLE_BILL,
            )
        )
        booked = await self._rows(  # the order ID is the merchant's order number, but for adopted payments
            select(ORDERS.c.transaction_id, ORDERS.c.out_trade_no).where(
                ORDERS.c.provider == provider,
                or_(
                    and_(ORDERS.c.order_id.in_(numbers), ORDERS.c.out_trade_no == ORDERS.c.order_id),
                    ORDERS.c.transaction_id.in_([row.transaction_id for row in lines]),
                ),
            )
        )
        of_number: defaultdict[str, dict[str, Twin]] = defaultdict(dict)
        for row in lines:
            of_number[row.out_trade_no][row.transaction_id] = Twin(row.transaction_id, row.at, has_order=False)
        for row in booked:
            of_number[row.out_trade_no][row.transaction_id] = Twin(row.transaction_id, "", has_order=True)
        return {
            key: [twin for twin in of_number[number].values() if twin.transaction_id != key]
            for key, number in mine.items()
        }

    async def _of_the_bill(self, provider: str, day: str) -> AsyncIterator[list[str]]:
        query = select(BILL_LINES.c.transaction_id).distinct().where(BILL_LINES.c.source == provider)
        async for keys in self._keys(query.where(BILL_LINES.c.day == day), BILL_LINES.c.transaction_id):
            yield keys

    async def _of_the_book(self, provider: str, day: str) -> AsyncIterator[list[str]]:
        """Orders paid on that day, or refunded (or given back of) on it, that its bill doesn't hold."""
        paid = select(ORDERS.c.transaction_id).where(ORDERS.c.provider == provider, ORDERS.c.paid_on == day)
        bill = select(BILL_LINES.c.transaction_id).where(BILL_LINES.c.source == provider, BILL_LINES.c.day == day)
        async for keys in self._keys(paid, ORDERS.c.transaction_id):
            if left := await self._without(keys, bill, BILL_LINES.c.transaction_id):
                yield left
        async for rows in self._settled("refunded", day, ORDERS.c.provider == provider):
            yield [row.transaction_id for row in rows]
        begin, end = span(day)
        given_back = (
            select(ORDERS.c.transaction_id)
            .distinct()
            .join(GOODWILL, GOODWILL.c.order_id == ORDERS.c.order_id)
            .where(ORDERS.c.provider == provider, GOODWILL.c.settled_at >= begin, GOODWILL.c.settled_at < end)
        )
        async for keys in self._keys(given_back, ORDERS.c.transaction_id):
            yield keys

    # --- orders ------------------------------------------------------------------------------------------------------

    async def orders(self, day: str, extra: Sequence[str]) -> AsyncIterator[Sequence[OrderEvidence]]:
        """Every order of which that day's statement or the book of that day knows anything, and `extra` ones."""
        stated = select(STATEMENT_LINES.c.order_id).distinct().where(STATEMENT_LINES.c.day == day)
        async for keys in self._keys(stated, STATEMENT_LINES.c.order_id):
            yield await self._of_orders(keys)
        statement = select(STATEMENT_LINES.c.order_id).where(STATEMENT_LINES.c.day == day)
        async for rows in self._settled("delivered", day):
            keys = [row.order_id for row in rows]
            yield await self._of_orders(await self._without(keys, statement, STATEMENT_LINES.c.order_id))
        async for page in self.some_orders(extra):
            yield page

    async def some_orders(self, keys: Sequence[str]) -> AsyncIterator[Sequence[OrderEvidence]]:
        """These orders alone."""
        for start in range(0, len(keys), PAGE):
            yield await self._of_orders(keys[start : start + PAGE])

    async def _of_orders(self, keys: Sequence[str]) -> list[OrderEvidence]:
        if not keys:
            return []
        found = await self._rows(select(*_ORDER_COLUMNS).where(ORDERS.c.order_id.in_(keys)))
        lines = await self._rows(select(STATEMENT_LINES).where(STATEMENT_LINES.c.order_id.in_(keys), _WHOLE_STATEMENT))
        orders = {row.order_id: book_order(row) for row in found}
        sales: defaultdict[str, list[Sale]] = defaultdict(list)
        for row in lines:
            sales[row.order_id].append(Sale(row.order_id, row.carrier_order_id, row.state, row.day))
        return [
            OrderEvidence(key, orders.get(key), tuple(sales[key]) if key in sales else ())
            for key in dict.fromkeys(keys)
        ]

    async def _settled(self, outcome: str, day: str, *where: ColumnElement[bool]) -> AsyncIterator[Sequence[Row[Any]]]:
        """Orders that came to this end on a day in China."""
        begin, end = span(day)
        after: tuple[datetime, str] | None = None
        while True:
            query = (
                select(ORDERS.c.settled_at, ORDERS.c.order_id, ORDERS.c.transaction_id)
                .where(ORDERS.c.outcome == outcome, ORDERS.c.settled_at >= begin, ORDERS.c.settled_at < end, *where)
                .order_by(ORDERS.c.settled_at, ORDERS.c.order_id)
                .limit(PAGE)
            )
            if after is not None:
                moment, order_id = after
                later = and_(ORDERS.c.settled_at == moment, ORDERS.c.order_id > order_id)
                query = query.where(ORDERS.c.settled_at >= moment, or_(ORDERS.c.settled_at > moment, later))
            rows = await self._rows(query)
            if rows:
                yield rows
                after = (rows[-1].settled_at, rows[-1].order_id)
            if len(rows) < PAGE:
                return

    # --- inside ------------------------------------------------------------------------------------------------------

    async def _keys(self, query: Select[Any], column: ColumnElement[str]) -> AsyncIterator[list[str]]:
        """One column's values, a page at a time, in their order."""
        last: str | None = None
        while True:
            page = query.order_by(column).limit(PAGE)
            rows = await self._rows(page if last is None else page.where(column > last))
            if rows:
                yield [row[0] for row in rows]
                last = rows[-1][0]
            if len(rows) < PAGE:
                return

    async def _without(self, keys: Sequence[str], query: Select[Any], column: ColumnElement[str]) -> list[str]:
        """Those of the keys that the query doesn't find.

        Asked page by page, and not as one join: of a bill that was taken in a moment ago the database has no statistics
        yet, and PostgreSQL then compares every order with every line (measured: 20 000 lines ran into its limit).
        """
        found = {row[0] for row in await self._rows(query.where(column.in_(keys)))}
        return [key for key in keys if key not in found]

    async def _rows(self, query: Executable) -> Sequence[Row[Any]]:
        async with self._transaction(write=False) as connection:
            return (await connection.execute(query)).all()


def _sorted(lines: Iterable[Row[Any]], kind: str) -> list[Row[Any]]:
    return sorted((row for row in lines if row.kind == kind), key=lambda row: (row.day, row.at))


def _billed(row: Row[Any]) -> Billed:
    return Billed(day=row.day, at=row.at, out_trade_no=row.out_trade_no, amount_fen=row.amount_fen)


def _given_back(row: Row[Any]) -> GivenBack:
    elsewhere = ended_elsewhere(row.paid_another_way, row.provider_refund_id)
    return GivenBack(
        order_id=row.order_id,
        number=row.number,
        amount_fen=row.amount_fen,
        refund_sequence=row.refund_sequence,
        refund_on=_day(row.refund_at),
        refund_confirmed_on=_day(row.refund_confirmed_at),
        ended_elsewhere=elsewhere,
        given_up=elsewhere and row.paid_another_way.startswith(GIVEN_UP),
    )


def _day(moment: datetime | None) -> str | None:
    return None if moment is None else day_of(moment)
