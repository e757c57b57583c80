"""Holds of carrier and providers: set and released by operators, and kept for ever, with who and why."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import ColumnElement, Row, exists, insert, or_, select, update

from adapters.order_book.rows import HOLDS, check_texts
from adapters.order_book.transactions import Transactions
from orders.clock import Clock
from orders.holds import Hold, Part, in_force

_COLUMNS: Final = tuple(column for column in HOLDS.c if column.name != "id")
_NAMES: Final = tuple(column.name for column in _COLUMNS)
_NOT_RELEASED: Final = HOLDS.c.released_at.is_(None)


def is_held(part: Part, now: datetime) -> ColumnElement[bool]:
    """For another question: whether the part is held at this moment."""
    return exists().where(HOLDS.c.part == part, _is_on(now))


class Holds:
    """Made by `OrderBook.holds`. Raises `Unavailable` where the database is away."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transaction = transactions
        self._clock = clock

    async def hold(self, part: Part, *, operator: str, note: str, until: datetime | None) -> Hold:
        """Hold the part from now on. Other holds of it stand beside: it is held while any of them is on.

        Raises:
            Unstorable: operator or note is a text that no database keeps.
        """
        check_texts({"operator": operator, "note": note})
        hold = Hold(part=part, held_at=self._clock.now(), held_by=operator, note=note, until=until)
        values = {column.name: getattr(hold, column.name) for column in _COLUMNS}
        async with self._transaction(write=True) as connection:
            await connection.execute(insert(HOLDS).values(values))
        return hold

    async def release(self, part: Part, *, operator: str, note: str) -> list[Hold]:
        """End every hold of the part that is on; those that were ended, none if it was not held.

        Raises:
            Unstorable: as above.
        """
        check_texts({"operator": operator, "note": note})
        now = self._clock.now()
        ended = (
            update(HOLDS)
            .where(HOLDS.c.part == part, _is_on(now))
            .values(released_at=now, released_by=operator, released_note=note)
            .returning(*_COLUMNS)
        )
        async with self._transaction(write=True) as connection:
            return [_hold(row) for row in await connection.execute(ended)]

    async def not_released(self) -> list[Hold]:
        """Those that are on, or were until their end came: whoever keeps them for a while looks at `Hold.is_on`."""
        query = select(*_COLUMNS).where(_NOT_RELEASED, _is_on(self._clock.now()))
        async with self._transaction(write=False) as connection:
            return [_hold(row) for row in await connection.execute(query)]

    async def in_force(self) -> Mapping[str, Hold]:
        """By part, of the holds that are on now the one that has held longest."""
        return in_force(await self.not_released(), self._clock.now())

    async def newest(self, *, limit: int) -> list[Hold]:
        """All that there ever were, the newest first."""
        query = select(*_COLUMNS).order_by(HOLDS.c.id.desc()).limit(limit)
        async with self._transaction(write=False) as connection:
            return [_hold(row) for row in await connection.execute(query)]


def _is_on(now: datetime) -> ColumnElement[bool]:
    return _NOT_RELEASED & or_(HOLDS.c.until.is_(None), HOLDS.c.until > now)


def _hold(row: Row[Any]) -> Hold:
    return Hold(**dict(zip(_NAMES, row, strict=True)))
