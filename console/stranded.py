"""Orders that were paid, are not settled, and that nobody works on: their run was terminated, failed or is gone."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final, cast

from temporalio.client import Client

from adapters.order_book.book import OrderBook
from adapters.order_book.worked_on import Stored, WorkedOn
from console import runs
from console.runs import Listed
from orders.errors import TopUpError
from orders.foreign_runs import foreign_run_sentence
from orders.state import OrderState
from orders.time_scale import scaled
from runtime.settings.groups import OrdersAccess
from workflows.sweep import GRACE_SECONDS

PAGE_ORDERS: Final = 500
AT_ONCE: Final = 20
MOST_OPEN: Final = 100_000
LONG: Final = timedelta(hours=1)
"""Of the rule `TopUpOrdersUnsettled`, and what a refund has before a person is called for it, unless a setting says
otherwise."""
NOBODY: Final = "paid, not settled, nobody works on it"


@dataclass(frozen=True, slots=True)
class Unsettled:
    """The orders of the book that have no end."""

    count: int
    oldest: datetime | None
    need_an_operator: int
    stranded: list[Listed]
    slow: list[str]
    """Not settled by the carrier for long, and nobody is called for it; the oldest first."""
    refunds: list[str]
    """Likewise refunds that are not confirmed."""


async def unsettled(client: Client, book: OrderBook, settings: OrdersAccess) -> Unsettled:
    """Compare the book's unsettled orders with Temporal's open runs. One claimed just now is still being started.

    Raises:
        CommandFailed: Temporal doesn't answer.
        Unavailable: the book doesn't.
    """
    grace = timedelta(seconds=scaled(GRACE_SECONDS, settings.time_scale))
    opened = {one.order_id for one in await runs.listed(client, settings.task_queue, "", MOST_OPEN, open_only=True)}
    records = await _pages(WorkedOn(book), datetime.now(UTC) - grace)
    places = asyncio.Semaphore(AT_ONCE)

    async def look(record: Stored) -> Listed | None:
        async with places:
            latest = await runs.latest_run(client, record.order_id, settings.task_queue)
        if latest is not None and latest.run == "running":  # the list lags what was started just now
            return None
        return _as_listed(record, latest)

    without = [record for record in records if record.order_id not in opened]
    now = datetime.now(UTC)
    uncalled = [one for one in records if one.unreadable is None and not one.state.needs_operator]
    looked = await asyncio.gather(*(look(record) for record in without))
    return Unsettled(
        count=len(records),
        oldest=min((record.claimed_at for record in records), default=None),
        need_an_operator=sum(record.unreadable is not None or record.state.needs_operator for record in records),
        stranded=[one for one in looked if one is not None],
        slow=[one.order_id for one in _by_age(uncalled) if not_settled_for_long(one.state, now)],
        refunds=[one.order_id for one in _by_age(uncalled) if not_confirmed_for_long(one.state, now)],
    )


def not_settled_for_long(state: OrderState, now: datetime) -> bool:
    """Whether the carrier has not settled the order for long, counted as the rule `TopUpOrdersUnsettled` does."""
    return state.outcome is None and state.status in ("placing", "in_doubt") and now - state.claimed_at > LONG


def not_confirmed_for_long(state: OrderState, now: datetime) -> bool:
    """Whether a refund was decided long ago and is still not confirmed."""
    under_way = state.outcome is None and state.refund_at is not None and state.refund_confirmed_at is None
    return under_way and now - cast("datetime", state.refund_at) > LONG


def _by_age(records: Sequence[Stored]) -> list[Stored]:
    return sorted(records, key=lambda one: one.claimed_at)


def what_helps(order_id: str, run: str) -> str:
    """What a person does for an order that nobody works on, by its latest run; Markdown."""
    if run == "foreign":
        return foreign_run_sentence(order_id)
    return f"Take it up again: `topup orders reopen {order_id}`"


async def with_reasons(book: OrderBook, found: list[Listed]) -> list[Listed]:
    """The list with what each order waits for, which only the book knows."""
    places = asyncio.Semaphore(AT_ONCE)

    async def look(one: Listed) -> Listed:
        async with places:
            try:
                return replace(one, reason=(await WorkedOn(book).read(one.order_id)).state.shown_reason)
            except TopUpError:  # another deployment's order, or a book that is away: the list is worth having without
                return one

    return list(await asyncio.gather(*(look(one) for one in found)))


async def _pages(book: WorkedOn, claimed_before: datetime) -> list[Stored]:
    found: list[Stored] = []
    after = ""
    while page := await book.unsettled(claimed_before=claimed_before, after=after, limit=PAGE_ORDERS):
        found += page
        after = page[-1].order_id
    return found


def _as_listed(record: Stored, latest: Listed | None) -> Listed:
    if (unreadable := record.unreadable) is not None:
        return Listed(
            order_id=record.order_id,
            status="unreadable",
            needs_operator=True,
            run=latest.run if latest else "none",
            package="",
            provider="",
            started_at=record.claimed_at,
            reason=str(unreadable),
            stranded=True,
        )
    entry, order = record.state, record.order
    return Listed(
        order_id=entry.order_id,
        status=entry.status,
        needs_operator=entry.needs_operator,
        run=latest.run if latest else "none",
        package=order.package_id,
        provider=order.payment.provider,
        started_at=entry.claimed_at,
        reason=f"{NOBODY}. {what_helps(entry.order_id, latest.run if latest else 'none')}",
        stranded=True,
    )
