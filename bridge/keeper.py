"""Keeps in the order book what became no order: unmatched payments and dead letters (contracts §2, §7).

Kafka's retention would forget them, and a person must end each: so they stand in the book, where `topup payments`,
`topup dlq`, `topup doctor`, the alerts and reconciliation find them. Orders go on where this lane is away.
"""

import asyncio
import time
from collections.abc import Sequence
from typing import Final, Protocol

from adapters.kafka.assignments import Record
from adapters.kafka.dead_letters import DeadLetter, kept_letter
from adapters.kafka.protocols import Message
from adapters.kafka.watermark import PartitionAssignment
from adapters.kafka.whole_topics import Batch, Positions
from adapters.order_book.kept import Kept
from adapters.order_book.unmatched import UnmatchedRecord
from bridge import policies
from bridge.pipeline import DeadLetterSink
from orders.dead_letter import KeptLetter
from orders.errors import Unavailable
from orders.record import PoisonRecord
from orders.record_mac import mac_of, verify
from orders.unmatched import parse_unmatched
from runtime.alerts import Alerts
from runtime.backoff import Backoff
from runtime.metrics import Metrics
from runtime.redaction import in_one_line
from runtime.telemetry import get_logger

COUNT_EVERY_SECONDS: Final = 15.0
"""How much is open is counted again: another process may have ended some."""
SILENT_SECONDS: Final = 60.0
"""A read takes seconds, and tries again after a pause of at most half of this."""
_log = get_logger(__name__)


class TopicsReader(Protocol):
    """`adapters.kafka.whole_topics.WholeTopics`."""

    @property
    def stands(self) -> bool:
        """Whether the next read needs no kept positions."""
        ...

    def read(self, kept: Positions) -> Batch:
        """The next records; blocks, and raises `Unavailable`."""
        ...

    def close(self) -> None:
        """The next read begins at the kept positions."""
        ...


class Keeper:
    """The lane from both topics to the book.

    Args:
        reader: of both topics.
        book: where they are kept.
        dead_letters: where a record goes that is no unmatched payment.
        unmatched_topic: what is not of this topic is a dead letter.
        record_keys: a `topup-mac` that none of them has made is not kept; none: they are kept as they come.
        metrics: open counts, alerts.
    """

    def __init__(
        self,
        *,
        reader: TopicsReader,
        book: Kept,
        dead_letters: DeadLetterSink,
        unmatched_topic: str,
        record_keys: Sequence[bytes],
        metrics: Metrics,
    ) -> None:
        self._reader = reader
        self._book = book
        self._dead_letters = dead_letters
        self._unmatched_topic = unmatched_topic
        self._record_keys = record_keys
        self._unmatched_open = metrics.gauge("topup_unmatched_payments_open")
        self._letters_open = metrics.gauge("topup_dead_letters_open")
        self._alert = Alerts(metrics.counter("topup_alerts_total"))
        self._trouble = "The topics of unmatched payments and dead letters were not read yet."
        self._read_at = time.monotonic()
        self._counted_at = -COUNT_EVERY_SECONDS

    async def run(self) -> None:
        """Work until cancelled; an outage, or a bug of ours, is waited out and loses nothing."""
        backoff = Backoff(policies.RETRY_FIRST_PAUSE_SECONDS, policies.KEEPER_LONGEST_PAUSE_SECONDS)
        said_at = -policies.LINE_EVERY_SECONDS
        while True:
            try:
                await self.run_once()
            except Exception as error:  # noqa: BLE001 - see above
                await asyncio.to_thread(self._reader.close)  # what was read and not kept comes again
                self._trouble = str(error) if isinstance(error, Unavailable) else in_one_line(error)
                if not isinstance(error, Unavailable):
                    sentence = "Unmatched payments or dead letters can't be kept; it is tried again; report this line."
                    self._alert("bug", order_id="", reason=self._trouble, sentence=sentence, exc_info=error)
                elif time.monotonic() - said_at >= policies.LINE_EVERY_SECONDS:
                    said_at = time.monotonic()
                    _log.warning("keeper waits", sentence=self._trouble)
                await asyncio.sleep(backoff.next_seconds())
            else:
                backoff.reset()

    async def run_once(self) -> None:
        """Read the next records and keep them, with how far that was."""
        kept: Positions = {} if self._reader.stands else await self._book.positions()
        batch = await asyncio.to_thread(self._reader.read, kept)
        self._read_at = time.monotonic()
        for topic, partition in batch.deleted_unread:
            sentence = f"Kafka deleted records of {topic} before they were kept: find their payments in the bills."
            self._alert("records_deleted_unread", partition=partition, sentence=sentence)
        if batch.positions:
            await self._keep(batch)
        if batch.messages or time.monotonic() - self._counted_at >= COUNT_EVERY_SECONDS:
            await self._count()
        self._trouble = ""

    async def check(self) -> str:
        """For `/readyz`: raises with what keeps the lane from working."""
        if self._trouble:
            raise Unavailable(self._trouble)
        silent_seconds = time.monotonic() - self._read_at
        if silent_seconds > SILENT_SECONDS:
            raise Unavailable(
                f"Unmatched payments and dead letters were last read {silent_seconds:.0f} s ago; if this stays, "
                "restart the bridge: a record may not be decodable."
            )
        return "Unmatched payments and dead letters are kept in the order book."

    async def _keep(self, batch: Batch) -> None:
        payments: list[UnmatchedRecord] = []
        letters: list[KeptLetter] = []
        for message in batch.messages:
            if message.topic != self._unmatched_topic:
                letters.append(kept_letter(DeadLetter.of(message)))
                continue
            try:
                payments.append(self._payment(message))
            except PoisonRecord as poison:
                sentence = f"{poison.error} It is in the dead letters (`topup dlq list`)."
                await self._dead_letters.send(_record(message), poison.reason, poison.error)
                place = {"partition": message.partition, "offset": message.offset}
                self._alert("poison", reason=poison.reason, sentence=f"An unmatched payment: {sentence}", **place)
        await self._book.keep(payments, letters, batch.positions)

    def _payment(self, message: Message) -> UnmatchedRecord:
        payment = parse_unmatched(message.key, message.value)
        mac = mac_of(message.headers)
        if self._record_keys and not verify(self._record_keys, message.key, message.value, message.headers):
            mac = None  # kept all the same, and nothing moves on its strength
        return UnmatchedRecord(payment, message.value or b"", mac, message.partition, message.offset)

    async def _count(self) -> None:
        counts = await self._book.open_counts()
        self._unmatched_open.set(counts.unmatched_payments)
        self._letters_open.set(counts.dead_letters)
        self._counted_at = time.monotonic()


def _record(message: Message) -> Record:
    assignment = PartitionAssignment(message.topic, message.partition)
    return Record(assignment, message.offset, message.timestamp, message.key, message.value, message.headers)
