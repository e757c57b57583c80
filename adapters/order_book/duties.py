"""What one process at a time does for all: a lease in the book, so that no connection is held and none is needed.

A process that dies or freezes loses its duty when the lease runs out; one that thaws sees at its next look that another
has it. Two that have it for a moment do the same thing twice, so a duty must be one that this hurts nobody.
"""

from datetime import timedelta
from typing import Final

from sqlalchemy import or_
from sqlalchemy.dialects import postgresql, sqlite

from adapters.order_book.rows import DUTIES
from adapters.order_book.transactions import Transactions
from orders.clock import Clock

LEASE_SECONDS: Final = 60.0
"""A few looks long: one look that fails gives no duty away."""


class Duties:
    """Made by `OrderBook.duties`. Raises `Unavailable` where the database is away."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transaction = transactions
        self._clock = clock
        self._insert = (sqlite if transactions.sqlite else postgresql).insert(DUTIES)

    async def take(self, name: str, holder: str) -> bool:
        """Have the duty for another `LEASE_SECONDS`; False: somebody else has it."""
        now = self._clock.now()
        values = {"name": name, "holder": holder, "until": now + timedelta(seconds=LEASE_SECONDS)}
        taken = (
            self._insert.values(values)
            .on_conflict_do_update(
                index_elements=["name"],
                set_={"holder": holder, "until": values["until"]},
                where=or_(DUTIES.c.holder == holder, DUTIES.c.until <= now),
            )
            .returning(DUTIES.c.holder)
        )
        async with self._transaction(write=True) as connection:
            return (await connection.execute(taken)).first() is not None

    async def lay_down(self, name: str, holder: str) -> None:
        """At a graceful stop: let the next one have it at once."""
        mine = DUTIES.update().where(DUTIES.c.name == name, DUTIES.c.holder == holder)
        async with self._transaction(write=True) as connection:
            await connection.execute(mine.values(until=self._clock.now()))
