"""What operators, the sweep and `topup doctor` ask of the order book."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, get_args

from sqlalchemy import ColumnElement, and_, func, or_, select, text

from adapters.order_book import audit_trail, migrations, process_role
from adapters.order_book.field_cipher import FieldCipher, Personal
from adapters.order_book.rows import EVENTS, ORDERS, Event, StoredOrder
from adapters.order_book.transactions import Transactions
from orders.clock import Clock
from orders.paid_order import Provider

MOST_ORPHANS: Final = 100


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the database shows.

    Attributes:
        clock_ahead_seconds: how far its clock is ahead of ours.
        rights_missing: what this role lacks for the processes' work, as `RIGHT on TABLE`.
        rewrites_trail: whether it could change or take out lines of the audit trail; so it is with SQLite.
    """

    version: str
    newest_version: str
    clock_ahead_seconds: float
    rights_missing: tuple[str, ...] = ()
    rewrites_trail: bool = True


@dataclass(frozen=True, slots=True)
class TrailsRead:
    """A page of orders whose audit trail was verified.

    Attributes:
        heads: by order ID, the hash of the last line.
        lines: how many lines there were.
        flaws: by order ID, what is wrong, as a clause.
    """

    heads: Mapping[str, str]
    lines: int
    flaws: Mapping[str, str]


class Queries:
    """Lists and counts, without locks."""

    def __init__(self, transactions: Transactions, cipher: FieldCipher, clock: Clock) -> None:
        self._transaction = transactions
        self._cipher = cipher
        self._clock = clock

    async def events(self, order_id: str) -> list[Event]:
        """The order's audit trail, oldest first."""
        query = select(EVENTS).where(EVENTS.c.order_id == order_id).order_by(EVENTS.c.id)
        async with self._transaction(write=False) as connection:
            return [Event(row.at, row.kind, row.detail) for row in await connection.execute(query)]

    async def events_of(self, order_ids: Sequence[str]) -> dict[str, list[Event]]:
        """The audit trails of several orders, oldest line first; an order that is not there has none."""
        query = select(EVENTS).where(EVENTS.c.order_id.in_(list(order_ids))).order_by(EVENTS.c.id)
        found: dict[str, list[Event]] = {order_id: [] for order_id in order_ids}
        async with self._transaction(write=False) as connection:
            for row in await connection.execute(query):
                found[row.order_id].append(Event(row.at, row.kind, row.detail))
        return found

    async def trails(self, *, after: str, limit: int, only: str = "") -> TrailsRead:
        """Verify the trails of the next orders by ID, or of one."""
        rows = select(ORDERS.c.order_id, ORDERS.c.trail).order_by(ORDERS.c.order_id).limit(limit)
        rows = rows.where(ORDERS.c.order_id == only if only else ORDERS.c.order_id > after)
        async with self._transaction(write=True) as connection:  # one snapshot of rows and lines: no change in between
            heads = {row.order_id: row.trail for row in await connection.execute(rows.with_for_update())}
            lines: dict[str, list[Any]] = {order_id: [] for order_id in heads}
            of_them = select(EVENTS).where(EVENTS.c.order_id.in_(list(heads))).order_by(EVENTS.c.id)
            for row in await connection.execute(of_them):
                lines[row.order_id].append(row)
        found = {one: audit_trail.flaw(one, lines[one], head) for one, head in heads.items()}
        return TrailsRead(heads, sum(map(len, lines.values())), {one: why for one, why in found.items() if why})

    async def orphaned_lines(self) -> list[str]:
        """Orders that have a trail and no row: nothing of ours takes a row away."""
        query = select(EVENTS.c.order_id).where(EVENTS.c.order_id.not_in(select(ORDERS.c.order_id))).distinct()
        async with self._transaction(write=False) as connection:
            return list((await connection.execute(query.limit(MOST_ORPHANS))).scalars())

    async def unsettled(self, *, claimed_before: datetime, after: str, limit: int) -> list[StoredOrder]:
        """Orders without an end that were claimed before, by order ID, a page at a time."""
        query = (
            select(ORDERS)
            .where(ORDERS.c.outcome.is_(None), ORDERS.c.claimed_at < claimed_before, ORDERS.c.order_id > after)
            .order_by(ORDERS.c.order_id)
            .limit(limit)
        )
        async with self._transaction(write=False) as connection:
            return [StoredOrder(row, self._cipher) for row in await connection.execute(query)]

    async def look(self) -> Look:
        """The database's clock and the schema's version."""
        clock = "strftime('%Y-%m-%d %H:%M:%f', 'now')" if self._transaction.sqlite else "clock_timestamp()"
        async with self._transaction(write=False) as connection:
            asked_at = self._clock.now()
            read: str | datetime = (await connection.execute(select(text(clock)))).scalar_one()
            answered_at = self._clock.now()
            found, newest = await connection.run_sync(migrations.versions)
            missing, rewrites = ((), True) if self._transaction.sqlite else await process_role.rights(connection)
        at = datetime.fromisoformat(read).replace(tzinfo=UTC) if isinstance(read, str) else read
        ahead = at - (asked_at + (answered_at - asked_at) / 2)
        return Look(
            version=found,
            newest_version=newest,
            clock_ahead_seconds=ahead.total_seconds(),
            rights_missing=missing,
            rewrites_trail=rewrites,
        )

    async def filed_under(self, kind: Personal, *values: str) -> list[str]:
        """The IDs of the orders of a VIN, ICCID or phone number (in any of these spellings), newest first.

        They are found whichever key they are filed under.
        """
        hashes = [one for value in values for one in self._cipher.keyed_hashes(kind, value)]
        return await self._ids(ORDERS.c[f"{kind}_hash"].in_(hashes))

    async def referred_to(self, reference: str) -> list[str]:
        """The IDs of the orders with this transaction, merchant's order number or order ID, newest first."""
        by_transaction = and_(ORDERS.c.provider.in_(get_args(Provider)), ORDERS.c.transaction_id == reference)
        return await self._ids(or_(ORDERS.c.order_id == reference, ORDERS.c.out_trade_no == reference, by_transaction))

    async def _ids(self, where: ColumnElement[bool]) -> list[str]:
        query = select(ORDERS.c.order_id).where(where).order_by(ORDERS.c.claimed_at.desc())
        async with self._transaction(write=False) as connection:
            return list((await connection.execute(query)).scalars())

    async def counts(self) -> dict[str, int]:
        """How many orders stand where, by status."""
        query = select(ORDERS.c.status, func.count()).group_by(ORDERS.c.status)
        async with self._transaction(write=False) as connection:
            return {row[0]: int(row[1]) for row in await connection.execute(query)}
