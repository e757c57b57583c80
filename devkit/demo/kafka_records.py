"""The demonstration's own hands at Kafka: sends the planned records, reads the dead-letter topic. All calls block."""

import contextlib
import time
import zlib
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from console.connecting import kafka_arguments, kafka_away
from console.exits import CommandFailed
from devkit.audit.records import DeadLetter, SentRecord
from devkit.demo.plan import PlannedRecord
from runtime.settings.groups import Topics

ACKNOWLEDGED_SECONDS: Final = 20.0
READ_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0


class Sender:
    """Sends planned records, one at a time, so that the caller can pace them.

    Raises:
        CommandFailed: Kafka does not answer.
    """

    def __init__(self, settings: Topics) -> None:
        self._settings = settings
        try:
            self._producer: Any = KafkaProducer(**kafka_arguments(settings), acks="all", linger_ms=0)
            self._partitions: list[int] = sorted(self._producer.partitions_for(settings.kafka_topic))
        except KafkaError as error:
            raise CommandFailed(kafka_away(settings, error)) from error
        self._sent: list[tuple[PlannedRecord, Any]] = []

    def send(self, record: PlannedRecord) -> None:
        """Send one record; one that goes with another order's goes to that one's partition, where it comes after it."""
        name = record.goes_with.encode() or record.key or b""
        partition = self._partitions[zlib.crc32(name) % len(self._partitions)]
        future = self._producer.send(
            self._settings.kafka_topic,
            key=record.key,
            value=record.value,
            headers=list(record.headers),
            partition=partition,
        )
        self._sent.append((record, future))

    def finish(self) -> list[SentRecord]:
        """Wait until Kafka has all; what went where.

        Raises:
            CommandFailed: Kafka did not take them.
        """
        try:
            return [_where(record, future.get(ACKNOWLEDGED_SECONDS)) for record, future in self._sent]
        except KafkaError as error:
            raise CommandFailed(kafka_away(self._settings, error)) from error
        finally:
            with contextlib.suppress(KafkaError):
                self._producer.close(CLOSE_SECONDS)


def _where(record: PlannedRecord, metadata: Any) -> SentRecord:
    return SentRecord(
        record.scenario,
        metadata.partition,
        metadata.offset,
        record.key,
        record.value,
        record.headers,
        record.dead_letter,
    )


def read_dead_letters(settings: Topics) -> list[DeadLetter]:
    """All that is in the dead-letter topic now.

    Raises:
        CommandFailed: Kafka did not give it.
    """
    try:
        consumer = KafkaConsumer(
            **kafka_arguments(settings), enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=50
        )
        with contextlib.closing(consumer):
            return _read(consumer, settings.kafka_dlq_topic)
    except KafkaError as error:
        raise CommandFailed(kafka_away(settings, error)) from error


def _read(consumer: Any, topic: str) -> list[DeadLetter]:
    parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    if not parts:
        return []
    consumer.assign(parts)
    consumer.seek_to_beginning(*parts)
    ends: dict[Any, int] = consumer.end_offsets(parts)
    letters: list[DeadLetter] = []
    deadline = time.monotonic() + READ_SECONDS
    while any(consumer.position(part) < ends[part] for part in parts) and time.monotonic() < deadline:
        for messages in consumer.poll(timeout_ms=500).values():
            letters += [
                DeadLetter(m.key, m.value, tuple((name, value or b"") for name, value in m.headers)) for m in messages
            ]
    return letters
