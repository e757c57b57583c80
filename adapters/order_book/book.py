"""The order book on SQLite or PostgreSQL: runs the rules of `orders`, each in one transaction on its row."""

import asyncio
import contextlib
import dataclasses
import json
from collections.abc import AsyncGenerator, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Final, TypeVar

from sqlalchemy import CursorResult, Row, bindparam, event, func, insert, or_, select, text, tuple_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from adapters.order_book import migrations, tables
from adapters.order_book.field_cipher import FieldCipher
from adapters.order_book.key_rotation import KeyRotation
from orders import lifecycle
from orders.clock import Clock
from orders.errors import TopUpError, Unavailable
from orders.identities import NoticeResult
from orders.notices import NoticeState
from orders.paid_order import SCHEMA, PaidOrder
from orders.state import DERIVED, OrderState

T = TypeVar("T")

TRANSACTION_SECONDS: Final = 5.0
"""Limit of one transaction: a frozen database is trouble within this, never a hang. Not scaled."""
POSTGRES_CONNECTIONS: Final = 20
SQLITE_READERS: Final = 4

_ORDERS, _EVENTS, _NOTICES = (tables.SQLModel.metadata.tables[name] for name in ("orders", "order_events", "notices"))
# Built once: a statement built for each call, its rows in it as literal values, costs SQLAlchemy more than running it
# (measured: half of the book's CPU per order, two thirds of a claim's). `inline`: an event's number isn't fetched back.
_ORDER = select(_ORDERS).where(_ORDERS.c.order_id == bindparam("of_order"))
_ORDER_LOCKED = _ORDER.with_for_update()
_CHANGE = update(_ORDERS).where(_ORDERS.c.order_id == bindparam("of_order"))
_EVENT = insert(_EVENTS).inline()
_NOTICES_OF = select(_NOTICES).where(_NOTICES.c.order_id == bindparam("of_order"))
_one_migration = asyncio.Lock()
"""Alembic keeps the migration under way in module globals."""
_FIELDS = tuple(field.name for field in dataclasses.fields(OrderState))
_COLUMNS = (*_FIELDS, *DERIVED)


class Claim(StrEnum):
    """What the book says to a record's claim."""

    NEW = "new"
    UNSETTLED = "unsettled"
    SETTLED = "settled"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The claim of one record. `conflict` is a sentence without personal data, else empty."""

    order_id: str
    outcome: Claim
    conflict: str = ""


@dataclass(frozen=True, slots=True)
class Look:
    """What a look at the database shows. `clock_ahead_seconds`: how far its clock is ahead of ours."""

    version: str
    newest_version: str
    clock_ahead_seconds: float


class UnknownOrder(TopUpError):
    """The book has no such order."""


class StoredOrder:
    """One order's row as a rule sees it: its state, and what was paid (decrypted when asked for)."""

    def __init__(self, row: Row[Any], cipher: FieldCipher) -> None:
        self._row = row
        self._cipher = cipher
        self._state: OrderState | None = None
        self._order: PaidOrder | None = None

    @property
    def state(self) -> OrderState:
        """The money part."""
        if self._state is None:
            self._state = self._read_state()
        return self._state

    @property
    def order(self) -> PaidOrder:
        """What was paid."""
        if self._order is None:
            self._order = self._read_order()
        return self._order

    @property
    def vehicle_hash(self) -> str:
        """The keyed hash of the VIN."""
        return self._row.vehicle_hash

    def _read_state(self) -> OrderState:
        values: dict[str, Any] = {name: getattr(self._row, name) for name in _FIELDS}
        if values["body"] is not None:
            values["body"] = self._cipher.decrypt(values["body"], bound_to=(self._row.order_id, "body"))
        return OrderState(**values)

    def _read_order(self) -> PaidOrder:
        row = self._row
        vehicle = self._cipher.decrypt(row.vehicle, bound_to=(row.order_id, "vehicle"))
        return PaidOrder.model_validate(
            {
                "schema": SCHEMA,
                "order_id": row.order_id,
                "vehicle": json.loads(vehicle),
                "package_id": row.package_id,
                "amount_fen": row.amount_fen,
                "currency": row.currency,
                "payment": {
                    "provider": row.provider,
                    "merchant_id": row.merchant_id,
                    "out_trade_no": row.out_trade_no,
                    "transaction_id": row.transaction_id,
                    "paid_at": row.paid_at,
                },
            }
        )


