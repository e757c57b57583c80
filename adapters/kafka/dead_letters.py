"""The dead-letter topic as operators see it (contracts §2): reading it, and sending records again as they were."""

import contextlib
import re
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Final, Self, TypeVar

from kafka.errors import KafkaError, KafkaTimeoutError

from adapters.kafka import limits
from adapters.kafka.clients import as_sent, reader, writer
from adapters.kafka.polling import BoundedPolling
from adapters.kafka.protocols import Consumer, Headers, Message, Partition, Producer
from adapters.kafka.unreadable import Undecodable, poll
from orders.dead_letter import KeptLetter, Source, names_in
from orders.errors import Unavailable
from runtime.redaction import in_one_line
from runtime.settings.groups import KafkaConnection, Topics, UnmatchedTopic

PREFIX: Final = "topup-dlq-"
"""Of the names of a dead letter's own headers."""

_NUMBER: Final = re.compile(r"[0-9]{1,15}")
_TOPIC: Final = re.compile(r"[0-9A-Za-z._-]{1,249}")
"""Kafka's own rule."""
_LAST_PARTITION: Final = 2**31 - 1

MOST_CHARACTERS: Final = 1024
"""Of a header's text that is kept; the bridge writes 512 at most, and anybody else what fits."""

T = TypeVar("T")


def original_headers(headers: Headers) -> list[tuple[str, bytes]]:
    """The headers that aren't a dead letter's own. The client sends no null value: it becomes an empty one."""
    return [(name, value or b"") for name, value in headers if not name.startswith(PREFIX)]


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One dead letter as it was read. `key`, `value` and `headers` may hold personal data."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers

    @classmethod
    def of(cls, message: Message) -> Self:
        """As a client has read it."""
        return cls(message.partition, message.offset, message.key, message.value, message.headers)

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


@dataclass(frozen=True, slots=True)
class Head:
    """What stands for a dead letter where its bytes don't: some hundred of them would fill a shell's memory.

    Attributes:
        kept: what the order book keeps of it.
        digest: of the original: key, value, headers.
        size_bytes: of its value.
    """

    kept: KeptLetter
    digest: bytes
    size_bytes: int


def head_of(letter: DeadLetter) -> Head:
    """Its head."""
    return Head(kept_letter(letter), digest_of(letter), len(letter.value or b""))


def digest_of(letter: DeadLetter) -> bytes:
    """The same of those that hold the same record, and of no others."""
    digest = sha256()
    for part in (letter.key, letter.value, *(part for header in original_headers(letter.headers) for part in header)):
        data = part.encode() if isinstance(part, str) else part
        digest.update(b"-" if data is None else b"%d:" % len(data))
        digest.update(data or b"")
    return digest.digest()


def kept_letter(letter: DeadLetter) -> KeptLetter:
    """What the order book keeps of it. One whose source is no place in Kafka counts as its own."""
    return KeptLetter(
        source=_source(letter),
        place=f"{letter.partition}:{letter.offset}",
        reason=letter.ours("reason")[:MOST_CHARACTERS] or "unknown",
        error=letter.ours("error")[:MOST_CHARACTERS],
        dead_at=letter.ours("at")[:MOST_CHARACTERS],
        names=names_in(letter.value),
    )


def _source(letter: DeadLetter) -> Source:
    """Whoever may write the topic wrote it: what no row can hold would stop all that comes after it."""
    topic, numbers = letter.ours("topic"), [letter.ours(name) for name in ("partition", "offset", "timestamp")]
    if _TOPIC.fullmatch(topic) and all(_NUMBER.fullmatch(number) for number in numbers):
        partition, offset, timestamp_ms = (int(number) for number in numbers)
        if partition <= _LAST_PARTITION:
            return Source(topic, partition, offset, timestamp_ms)
    return Source("", letter.partition, letter.offset, 0)


def read_dead_letters(
    settings: Topics,
    *,
    unreadable: Callable[[str], None] | None = None,
    make_reader: Callable[[KafkaConnection], Consumer] = reader,
) -> Iterator[DeadLetter]:
    """All dead letters there are now, by partition and offset, some at a time. Blocks; leaves no trace at the broker.

    Args:
        settings: Kafka and its topics.
        unreadable: told a sentence for each partition that can't be read to its end; the others are read all the same.
        make_reader: connects; tests pass their own.

    Raises:
        Unavailable: Kafka doesn't answer, or the topic isn't there; without `unreadable` also for such a partition.
    """
    topic = settings.kafka_dlq_topic
    with _reading(settings, make_reader) as consumer:
        numbers = _or_unavailable(settings, lambda: consumer.partitions_for_topic(topic))
    if not numbers:
        raise Unavailable(f"Kafka has no topic {topic}: run `topup setup`.")
    left = sorted(numbers)
    while left:
        try:
            with _reading(settings, make_reader) as consumer:
                while left:
                    yield from _partition(settings, consumer, Partition(topic, left.pop(0)))
        except _PartitionUnreadable as error:
            if unreadable is None:
                raise
            unreadable(str(error))


class _PartitionUnreadable(Unavailable):
    """One partition's next record can't be decoded."""


@contextlib.contextmanager
def _reading(settings: KafkaConnection, make_reader: Callable[[KafkaConnection], Consumer]) -> Generator[Consumer]:
    consumer = _or_unavailable(settings, lambda: make_reader(settings))
    try:
        yield consumer
    finally:
        consumer.close(autocommit=False, timeout_ms=limits.READ_MS)


