"""What waits in the order book, on `/metrics` of one worker at a time: nothing waits unseen."""

import asyncio
import os
import socket
import time
from collections.abc import Mapping
from typing import Final, get_args

from prometheus_client import Gauge

from adapters.order_book.duties import LEASE_SECONDS, Duties
from adapters.order_book.waiting import OLDER, REFUND_AGES, Waiting, WaitingOrders
from orders.errors import Unavailable
from orders.state import Attention
from runtime.metrics import Metrics
from runtime.redaction import in_one_line
from runtime.telemetry import get_logger

_log = get_logger(__name__)
LOOK_SECONDS: Final = 15.0
"""As often as Prometheus usually asks; a lease of four looks (`adapters.order_book.duties`)."""
DUTY: Final = "watch"
STATUSES: Final = ("placing", "in_doubt", "refunding", "parked")
ATTENTIONS: Final = tuple(attention for attention in get_args(Attention) if attention)
AGES: Final = (*(age for age, _ in REFUND_AGES), OLDER)


def this_process() -> str:
    """Who has a duty, for people."""
    return f"{socket.gethostname()}:{os.getpid()}"


class Watch:
    """Looks while this process has the duty; one that has it no more says nothing, for what it says would be old.

    Args:
        duties: who has it.
        waiting: what is looked at.
        metrics: where it is said.
        platforms: the configured MQTT platforms, which are 0 where nothing waits for them.
        holder: this process's name among the others.
    """

    def __init__(
        self,
        duties: Duties,
        waiting: WaitingOrders,
        metrics: Metrics,
        platforms: tuple[str, ...],
        *,
        holder: str | None = None,
    ) -> None:
        self._duties = duties
        self._waiting = waiting
        self._unsettled = metrics.gauge("topup_orders_unsettled")
        self._oldest = metrics.gauge("topup_orders_unsettled_oldest_seconds")
        self._need_person = metrics.gauge("topup_orders_need_person")
        self._refunds = metrics.gauge("topup_refunds_under_way")
        self._unpublished = metrics.gauge("topup_notices_unpublished")
        self._read_at = metrics.gauge("topup_book_read_timestamp_seconds")
        self._platforms = platforms
        self._holder = holder or this_process()
        self._has_it_until = 0.0

    async def run(self) -> None:
        """Until cancelled; then another process may have the duty at once."""
        try:
            while True:
                await self.run_once()
                await asyncio.sleep(LOOK_SECONDS)
        finally:
            await self._lay_down()

    async def run_once(self) -> None:
        """Take the duty if it is free, look, and say so. A book that is away leaves the last look until it is old."""
        asked_at = time.monotonic()
        try:
            if not await self._duties.take(DUTY, self._holder):
                self._forget()
                return
            self._has_it_until = asked_at + LEASE_SECONDS
            self._say(await self._waiting.look())
        except Exception as error:  # noqa: BLE001 - a bug of ours in looking must end neither the looks nor the worker
            if not isinstance(error, Unavailable):
                _log.warning("watch failed", reason=in_one_line(error), sentence="Looked again soon; report this line.")
            if time.monotonic() > self._has_it_until:
                self._forget()

    async def _lay_down(self) -> None:
        try:
            async with asyncio.timeout(1):
                await self._duties.lay_down(DUTY, self._holder)
        except (Unavailable, TimeoutError):
            return  # its lease runs out

    def _say(self, waiting: Waiting) -> None:
        _set(self._unsettled, waiting.unsettled, STATUSES)
        _set(self._oldest, waiting.oldest_seconds, STATUSES)
        _set(self._need_person, waiting.need_a_person, ATTENTIONS)
        _set(self._refunds, waiting.refunds, AGES)
        _set(self._unpublished, waiting.unpublished, self._platforms)
        self._read_at.set(time.time())

    def _forget(self) -> None:
        for gauge in (self._unsettled, self._oldest, self._need_person, self._refunds, self._unpublished):
            gauge.clear()
        self._read_at.set(0)


def _set(gauge: Gauge, values: Mapping[str, float], known: tuple[str, ...]) -> None:
    gauge.clear()  # a platform that was retired, a reason that is no more
    for label in dict.fromkeys((*known, *values)):
        gauge.labels(label).set(values.get(label, 0))
