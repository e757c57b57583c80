"""Claims of paid orders: inserted once for ever, or compared with what stands.

An order that another process is just claiming, and is slow or frozen over, holds up no other for long.
"""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import CursorResult, func, select, text
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.order_book import audit_trail, holds
from adapters.order_book.decisions import EVENT, HEAD
from adapters.order_book.engine import LOCK_SECONDS, TRANSACTION_SECONDS
from adapters.order_book.field_cipher import FieldCipher, WrongKey
from adapters.order_book.rows import ORDERS, STATE_COLUMNS
from adapters.order_book.tables import ADMISSION_COUNTS
from adapters.order_book.transactions import RowLocked, Transactions
from orders.arrival import Arrival, repeated
from orders.clock import Clock
from orders.errors import Unavailable
from orders.paid_order import PaidOrder, day_in_china
from orders.state import OrderState

NO_KEY: Final = (
    "An order with this order_id was accepted before, under a key that isn't configured: nothing can be said of its "
    "content. Set TOPUP_PII_OLD_KEYS, then redrive this record."
)
AT_ONCE: Final = 4
"""Claims that go alone, side by side."""


class Claim(StrEnum):
    """What the book says to a record's claim."""

    NEW = "new"
    UNSETTLED = "unsettled"
    SETTLED = "settled"
    CONFLICT = "conflict"


@dataclass(frozen=True, slots=True)
class ClaimResult:
    """The claim of one record.

    Attributes:
        conflict: a sentence without personal data, else empty.
        stands: the order that it conflicts with.
    """

    order_id: str
    outcome: Claim
    conflict: str = ""
    stands: str = ""


class ClaimsHeld(Unavailable):
    """Some orders of a batch are held by another process; the others were claimed. Claim the batch, or those, again.

    Attributes:
        results: by the batch's order; None where the order is held.
    """

    def __init__(self, results: Sequence[ClaimResult | None], held: str) -> None:
        super().__init__(f"Order {held} is just being claimed by another process: it lets go within seconds.")
        self.results = tuple(results)


class Known:
    """The orders and payments that the book has, for comparing a batch. A digest that no key opens is None."""

    def __init__(self) -> None:
        self.orders: dict[str, tuple[str | None, bool]] = {}
        self.payments: dict[tuple[str, str], str] = {}

    def add(self, order: PaidOrder, *, settled: bool) -> None:
        """Now it has this one too."""
        self.orders[order.order_id] = (order.content_digest(), settled)
        self.payments[_payment(order)] = order.order_id

    def compare(self, order: PaidOrder) -> ClaimResult:
        """What it says to an order that isn't new."""
        there = self.orders.get(order.order_id)
        if there is not None:
            digest, settled = there
            if digest == order.content_digest():
                return ClaimResult(order.order_id, Claim.SETTLED if settled else Claim.UNSETTLED)
            why = NO_KEY if digest is None else "An order with this order_id and other content was accepted before."
            return ClaimResult(order.order_id, Claim.CONFLICT, why, order.order_id)
        other = self.payments.get(_payment(order), "")
        why = f"This payment was accepted before, for order {other or 'another order'}."
        return ClaimResult(order.order_id, Claim.CONFLICT, why, other)