def _partition(settings: KafkaConnection, consumer: Consumer, partition: Partition) -> Iterator[DeadLetter]:
    """All of one partition. The consumer must be closed where it can't be read: its next poll would spin."""
    end = _or_unavailable(settings, lambda: _begin(consumer, partition))
    polling = BoundedPolling(consumer)
    try:
        while batch := _or_unavailable(settings, lambda: _batch(consumer, polling, partition, end)):
            yield from (DeadLetter.of(message) for message in batch if message.offset < end)
    except Undecodable as error:
        offset = consumer.position(partition, timeout_ms=limits.READ_MS)
        raise _PartitionUnreadable(_undecodable(partition, offset, error)) from error


def letters_at(
    settings: Topics,
    places: Iterable[tuple[int, int]],
    *,
    make_reader: Callable[[KafkaConnection], Consumer] = reader,
) -> Iterator[DeadLetter]:
    """The dead letters at these partitions and offsets, one at a time. Blocks.

    Raises:
        Unavailable: Kafka doesn't answer, or has no record there (any more) that can be decoded.
    """
    with _reading(settings, make_reader) as consumer:
        for number, offset in places:
            partition = Partition(settings.kafka_dlq_topic, number)
            try:
                message = _or_unavailable(settings, lambda p=partition, o=offset: _at(consumer, p, o))
            except Undecodable as error:
                raise Unavailable(_undecodable(partition, offset, error)) from error
            if message is None:
                raise Unavailable(f"Kafka has {number}:{offset} no more: look again with `topup dlq list`.")
            yield DeadLetter.of(message)


def _at(consumer: Consumer, partition: Partition, offset: int) -> Message | None:
    consumer.assign([partition])
    first = consumer.beginning_offsets([partition], timeout_ms=limits.READ_MS)[partition]
    end = consumer.end_offsets([partition], timeout_ms=limits.READ_MS)[partition]
    if not first <= offset < end:
        return None
    consumer.seek(partition, offset)
    found = poll(consumer, limits.READ_MS, max_records=1).get(partition, ())
    if not found:
        raise KafkaTimeoutError("no record in time")
    return next((message for message in found if message.offset == offset), None)


def _undecodable(partition: Partition, offset: int | None, error: Undecodable) -> str:
    return (
        f"{partition.topic}:{partition.partition} can't be read from offset {offset} on ({error}): what lies behind "
        "is shown as far as the order book has it. Read that batch with another client."
    )


def _begin(consumer: Consumer, partition: Partition) -> int:
    """Stand at the first record there is; the offset behind the last."""
    consumer.assign([partition])
    consumer.seek(partition, consumer.beginning_offsets([partition], timeout_ms=limits.READ_MS)[partition])
    return consumer.end_offsets([partition], timeout_ms=limits.READ_MS)[partition]


def _batch(consumer: Consumer, polling: BoundedPolling, partition: Partition, end: int) -> Sequence[Message]:
    """The next records; none at the end. Behind the last record there may be markers, which no record comes for."""
    while (consumer.position(partition, timeout_ms=limits.READ_MS) or 0) < end:
        messages = polling.some(limits.READ_MS).get(partition, ())
        if messages:
            return messages
        if (consumer.position(partition, timeout_ms=limits.READ_MS) or 0) < end:
            raise KafkaTimeoutError("no records in time")
    return ()


def redrive(
    settings: UnmatchedTopic,
    letters: Iterable[DeadLetter],
    *,
    per_second: float,
    sent: Callable[[DeadLetter], None],
    make_producer: Callable[[KafkaConnection], Producer] = writer,
    pause: Callable[[float], None] = time.sleep,
) -> int:
    """Send dead letters to the topic that they came from again, as the originals were; how many. Blocks.

    A letter that is still poison becomes a new dead letter; one whose order was accepted meanwhile is a duplicate.

    Args:
        settings: Kafka and its topics; a letter of another topic goes to that of the paid orders.
        letters: are sent in this order, each once the one before was.
        per_second: at most so many.
        sent: told of each once all in-sync replicas have it.
        make_producer: connects; tests pass their own.
        pause: waits; tests pass their own.

    Raises:
        Unavailable: one was not acknowledged; sending all of them again does no harm.
    """
    producer = _or_unavailable(settings, lambda: make_producer(settings))
    count = 0
    try:
        for number, letter in enumerate(letters):
            if number:
                pause(1 / per_second)
            _or_unavailable(settings, lambda one=letter: _send_again(settings, producer, one))
            sent(letter)
            count += 1
    finally:
        with contextlib.suppress(KafkaError):
            producer.close(limits.PRODUCER_CLOSE_SECONDS)
    return count


def _send_again(settings: UnmatchedTopic, producer: Producer, letter: DeadLetter) -> None:
    theirs = letter.ours("topic") == settings.kafka_unmatched_topic
    producer.send(
        settings.kafka_unmatched_topic if theirs else settings.kafka_topic,
        value=as_sent(letter.value),
        key=as_sent(letter.key),
        headers=original_headers(letter.headers),
    ).get(limits.ACKNOWLEDGED_SECONDS)


def _or_unavailable(settings: KafkaConnection, work: Callable[[], T]) -> T:
    try:
        return work()
    except KafkaError as error:
        raise Unavailable(
            f"Kafka at {settings.kafka_bootstrap_servers} doesn't do it ({in_one_line(error)}): start it, or correct "
            "TOPUP_KAFKA_BOOTSTRAP_SERVERS; nothing is lost."
        ) from error
