"""Moments at which calls to a limited part may leave, given out to all workers from one row, each moment once.

By the database's clock alone: a worker whose clock is wrong neither hurries nor holds up the others. On SQLite all
workers are on one machine, whose clock it is.
"""

import time
from typing import Any, Final

from sqlalchemy import BigInteger, and_, bindparam, case, cast, extract, func, select
from sqlalchemy.dialects import postgresql, sqlite

from adapters.order_book.rows import CALL_SLOTS
from adapters.order_book.transactions import Transactions

_SECOND: Final = 1_000_000
IMPOSSIBLE_SECONDS: Final = 60
"""Nobody takes moments so far ahead (`take`): the clock was put back, and the row begins anew."""


class CallSlots:
    """Made by `OrderBook.call_slots`. Raises `Unavailable` where the database is away."""

    def __init__(self, transactions: Transactions) -> None:
        self._transaction = transactions
        self._sqlite = transactions.sqlite
        now: Any = bindparam("now_us", type_=BigInteger())
        if not transactions.sqlite:
            now = cast(extract("epoch", func.statement_timestamp()) * _SECOND, BigInteger())
        next_at, takes = CALL_SLOTS.c.next_at_us, bindparam("takes_us", type_=BigInteger())
        waits = and_(next_at > now, next_at <= now + IMPOSSIBLE_SECONDS * _SECOND)
        too_far = next_at > now + bindparam("at_most_us", type_=BigInteger())
        insert = (sqlite if transactions.sqlite else postgresql).insert(CALL_SLOTS)
        self._take = (
            insert.values(part=bindparam("of_part"), next_at_us=now + takes)
            .on_conflict_do_update(
                index_elements=["part"],
                set_={"next_at_us": case((waits, next_at), else_=now) + takes},
                where=~and_(waits, too_far),
            )
            .returning(next_at - takes - now)
        )
        self._look = select(next_at - now).where(CALL_SLOTS.c.part == bindparam("of_part"))

    async def take(self, part: str, count: int, *, per_second: float, at_most_seconds: float) -> tuple[int, float]:
        """Take the next `count` moments, `1 / per_second` apart, if the first is at most `at_most_seconds` from now.

        Returns how many were taken (all or none), and in how many seconds the first is.
        """
        takes_us, at_most_us = round(count / per_second * _SECOND), round(at_most_seconds * _SECOND)
        asked = {"of_part": part, "takes_us": takes_us, "at_most_us": at_most_us}
        async with self._transaction(write=True) as connection:
            taken_us = (await connection.execute(self._take, self._at(asked))).scalar_one_or_none()
            if taken_us is not None:
                return count, max(0, taken_us) / _SECOND
            begins_us = (await connection.execute(self._look, self._at({"of_part": part}))).scalar_one()
            return 0, max(0, begins_us) / _SECOND

    def _at(self, values: dict[str, Any]) -> dict[str, Any]:
        return {**values, "now_us": int(time.time() * _SECOND)} if self._sqlite else values
