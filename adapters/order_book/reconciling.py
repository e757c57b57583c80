"""The order book as reconciliation uses it (`reconciliation.ports.Books`)."""

import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Any, Final

from sqlalchemy import Executable, Row, and_, bindparam, func, or_, select, update

from adapters.order_book import tables
from adapters.order_book.evidence import PAGE, Evidence
from adapters.order_book.rows import ORDERS, check_texts
from adapters.order_book.taking_in import BILL_LINES, TakingIn
from adapters.order_book.taking_in import BILLS as TAKEN_IN
from adapters.order_book.transactions import Transactions
from orders.clock import Clock
from orders.errors import TopUpError
from reconciliation.days import CARRIER, after, from_to
from reconciliation.differences import Difference, Kind, resolve, resolve_by_two
from reconciliation.evidence import FINAL_ENDS, BilledRefund, OrderEvidence, PaymentEvidence, RefundEnd
from reconciliation.ports import Known

DIFFERENCES: Final = tables.SQLModel.metadata.tables["differences"]
LONGEST_DAYS: Final = 90
"""WeChat Pay keeps its bills for three months."""
_COLUMNS: Final = tuple(field.name for field in dataclasses.fields(Difference))
_PROPOSED: Final = ("proposal", "proposed_by", "proposed_at", "proposed_note", "confirmed_by", "confirmed_note")
_BY_A_PERSON: Final = ("state", "operator", "note", "closed_at", *_PROPOSED)


class UnknownDifference(TopUpError):
    """The book has no such difference."""


