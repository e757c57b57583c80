"""What the bridge keeps of two topics, unmatched payments and dead letters, with how far each was read.

Rows and positions are one transaction: whoever reads, however often and from where, nothing is missed and nothing
doubled; a book from a backup reads again what it has lost.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import literal, select, union_all
from sqlalchemy.dialects import postgresql, sqlite

from adapters.order_book import letters, unmatched
from adapters.order_book.letters import Letters
from adapters.order_book.rows import LETTERS, POSITIONS, UNMATCHED
from adapters.order_book.transactions import Transactions
from adapters.order_book.unmatched import UnmatchedPayments, UnmatchedRecord
from orders.dead_letter import KeptLetter

MOST_PAYMENTS: Final = 1_000_000


Positions = Mapping[tuple[str, int], tuple[str, int]]
"""Topic and partition → the ID of that topic, whose name can be used again, and where reading goes on."""


@dataclass(frozen=True, slots=True)
class OpenCounts:
    """What a person must still end."""

    unmatched_payments: int
    dead_letters: int


@dataclass(frozen=True, slots=True)
class KnownPayment:
    """A payment that the book knows without an order being asked for; reconciliation asks (contracts §10).

    Attributes:
        held_by: `unmatched` or `dead_letter`.
        order_id: of the order that it would be, or names; "" for none.
        ending: how a person has ended it, "" while it is open (`orders.unmatched.Ending`, `orders.dead_letter.Ending`).
    """

    provider: str
    transaction_id: str
    order_id: str
    amount_fen: int
    held_by: str
    ending: str


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

    async def known_payments(self) -> list[KnownPayment]:
        """Every payment that an unmatched payment or a dead letter holds, ended or not."""
        columns = ("provider", "transaction_id", "order_id", "amount_fen", "ending")
        both = union_all(
            select(*(UNMATCHED.c[name] for name in columns), literal("unmatched").label("held_by")),
            select(*(LETTERS.c[name] for name in columns), literal("dead_letter").label("held_by")).where(
                LETTERS.c.provider != ""
            ),
        )
        async with self._transaction(write=False) as connection:
            rows = await connection.execute(both.limit(MOST_PAYMENTS))
            return [
                KnownPayment(row.provider, row.transaction_id, row.order_id, row.amount_fen, row.held_by, row.ending)
                for row in rows
            ]
