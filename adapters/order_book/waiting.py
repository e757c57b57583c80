"""What waits, at a glance: counts and ages, by the partial indexes of what is not done, without locks."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from sqlalchemy import Table, case, func, select

from adapters.order_book.rows import GOODWILL, NOTICES, ORDERS
from adapters.order_book.transactions import Transactions
from orders.clock import Clock
from orders.identities import NoticeResult

REFUND_AGES: Final = (("10m", timedelta(minutes=10)), ("1h", timedelta(hours=1)), ("24h", timedelta(hours=24)))
"""A refund under way is counted under the first that it is not older than."""
OLDER: Final = "older"


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waited at one moment.

    Attributes:
        unsettled: paid orders without an end, by status.
        oldest_seconds: likewise, how long ago the oldest was claimed.
        need_a_person: unsettled orders and goodwill refunds, by what a person is called for.
        refunds: refunds that are not confirmed, goodwill too, by the age of their intent.
        unpublished: notices that a platform has not taken, by platform.
    """

    unsettled: Mapping[str, int]
    oldest_seconds: Mapping[str, float]
    need_a_person: Mapping[str, int]
    refunds: Mapping[str, int]
    unpublished: Mapping[str, int]


class WaitingOrders:
    """Made by `OrderBook.waiting`. Raises `Unavailable` where the database is away."""

    def __init__(self, transactions: Transactions, clock: Clock) -> None:
        self._transaction = transactions
        self._clock = clock

    async def notices_for(self, platform: str, *, limit: int) -> list[tuple[str, NoticeResult]]:
        """Notices that this platform has not taken: order ID and result, by order ID, each order's oldest first."""
        waits = (NOTICES.c.platform == platform, NOTICES.c.state.in_(("waiting", "pending")))
        query = select(NOTICES.c.order_id, NOTICES.c.result).where(*waits)
        async with self._transaction(write=False) as connection:
            rows = await connection.execute(query.order_by(NOTICES.c.order_id, NOTICES.c.at).limit(limit))
            return [(row.order_id, row.result) for row in rows]

    async def look(self) -> Waiting:
        """What waits now."""
        now = self._clock.now()
        unsettled: dict[str, int] = {}
        oldest: dict[str, datetime] = {}
        need: dict[str, int] = {}
        orders = (
            select(ORDERS.c.status, ORDERS.c.attention, func.count(), func.min(ORDERS.c.claimed_at))
            .where(ORDERS.c.outcome.is_(None))
            .group_by(ORDERS.c.status, ORDERS.c.attention)
        )
        async with self._transaction(write=False) as connection:
            for status, attention, count, claimed_at in await connection.execute(orders):
                unsettled[status] = unsettled.get(status, 0) + count
                oldest[status] = min(oldest.get(status, claimed_at), claimed_at)
                if attention:
                    need[attention] = need.get(attention, 0) + count
            for attention, count in await connection.execute(_GOODWILL_NEEDS):
                need[attention] = need.get(attention, 0) + count
            refunds: dict[str, int] = {}
            for age, count in [
                *await connection.execute(_refunds(ORDERS, now)),
                *await connection.execute(_refunds(GOODWILL, now)),
            ]:
                refunds[age] = refunds.get(age, 0) + int(count)
            unpublished = {row[0]: int(row[1]) for row in await connection.execute(_UNPUBLISHED)}
        ages = {status: max(0.0, (now - since).total_seconds()) for status, since in oldest.items()}
        return Waiting(unsettled, ages, need, refunds, unpublished)


_UNPUBLISHED: Final = (
    select(NOTICES.c.platform, func.count())
    .where(NOTICES.c.state.in_(("waiting", "pending")))
    .group_by(NOTICES.c.platform)
)


_GOODWILL_NEEDS: Final = (
    select(GOODWILL.c.attention, func.count())
    .where(GOODWILL.c.approved_at.is_not(None), GOODWILL.c.outcome.is_(None), GOODWILL.c.attention != "")
    .group_by(GOODWILL.c.attention)
)


def _refunds(table: Table, now: datetime):  # noqa: ANN202 - SQLAlchemy's own type of a query
    age = case(*((table.c.refund_at >= now - most, name) for name, most in REFUND_AGES), else_=OLDER).label("age")
    under_way = (table.c.outcome.is_(None), table.c.refund_sequence > 0, table.c.refund_confirmed_at.is_(None))
    return select(age, func.count()).where(*under_way).group_by(age)