@dataclass(frozen=True, slots=True)
class Event:
    """One line of the audit trail. `detail` holds no personal data."""

    at: datetime
    kind: str
    detail: Mapping[str, Any]


class OrderBook:
    """What the product remembers for ever. A change is one transaction; every method ends in `TRANSACTION_SECONDS`.

    Raises (every method):
        Unavailable: the database can't be reached or doesn't answer in time; ask again later. A change may have been
            committed all the same: rules go on from what they find.
    """

    def __init__(self, engine: AsyncEngine, cipher: FieldCipher, clock: Clock) -> None:
        self._cipher = cipher
        self._clock = clock
        self._sqlite = engine.dialect.name == "sqlite"
        self._writing = engine
        # PostgreSQL shows each statement of a transaction the newest committed rows (READ COMMITTED), so that a
        # reader gains nothing from BEGIN and COMMIT but two round trips; SQLite's readers need their snapshot.
        self._reading = engine.execution_options(
            **({"topup_write": False} if self._sqlite else {"isolation_level": "AUTOCOMMIT"})
        )
        dialect = sqlite if self._sqlite else postgresql
        self._claim_statement = dialect.insert(_ORDERS).on_conflict_do_nothing().returning(_ORDERS.c.order_id)
        notice = dialect.insert(_NOTICES).inline()
        self._notice_statement = notice.on_conflict_do_update(
            index_elements=["order_id", "result", "platform"],
            set_={name: notice.excluded[name] for name in ("state", "remark", "at")},
            where=_NOTICES.c.state != "acknowledged",
        )
        self._one_writer = asyncio.Lock()

    @classmethod
    def open(cls, database_url: str, cipher: FieldCipher, clock: Clock) -> "OrderBook":
        """Connects lazily. `database_url` as in contracts §9; the driver is chosen here."""
        return cls(_engine(database_url), cipher, clock)

    async def close(self) -> None:
        """Close the pool's connections."""
        await self._writing.dispose()

    async def migrate(self) -> None:
        """Bring the schema to the newest version; idempotent."""
        async with _one_migration, self._transaction(write=True, seconds=60) as connection:
            await connection.run_sync(migrations.upgrade)

    async def ping(self) -> None:
        """Ask the database for the schema that this version needs; for readiness."""
        async with self._transaction(write=False) as connection:
            await connection.execute(select(_ORDERS).limit(1))

    # --- the bridge's questions ---------------------------------------------------------------------------------

    async def claim(self, orders: Sequence[PaidOrder]) -> list[ClaimResult]:
        """Insert or compare, in the given order: of two that conflict the first stands (contracts §1)."""
        if not orders:
            return []
        async with self._transaction(write=True) as connection:
            known = await self._already_there(connection, orders)
            new: set[int] = set()
            while fresh := _first_of_each(orders, known):
                inserted = await self._insert(connection, fresh)
                new |= {id(order) for order in fresh if order.order_id in inserted}
                if len(inserted) == len(fresh):
                    break
                # Another bridge was faster with some: what waited behind those in this batch may be free now.
                known = await self._already_there(connection, orders)
        results: list[ClaimResult] = []
        for order in orders:
            if id(order) in new:
                new.discard(id(order))  # the same record once more is a duplicate
                results.append(ClaimResult(order.order_id, Claim.NEW))
                known.add(order, settled=False)
            else:
                results.append(known.compare(order))
        return results

    async def first_pass_count(self) -> int:
        """Orders in their first pass: claimed and not yet settled, parked, in doubt or refunding."""
        async with self._transaction(write=False) as connection:
            query = select(func.count()).select_from(_ORDERS).where(_ORDERS.c.first_pass.is_(True))
            return int(await connection.scalar(query) or 0)

    async def known(self, order_ids: Sequence[str]) -> set[str]:
        """Those of the orders that were claimed before, settled or not."""
        async with self._transaction(write=False) as connection:
            rows = await connection.execute(select(_ORDERS.c.order_id).where(_ORDERS.c.order_id.in_(order_ids)))
            return set(rows.scalars())

    # --- the saga's questions -----------------------------------------------------------------------------------

    async def read(self, order_id: str) -> StoredOrder:
        """One order, without a lock.

        Raises:
            UnknownOrder: the book has no such order.
        """
        async with self._transaction(write=False) as connection:
            return await self._record(connection, order_id, lock=False)

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
        """
        async with self._transaction(write=True) as connection:
            record = await self._record(connection, order_id, lock=True)
            before = record.state
            after, answer = rule(record)
            lifecycle.move(before.status, after.status)
            changes = {name: value for name in _COLUMNS if (value := getattr(after, name)) != getattr(before, name)}
            if changes.get("body") is not None:
                changes["body"] = self._cipher.encrypt(changes["body"], bound_to=(order_id, "body"))
            if changes:
                await connection.execute(_CHANGE, {"of_order": order_id, **changes})
            moved = {"status": after.status} if "status" in changes else {}
            await self._append(connection, order_id, kind, {**detail(answer), **moved})
        return answer

    async def append(self, order_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        """One line in the audit trail."""
        async with self._transaction(write=True) as connection:
            await self._append(connection, order_id, kind, detail)

    async def notices(self, order_id: str) -> list[NoticeState]:
        """What became of the order's notices so far."""
        async with self._transaction(write=False) as connection:
            return await self._notices(connection, order_id)

    async def read_with_notices(self, order_id: str) -> tuple[StoredOrder, list[NoticeState]]:
        """One order and its notices, over one connection."""
        async with self._transaction(write=False) as connection:
            return await self._record(connection, order_id, lock=False), await self._notices(connection, order_id)

    async def write_notices(self, order_id: str, result: NoticeResult, states: Mapping[str, tuple[str, str]]) -> None:
        """Note `{platform: (state, remark)}`; a platform that has acknowledged keeps that."""
        now = self._clock.now()
        rows = [
            {"order_id": order_id, "result": result, "platform": name, "state": state, "remark": remark, "at": now}
            for name, (state, remark) in states.items()
        ]
        async with self._transaction(write=True) as connection:
            await connection.execute(self._notice_statement, rows)
            await self._append(
                connection, order_id, f"notice_{result}", {name: state for name, (state, _) in states.items()}
            )

    # --- the operator's questions -------------------------------------------------------------------------------

    async def events(self, order_id: str) -> list[Event]:
        """The order's audit trail, oldest first."""
        query = select(_EVENTS).where(_EVENTS.c.order_id == order_id).order_by(_EVENTS.c.id)
        async with self._transaction(write=False) as connection:
            return [Event(row.at, row.kind, row.detail) for row in await connection.execute(query)]

    async def unsettled(self, *, claimed_before: datetime, after: str = "", limit: int = 500) -> list[StoredOrder]:
        """Orders without an end that were claimed before, by order ID, a page at a time."""
        query = (
            select(_ORDERS)
            .where(_ORDERS.c.outcome.is_(None), _ORDERS.c.claimed_at < claimed_before, _ORDERS.c.order_id > after)
            .order_by(_ORDERS.c.order_id)
            .limit(limit)
        )
        async with self._transaction(write=False) as connection:
            return [StoredOrder(row, self._cipher) for row in await connection.execute(query)]

    async def look(self) -> "Look":
        """The database's clock and the schema's version, for `topup doctor`."""
        clock = "SELECT strftime('%Y-%m-%d %H:%M:%f', 'now')" if self._sqlite else "SELECT clock_timestamp()"
        async with self._transaction(write=False) as connection:
            asked_at = self._clock.now()
            read: str | datetime = (await connection.execute(text(clock))).scalar_one()
            answered_at = self._clock.now()
            found, newest = await connection.run_sync(migrations.versions)
        at = datetime.fromisoformat(read).replace(tzinfo=UTC) if isinstance(read, str) else read
        ahead = at - (asked_at + (answered_at - asked_at) / 2)
        return Look(version=found, newest_version=newest, clock_ahead_seconds=ahead.total_seconds())

    async def of_vehicle(self, vin: str) -> list[str]:
        """The IDs of a vehicle's orders, newest first, whichever key they are filed under."""
        query = select(_ORDERS.c.order_id).where(_ORDERS.c.vehicle_hash.in_(self._cipher.vehicle_hashes(vin)))
        async with self._transaction(write=False) as connection:
            return list((await connection.execute(query.order_by(_ORDERS.c.claimed_at.desc()))).scalars())

    def key_rotation(self) -> KeyRotation:
        """Which keys its columns are encrypted under, and their re-encryption."""
        return KeyRotation(self._transaction, self._cipher)

    async def counts(self) -> dict[str, int]:
        """How many orders stand where, by status."""
        query = select(_ORDERS.c.status, func.count()).group_by(_ORDERS.c.status)
        async with self._transaction(write=False) as connection:
            return {row[0]: int(row[1]) for row in await connection.execute(query)}

    # --- inside -------------------------------------------------------------------------------------------------

    @contextlib.asynccontextmanager
    async def _transaction(
        self, *, write: bool, seconds: float = TRANSACTION_SECONDS
    ) -> AsyncGenerator[AsyncConnection, None]:
        one_writer = self._one_writer if write and self._sqlite else contextlib.nullcontext()
        engine = self._writing if write else self._reading
        try:
            async with asyncio.timeout(seconds), one_writer, engine.begin() as connection:
                yield connection
        except (TimeoutError, PoolTimeoutError, OSError) as error:
            raise Unavailable(
                "The order book's database doesn't answer: check it and TOPUP_DATABASE_URL; nothing is lost."
            ) from error
        except DBAPIError as error:
            if _missing_table(error):
                raise Unavailable("The order book has no tables yet: run `topup setup`.") from error
            if _missing_column(error):
                raise Unavailable("The order book's tables are of an older version: run `topup setup`.") from error
            raise Unavailable(
                f"The order book's database refused: {type(error.orig).__name__}; see its log."
            ) from error
        except SQLAlchemyError as error:
            raise Unavailable(f"The order book's database failed: {type(error).__name__}; see its log.") from error

    async def _record(self, connection: AsyncConnection, order_id: str, *, lock: bool) -> StoredOrder:
        query = _ORDER_LOCKED if lock else _ORDER
        row = (await connection.execute(query, {"of_order": order_id})).one_or_none()
        if row is None:
            raise UnknownOrder(f"The order book has no order {order_id}: check the ID and TOPUP_DATABASE_URL.")
        return StoredOrder(row, self._cipher)

    async def _notices(self, connection: AsyncConnection, order_id: str) -> list[NoticeState]:
        rows = await connection.execute(_NOTICES_OF, {"of_order": order_id})
        return [NoticeState(row.result, row.platform, row.state, row.remark) for row in rows]

    async def _append(self, connection: AsyncConnection, order_id: str, kind: str, detail: Mapping[str, Any]) -> None:
        line: dict[str, Any] = {"order_id": order_id, "at": self._clock.now(), "kind": kind, "detail": dict(detail)}
        await connection.execute(_EVENT, line)

    async def _already_there(self, connection: AsyncConnection, orders: Sequence[PaidOrder]) -> "_Known":
        payments = [(order.payment.provider, order.payment.transaction_id) for order in orders]
        query = select(
            _ORDERS.c.order_id,
            _ORDERS.c.content_digest,
            _ORDERS.c.provider,
            _ORDERS.c.transaction_id,
            _ORDERS.c.outcome,
        ).where(
            or_(
                _ORDERS.c.order_id.in_([order.order_id for order in orders]),
                tuple_(_ORDERS.c.provider, _ORDERS.c.transaction_id).in_(payments),
            )
        )
        known = _Known()
        for row in await connection.execute(query):
            known.orders[row.order_id] = (row.content_digest, row.outcome is not None)
            known.payments[(row.provider, row.transaction_id)] = row.order_id
        return known

    async def _insert(self, connection: AsyncConnection, fresh: Sequence[PaidOrder]) -> set[str]:
        if not fresh:
            return set()
        now = self._clock.now()
        rows = [self._values(order, now) for order in sorted(fresh, key=lambda order: order.order_id)]
        result: CursorResult[Any] = await connection.execute(self._claim_statement, rows)
        inserted = {str(row[0]) for row in result}
        if inserted:
            events: list[dict[str, Any]] = [
                {"order_id": name, "at": now, "kind": "claimed", "detail": {}} for name in inserted
            ]
            await connection.execute(_EVENT, events)
        return inserted

    def _values(self, order: PaidOrder, now: datetime) -> dict[str, Any]:
        payment = order.payment
        vehicle = order.vehicle.model_dump_json(exclude_none=True).encode()
        state = OrderState(order_id=order.order_id, claimed_at=now)
        return {
            **{name: getattr(state, name) for name in _COLUMNS},
            "content_digest": order.content_digest(),
            "package_id": order.package_id,
            "amount_fen": order.amount_fen,
            "currency": order.currency,
            "provider": payment.provider,
            "merchant_id": payment.merchant_id,
            "out_trade_no": payment.out_trade_no,
            "transaction_id": payment.transaction_id,
            "paid_at": payment.paid_at,
            "vehicle": self._cipher.encrypt(vehicle, bound_to=(order.order_id, "vehicle")),
            "vehicle_hash": self._cipher.vehicle_hash(order.vehicle.vin),
        }