class ReconciliationBook(TakingIn):
    """Bills, statements, what is known beside them, and the differences found."""

    def __init__(self, transactions: Transactions, clock: Clock, known: Known) -> None:
        super().__init__(transactions, clock)
        self._evidence = Evidence(transactions, known)

    # --- how refunds ended -------------------------------------------------------------------------------------------

    async def unended_refunds(self, source: str, day: str) -> AsyncIterator[Sequence[tuple[str, BilledRefund]]]:
        """Refunds of a day's bill of which it isn't known how they ended, with their transactions."""
        key = (BILL_LINES.c.transaction_id, BILL_LINES.c.refund_number)
        last: tuple[str, str] | None = None
        mine = (BILL_LINES.c.source == source, BILL_LINES.c.day == day, BILL_LINES.c.kind == "refund")
        while True:
            query = select(BILL_LINES).where(*mine, BILL_LINES.c.ended.not_in(FINAL_ENDS)).order_by(*key).limit(PAGE)
            if last is not None:
                transaction_id, number = last
                same = (key[0] == transaction_id) & (key[1] > number)
                query = query.where(key[0] >= transaction_id, (key[0] > transaction_id) | same)
            rows = await self._rows(query)
            if rows:
                last = (rows[-1].transaction_id, rows[-1].refund_number)
                yield [
                    (row.transaction_id, BilledRefund(row.day, row.at, row.refund_number, row.amount_fen, row.ended))
                    for row in rows
                ]
            if len(rows) < PAGE:
                return

    async def note_ends(self, source: str, day: str, ends: Mapping[tuple[str, str], RefundEnd]) -> None:
        """How refunds of a day's bill ended, by transaction and refund number."""
        rows = [
            {"of_payment": transaction_id, "of_number": number, "ended_as": ended}
            for (transaction_id, number), ended in ends.items()
        ]
        mine = (
            BILL_LINES.c.source == source,
            BILL_LINES.c.day == day,  # with it the line is found by its whole key
            BILL_LINES.c.transaction_id == bindparam("of_payment"),
            BILL_LINES.c.kind == "refund",
            BILL_LINES.c.refund_number == bindparam("of_number"),
        )
        if rows:
            async with self._transaction(write=True) as connection:
                await connection.execute(update(BILL_LINES).where(*mine).values(ended=bindparam("ended_as")), rows)

    # --- what is judged ----------------------------------------------------------------------------------------------

    async def payments(
        self, provider: str, day: str, *, only_open: bool = False
    ) -> AsyncIterator[Sequence[PaymentEvidence]]:
        """Every payment of which that day's bill or the book of that day knows anything; some may come twice."""
        open_ones = await self.differences(day=day, open_only=True)
        extra = list(dict.fromkeys(one.transaction_id for one in open_ones if one.source == provider))
        evidence = self._evidence
        pages = evidence.some_payments(provider, extra) if only_open else evidence.payments(provider, day, extra)
        async for page in pages:
            yield page

    async def payments_paid_on(self, provider: str, day: str) -> AsyncIterator[Sequence[PaymentEvidence]]:
        """Every payment of a day, once: the book's day before the bill's."""
        async for page in self._evidence.paid_on(provider, day):
            yield page

    async def orders(self, day: str, *, only_open: bool = False) -> AsyncIterator[Sequence[OrderEvidence]]:
        """Every order of which that day's statement or the book of that day knows anything; some may come twice."""
        open_ones = await self.differences(day=day, open_only=True)
        extra = [one.order_id for one in open_ones if one.source == CARRIER]
        async for page in self._evidence.some_orders(extra) if only_open else self._evidence.orders(day, extra):
            yield page

    # --- differences -------------------------------------------------------------------------------------------------

    async def stored(self, *, payments: Mapping[str, Sequence[str]], orders: Sequence[str]) -> dict[str, Difference]:
        """The differences of these payments (provider → transactions) and orders, whatever their state."""
        found: list[Difference] = []
        for provider, transaction_ids in payments.items():
            mine = (DIFFERENCES.c.source == provider, DIFFERENCES.c.transaction_id.in_(transaction_ids))
            found += [_difference(row) for row in await self._rows(select(DIFFERENCES).where(*mine))]
        if orders:
            ids = [f"order:{order_id}" for order_id in orders]
            found += [
                _difference(row) for row in await self._rows(select(DIFFERENCES).where(DIFFERENCES.c.id.in_(ids)))
            ]
        return {one.id: one for one in found}

    async def write(self, differences: Sequence[Difference]) -> None:
        """Insert or replace, but for what others wrote meanwhile: a person's word that still fits, and `note_put`'s.

        What a person proposes stays too: it says of what.

        The writer may have been frozen since it read: what it makes of that is worth less than either.
        """
        rows = [dataclasses.asdict(one) for one in differences]
        for row in rows:
            check_texts(row)
        async with self._transaction(write=True) as connection:
            statement = self._insert(DIFFERENCES)
            new, kept = statement.excluded, ("id", "first_seen", "put_as", *_PROPOSED)
            judged = [DIFFERENCES.c[name].is_distinct_from(new[name]) for name in ("kind", "book_fen", "outside_fen")]
            opens_again = and_(new.state == "open", or_(*judged))
            replacing = statement.on_conflict_do_update(
                index_elements=["id"],
                set_={name: new[name] for name in _COLUMNS if name not in kept},
                where=or_(DIFFERENCES.c.state != "resolved", opens_again),
            )
            await connection.execute(replacing, rows)

    async def note_put(self, difference_id: str, put_as: str) -> None:
        """Its payment was put to Kafka; whatever a person has done with it meanwhile stays."""
        async with self._transaction(write=True) as connection:
            mine = DIFFERENCES.c.id == difference_id
            await connection.execute(update(DIFFERENCES).where(mine).values(put_as=put_as))

    async def differences(self, *, day: str = "", open_only: bool = False) -> list[Difference]:
        """Those of a day, or all; the oldest first."""
        query = select(DIFFERENCES).order_by(DIFFERENCES.c.day, DIFFERENCES.c.first_seen, DIFFERENCES.c.id)
        if day:
            query = query.where(DIFFERENCES.c.day == day)
        if open_only:
            query = query.where(DIFFERENCES.c.state == "open")
        return [_difference(row) for row in await self._rows(query)]

    async def open_counts(self) -> dict[Kind, int]:
        """How many are open, by kind."""
        query = select(DIFFERENCES.c.kind, func.count().label("open")).where(DIFFERENCES.c.state == "open")
        return {row.kind: int(row.open) for row in await self._rows(query.group_by(DIFFERENCES.c.kind))}

    async def resolve(self, difference_id: str, *, operator: str, note: str, two_persons: bool = False) -> Difference:
        """Close one by a person's word; with `two_persons`, it stays open and proposed until another gives it too.

        Raises:
            UnknownDifference: there is none, or it is not open.
            Unstorable: the word holds what no database keeps.
        """
        rule = resolve_by_two if two_persons else resolve
        mine = DIFFERENCES.c.id == difference_id
        async with self._transaction(write=True) as connection:
            row = (await connection.execute(select(DIFFERENCES).where(mine).with_for_update())).one_or_none()
            if row is None:
                raise UnknownDifference(f"There is no difference {difference_id}: `topup reconcile show` lists them.")
            after, refusal = rule(_difference(row), self._clock.now(), operator, note)
            if refusal:
                raise UnknownDifference(refusal)
            values = {name: getattr(after, name) for name in _BY_A_PERSON}
            check_texts(values)
            await connection.execute(update(DIFFERENCES).where(mine).values(values))
        return after

    async def providers(self) -> list[str]:
        """Those of which the book has orders, or bills."""
        bills, orders = TAKEN_IN.c.source, ORDERS.c.provider
        rows = await self._rows(select(bills).where(bills != CARRIER).union(select(orders)))
        return sorted(row[0] for row in rows)

    # --- days --------------------------------------------------------------------------------------------------------

    async def days_due(self, yesterday: str) -> list[str]:
        """The days up to `yesterday` that are not judged whole, or have open differences; the oldest first."""
        judged = await self.judged()
        days = await self._rows(select(DIFFERENCES.c.day).distinct().where(DIFFERENCES.c.state == "open"))
        with_open = {row[0] for row in days}
        first = max(min([*judged, yesterday]), after(yesterday, -LONGEST_DAYS))
        return [day for day in from_to(first, yesterday) if not judged.get(day, False) or day in with_open]

    async def _rows(self, query: Executable) -> Sequence[Row[Any]]:
        async with self._transaction(write=False) as connection:
            return (await connection.execute(query)).all()


def _difference(row: Row[Any]) -> Difference:
    return Difference(**{name: getattr(row, name) for name in _COLUMNS})
