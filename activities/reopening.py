"""Orders that the book has without an end and nobody works on: found, and taken up again (contracts §3).

The order book and the server keep this harmless: only one run of an order can be open, it asks the carrier before it
sends anything, and each effect looks in the book first.
"""

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum

from temporalio import activity
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from activities.context import Alert
from activities.ports import StoredOrder, UnsettledBook
from orders import operator_rules
from orders.clock import Clock
from orders.foreign_runs import CALLS, foreign_run_sentence, is_foreign, note_foreign_run, note_own_run
from orders.identities import workflow_id
from orders.state import OrderState
from orders.time_scale import scaled
from workflows import sweep
from workflows.steps import Start, TopUpInput
from workflows.sweep import Swept

PAGE_ORDERS = 500
AT_ONCE = 20
"""Runs described at a time: a sweep must not crowd out the orders."""


class Reopened(StrEnum):
    """What became of the wish to reopen an order."""

    REOPENED = "reopened"
    RUNNING = "running"
    FOREIGN = "foreign"
    """A run that is not the order's stands under its ID: its own can't start before that one is ended."""
    SETTLED = "settled"
    UNREADABLE = "unreadable"


class Reopening:
    """Starts a second run of an order whose latest run is closed or gone, while the book says unsettled."""

    def __init__(
        self,
        client: Callable[[], Client],
        book: UnsettledBook,
        clock: Clock,
        alert: Alert,
        *,
        task_queue: str,
        scale: float,
    ) -> None:
        self._client = client
        self._book = book
        self._clock = clock
        self._alert = alert
        self._task_queue = task_queue
        self._scale = scale

    @activity.defn(name=sweep.REOPEN_UNSETTLED)
    async def reopen_unsettled_orders(self) -> Swept:
        """Look at every unsettled order that was claimed a while ago; take up those without an open run.

        One that can't be taken up stops none of the others: what can't be read is named to a person; a server that
        doesn't answer for one of them fails this attempt once all were looked at.
        """
        grace = timedelta(seconds=scaled(sweep.GRACE_SECONDS, self._scale))
        claimed_before = self._clock.now() - grace
        looked_at, reopened, after = 0, list[str](), ""
        failed: list[BaseException] = []
        while page := await self._book.unsettled(claimed_before=claimed_before, after=after, limit=PAGE_ORDERS):
            for start in range(0, len(page), AT_ONCE):
                some = page[start : start + AT_ONCE]
                done = await asyncio.gather(*(self._look_at(stored) for stored in some), return_exceptions=True)
                reopened += [
                    stored.order_id for stored, what in zip(some, done, strict=True) if what is Reopened.REOPENED
                ]
                failed += [what for what in done if isinstance(what, BaseException)]
                activity.heartbeat()
            looked_at, after = looked_at + len(page), page[-1].order_id
        if failed:
            raise failed[0]
        return Swept(unsettled=looked_at, reopened=len(reopened), examples=tuple(reopened[:10]))

    async def _look_at(self, stored: StoredOrder) -> Reopened:
        if (why := stored.unreadable) is not None:
            self._alert("order_unreadable", order_id=stored.order_id, why=str(why))
            return Reopened.UNREADABLE
        return await self._take_up(stored.order_id)

    async def reopen(self, order_id: str) -> Reopened:
        """One order, by an operator's command.

        Raises:
            UnknownOrder: the book has no such order.
        """
        return await self._take_up(order_id)

    async def _take_up(self, order_id: str) -> Reopened:
        looked_at = self._clock.now()
        open_run = await self._open_run(order_id)
        # Read after that look: a run that came to its end has settled its order before it closed.
        record = await self._book.read(order_id)
        if record.state.outcome is not None:
            return Reopened.SETTLED
        if open_run is not None:
            return await self._named(order_id, record.state, open_run, looked_at)
        order = record.order
        self._alert("order_had_no_run", order_id=order_id)
        # Written before the run starts: it asks the carrier before it sends anything to it.
        await self._book.decide(
            order_id,
            lambda stored: operator_rules.reopen(stored.state, self._clock.now()),
            kind="reopened",
            detail=lambda _: {},
        )
        again = TopUpInput(
            order_id=order_id,
            package_id=order.package_id,
            amount_fen=record.refund_fen,
            provider=order.payment.provider,
            time_scale=self._scale,
            reopened=True,
        )
        try:
            await self._client().start_workflow(**Start(again, record.vehicle_hash).arguments(self._task_queue))
        except WorkflowAlreadyStartedError:
            looked_at = self._clock.now()
            open_run = await self._open_run(order_id) or Reopened.RUNNING
            return await self._named(order_id, (await self._book.read(order_id)).state, open_run, looked_at)
        return Reopened.REOPENED

    async def _named(self, order_id: str, state: OrderState, open_run: Reopened, looked_at: datetime) -> Reopened:
        """Say whose run is open, also in the order's row, where that says something else."""
        if open_run is Reopened.FOREIGN:
            self._alert("order_not_started", order_id=order_id, sentence=foreign_run_sentence(order_id))
            if not state.attention:
                await self._book.decide(
                    order_id,
                    lambda stored: note_foreign_run(stored.state, looked_at),
                    kind="status",
                    detail=lambda noted: CALLS if noted else {},
                )
        elif state.attention == "foreign_run":
            await self._book.decide(
                order_id, lambda stored: note_own_run(stored.state), kind="status", detail=lambda _: {"run": "own"}
            )
        return open_run

    async def _open_run(self, order_id: str) -> Reopened | None:
        """`RUNNING`, `FOREIGN`, or None where no run under its ID is open."""
        try:
            latest = await self._client().get_workflow_handle(workflow_id(order_id)).describe()
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return None
            raise
        if latest.status is not WorkflowExecutionStatus.RUNNING:
            return None
        return Reopened.FOREIGN if is_foreign(latest, self._task_queue) else Reopened.RUNNING