class _Known:
    """The orders and payments that the book has, for comparing a batch."""

    def __init__(self) -> None:
        self.orders: dict[str, tuple[str, bool]] = {}
        self.payments: dict[tuple[str, str], str] = {}

    def add(self, order: PaidOrder, *, settled: bool) -> None:
        self.orders[order.order_id] = (order.content_digest(), settled)
        self.payments[(order.payment.provider, order.payment.transaction_id)] = order.order_id

    def compare(self, order: PaidOrder) -> ClaimResult:
        there = self.orders.get(order.order_id)
        if there is not None:
            digest, settled = there
            if digest == order.content_digest():
                return ClaimResult(order.order_id, Claim.SETTLED if settled else Claim.UNSETTLED)
            return ClaimResult(
                order.order_id, Claim.CONFLICT, "An order with this order_id and other content was accepted before."
            )
        other = self.payments.get((order.payment.provider, order.payment.transaction_id), "another order")
        return ClaimResult(order.order_id, Claim.CONFLICT, f"This payment was accepted before, for order {other}.")


def _first_of_each(orders: Sequence[PaidOrder], known: _Known) -> list[PaidOrder]:
    """Those that neither the book nor an earlier one of the batch has, by order ID and by payment."""
    seen_orders, seen_payments = set(known.orders), set(known.payments)
    fresh: list[PaidOrder] = []
    for order in orders:
        payment = (order.payment.provider, order.payment.transaction_id)
        if order.order_id not in seen_orders and payment not in seen_payments:
            fresh.append(order)
            seen_orders.add(order.order_id)
            seen_payments.add(payment)
    return fresh


