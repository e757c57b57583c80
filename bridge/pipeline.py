"""Record → paid order → claim → one start, on the event loop. An offset is complete once nothing can be lost.

Claims are made one batch after the other, in the order of the records, so that of two that conflict the lower offset
stands. Starts and dead letters run side by side, and none waits for another.
"""

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Any, Protocol, TypeVar

from adapters.kafka.assignments import Record
from adapters.order_book.book import Claim, ClaimResult
from adapters.order_book.claims import ClaimsHeld
from bridge import policies
from bridge.admission import AdmissionLimit
from bridge.dead_letters import Reason
from bridge.outages import Outages, Part
from bridge.patience import Patience
from bridge.ports import ClaimBook
from bridge.record_metrics import RecordMetrics, Result
from bridge.starter import ForeignRun
from orders.arrival import arrival_of
from orders.errors import Unavailable
from orders.foreign_runs import CALLS, note_foreign_run
from orders.paid_order import PaidOrder
from orders.record import MAX_VALUE_BYTES, PoisonRecord, parse
from orders.record_mac import HEADER, verify
from runtime.alerts import Alerts
from runtime.metrics import Metrics
from runtime.order_lines import OrderLines
from runtime.redaction import in_one_line

T = TypeVar("T")


@dataclass(slots=True, eq=False)
class Waiting:
    """A record that is an order, and waits for capacity."""

    record: Record
    order: PaidOrder
    asked: bool = False
    """Whether the book was asked if it knows the order, while there was no capacity."""
    patience: Patience = field(default_factory=Patience)
    """Since it was first to be claimed."""


class DeadLetterSink(Protocol):
    """`bridge.dead_letters.DeadLetters`."""

    async def send(self, record: Record, reason: Reason, error: str) -> None:
        """Write one; raises `Unavailable` where it isn't known that all in-sync replicas have it."""
        ...


