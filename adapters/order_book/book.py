"""The order book on SQLite or PostgreSQL: what the product remembers for ever. The way to all else in this package."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final, TypeVar, cast

from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.order_book import migrations, process_role
from adapters.order_book.call_slots import CallSlots
from adapters.order_book.claims import Claim, ClaimResult, Claims, ClaimsHeld
from adapters.order_book.decisions import Decision, Decisions
from adapters.order_book.duties import Duties
from adapters.order_book.engine import TRANSACTION_SECONDS, open_engine
from adapters.order_book.erasure import Erasure
from adapters.order_book.field_cipher import FieldCipher, Personal
from adapters.order_book.goodwill import GoodwillRefunds
from adapters.order_book.holds import Holds
from adapters.order_book.kept import Kept
from adapters.order_book.key_rotation import KeyRotation
from adapters.order_book.known_payments import KnownPayments
from adapters.order_book.letters import Letters
from adapters.order_book.pushes import Pushes
from adapters.order_book.queries import Look, Queries, TrailsRead
from adapters.order_book.reads import Reads
from adapters.order_book.reconciling import ReconciliationBook
from adapters.order_book.rows import ORDERS, Event, StoredOrder, UnknownOrder, Unreadable, Unstorable
from adapters.order_book.transactions import Transactions
from adapters.order_book.unmatched import UnmatchedPayments
from adapters.order_book.waiting import WaitingOrders
from orders.arrival import Arrival
from orders.clock import Clock
from orders.identities import NoticeResult
from orders.notices import NoticeState
from orders.paid_order import PaidOrder
from orders.state import OrderState
from reconciliation.ports import Known

__all__ = [
    "TRANSACTION_SECONDS",
    "Claim",
    "ClaimResult",
    "ClaimsHeld",
    "Event",
    "Look",
    "NoticeState",
    "OrderBook",
    "StoredOrder",
    "TrailsRead",
    "UnknownOrder",
    "Unreadable",
    "Unstorable",
]

T = TypeVar("T")

MIGRATION_SECONDS: Final = 60
_MIGRATION_LIMITS: Final = tuple(
    text(f"SET LOCAL {name} = {MIGRATION_SECONDS * 1000}")
    for name in ("lock_timeout", "statement_timeout", "idle_in_transaction_session_timeout")
)
_one_migration = asyncio.Lock()
"""Alembic keeps the migration under way in module globals."""


class OrderBook:
    """What the product remembers for ever.

    A change is kept whole or not at all; every method ends in `TRANSACTION_SECONDS`.
    Changes and reads that wait while others are under way share a transaction with each other, and none waits for an
    order that somebody else has locked, but that order's own.

    Attributes:
        unmatched, letters: what became no order and needs a person.
        kept: how it comes into the book.
        goodwill: what is given back after a delivery (`adapters.order_book.worked_on` has both under one roof).
        waiting: what is not done yet, counted.
        pushes: which orders that need a person nobody was told of.
        duties: what one process at a time does for all.
        holds: what operators keep the orders away from.
        call_slots: when calls to a limited part may leave.

    Raises (every method):
        Unavailable: the database can't be reached or doesn't answer in time; ask again later. A change may have been
            committed all the same: rules go on from what they find.
    """

    def __init__(self, engine: AsyncEngine, cipher: FieldCipher, clock: Clock) -> None:
        self._cipher = cipher
        self._transaction = Transactions(engine)
        self._clock = clock
        self._claims = Claims(self._transaction, cipher, clock)
        self._decisions = Decisions(self._transaction, cipher, clock)
        self._reads = Reads(self._transaction, cipher)
        self._queries = Queries(self._transaction, cipher, clock)
        self.unmatched = UnmatchedPayments(self._transaction, cipher, clock)
        self.letters = Letters(self._transaction, clock)
        self.kept = Kept(self._transaction, self.unmatched, self.letters)
        self.goodwill = GoodwillRefunds(self._transaction, clock)
        self.waiting = WaitingOrders(self._transaction, clock)
        self.pushes = Pushes(self._transaction, clock)
        self.duties = Duties(self._transaction, clock)
        self.holds = Holds(self._transaction, clock)
        self.call_slots = CallSlots(self._transaction)

    @classmethod
    def open(cls, database_url: str, cipher: FieldCipher, clock: Clock) -> "OrderBook":
        """Connects lazily. `database_url` as in contracts §9; the driver is chosen here.

        Raises:
            ValueError: the URL can never work (`runtime.database_url.parse`).
        """
        return cls(open_engine(database_url), cipher, clock)

    async def close(self) -> None:
        """Wait for what is under way, then close the pool's connections."""
        await self._decisions.close()
        await self._reads.close()
        await self._transaction.close()

    async def migrate(self) -> None:
        """Bring the schema to the newest version; idempotent."""
        async with _one_migration, self._transaction(write=True, seconds=MIGRATION_SECONDS) as connection:
            if not self._transaction.sqlite:
                for limit in _MIGRATION_LIMITS:
                    await connection.execute(limit)
            await connection.run_sync(migrations.upgrade)

    async def grant_to(self, role: str) -> None:
        """As the owner: let `role` work with the book and add to its trail, and no more (`process_role`).

        Raises:
            ValueError: the name can't be a role's, or the database knows none.
        """
        if self._transaction.sqlite:
            raise ValueError("SQLite knows no roles")
        async with self._transaction(write=True) as connection:
            await process_role.grant(connection, role)

    async def ping(self) -> None:
        """Ask the database what the work asks: a row of this version's schema, locked for a change. For readiness."""
        async with self._transaction(write=True) as connection:
            await connection.execute(select(ORDERS).limit(1).with_for_update(skip_locked=True))

    # --- the bridge's questions ---------------------------------------------------------------------------------

    async def claim(self, orders: Sequence[PaidOrder], arrivals: Sequence[Arrival] = ()) -> list[ClaimResult]:
        """Insert or compare, in the given order: of two that conflict the first stands (contracts §1).

        With `arrivals`, one for each, the orders' trails tell of every record.

        Raises:
            ClaimsHeld: some are held by another process; the others were claimed.
        """
        return await self._claims.claim(orders, arrivals)

    async def first_pass_count(self) -> int:
        """Orders in their first pass: claimed and not yet settled, parked, in doubt, refunding or behind a foreign run.

        None while the carrier is held.
        """
        return await self._claims.first_pass_count()

    async def known(self, order_ids: Sequence[str]) -> set[str]:
        """Those of the orders that were claimed before, settled or not."""
        return await self._claims.known(order_ids)

    # --- the saga's questions -----------------------------------------------------------------------------------

    async def read(self, order_id: str) -> StoredOrder:
        """One order, without a lock.

        Raises:
            UnknownOrder: the book has no such order.
        """
        return (await self._reads.one(order_id))[0]

    async def decide(
        self,
        order_id: str,
        rule: Callable[[StoredOrder], tuple[OrderState, T]],
        *,
        kind: str,
        detail: Callable[[T], Mapping[str, Any]],
    ) -> T:
        """Run a rule of `orders` as one compare-and-set, with its line in the audit trail.

        Raises:
            UnknownOrder: the book has no such order.
            Unstorable: the rule made a text that no database holds.
        """
        return cast("T", await self._decisions.decide(Decision(order_id, rule, kind, detail)))

    async def append(self, order_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        """One line in the audit trail."""
        await self._decisions.append(order_id, kind, detail)

    async def notices(self, order_id: str) -> list[NoticeState]:
        """What became of the order's notices so far."""
        try:
            return (await self._reads.one(order_id, notices=True))[1]
        except UnknownOrder:
            return []

    async def read_with_notices(self, order_id: str) -> tuple[StoredOrder, list[NoticeState]]:
        """One order and its notices.

        Raises:
            UnknownOrder: the book has no such order.
        """
        return await self._reads.one(order_id, notices=True)

    async def write_notices(self, order_id: str, result: NoticeResult, states: Mapping[str, tuple[str, str]]) -> None:
        """Note `{platform: (state, remark)}`; a platform that has acknowledged keeps that."""
        await self._decisions.write_notices(order_id, result, states)

    # --- the operator's questions -------------------------------------------------------------------------------

    async def events(self, order_id: str) -> list[Event]:
        """The order's audit trail, oldest first."""
        return await self._queries.events(order_id)

    async def events_of(self, order_ids: Sequence[str]) -> dict[str, list[Event]]:
        """The audit trails of several orders, oldest line first; an order that is not there has none."""
        return await self._queries.events_of(order_ids)

    async def verify_trails(self, *, after: str = "", limit: int = 100, only: str = "") -> TrailsRead:
        """Whether each line of the next orders' audit trails follows from the one before, a page at a time."""
        return await self._queries.trails(after=after, limit=limit, only=only)

    async def orphaned_lines(self) -> list[str]:
        """The IDs of orders that have lines in the audit trail and no row."""
        return await self._queries.orphaned_lines()

    async def unsettled(self, *, claimed_before: datetime, after: str = "", limit: int = 500) -> list[StoredOrder]:
        """Orders without an end that were claimed before, by order ID, a page at a time.

        One that can't be decrypted is among them: `StoredOrder.unreadable` says so, `order_id` names it.
        """
        return await self._queries.unsettled(claimed_before=claimed_before, after=after, limit=limit)

    async def look(self) -> Look:
        """The database's clock and the schema's version, for `topup doctor`."""
        return await self._queries.look()

    async def filed_under(self, kind: Personal, *values: str) -> list[str]:
        """The IDs of the orders of a VIN, ICCID or phone number (in any of these spellings), newest first.

        They are found whichever key they are filed under.
        """
        return await self._queries.filed_under(kind, *values)

    async def referred_to(self, reference: str) -> list[str]:
        """The IDs of the orders with this transaction, merchant's order number or order ID, newest first."""
        return await self._queries.referred_to(reference)

    def key_rotation(self) -> KeyRotation:
        """Which keys its columns are encrypted under, and their re-encryption."""
        return KeyRotation(self._transaction, self._cipher)

    def erasure(self) -> Erasure:
        """Takes persons out of settled orders."""
        return Erasure(self._transaction, self._clock)

    def reconciliation(self, known: Known | None = None) -> ReconciliationBook:
        """Bills, statements and differences (contracts §10); `known`: tests pass their own."""
        return ReconciliationBook(self._transaction, self._clock, known or KnownPayments(self._transaction))

    async def counts(self) -> dict[str, int]:
        """How many orders stand where, by status."""
        return await self._queries.counts()