def _engine(database_url: str) -> AsyncEngine:
    if database_url.startswith("sqlite:"):
        engine = create_async_engine(
            "sqlite+aiosqlite:" + database_url.removeprefix("sqlite:"),
            hide_parameters=True,
            pool_size=SQLITE_READERS + 1,
            max_overflow=0,
            connect_args={"timeout": TRANSACTION_SECONDS},
        )
        event.listen(engine.sync_engine, "connect", _sqlite_durable)
        event.listen(engine.sync_engine, "begin", _sqlite_begin)
        return engine
    return create_async_engine(
        "postgresql+asyncpg:" + database_url.removeprefix("postgresql:"),
        hide_parameters=True,
        pool_size=POSTGRES_CONNECTIONS,
        max_overflow=0,
        pool_timeout=TRANSACTION_SECONDS,
        connect_args={"timeout": TRANSACTION_SECONDS, "command_timeout": TRANSACTION_SECONDS},
    )


def _sqlite_durable(connection: Any, _record: object) -> None:
    """WAL, durable to power loss; transactions begin where we say so (`_sqlite_begin`)."""
    connection.isolation_level = None
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode=WAL")
    cursor.execute("PRAGMA synchronous=FULL")
    cursor.close()


def _sqlite_begin(connection: Any) -> None:
    """A writer takes the lock at once: one that takes it late can fail with "database is locked" (measured)."""
    write = connection.get_execution_options().get("topup_write", True)
    connection.exec_driver_sql("BEGIN IMMEDIATE" if write else "BEGIN")


def _missing_column(error: DBAPIError) -> bool:
    text = str(error.orig).lower()
    return "no such column" in text or "has no column" in text or ("column" in text and "does not exist" in text)


def _missing_table(error: DBAPIError) -> bool:
    text = str(error.orig).lower()
    return "no such table" in text or ("relation" in text and "does not exist" in text)
