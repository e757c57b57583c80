"""What a push has last said of each order, compared with where the orders stand: the difference is what is due.

By level and not by event: nothing is queued, so an endpoint that is dead for days owes one message per order that still
waits, and an order that was freed meanwhile none.
"""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import String, and_, cast, literal, or_, select
from sqlalchemy.dialects import postgresql, sqlite

from adapters.order_book.rows import GOODWILL, ORDERS, PUSHES
from adapters.order_book.transactions import Transactions
from adapters.push.message import Told
from orders.clock import Clock
from orders.state import PARKED, Attention

MOST: Final = 2000
"""Orders in one look; the rest are found by the next, 5 s later."""
_SAME: Final = PUSHES.c.order_id == ORDERS.c.order_id
_COLUMNS: Final = (ORDERS.c.order_id, ORDERS.c.attention, ORDERS.c.status, ORDERS.c.reason)
_PARKED: Final = (
    select(*_COLUMNS)
    .select_from(ORDERS.outerjoin(PUSHES, _SAME))
    .where(ORDERS.c.needs_operator, or_(PUSHES.c.order_id.is_(None), PUSHES.c.attention != ORDERS.c.attention))
    .limit(MOST)
)
_FREED: Final = (
    select(*_COLUMNS)
    .select_from(PUSHES.join(ORDERS, _SAME))
    .where(and_(PUSHES.c.attention != "", ORDERS.c.needs_operator.is_(False)))
    .limit(MOST)
)
_NAME: Final = GOODWILL.c.order_id + literal("/") + cast(GOODWILL.c.number, String)
_OF_GOODWILL: Final = (_NAME.label("order_id"), GOODWILL.c.attention, GOODWILL.c.reason)
_DECIDED: Final = and_(GOODWILL.c.approved_at.is_not(None), GOODWILL.c.outcome.is_(None))
_GOODWILL_PARKED: Final = (
    select(*_OF_GOODWILL)
    .select_from(GOODWILL.outerjoin(PUSHES, PUSHES.c.order_id == _NAME))
    .where(
        _DECIDED,
        GOODWILL.c.attention != "",
        or_(PUSHES.c.order_id.is_(None), PUSHES.c.attention != GOODWILL.c.attention),
    )
    .limit(MOST)
)
_GOODWILL_FREED: Final = (
    select(*_OF_GOODWILL)
    .select_from(PUSHES.join(GOODWILL, PUSHES.c.order_id == _NAME))
    .where(PUSHES.c.attention != "", GOODWILL.c.attention == "")
    .limit(MOST)
)


class Pushes:
    """Made by `OrderBook.pushes`. Raises `Unavailable` where the database is away."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transaction = transactions
        self._clock = clock
        insert = (sqlite if transactions.sqlite else postgresql).insert(PUSHES)
        self._note = insert.on_conflict_do_update(
            index_elements=["order_id"], set_={name: insert.excluded[name] for name in ("attention", "at")}
        )

    async def due(self) -> list[Told]:
        """What nobody was told of yet, at most some thousands."""
        async with self._transaction(write=False) as connection:
            rows = [*await connection.execute(_PARKED), *await connection.execute(_FREED)]
            orders = [Told(row.order_id, row.attention, row.status, row.reason) for row in rows]
            rows = [*await connection.execute(_GOODWILL_PARKED), *await connection.execute(_GOODWILL_FREED)]
            return [*orders, *(Told(row.order_id, row.attention, _status(row.attention), row.reason) for row in rows)]

    async def told(self, orders: Sequence[Told]) -> None:
        """Note that a push has said it."""
        now = self._clock.now()
        rows = [{"order_id": one.order_id, "attention": one.attention, "at": now} for one in orders]
        async with self._transaction(write=True) as connection:
            await connection.execute(self._note, rows)


def _status(attention: Attention) -> str:
    """Of a goodwill refund, as of an order that is refunded."""
    return "parked" if attention in PARKED else "refunding"
