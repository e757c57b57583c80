"""Re-encrypts the order book's columns under the current key, while worker and bridge go on.

A row is changed by compare-and-set on what was read of it; one that changed meanwhile is taken again. Nothing else of
it is touched, so no rule sees a difference, and duplicates, compared by the digest in clear, stay duplicates.
"""

import json
from collections import Counter
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Final, Protocol

from sqlalchemy import ColumnElement, LargeBinary, and_, bindparam, func, or_, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from adapters.order_book import tables
from adapters.order_book.field_cipher import KEY_ID_AT, KEY_ID_BYTES, FieldCipher, WrongKey, key_id_of
from adapters.order_book.rows import ERASED, NO_HASHES

BATCH_ROWS: Final = 100
"""In one transaction: some 20 ms in which a saga's own change of one of them waits."""

_ORDERS = tables.SQLModel.metadata.tables["orders"]
_COLUMNS: Final = (_ORDERS.c.vehicle, _ORDERS.c.body, _ORDERS.c.content_digest)
_CHANGE = update(_ORDERS).where(
    _ORDERS.c.order_id == bindparam("of_order"),
    _ORDERS.c.vehicle == bindparam("read_vehicle", type_=LargeBinary),
    _ORDERS.c.body.is_not_distinct_from(bindparam("read_body", type_=LargeBinary)),
)


class Transaction(Protocol):
    """`OrderBook`'s transactions, with their limits and errors."""

    def __call__(self, *, write: bool) -> AbstractAsyncContextManager[AsyncConnection]:
        """Begin one."""
        ...


@dataclass(frozen=True, slots=True)
class KeyUse:
    """How many rows have a value under one key. `role`: `current`, `old`, or `missing` where it isn't configured."""

    key_id: str
    role: str
    vehicles: int
    bodies: int
    digests: int


@dataclass(frozen=True, slots=True)
class Batch:
    """What one batch did.

    Attributes:
        rows: re-encrypted; in a dry run, to be re-encrypted.
        unreadable: order IDs whose values no configured key opens; they are left as they are.
        next_after: where the next batch goes on; None: this was the last one.
    """

    rows: int
    unreadable: tuple[str, ...]
    next_after: str | None


class KeyRotation:
    """Made by `OrderBook.key_rotation`. Every method raises `Unavailable` where the database is away."""

    def __init__(self, transaction: Transaction, cipher: FieldCipher) -> None:
        self._transaction = transaction
        self._cipher = cipher

    async def in_use(self) -> list[KeyUse]:
        """Every key that is configured or that a row needs, the current one first."""
        vehicles, bodies, digests = Counter[bytes](), Counter[bytes](), Counter[bytes]()
        async with self._transaction(write=False) as connection:
            for column, counted in zip(_COLUMNS, (vehicles, bodies, digests), strict=True):
                key_id = _key_id(column).label("key_id")
                query = select(key_id, func.count()).where(func.length(column) > 0).group_by("key_id")
                counted.update({bytes(row[0]): int(row[1]) for row in await connection.execute(query)})
        configured = self._cipher.key_ids
        others = sorted((vehicles.keys() | bodies.keys() | digests.keys()) - set(configured))
        return [
            KeyUse(one.hex(), self._role(one), vehicles[one], bodies[one], digests[one])
            for one in (*configured, *others)
        ]

    async def left(self) -> int:
        """How many rows have a value under another key than the current one."""
        async with self._transaction(write=False) as connection:
            return int(await connection.scalar(select(func.count()).select_from(_ORDERS).where(self._stale())) or 0)

    async def run_once(self, after: str = "", *, limit: int = BATCH_ROWS, dry_run: bool = False) -> Batch:
        """The next rows by order ID, in one transaction; rows that are current already cost nothing."""
        query = select(_ORDERS.c.order_id, *_COLUMNS).where(_ORDERS.c.order_id > after, self._stale())
        async with self._transaction(write=False) as connection:
            rows = (await connection.execute(query.order_by(_ORDERS.c.order_id).limit(limit))).all()
        changes, unreadable = list[dict[str, Any]](), list[str]()
        for row in rows:  # before the transaction: encrypting holds no lock
            try:
                changes.append(self._change(row))
            except WrongKey:
                unreadable.append(row.order_id)
        missed = [] if dry_run else await self._write(changes)
        next_after = rows[-1].order_id if len(rows) == limit else None
        if missed:  # changed since they were read: the next batch takes them again
            next_after = _before(missed[0], [after, *(row.order_id for row in rows)])
            unreadable = [one for one in unreadable if one <= next_after]
        return Batch(len(changes) - len(missed), tuple(unreadable), next_after)

    async def _write(self, changes: list[dict[str, Any]]) -> list[str]:
        """The rows that were changed by somebody else since they were read."""
        missed: list[str] = []
        if changes:
            async with self._transaction(write=True) as connection:
                for change in changes:
                    done = await connection.execute(_CHANGE, change)
                    if not done.rowcount:
                        missed.append(change["of_order"])
        return missed

    def _change(self, row: Any) -> dict[str, Any]:
        """Values anew, with their compare; the hashes go with the vehicle's key.

        Raises:
            WrongKey: no configured key opens one of them.
        """
        bound_vehicle, bound_body = (row.order_id, "vehicle"), (row.order_id, "body")
        erased = row.vehicle == ERASED
        vehicle = b"" if erased else self._cipher.decrypt(row.vehicle, bound_to=bound_vehicle)
        body = row.body
        if body is not None and key_id_of(body) != self._cipher.current_key_id:
            body = self._cipher.encrypt(self._cipher.decrypt(body, bound_to=bound_body), bound_to=bound_body)
        bound_digest = (row.order_id, "content_digest")
        digest = self._cipher.decrypt(row.content_digest, bound_to=bound_digest)
        return {
            "of_order": row.order_id,
            "read_vehicle": row.vehicle,
            "read_body": row.body,
            "vehicle": ERASED if erased else self._cipher.encrypt(vehicle, bound_to=bound_vehicle),
            **(NO_HASHES if erased else self._cipher.file_under(json.loads(vehicle))),
            "body": body,
            "content_digest": self._cipher.encrypt(digest, bound_to=bound_digest),
        }

    def _stale(self) -> ColumnElement[bool]:
        current = self._cipher.current_key_id
        return or_(*(and_(func.length(column) > 0, _key_id(column) != current) for column in _COLUMNS))

    def _role(self, key_id: bytes) -> str:
        if key_id == self._cipher.current_key_id:
            return "current"
        return "old" if key_id in self._cipher.key_ids else "missing"


def _key_id(column: ColumnElement[Any]) -> ColumnElement[bytes]:
    """In the database, so that only rows that need it come over."""
    return func.substr(column, KEY_ID_AT + 1, KEY_ID_BYTES, type_=LargeBinary)


def _before(order_id: str, places: list[str]) -> str:
    """The place right before `order_id`."""
    return max(place for place in places if place < order_id)