class Pipeline:
    """What happens to records between Kafka and Temporal.

    Args:
        book: the order book.
        admission: capacity for new orders.
        start: starts an order's run; False where there was one, `ForeignRun` where another's stands (`Starter.start`).
        dead_letters: the dead-letter topic.
        outages: carries calls through outages.
        metrics: `topup_records_total`, alerts, admission.
        record_keys: a record that none of them signed is poison; none: records are taken unsigned (contracts §1).
    """

    def __init__(
        self,
        *,
        book: ClaimBook,
        admission: AdmissionLimit,
        start: Callable[[PaidOrder], Awaitable[bool]],
        dead_letters: DeadLetterSink,
        outages: Outages,
        metrics: Metrics,
        record_keys: Sequence[bytes] = (),
    ) -> None:
        self._record_keys = record_keys
        self._book = book
        self._admission = admission
        self._start = start
        self._dead_letters = dead_letters
        self._outages = outages
        self._metrics = metrics
        self._record_metrics = RecordMetrics(metrics)
        self._line = OrderLines(metrics)
        self._alert = Alerts(metrics.counter("topup_alerts_total"))
        self._inbox: deque[Record] = deque()
        self._waiting: deque[Waiting] = deque()
        self._something = asyncio.Event()
        self._slots = asyncio.Semaphore(policies.STARTS_AT_ONCE)
        self._tasks: set[asyncio.Task[None]] = set()
        self._starting: dict[str, asyncio.Task[None]] = {}
        self._last_start_at = 0.0

    def offer(self, records: Sequence[Record]) -> None:
        """Take records in; they are held in memory until their turn comes."""
        self._inbox.extend(records)
        self._something.set()

    async def run(self) -> None:
        """Work until cancelled; `settle` finishes what was begun."""
        while True:
            await self.run_once()

    async def run_once(self) -> None:
        """Wait for records, and bring one batch on its way."""
        await self._something.wait()
        self._parse()
        await asyncio.sleep(0)  # nothing below waits where all of it was poison
        await self._admit()
        if not self._inbox and not self._waiting:
            self._something.clear()

    async def settle(self, timeout_seconds: float) -> bool:
        """Wait for what was claimed or was poison; False if some of it is not complete in time."""
        if self._tasks:
            await asyncio.wait(list(self._tasks), timeout=timeout_seconds)
        for task in self._tasks:
            task.cancel()
        return not self._tasks

    # --- steps -------------------------------------------------------------------------------------------------------

    def _parse(self) -> None:
        """Up to a batch of records into orders; poison goes to the dead letters and waits for no capacity."""
        stop_at = time.monotonic() + policies.PARSE_SECONDS
        for number in range(min(policies.BATCH, len(self._inbox))):
            if number and time.monotonic() >= stop_at:
                return
            record = self._inbox.popleft()
            if record.assignment.read_again:
                continue
            try:
                self._waiting.append(Waiting(record, self._order_of(record)))
            except PoisonRecord as poison:
                self._spawn(self._dead_letter(record, poison.reason, poison.error))

    def _order_of(self, record: Record) -> PaidOrder:
        """Raises `PoisonRecord`: it is no paid order, or nobody who may sell packages wrote it."""
        signable = self._record_keys and record.value is not None and len(record.value) <= MAX_VALUE_BYTES
        # First, because it costs a hundredth of parsing what is no order.
        if signable and not verify(self._record_keys, record.key, record.value, record.headers):
            raise PoisonRecord(
                "invalid", f"{HEADER}: is missing, twice or wrong: who wrote this doesn't have TOPUP_RECORD_KEY"
            )
        return parse(record.key, record.value)

    async def _admit(self) -> None:
        """Claim as many orders as there is capacity for, and let each go on by what the book says."""
        self._waiting = deque(entry for entry in self._waiting if not entry.record.assignment.read_again)
        if not self._waiting:
            return
        capacity = await self._outages.retry_while_unavailable("database", self._admission.capacity)
        self._metrics.gauge("topup_bridge_first_pass_orders").set(self._admission.at_most)
        self._metrics.gauge("topup_bridge_paused").labels("gate").set(0 if capacity else 1)
        if capacity:
            await self._claim(
                [self._waiting.popleft() for _ in range(min(capacity, policies.BATCH, len(self._waiting)))]
            )
            return
        if self._admission.full_seconds >= policies.FULL_SECONDS:
            await self._admit_known()
        await asyncio.sleep(policies.FULL_PAUSE_SECONDS)

    async def _admit_known(self) -> None:
        """Let pass what is counted already: claimed before a crash, it would use the capacity up for ever.

        All that is in memory is looked at, each once: they may stand behind what waits for capacity.
        """
        new = [entry for entry in self._waiting if not entry.asked][: policies.BATCH]
        if not new:
            return
        known = await self._outages.retry_while_unavailable(
            "database", lambda: self._book.known([entry.order.order_id for entry in new])
        )
        for entry in new:
            entry.asked = True
        pass_on = [entry for entry in new if entry.order.order_id in known]
        if pass_on:
            self._waiting = deque(entry for entry in self._waiting if entry not in pass_on)
            await self._claim(pass_on)

    async def _claim(self, batch: Sequence[Waiting]) -> None:
        """Those that another process holds wait in front of all others, and hold none of them up."""
        results = await self._outages.retry_while_unavailable("database", lambda: self._claimed(batch))
        self._admission.admit(sum(result is not None and result.outcome is Claim.NEW for result in results))
        for entry, result in zip(batch, results, strict=True):
            if result is not None:
                self._go_on(entry.record, entry.order, result)
        held = [entry for entry, result in zip(batch, results, strict=True) if result is None]
        self._waiting.extendleft(reversed(held))
        for entry in held:
            if entry.patience.ends(others_went_on_at=time.monotonic()):  # the database answers: it is this row's own
                self._call(entry.order, "Its row in the order book is held by somebody: see who, and end that session.")

    async def _claimed(self, batch: Sequence[Waiting]) -> Sequence[ClaimResult | None]:
        try:
            arrivals = [arrival_of(one.record.partition, one.record.offset, one.record.headers) for one in batch]
            return await self._book.claim([entry.order for entry in batch], arrivals)
        except ClaimsHeld as held:
            return held.results

    def _go_on(self, record: Record, order: PaidOrder, result: ClaimResult) -> None:
        if result.outcome is not Claim.CONFLICT:
            self._say("claimed" if result.outcome is Claim.NEW else "duplicate", record, order)
        match result.outcome:
            case Claim.NEW | Claim.UNSETTLED:
                first = self._starting.get(order.order_id)
                if first is not None:  # a duplicate whose first is under way: it has nothing to do but wait
                    self._spawn(self._follow(first, record))
                    return
                task = self._spawn(self._bring_to_temporal(record, order, new=result.outcome is Claim.NEW))
                self._starting[order.order_id] = task
                task.add_done_callback(lambda _: self._starting.pop(order.order_id, None))
            case Claim.SETTLED:
                self._complete(record, "duplicate")
            case Claim.CONFLICT:
                self._alert(
                    "conflict",
                    order_id=order.order_id,
                    partition=record.partition,
                    offset=record.offset,
                    sentence=f"{result.conflict} The record is in the dead letters: compare both (`topup dlq list`).",
                )
                self._spawn(self._dead_letter(record, "conflict", result.conflict))

    async def _bring_to_temporal(self, record: Record, order: PaidOrder, *, new: bool) -> None:
        attempts = 0
        patience = Patience()

        async def attempt() -> bool:
            nonlocal attempts
            attempts += 1
            async with self._slots:
                try:
                    started = await self._start(order)
                except Unavailable as error:
                    if patience.ends(self._last_start_at):
                        self._call(order, f"Its start fails, and others' don't: {error}")
                    raise
            self._last_start_at = time.monotonic()
            return started

        try:
            started = await self._carry_through("temporal", attempt, order.order_id)
        except ForeignRun as foreign:
            # Not held back, or whoever starts such runs could stop the partition: the sweep finds it in the book.
            self._call(order, str(foreign))
            # First its row says so, and it counts against no limit; a record that is not noted yet comes again.
            note = partial(self._note, order.order_id, foreign.seen_at)
            await self._carry_through("database", note, order.order_id)
            self._complete(record, "duplicate")
            return
        # A start whose answer was lost did start the run: the next attempt finds it there.
        mine = started or (new and attempts > 1)
        if mine:
            self._say("started", record, order)
        self._complete(record, "started" if mine else "duplicate")

    async def _note(self, order_id: str, seen_at: datetime) -> None:
        await self._book.decide(
            order_id,
            lambda stored: note_foreign_run(stored.state, seen_at),
            kind="status",
            detail=lambda noted: CALLS if noted else {},
        )

    async def _follow(self, first: asyncio.Task[None], record: Record) -> None:
        await asyncio.wait((first,))
        if first.cancelled() or first.exception() is not None:
            return  # not complete: it comes again
        self._complete(record, "duplicate")

    async def _dead_letter(self, record: Record, reason: Reason, error: str) -> None:
        await self._carry_through("dead_letters", lambda: self._dead_letters.send(record, reason, error), "")
        if reason != "conflict":
            self._alert(
                "poison",
                reason=reason,
                partition=record.partition,
                offset=record.offset,
                sentence=f"{error}; it is in the dead letters (`topup dlq list`): have its producer send it right.",
            )
        self._complete(record, reason)

    def _complete(self, record: Record, result: Result) -> None:
        self._record_metrics.count(record, result)
        record.complete()

    # --- inside ------------------------------------------------------------------------------------------------------

    async def _carry_through(self, part: Part, attempt: Callable[[], Awaitable[T]], order_id: str) -> T:
        """Retry while unavailable; a bug of ours doesn't end it either: it holds one record back, and is heard.

        Raises:
            ForeignRun: as `attempt` does.
        """
        while True:
            try:
                return await self._outages.retry_while_unavailable(part, attempt)
            except ForeignRun:
                raise
            except Exception as error:  # noqa: BLE001 - see above
                self._alert(
                    "bug",
                    order_id=order_id,
                    reason=in_one_line(error),
                    sentence="A record can't be brought on its way and is tried again; report this line.",
                    exc_info=error,
                )
                await asyncio.sleep(policies.BUG_PAUSE_SECONDS)

    def _say(self, event: str, record: Record, order: PaidOrder) -> None:
        self._line(event, order.order_id, partition=record.partition, offset=record.offset)

    def _call(self, order: PaidOrder, sentence: str) -> None:
        self._alert("order_not_started", order_id=order.order_id, sentence=sentence)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task
