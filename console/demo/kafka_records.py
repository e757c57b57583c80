"""The demonstration's own hands at Kafka: sends the planned records, reads the dead-letter topic. All calls block."""

import contextlib
import time
import zlib
from collections.abc import Sequence
from typing import Any, Final

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka.structs import TopicPartition

from console.connecting import kafka_arguments, kafka_away
from console.demo.books import DeadLetter, SentRecord
from console.demo.plan import PlannedRecord
from console.exits import CommandFailed
from runtime.settings import Settings

ACKNOWLEDGED_SECONDS: Final = 20.0
READ_SECONDS: Final = 10.0


def send(settings: Settings, records: Sequence[PlannedRecord], *, records_per_second: float) -> list[SentRecord]:
    """Send records in the given order at about the given pace; what went where.

    A record that goes with another order's goes to that one's partition, where it comes after it.

    Raises:
        CommandFailed: Kafka did not take them.
    """
    try:
        producer = KafkaProducer(**kafka_arguments(settings), acks="all", linger_ms=0)
        with contextlib.closing(producer):
            return _send(producer, settings.kafka_topic, records, 1 / records_per_second)
    except KafkaError as error:
        raise CommandFailed(kafka_away(settings, error)) from error


def _send(producer: Any, topic: str, records: Sequence[PlannedRecord], pause_seconds: float) -> list[SentRecord]:
    partitions = sorted(producer.partitions_for(topic))
    futures: list[Any] = []
    for record in records:
        name = record.goes_with.encode() or record.key or b""
        partition = partitions[zlib.crc32(name) % len(partitions)]
        headers = list(record.headers)
        futures.append(producer.send(topic, key=record.key, value=record.value, headers=headers, partition=partition))
        time.sleep(pause_seconds)
    sent: list[SentRecord] = []
    for record, future in zip(records, futures, strict=True):
        where = future.get(ACKNOWLEDGED_SECONDS)
        sent.append(
            SentRecord(
                record.scenario,
                where.partition,
                where.offset,
                record.key,
                record.value,
                record.headers,
                record.dead_letter,
            )
        )
    return sent


def read_dead_letters(settings: Settings) -> list[DeadLetter]:
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
