"""The demonstration's own hands at Kafka: writes stray records, reads topics. All calls block."""

import contextlib
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from kafka import KafkaConsumer, KafkaProducer
from kafka.errors import KafkaError
from kafka.partitioner.default import murmur2 as _murmur2  # pyright: ignore[reportUnknownVariableType]  # untyped
from kafka.structs import TopicPartition

from configuration.processes import BridgeSettings
from console.connecting import kafka_arguments, kafka_away
from console.exits import CommandFailed
from devkit.audit.records import DeadLetter, Headers, SentRecord
from devkit.demo.plan import PlannedOrder, StrayRecord
from orders.record_mac import HEADER, sign
from runtime.settings.groups import KafkaConnection

ACKNOWLEDGED_SECONDS: Final = 20.0
murmur2 = cast("Callable[[bytes], int]", _murmur2)
READ_SECONDS: Final = 10.0
CLOSE_SECONDS: Final = 2.0


class StrayWriter:
    """Writes stray records, signed as the gateway's are: it is their content that must be refused.

    Raises:
        CommandFailed: Kafka does not answer.
    """

    def __init__(self, settings: BridgeSettings) -> None:
        self._settings = settings
        try:
            self._producer: Any = KafkaProducer(**kafka_arguments(settings), acks="all", linger_ms=0)
            self._partitions: list[int] = sorted(self._producer.partitions_for(settings.kafka_topic))
        except KafkaError as error:
            raise CommandFailed(kafka_away(settings, error)) from error

    def write(self, record: StrayRecord) -> SentRecord:
        """Write one; one that goes with an order goes to that order's partition, where it comes after it.

        Raises:
            CommandFailed: Kafka did not take it.
        """
        name = record.goes_with.encode() or record.key or b""
        partition = self._partitions[(murmur2(name) & 0x7FFFFFFF) % len(self._partitions)]  # as the gateway's client
        key = self._settings.record_key
        macs = [] if key is None else [(HEADER, sign(key, record.key, record.value))]
        headers = (*record.headers, *macs)
        try:
            future = self._producer.send(
                self._settings.kafka_topic,
                key=record.key,
                value=record.value,
                headers=list(headers),
                partition=partition,
            )
            where = future.get(ACKNOWLEDGED_SECONDS)
        except KafkaError as error:
            raise CommandFailed(kafka_away(self._settings, error)) from error
        return SentRecord(
            record.scenario, where.partition, where.offset, record.key, record.value, headers, record.dead_letter
        )

    def close(self) -> None:
        """Close the connection."""
        with contextlib.suppress(KafkaError):
            self._producer.close(CLOSE_SECONDS)


@dataclass(frozen=True, slots=True)
class KafkaRecord:
    """One record as it stands in a topic."""

    partition: int
    offset: int
    key: bytes | None
    value: bytes | None
    headers: Headers


def read_topics(settings: KafkaConnection, *topics: str) -> list[list[KafkaRecord]]:
    """All that is in each of these topics now.

    Raises:
        CommandFailed: Kafka did not give it.
    """
    try:
        consumer = KafkaConsumer(
            **kafka_arguments(settings), enable_auto_commit=False, auto_offset_reset="earliest", fetch_max_wait_ms=50
        )
        with contextlib.closing(consumer):
            return [_read(consumer, topic) for topic in topics]
    except KafkaError as error:
        raise CommandFailed(kafka_away(settings, error)) from error


def dead_letters(records: Sequence[KafkaRecord]) -> list[DeadLetter]:
    """The records of the dead-letter topic."""
    return [DeadLetter(record.key, record.value, record.headers) for record in records]


def sent_records(
    records: Sequence[KafkaRecord], strays: Sequence[SentRecord], orders: Sequence[PlannedOrder]
) -> list[SentRecord]:
    """Whose each record of the topic is: a stray that was written, or the gateway's of a payment; "" = nobody's."""
    written = {(stray.partition, stray.offset): stray for stray in strays}
    scenarios = {order.order_id.encode(): order.scenario.name for order in orders}
    return [
        written.get((record.partition, record.offset))
        or SentRecord(
            scenarios.get(record.key or b"", ""),
            record.partition,
            record.offset,
            record.key,
            record.value,
            record.headers,
            "",
        )
        for record in records
    ]


def _read(consumer: Any, topic: str) -> list[KafkaRecord]:
    parts = [TopicPartition(topic, number) for number in sorted(consumer.partitions_for_topic(topic) or ())]
    if not parts:
        return []
    consumer.assign(parts)
    consumer.seek_to_beginning(*parts)
    ends: dict[Any, int] = consumer.end_offsets(parts)
    found: list[KafkaRecord] = []
    deadline = time.monotonic() + READ_SECONDS
    while any(consumer.position(part) < ends[part] for part in parts) and time.monotonic() < deadline:
        for messages in consumer.poll(timeout_ms=500).values():
            found += [
                KafkaRecord(m.partition, m.offset, m.key, m.value, tuple((n, v or b"") for n, v in m.headers))
                for m in messages
            ]
    return found
