"""Sends the traces of orders in trouble, and of a share of the others, beside the orders and never in their way.

What is told is read from the order book once it is over, so no order pays for a trace that nobody keeps, and a worker
that dies takes nothing with it but the word that there is something to tell.
"""

import asyncio
import contextlib
import math
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Final, Protocol

from adapters.otlp.client import Sent
from orders.errors import Unavailable
from orders.trace import Line, Span, is_sampled, spans
from runtime.backoff import Backoff
from runtime.metrics import Metrics
from runtime.redaction import in_one_line
from runtime.telemetry import get_logger

AFTER_SECONDS: Final = 5.0
"""From the word to the look, so that the last notices stand in the trail too."""
EVERY_SECONDS: Final = 1.0
MOST_AT_ONCE: Final = 20
"""Orders each second, in one request: a storm of slow orders must not take the workers' time
(docs/adr/0009-traces-from-the-trail.md)."""
MOST_WAITING: Final = 5000
LONGEST_PAUSE_SECONDS: Final = 60.0
LAST_SECONDS: Final = 2.0
"""What a stopping worker gives to traces that wait."""
ENDED: Final = frozenset({"settled", "settled_before"})
"""The second where the end stood there already: the first word of it may have been lost with a cut-off attempt."""
_log = get_logger(__name__)


class Collector(Protocol):
    """`adapters.otlp.client.OtlpClient`."""

    async def send(self, spans: Sequence[Span]) -> Sent:
        """Offer them once."""
        ...


class Tracer:
    """Decides at an order's end, or when a person is called, whether its trace is kept.

    Args:
        trails: the lines of orders in the order book, oldest first.
        collector: gets the spans.
        ratio: of the orders without trouble.
        slow_seconds: from payment to end.
        now: a monotonic clock.
    """

    def __init__(
        self,
        trails: Callable[[Sequence[str]], Awaitable[Mapping[str, Sequence[Line]]]],
        collector: Collector,
        *,
        ratio: float,
        slow_seconds: float,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._trails = trails
        self._collector = collector
        self._ratio = ratio
        self._slow_seconds = slow_seconds
        self._now = now
        self._waiting: OrderedDict[str, float] = OrderedDict()
        self._dropped = 0
        self._backoff = Backoff(EVERY_SECONDS, LONGEST_PAUSE_SECONDS)

    def hear(self, event: str, order_id: str, **fields: object) -> None:
        """A step was taken (`activities.context.Journal`). Remembers the order where its trace is to be kept."""
        if event == "needs_person" or (event in ENDED and self._is_kept(order_id, fields)):
            self._waiting[order_id] = self._now() + AFTER_SECONDS
            self._waiting.move_to_end(order_id)
            if len(self._waiting) > MOST_WAITING:
                self._waiting.popitem(last=False)
                self._dropped += 1

    def _is_kept(self, order_id: str, fields: dict[str, object]) -> bool:
        took = fields.get("paid_to_settled_seconds")
        return (
            fields.get("outcome") != "delivered"
            or bool(fields.get("doubted"))
            or (isinstance(took, int | float) and took > self._slow_seconds)
            or is_sampled(order_id, self._ratio)
        )

    async def run(self, metrics: Metrics) -> None:
        """Until cancelled; then what waits is tried once more. Nothing that fails here ends it, or anything else."""
        try:
            while True:
                pause_seconds = await self.run_once(metrics)
                await asyncio.sleep(pause_seconds)
        finally:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(LAST_SECONDS):
                    await self._send_the_rest(metrics)

    async def _send_the_rest(self, metrics: Metrics) -> None:
        """A few at a time, as ever: all at once would keep the loop of a stopping worker for seconds."""
        left = math.inf
        while len(self._waiting) < left:  # a collector that takes none now is not asked again
            left = len(self._waiting)
            await self.run_once(metrics, stopping=True)

    async def run_once(self, metrics: Metrics, *, stopping: bool = False) -> float:
        """Send what is due; how long to wait then, in seconds."""
        count = metrics.counter("topup_traces_total")
        count.labels("lost").inc(self._dropped)
        self._dropped = 0
        now = self._now()
        due = {one: at for one, at in self._waiting.items() if at <= now or stopping}
        due = dict(list(due.items())[:MOST_AT_ONCE])
        if not due:
            return EVERY_SECONDS
        try:
            sent = await self._send(list(due))
        except Exception as error:  # noqa: BLE001 - a bug of ours in a courtesy must stop no worker
            sent = Sent(f"An order's trace can't be told ({in_one_line(error)}): report this line.")
        if sent.again:
            _log.warning("traces wait", sentence=f"{sent.why} They are sent later; no order waits for them.")
            return self._backoff.next_seconds()
        self._backoff.reset()
        if sent.why:
            _log.warning("traces lost", sentence=sent.why, traces=len(due))
        count.labels("lost" if sent.why else "sent").inc(len(due))
        for order_id, at in due.items():
            if self._waiting.get(order_id) == at:  # else there is news of it
                del self._waiting[order_id]
        return EVERY_SECONDS

    async def _send(self, order_ids: Sequence[str]) -> Sent:
        try:
            trails = await self._trails(order_ids)
        except Unavailable as away:
            return Sent(in_one_line(away), again=True)
        return await self._collector.send([span for one in order_ids for span in spans(one, trails[one])])
