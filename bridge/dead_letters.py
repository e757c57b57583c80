"""The dead-letter topic (contracts §2): what is written there, reading it, and sending it again."""

import asyncio
import contextlib
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, Literal, TypeVar

from kafka.errors import KafkaError, KafkaTimeoutError, MessageSizeTooLargeError

from bridge.kafka_client import DELIVERY_TIMEOUT_MS, as_sent, reader, writer
from bridge.kafka_types import Consumer, Headers, Message, Partition, Producer
from bridge.leases import Record
from orders.errors import Unavailable
from orders.record import MAX_ERROR_CHARACTERS
from runtime.settings.groups import ConsumerGroup, Topics
from runtime.waiting import in_one_line

PREFIX: Final = "topup-dlq-"
ACKNOWLEDGED_SECONDS: Final = DELIVERY_TIMEOUT_MS / 1000 + 5
"""Longer than the client itself tries; without an answer by then it is tried anew."""
CLOSE_SECONDS: Final = 2.0
BATCH_BYTES: Final = 1024
"""Above what Kafka's batch and record take beside key, value and headers."""
READ_MS: Final = 10_000

Reason = Literal["invalid", "conflict", "oversize"]
T = TypeVar("T")


def letter_headers(record: Record, *, reason: Reason, error: str, group: str, at: datetime) -> list[tuple[str, bytes]]:
    """The original's headers in their order, then ours; only an earlier dead letter's own are replaced.

    `error` must hold no personal data; it is cut at 512 characters.
    """
    ours = {
        "reason": reason,
        "error": error[:MAX_ERROR_CHARACTERS],
        "topic": record.topic,
        "partition": str(record.partition),
        "offset": str(record.offset),
        "timestamp": str(record.timestamp_ms),
        "group": group,
        "at": at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
    }
    return [*original_headers(record.headers), *((PREFIX + name, text.encode()) for name, text in ours.items())]


def original_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """The headers that aren't a dead letter's own. The client sends no null value: it becomes an empty one."""
    return [(name, value or b"") for name, value in headers if not name.startswith(PREFIX)]