class Claims:
    """The bridge's questions to the order book."""

    def __init__(self, transactions: Transactions, cipher: FieldCipher, clock: Clock) -> None:
        self._transaction = transactions
        self._cipher = cipher
        self._clock = clock
        dialect = sqlite if transactions.sqlite else postgresql
        self._statement = dialect.insert(ORDERS).on_conflict_do_nothing().returning(ORDERS.c.order_id)

    async def claim(self, orders: Sequence[PaidOrder], arrivals: Sequence[Arrival] = ()) -> list[ClaimResult]:
        """Insert or compare, in the given order: of two that conflict the first stands (contracts §1).

        With `arrivals`, one for each, the orders' trails tell of every record, in the same transaction: a batch makes
        at most one line of each kind for each order.

        Raises:
            ClaimsHeld: some are held by another process; the others were claimed.
        """
        ends_at = asyncio.get_running_loop().time() + TRANSACTION_SECONDS - LOCK_SECONDS
        try:
            return await self._claim(orders, arrivals)
        except RowLocked:
            return await self._claim_apart(orders, arrivals, ends_at)

    async def first_pass_count(self) -> int:
        """Orders in their first pass: claimed and not yet settled, parked, in doubt, refunding or behind a foreign run.

        Zero while the carrier is held: they wait for an operator, and others are claimed to wait with them (ADR 8).
        """
        held = holds.is_held("carrier", self._clock.now())
        async with self._transaction(write=False) as connection:
            query = select(func.count()).select_from(ORDERS).where(text(ADMISSION_COUNTS), ~held)
            return int(await connection.scalar(query) or 0)

    async def known(self, order_ids: Sequence[str]) -> set[str]:
        """Those of the orders that were claimed before, settled or not."""
        async with self._transaction(write=False) as connection:
            rows = await connection.execute(select(ORDERS.c.order_id).where(ORDERS.c.order_id.in_(order_ids)))
            return set(rows.scalars())

    # --- inside ------------------------------------------------------------------------------------------------------

    async def _claim_apart(
        self, orders: Sequence[PaidOrder], arrivals: Sequence[Arrival], ends_at: float
    ) -> list[ClaimResult]:
        """Each in a transaction of its own, but for those that may conflict with each other: they keep their order."""
        results: list[ClaimResult | None] = [None] * len(orders)
        places = asyncio.Semaphore(AT_ONCE)

        async def claim(numbers: Sequence[int]) -> None:
            async with places:
                if asyncio.get_running_loop().time() >= ends_at:
                    return
                try:
                    theirs = [arrivals[number] for number in numbers] if arrivals else ()
                    claimed = await self._claim([orders[number] for number in numbers], theirs)
                except RowLocked:
                    return
            for number, result in zip(numbers, claimed, strict=True):
                results[number] = result

        done = await asyncio.gather(*(claim(numbers) for numbers in _related(orders)), return_exceptions=True)
        for error in done:
            if isinstance(error, BaseException):
                raise error
        whole = [result for result in results if result is not None]
        if len(whole) < len(orders):
            raise ClaimsHeld(results, orders[results.index(None)].order_id)
        return whole

    async def _claim(self, orders: Sequence[PaidOrder], arrivals: Sequence[Arrival]) -> list[ClaimResult]:
        if not orders:
            return []
        came: dict[int, Arrival] = {}
        for order, arrival in zip(orders, arrivals, strict=bool(arrivals)):
            came.setdefault(id(order), arrival)
        async with self._transaction(write=True) as connection:
            known = await self._already_there(connection, orders)
            new: set[int] = set()
            while fresh := _first_of_each(orders, known):
                inserted = await self._insert(connection, fresh, came)
                new |= {id(order) for order in fresh if order.order_id in inserted}
                if len(inserted) == len(fresh):
                    break
                # Another bridge was faster with some: what waited behind those in this batch may be free now.
                known = await self._already_there(connection, orders)
            results = _compared(orders, known, new)
            await self._note_repeats(connection, results, arrivals)
        return results

    async def _already_there(self, connection: AsyncConnection, orders: Sequence[PaidOrder]) -> Known:
        there = select(
            ORDERS.c.order_id,
            ORDERS.c.content_digest,
            ORDERS.c.provider,
            ORDERS.c.transaction_id,
            ORDERS.c.outcome,
        )
        by_id = there.where(ORDERS.c.order_id.in_([order.order_id for order in orders]))
        payments: dict[str, list[str]] = {}
        for order in orders:
            payments.setdefault(order.payment.provider, []).append(order.payment.transaction_id)
        # Not by OR, nor by pairs of values: for either SQLite reads the whole table (measured).
        by_payment = [
            there.where(ORDERS.c.provider == provider, ORDERS.c.transaction_id.in_(theirs))
            for provider, theirs in sorted(payments.items())
        ]
        known = Known()
        for row in await connection.execute(by_id.union_all(*by_payment)):
            known.orders[row.order_id] = (self._digest(row), row.outcome is not None)
            known.payments[(row.provider, row.transaction_id)] = row.order_id
        return known

    def _digest(self, row: Any) -> str | None:
        """In clear; None where no configured key opens it: then the record is a dead letter, loudly, and no duplicate.

        To take it for one would drop it silently; to wait for the key would hold up its whole partition.
        """
        try:
            return self._cipher.decrypt(row.content_digest, bound_to=(row.order_id, "content_digest")).hex()
        except WrongKey:
            return None

    async def _insert(
        self, connection: AsyncConnection, fresh: Sequence[PaidOrder], came: Mapping[int, Arrival]
    ) -> set[str]:
        now = self._clock.now()
        rows = [
            order_values(order, _new(order, now), self._cipher, _arrived(order, came))
            for order in sorted(fresh, key=lambda order: order.order_id)
        ]
        result: CursorResult[Any] = await connection.execute(self._statement, rows)
        inserted = {str(row[0]) for row in result}
        if inserted:
            events: list[dict[str, Any]] = [
                audit_trail.line(audit_trail.BEGINNING, order.order_id, now, "claimed", _arrived(order, came))
                for order in fresh
                if order.order_id in inserted
            ]
            await connection.execute(EVENT, events)
        return inserted

    async def _note_repeats(
        self, connection: AsyncConnection, results: Sequence[ClaimResult], arrivals: Sequence[Arrival]
    ) -> None:
        """A line for each order that came again or was contradicted, however often it was in this batch."""
        of: dict[str, dict[str, list[Arrival]]] = {}
        for result, arrival in zip(results, arrivals, strict=bool(arrivals)):
            if result.outcome is Claim.CONFLICT and result.stands:
                of.setdefault(result.stands, {}).setdefault("conflict", []).append(arrival)
            elif result.outcome in (Claim.UNSETTLED, Claim.SETTLED):
                of.setdefault(result.order_id, {}).setdefault("duplicate", []).append(arrival)
        if not of:
            return
        heads = select(ORDERS.c.order_id, ORDERS.c.trail).where(ORDERS.c.order_id.in_(sorted(of)))
        rows = (await connection.execute(heads.order_by(ORDERS.c.order_id).with_for_update())).all()
        now, lines = self._clock.now(), list[dict[str, Any]]()
        for row in rows:
            head: str = row.trail
            for kind, came in of[row.order_id].items():
                line = audit_trail.line(head, row.order_id, now, kind, repeated(came))
                head = line["hash"]
                lines.append(line)
            await connection.execute(HEAD, {"of_order": row.order_id, "head": head})
        await connection.execute(EVENT, lines)


