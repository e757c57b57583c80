"""Reconciliation as activities: which days are due, and one day (`reconciliation.run` does the work)."""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from datetime import timedelta
from typing import Final

from temporalio import activity

from orders.clock import Clock
from reconciliation.days import day_of
from reconciliation.ports import Books
from reconciliation.run import Reconciliation
from workflows.reconciliation import FIND_DAYS, RECONCILE_DAY, DayReconciled

BEAT_SECONDS: Final = 10.0
"""Twelve beats within `HEARTBEAT_SECONDS`: one that comes late ends nothing."""

Opening = Callable[[], AbstractAsyncContextManager[Reconciliation]]
"""Opens what a run needs: connections to the providers' and the carrier's bills, and to Kafka."""


class ReconcilingActivities:
    """One day after the other. Whatever an attempt has done stands in the book: the next one goes on from there."""

    def __init__(self, opening: Opening, books: Books, clock: Clock) -> None:
        self._opening = opening
        self._books = books
        self._clock = clock

    @activity.defn(name=FIND_DAYS)
    async def find_days_to_reconcile(self) -> list[str]:
        """The day before, and each that is open or not judged whole."""
        return await self._books.days_due(day_of(self._clock.now() - timedelta(days=1)))

    @activity.defn(name=RECONCILE_DAY)
    async def reconcile_day(self, day: str) -> DayReconciled:
        """Reconcile one day, or what is open of one that is judged; a bill that isn't there is no failure."""
        async with _beating(), self._opening() as reconciliation:
            report = await reconciliation.run(day, only_open=await self._books.is_judged(day))
        return DayReconciled(
            day=day,
            open_differences=report.open_differences,
            waiting=len(report.open) - report.open_differences,
            not_whole=tuple(sorted(report.not_whole)),
            put=report.put,
        )


@asynccontextmanager
async def _beating() -> AsyncGenerator[None, None]:
    """Beats while the event loop runs: a worker that died, or hangs, is noticed."""

    async def beat() -> None:
        while True:
            activity.heartbeat()
            await asyncio.sleep(BEAT_SECONDS)

    task = asyncio.create_task(beat())
    try:
        yield
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
