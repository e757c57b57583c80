"""What the steps work on, under one roof (`activities.ports.Book`): orders by ID, goodwill refunds by name.

So the saga, its steps and the sweep carry out a goodwill refund as they carry out the refund of an order, and know of
no difference.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from adapters.order_book.book import OrderBook
from adapters.order_book.goodwill import StoredGoodwill
from adapters.order_book.rows import StoredOrder
from orders.identities import NoticeResult, goodwill_of
from orders.notices import NoticeState
from orders.state import OrderState

T = TypeVar("T")
Stored = StoredOrder | StoredGoodwill


class WorkedOn:
    """Raises what the order book's own methods raise."""

    def __init__(self, book: OrderBook) -> None:
        self._book = book

    async def read(self, order_id: str) -> Stored:
        """One of them, without a lock."""
        if goodwill_of(order_id) is not None:
            return await self._book.goodwill.read(order_id)
        return await self._book.read(order_id)

    async def decide(
        self,
        order_id: str,
        rule: Callable[[Stored], tuple[OrderState, T]],
        *,
        kind: str,
        detail: Callable[[T], Mapping[str, Any]],
    ) -> T:
        """Run a rule of `orders` as one compare-and-set, with its line in the order's audit trail."""
        if goodwill_of(order_id) is not None:
            return await self._book.goodwill.decide(order_id, rule, kind=kind, detail=detail)
        return await self._book.decide(order_id, rule, kind=kind, detail=detail)

    async def append(self, order_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        """One line in the order's audit trail."""
        if goodwill_of(order_id) is not None:
            await self._book.goodwill.append(order_id, kind, detail)
        else:
            await self._book.append(order_id, kind, detail)

    async def read_with_notices(self, order_id: str) -> tuple[Stored, list[NoticeState]]:
        """One of them, and what became of its notices; no car hears of goodwill."""
        if goodwill_of(order_id) is not None:
            return await self._book.goodwill.read(order_id), []
        return await self._book.read_with_notices(order_id)

    async def write_notices(self, order_id: str, result: NoticeResult, states: Mapping[str, tuple[str, str]]) -> None:
        """Note what became of an order's notices."""
        assert goodwill_of(order_id) is None, "no car hears of goodwill"
        await self._book.write_notices(order_id, result, states)

    async def unsettled(
        self, *, claimed_before: datetime, after: str = "", limit: int = 500
    ) -> Sequence[StoredOrder] | Sequence[StoredGoodwill]:
        """Those without an end that were claimed (or decided) before: the orders a page at a time, then the others."""
        if goodwill_of(after) is not None:
            return []
        page = await self._book.unsettled(claimed_before=claimed_before, after=after, limit=limit)
        return page or await self._book.goodwill.unsettled(claimed_before=claimed_before)