def _new(order: PaidOrder, now: datetime) -> OrderState:
    return OrderState(order_id=order.order_id, claimed_at=now)


def _arrived(order: PaidOrder, came: Mapping[int, Arrival]) -> dict[str, Any]:
    return came[id(order)].detail() if came else {}


def order_values(
    order: PaidOrder, state: OrderState, cipher: FieldCipher, claimed: Mapping[str, Any]
) -> dict[str, Any]:
    """An order's row as it is inserted, with the head of its trail, whose first line says `claimed`."""
    name = order.order_id
    payment = order.payment
    vehicle = order.vehicle.model_dump(exclude_none=True)
    encoded = order.vehicle.model_dump_json(exclude_none=True).encode()
    return {
        **{name: getattr(state, name) for name in STATE_COLUMNS},
        "content_digest": cipher.encrypt(bytes.fromhex(order.content_digest()), bound_to=(name, "content_digest")),
        "package_id": order.package_id,
        "amount_fen": order.amount_fen,
        "currency": order.currency,
        "provider": payment.provider,
        "merchant_id": payment.merchant_id,
        "out_trade_no": payment.out_trade_no,
        "transaction_id": payment.transaction_id,
        "paid_at": payment.paid_at,
        "paid_on": day_in_china(payment.paid_at),
        "vehicle": cipher.encrypt(encoded, bound_to=(name, "vehicle")),
        **cipher.file_under(vehicle),
        "trail": audit_trail.link(audit_trail.BEGINNING, name, state.claimed_at, "claimed", claimed),
    }


def _compared(orders: Sequence[PaidOrder], known: Known, new: set[int]) -> list[ClaimResult]:
    results: list[ClaimResult] = []
    for order in orders:
        if id(order) in new:
            new.discard(id(order))  # the same record once more is a duplicate
            results.append(ClaimResult(order.order_id, Claim.NEW))
            known.add(order, settled=False)
        else:
            results.append(known.compare(order))
    return results


def _payment(order: PaidOrder) -> tuple[str, str]:
    return (order.payment.provider, order.payment.transaction_id)


def _first_of_each(orders: Sequence[PaidOrder], known: Known) -> list[PaidOrder]:
    """Those that neither the book nor an earlier one of the batch has, by order ID and by payment."""
    seen_orders, seen_payments = set(known.orders), set(known.payments)
    fresh: list[PaidOrder] = []
    for order in orders:
        if order.order_id not in seen_orders and _payment(order) not in seen_payments:
            fresh.append(order)
            seen_orders.add(order.order_id)
            seen_payments.add(_payment(order))
    return fresh


def _related(orders: Sequence[PaidOrder]) -> list[list[int]]:
    """The batch's numbers in groups that share an order ID or a payment, directly or through others of the group."""
    groups: list[list[int]] = []
    of: dict[object, list[int]] = {}
    for number, order in enumerate(orders):
        keys = (("order", order.order_id), ("payment", *_payment(order)))
        mine = [number]
        for group in {id(of[key]): of[key] for key in keys if key in of}.values():
            mine = [*group, *mine]
            groups.remove(group)
        mine.sort()
        groups.append(mine)
        for one in mine:
            of[("order", orders[one].order_id)] = of[("payment", *_payment(orders[one]))] = mine
        for key in keys:
            of[key] = mine
    return groups