class DeadLetters:
    """Writes dead letters. For the event loop; the client's blocking calls run on threads.

    Args:
        settings: Kafka's.
        now: wall-clock time.
        make_producer: connects; tests pass their own.
    """

    def __init__(
        self,
        settings: ConsumerGroup,
        now: Callable[[], datetime],
        *,
        make_producer: Callable[[Topics], Producer] = writer,
    ) -> None:
        self._settings = settings
        self._now = now
        self._make_producer = make_producer
        self._producer: Producer | None = None
        self._connecting = asyncio.Lock()

    async def send(self, record: Record, reason: Reason, error: str) -> None:
        """Write one dead letter; returns once all in-sync replicas have it.

        Raises:
            Unavailable: that isn't known (it may have been written all the same): send it again.
        """
        headers = letter_headers(record, reason=reason, error=error, group=self._settings.kafka_group, at=self._now())
        try:
            producer = await self._connected()
            await self._acknowledged(producer, record, headers)
        except (KafkaError, TimeoutError) as failure:
            if not isinstance(failure, KafkaTimeoutError | TimeoutError):
                self._discard()  # an idempotent producer may be beyond repair; a new one is not
            raise Unavailable(self._sentence(failure, record, headers)) from failure

    async def close(self) -> None:
        """Close, within 2 s."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaError, TimeoutError):  # with a record pending it ends by raising (measured)
                await asyncio.wait_for(asyncio.to_thread(producer.close, CLOSE_SECONDS), CLOSE_SECONDS + 1)

    def _sentence(self, failure: Exception, record: Record, headers: list[tuple[str, bytes]]) -> str:
        topic = self._settings.kafka_dlq_topic
        if isinstance(failure, MessageSizeTooLargeError):  # a codec may have made it small enough for its own topic
            parts = (record.key, record.value, *(part for name, value in headers for part in (name, value)))
            size_bytes = sum(len(part or b"") for part in parts) + BATCH_BYTES
            return (
                f"The dead letter of {record.topic}:{record.partition}:{record.offset} is too large for {topic}: raise "
                f"that topic's max.message.bytes to {size_bytes}; its partition's offset waits for it."
            )
        return (
            f"Dead letters can't be written to {topic} ({in_one_line(failure)}): check Kafka, and that the topic "
            "exists (`topup setup`)."
        )

    async def _connected(self) -> Producer:
        async with self._connecting:
            if self._producer is None:
                self._producer = await asyncio.to_thread(self._make_producer, self._settings)
            return self._producer

    async def _acknowledged(self, producer: Producer, record: Record, headers: list[tuple[str, bytes]]) -> None:
        loop = asyncio.get_running_loop()
        done: asyncio.Future[None] = loop.create_future()

        def settle(error: BaseException | None) -> None:
            if done.done():
                return
            if error is None:
                done.set_result(None)
            else:
                done.set_exception(error)

        def send() -> None:  # may block: on metadata, or on a full buffer
            sent = producer.send(
                self._settings.kafka_dlq_topic, value=as_sent(record.value), key=as_sent(record.key), headers=headers
            )
            sent.add_callback(lambda _: loop.call_soon_threadsafe(settle, None))
            sent.add_errback(lambda error: loop.call_soon_threadsafe(settle, error))

        async with asyncio.timeout(ACKNOWLEDGED_SECONDS):
            await asyncio.to_thread(send)
            await done

    def _discard(self) -> None:
        producer, self._producer = self._producer, None
        if producer is not None:
            # Its pending records expire first, and each is sent again by whoever waits for it.
            threading.Thread(target=_close_in_the_end, args=(producer,), name="discard", daemon=True).start()


def _close_in_the_end(producer: Producer) -> None:
    with contextlib.suppress(KafkaError):
        producer.close(ACKNOWLEDGED_SECONDS)


# --- for operators -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter as it was read. `key`, `value` and `headers` may hold personal data."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    def ours(self, name: str) -> str:
        """One of our own headers: `reason`, `error`, `topic`, `partition`, `offset`, `timestamp`, `group`, `at`."""
        values = [value for header, value in self.headers if header == PREFIX + name]
        return (values[-1] or b"").decode(errors="replace") if values else ""

    @property
    def source(self) -> tuple[str, str, str]:
        """Topic, partition and offset of the original; a dead letter that was sent twice has them twice."""
        return self.ours("topic"), self.ours("partition"), self.ours("offset")

    @property
    def record(self) -> tuple[bytes | None, bytes | None, tuple[tuple[str, bytes], ...]]:
        """The original: key, value, headers."""
        return self.key, self.value, tuple(original_headers(self.headers))


def distinct(letters: Iterable[DeadLetter]) -> list[DeadLetter]:
    """One of each record: one that was sent again and is still wrong has a second dead letter by now."""
    return list({letter.record: letter for letter in letters}.values())


def read_dead_letters(settings: Topics, *, make_reader: Callable[[Topics], Consumer] = reader) -> Iterator[DeadLetter]:
    """All dead letters there are now, by partition and offset. Blocks; leaves no trace at the broker.

    Raises:
        Unavailable: Kafka doesn't answer, or the topic isn't there.
    """
    consumer = _or_unavailable(settings, lambda: make_reader(settings))
    topic = settings.kafka_dlq_topic
    try:
        numbers = _or_unavailable(settings, lambda: consumer.partitions_for_topic(topic))
        if not numbers:
            raise Unavailable(f"Kafka has no topic {topic}: run `topup setup`.")
        for number in sorted(numbers):
            partition = Partition(topic, number)
            end = _or_unavailable(settings, lambda p=partition: _begin(consumer, p))
            while batch := _or_unavailable(settings, lambda p=partition, e=end: _batch(consumer, p, e)):
                yield from (_letter(message) for message in batch if message.offset < end)
    finally:
        consumer.close(autocommit=False, timeout_ms=READ_MS)


def _begin(consumer: Consumer, partition: Partition) -> int:
    """Stand at the first record there is; the offset behind the last."""
    consumer.assign([partition])
    consumer.seek(partition, consumer.beginning_offsets([partition], timeout_ms=READ_MS)[partition])
    return consumer.end_offsets([partition], timeout_ms=READ_MS)[partition]


def _batch(consumer: Consumer, partition: Partition, end: int) -> Sequence[Message]:
    """The next records; none at the end. Behind the last record there may be markers, which no record comes for."""
    while (consumer.position(partition, timeout_ms=READ_MS) or 0) < end:
        messages = consumer.poll(READ_MS).get(partition, ())
        if messages:
            return messages
        if (consumer.position(partition, timeout_ms=READ_MS) or 0) < end:
            raise KafkaTimeoutError("no records in time")
    return ()


def _letter(message: Message) -> DeadLetter:
    return DeadLetter(message.partition, message.offset, message.key, message.value, message.headers)


def redrive(
    settings: Topics,
    letters: Sequence[DeadLetter],
    *,
    make_producer: Callable[[Topics], Producer] = writer,
) -> int:
    """Send dead letters to the source topic again, as the originals were; how many. Blocks until acknowledged.

    A letter that is still poison becomes a new dead letter; one whose order was accepted meanwhile is a duplicate.

    Raises:
        Unavailable: some were not acknowledged; sending all of them again does no harm.
    """
    producer = _or_unavailable(settings, lambda: make_producer(settings))

    def send_all() -> int:
        sent = [
            producer.send(
                settings.kafka_topic,
                value=as_sent(letter.value),
                key=as_sent(letter.key),
                headers=original_headers(letter.headers),
            )
            for letter in letters
        ]
        for future in sent:
            future.get(ACKNOWLEDGED_SECONDS)
        return len(sent)

    try:
        return _or_unavailable(settings, send_all)
    finally:
        with contextlib.suppress(KafkaError):
            producer.close(CLOSE_SECONDS)


def _or_unavailable(settings: Topics, work: Callable[[], T]) -> T:
    try:
        return work()
    except KafkaError as error:
        raise Unavailable(
            f"Kafka at {settings.kafka_bootstrap_servers} doesn't do it ({in_one_line(error)}): start it, or correct "
            "TOPUP_KAFKA_BOOTSTRAP_SERVERS; nothing is lost."
        ) from error
