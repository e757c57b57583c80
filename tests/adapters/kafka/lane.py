"""A lane per test: topics and a group of its own on the shared broker, and what is asked of them there."""

import asyncio
import contextlib
import json
import secrets
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.serializer import Serializer

from tests.limits import WAIT_SECONDS

NULL = object()


class Raw(Serializer):
    """Bytes as they are; NULL stands for none, because `send` refuses a record with neither key nor value."""

    def serialize(self, topic: str, headers: object, data: object) -> object:
        return None if data is NULL else data


@dataclass(frozen=True)
class Sent:
    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]] = field(default_factory=list)
    partition: int | None = None


def paid_order(order_id: str) -> dict[str, Any]:
    return {
        "schema": "topup.paid-order/1",
        "order_id": order_id,
        "vehicle": {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015", "msisdn": "14400000001"},
        "package_id": "CT-DATA-10GB-30D",
        "amount_fen": 9900,
        "currency": "CNY",
        "payment": {
            "provider": "wechat",
            "merchant_id": "1900000109",
            "out_trade_no": order_id,
            "transaction_id": f"42{order_id}",
            "paid_at": "2023-08-21T18:33:55+08:00",
        },
    }


@dataclass
class KafkaLane:
    kafka: Any
    partitions: int = 3
    prefix: str = field(default_factory=lambda: f"b{secrets.token_hex(4)}")  # the servers may outlive this session
    api_version: tuple[int, ...] | None = None
    topic: str = ""
    dlq: str = ""
    group: str = ""

    def __post_init__(self) -> None:
        self.topic = self.topic or f"orders-{self.prefix}"
        self.dlq = self.dlq or f"{self.topic}.dlq"
        self.group = self.group or f"group-{self.prefix}"

    def environment(self, **changes: str) -> dict[str, str]:
        return {
            "TOPUP_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "TOPUP_KAFKA_TOPIC": self.topic,
            "TOPUP_KAFKA_DLQ_TOPIC": self.dlq,
            "TOPUP_KAFKA_UNMATCHED_TOPIC": f"{self.topic}.unmatched",
            "TOPUP_KAFKA_GROUP": self.group,
            **changes,
        }

    def create_topics(self) -> None:
        self.kafka.create_topic(self.topic, self.partitions, {"max.message.bytes": str(2 * 2**20)})
        self.kafka.create_topic(self.dlq, 2, {"max.message.bytes": str(2 * 2**20 + 2**16)})

    @property
    def kafka_options(self) -> dict[str, Any]:
        return {"bootstrap_servers": self.kafka.bootstrap_servers, "api_version": self.api_version}

    def producer(self, **options: Any) -> KafkaProducer:
        settings = {"acks": "all", "key_serializer": Raw(), "value_serializer": Raw(), "max_request_size": 8 * 2**20}
        return KafkaProducer(**self.kafka_options, **{**settings, **options})

    def send(self, records: Iterable["Sent"], **options: Any) -> None:
        """Send, and wait until all are acknowledged."""
        producer = self.producer(**options)
        futures = [
            producer.send(
                self.topic,
                key=NULL if record.key is None else record.key,
                value=NULL if record.value is None else record.value,
                headers=record.headers,
                partition=record.partition,
            )
            for record in records
        ]
        for future in futures:
            future.get(timeout=WAIT_SECONDS)
        producer.close()

    def order(self, number: int, **members: Any) -> "Sent":
        """A record of a paid order; `vehicle__vin=…` reaches into its members."""
        order_id = f"{self.prefix}-{number:06}"
        order = paid_order(order_id)
        for path, value in members.items():
            *parents, name = path.split("__")
            node: Any = order
            for parent in parents:
                node = node[parent]
            node[name] = value
        return Sent(order_id.encode(), json.dumps(order).encode())

    def orders(self, count: int, first: int = 0) -> list["Sent"]:
        return [self.order(number) for number in range(first, first + count)]

    def committed(self) -> dict[int, int]:
        """Committed offset by partition; without one, the partition is missing."""
        with contextlib.closing(
            KafkaConsumer(**self.kafka_options, group_id=self.group, enable_auto_commit=False)
        ) as consumer:
            found = {p: consumer.committed(TopicPartition(self.topic, p)) for p in range(self.partitions)}
            return {p: offset for p, offset in found.items() if offset is not None}

    def end_offsets(self) -> dict[int, int]:
        with contextlib.closing(KafkaConsumer(**self.kafka_options)) as consumer:
            ends = consumer.end_offsets([TopicPartition(self.topic, p) for p in range(self.partitions)])
            return {tp.partition: end for tp, end in ends.items()}

    def all_committed(self) -> bool:
        ends = {p: end for p, end in self.end_offsets().items() if end}
        committed = self.committed()
        return all(committed.get(p) == end for p, end in ends.items())

    def dead_letters(self) -> list[Any]:
        """All records of the dead-letter topic, as the client has them."""
        with contextlib.closing(KafkaConsumer(**self.kafka_options, fetch_max_wait_ms=50)) as consumer:
            partitions = [TopicPartition(self.dlq, p) for p in consumer.partitions_for_topic(self.dlq)]
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            consumer.seek_to_beginning(*partitions)
            found: list[Any] = []
            while any(consumer.position(p) < end for p, end in ends.items()):
                for records in consumer.poll(1000).values():
                    found += records
            return found

    # --- waiting ---

    async def until(
        self,
        condition: Callable[[], Any | Awaitable[Any]],
        what: str,
    ) -> None:
        deadline = time.monotonic() + WAIT_SECONDS
        last: object = None
        while time.monotonic() < deadline:
            try:
                last = condition()
                if asyncio.iscoroutine(last):
                    last = await last
                if last:
                    return
            except Exception as error:  # noqa: BLE001 - a part that is away is "not yet"
                last = error
            await asyncio.sleep(0.1)
        pytest.fail(f"not within {WAIT_SECONDS:.0f} s: {what} (last: {last!r}). {self.logs()}")

    def logs(self) -> str:
        """For a test that failed."""
        return ""

    async def until_all_committed(self) -> None:
        await self.until(lambda: asyncio.to_thread(self.all_committed), "all offsets are committed")
