"""What the bridge keeps of two topics, unmatched payments and dead letters, with how far each was read.

Rows and positions are one transaction: whoever reads, however often and from where, nothing is missed and nothing
doubled; a book from a backup reads again what it has lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite

from adapters.order_book import letters, unmatched
from adapters.order_book.letters import Letters
from adapters.order_book.rows import POSITIONS
from adapters.order_book.transactions import Transactions
from adapters.order_book.unmatched import UnmatchedPayments, UnmatchedRecord
from orders.dead_letter import KeptLetter

Positions = Mapping[tuple[str, int], tuple[str, int]]
"""Topic and partition → the ID of that topic, whose name can be used again, and where reading goes on."""


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """What a person must still end."""

    unmatched_payments: int
    dead_letters: int


class Kept:
    """Made by `OrderBook.kept`. Every method raises `Unavailable` where the database is away."""

    def __init__(self, transaction: Transactions, payments: UnmatchedPayments, dead: Letters) -> None:
        self._transaction = transaction
        self._payments = payments
        self._letters = dead
        insert = (sqlite if transaction.sqlite else postgresql).insert(POSITIONS)
        self._move = insert.on_conflict_do_update(
            index_elements=["topic", "partition"],
            set_={name: insert.excluded[name] for name in ("topic_id", "next_offset")},
        )

    async def positions(self) -> Positions:
        """How far each partition was read."""
        async with self._transaction(write=False) as connection:
            return {
                (row.topic, row.partition): (row.topic_id, row.next_offset)
                for row in await connection.execute(select(POSITIONS))
            }

    async def keep(
        self,
        payments: Sequence[UnmatchedRecord],
        dead: Sequence[KeptLetter],
        positions: Positions,
    ) -> None:
        """All of it or nothing; what is there already stays."""
        async with self._transaction(write=True) as connection:
            for record in payments:
                await self._payments.keep(connection, record)
            await self._letters.keep(connection, dead)
            for (topic, partition), (topic_id, next_offset) in sorted(positions.items()):
                values = {"topic": topic, "partition": partition, "topic_id": topic_id, "next_offset": next_offset}
                await connection.execute(self._move, values)

    async def open_counts(self) -> OpenCounts:
        """How much a person must still end."""
        async with self._transaction(write=False) as connection:
            payments = int(await connection.scalar(unmatched.count_open()) or 0)
            return OpenCounts(payments, int(await connection.scalar(letters.count_open()) or 0))
