"""Payments that are no orders and yet known, as reconciliation asks for them (contracts §10)."""

from collections.abc import AsyncIterator, Sequence
from typing import Any, Final

from sqlalchemy import ColumnElement, literal, select, union_all

from adapters.order_book import letters, unmatched
from adapters.order_book.rows import LETTERS, UNMATCHED
from adapters.order_book.transactions import Transactions
from reconciliation.evidence import KnownPayment

PAGE: Final = 1000


class KnownPayments:
    """Unmatched payments and dead letters, ended ones too. Raises `Unavailable` where the database is away.

    What somebody has had refunded is an order, and its refund stands there.
    """

    def __init__(self, transaction: Transactions) -> None:
        self._transaction = transaction

    async def of(self, provider: str, transaction_ids: Sequence[str]) -> Sequence[KnownPayment]:
        """Those of these payments."""
        found: list[KnownPayment] = []
        for start in range(0, len(transaction_ids), PAGE):
            some = transaction_ids[start : start + PAGE]
            found += await self._some(
                UNMATCHED.c.transaction_id.in_(some), LETTERS.c.transaction_id.in_(some), provider
            )
        return found

    async def paid_on(self, provider: str, day: str) -> AsyncIterator[Sequence[KnownPayment]]:
        """Those that were paid on a day, some at a time; a dead letter that doesn't say counts to the day it came."""
        after, page = "", await self._page(provider, day, "")
        while page:
            yield page
            after = page[-1].transaction_id
            page = await self._page(provider, day, after)

    async def _page(self, provider: str, day: str, after: str) -> list[KnownPayment]:
        """The next payments in the order of their numbers; a payment's rows are never parted."""
        of_both = union_all(
            *(
                select(table.c.transaction_id).where(
                    table.c.provider == provider, table.c.paid_on == day, table.c.transaction_id > after
                )
                for table in (UNMATCHED, LETTERS)
            )
        ).subquery()
        names = select(of_both.c.transaction_id).distinct().order_by(of_both.c.transaction_id).limit(PAGE)
        async with self._transaction(write=False) as connection:
            some = list((await connection.execute(names)).scalars())
        of_day = await self._some(
            UNMATCHED.c.transaction_id.in_(some) & (UNMATCHED.c.paid_on == day),
            LETTERS.c.transaction_id.in_(some) & (LETTERS.c.paid_on == day),
            provider,
        )
        return sorted(of_day, key=lambda one: one.transaction_id)

    async def _some(
        self, payments: ColumnElement[bool], dead: ColumnElement[bool], provider: str
    ) -> list[KnownPayment]:
        columns = ("transaction_id", "out_trade_no", "amount_fen", "paid_on")
        both = union_all(
            select(
                *(UNMATCHED.c[name] for name in columns),
                literal("unmatched").label("place"),
                unmatched.IS_OPEN.label("is_open"),
            ).where(UNMATCHED.c.provider == provider, payments),
            select(
                LETTERS.c.transaction_id,
                LETTERS.c.order_id,
                LETTERS.c.amount_fen,
                LETTERS.c.paid_on,
                literal("dead_letter"),
                letters.IS_OPEN,
            ).where(LETTERS.c.provider == provider, dead),
        )
        async with self._transaction(write=False) as connection:
            return [_known(row, provider) for row in await connection.execute(both)]


def _known(row: Any, provider: str) -> KnownPayment:
    return KnownPayment(
        place=row.place,
        provider=provider,
        transaction_id=row.transaction_id,
        out_trade_no=row.out_trade_no,
        amount_fen=row.amount_fen or None,
        paid_on=row.paid_on,
        is_open=bool(row.is_open),
    )
