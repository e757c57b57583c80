"""Reads of single orders, many in one statement."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import select

from adapters.order_book.decisions import of_ids
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.rows import NOTICES, ORDERS, StoredOrder, UnknownOrder
from adapters.order_book.together import Together, Waiter
from adapters.order_book.transactions import Transactions
from orders.notices import NoticeState

MOST: Final = 200
READERS: Final = 2


@dataclass(frozen=True, slots=True)
class _Question:
    order_id: str
    notices: bool


class Reads:
    """The order book's single orders, without locks; each read sees all that was committed when it was asked."""

    def __init__(self, transactions: Transactions, cipher: FieldCipher) -> None:
        self._transaction = transactions
        self._cipher = cipher
        self._together = Together(self._run, most=MOST, at_once=READERS)
        self._orders = select(ORDERS).where(of_ids(ORDERS, sqlite=transactions.sqlite))
        self._notices = select(NOTICES).where(of_ids(NOTICES, sqlite=transactions.sqlite))

    async def one(self, order_id: str, *, notices: bool = False) -> tuple[StoredOrder, list[NoticeState]]:
        """An order, and its notices where they are asked for."""
        found = await self._together.ask(_Question(order_id, notices))
        assert isinstance(found, _Found)
        return found.order, found.notices

    async def close(self) -> None:
        """Let end what is under way."""
        await self._together.close()

    async def _run(self, batch: Sequence[Waiter[_Question]]) -> None:
        order_ids = sorted({waiter.asks.order_id for waiter in batch})
        with_notices = sorted({waiter.asks.order_id for waiter in batch if waiter.asks.notices})
        notices: dict[str, list[NoticeState]] = {}
        async with self._transaction(write=False) as connection:
            rows = (await connection.execute(self._orders, {"ids": order_ids})).all()
            if with_notices:
                for row in await connection.execute(self._notices, {"ids": with_notices}):
                    one = NoticeState(row.result, row.platform, row.state, row.remark)
                    notices.setdefault(row.order_id, []).append(one)
        found = {row.order_id: row for row in rows}
        for waiter in batch:
            order_id = waiter.asks.order_id
            if order_id in found:
                stored = StoredOrder(found[order_id], self._cipher)
                waiter.give(_Found(stored, list(notices.get(order_id, []))))
            else:
                waiter.fail(UnknownOrder(order_id))


@dataclass(frozen=True, slots=True)
class _Found:
    order: StoredOrder
    notices: list[NoticeState]
