"""Takes a person out of an order: vehicle and stored body go, the money's row and its trail stay.

What is left of the content is its digest, encrypted: by it a record that comes again is a duplicate, and nothing is
sold twice. Nothing of the vehicle can be read from the book afterwards, by anybody.
"""

from typing import Final

from sqlalchemy import bindparam, insert, select, update

from adapters.order_book import audit_trail
from adapters.order_book.rows import ERASED, EVENTS, NO_HASHES, NOTICES, ORDERS
from adapters.order_book.transactions import Transactions
from orders.clock import Clock

UNSETTLED: Final = "is not settled: its carrier, refund or notices still need the vehicle. Erase it once it has ended."
NOTICE_PENDING: Final = "has a notice that its car has not got: publish it (`topup orders renotify`), then erase it."
_ERASE = update(ORDERS).where(ORDERS.c.order_id == bindparam("of_order"))


class Erasure:
    """Made by `OrderBook.erasure`. Every method raises `Unavailable` where the database is away."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transaction = transactions
        self._clock = clock

    async def erase(self, order_id: str, *, operator: str, note: str) -> str:
        """Erase one settled order's person, once; why not, as the rest of a sentence, or ""."""
        told = select(NOTICES.c.result, NOTICES.c.state).where(NOTICES.c.order_id == order_id)
        async with self._transaction(write=True) as connection:
            locked = select(ORDERS).where(ORDERS.c.order_id == order_id).with_for_update()
            row = (await connection.execute(locked)).one_or_none()
            if row is None:
                return "is not in the order book."
            if row.outcome is None:
                return UNSETTLED
            if row.vehicle == ERASED:
                return ""
            notices = (await connection.execute(told)).all()
            if not any(result == row.outcome for result, _ in notices) or any(
                state in ("waiting", "pending") for _, state in notices
            ):
                return NOTICE_PENDING
            line = audit_trail.line(
                row.trail, order_id, self._clock.now(), "person_erased", {"operator": operator, "note": note}
            )
            erased = {"of_order": order_id, "vehicle": ERASED, **NO_HASHES, "body": None, "trail": line["hash"]}
            await connection.execute(_ERASE, erased)
            await connection.execute(insert(EVENTS), line)
        return ""
