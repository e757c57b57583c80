"""A lane per test: topics, group, order book, task queue and bridges of its own on the shared servers."""

import asyncio
import base64
import contextlib
import itertools
import json
import logging
import os
import secrets
import signal
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, KafkaProducer, TopicPartition
from kafka.serializer import Serializer
from temporalio.client import Client

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from configuration.processes import BridgeSettings
from devkit.servers.process import Program, free_port
from devkit.servers.temporal import Temporal
from runtime.clock import SystemClock
from runtime.settings import load

PII_KEY = bytes(range(32))
NULL = object()
_numbers = itertools.count(1)


class Raw(Serializer):
    """Bytes as they are; NULL stands for none, because `send` refuses a record with neither key nor value."""

    def serialize(self, topic: str, headers: object, data: object) -> object:
        return None if data is NULL else data


@dataclass
class Lane:
    kafka: Any
    temporal: Temporal
    client: Client
    topic: str
    dlq: str
    group: str
    task_queue: str
    prefix: str
    database_url: str
    folder: Path
    partitions: int
    api_version: tuple[int, ...] | None = None
    bridges: list[Program] = field(default_factory=list)
    ports: dict[int, int] = field(default_factory=dict)

    # --- bridges ---

    def environment(self, **changes: str) -> dict[str, str]:
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG", "PYTHONPATH") if name in os.environ}
        return {
            **kept,
            "TEMPORAL_ADDRESS": self.temporal.address,
            "TEMPORAL_NAMESPACE": self.temporal.namespace,
            "TOPUP_TASK_QUEUE": self.task_queue,
            "TOPUP_DATABASE_URL": self.database_url,
            "TOPUP_KAFKA_BOOTSTRAP_SERVERS": self.kafka.bootstrap_servers,
            "TOPUP_KAFKA_TOPIC": self.topic,
            "TOPUP_KAFKA_DLQ_TOPIC": self.dlq,
            "TOPUP_KAFKA_GROUP": self.group,
            "TOPUP_PII_KEY": base64.b64encode(PII_KEY).decode(),
            "TOPUP_HTTP_PORT": "0",
            "TOPUP_BRIDGE_MAX_FIRST_PASS": "1000000",  # no worker runs here: nothing ever leaves its first pass
            **changes,
        }

    def bridge(self, **changes: str) -> Program:
        """A started bridge; it may not be ready yet."""
        port = free_port()
        program = Program(
            f"bridge-{self.prefix}-{len(self.bridges)}",
            [sys.executable, "-m", "bridge"],
            env=self.environment(TOPUP_HTTP_PORT=str(port), **changes),
            listens_on=port,
        )
        self.bridges.append(program)
        self.ports[id(program)] = port
        program.start()
        return program

    async def ready_bridge(self, **changes: str) -> Program:
        program = self.bridge(**changes)
        await self.until(lambda: self.readyz(program)["ready"], "the bridge is ready", bridge=program)
        return program

    async def terminate(self, bridge: Program) -> int:
        """SIGTERM, and the exit code."""
        os.kill(bridge.pid, signal.SIGTERM)
        return await asyncio.to_thread(bridge.wait, 40)

    def readyz(self, bridge: Program) -> dict[str, Any]:
        return json.loads(self.get(bridge, "readyz"))

    def readyz_partitions(self, bridge: Program) -> list[int]:
        """The partitions that the bridge holds, as `/readyz` shows them."""
        (kafka,) = (check for check in self.readyz(bridge)["checks"] if check["name"] == "kafka")
        return json.loads(kafka["sentence"].removeprefix("Partitions ").partition("]")[0] + "]")

    def metrics(self, bridge: Program, name: str) -> dict[str, float]:
        """Label values → value of one metric; `""` for one without labels."""
        found: dict[str, float] = {}
        for line in self.get(bridge, "metrics").decode().splitlines():
            if line.startswith((name + "{", name + " ")):
                labels, _, value = line.removeprefix(name).rpartition(" ")
                found[",".join(labels.split('"')[1::2])] = float(value)
        return found

    def get(self, bridge: Program, path: str) -> bytes:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.ports[id(bridge)]}/{path}", timeout=5) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:  # unready answers 503
            return error.read()

    def counts(self, bridge: Program) -> Counter[str]:
        """What `topup_records_total` says."""
        return +Counter({result: int(n) for result, n in self.metrics(bridge, "topup_records_total").items()})

    # --- Kafka ---

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
            future.get(timeout=30)
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

    # --- Temporal ---

    async def started(self) -> Counter[str]:
        """Runs by order ID, over all runs there ever were."""
        query = f"TaskQueue = '{self.task_queue}'"
        return Counter([run.id.removeprefix("topup/") async for run in self.client.list_workflows(query)])

    async def until_started(self, count: int, seconds: float = 60) -> None:
        async def enough() -> bool:
            answer = await self.client.count_workflows(f"TaskQueue = '{self.task_queue}'")
            return answer.count >= count

        await self.until(enough, f"{count} runs are started", seconds)

    # --- waiting ---

    async def until(
        self,
        condition: Callable[[], Any | Awaitable[Any]],
        what: str,
        seconds: float = 60,
        bridge: Program | None = None,
    ) -> None:
        deadline = time.monotonic() + seconds
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
        logs = "\n\n".join(program.log_tail(60) for program in ([bridge] if bridge else self.bridges))
        pytest.fail(f"not within {seconds:.0f} s: {what} (last: {last!r}). The bridges' logs:\n{logs}")

    async def until_all_committed(self, seconds: float = 60) -> None:
        await self.until(lambda: asyncio.to_thread(self.all_committed), "all offsets are committed", seconds)

    def close(self) -> None:
        for bridge in self.bridges:
            bridge.close()


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


@pytest.fixture(scope="session", autouse=True)
def quiet_client() -> None:
    """A broker that is away on purpose fills the report of a failed test with the client's complaints."""
    logging.getLogger("kafka").setLevel(logging.CRITICAL)


@pytest.fixture
async def make_lane(
    request: pytest.FixtureRequest, temporal_server: Temporal, temporal_client: Client, tmp_path: Path
) -> AsyncIterator[Callable[..., Awaitable[Lane]]]:
    lanes: list[Lane] = []

    async def make(*, partitions: int = 3, database_url: str = "", topics: bool = True, kafka: Any = None) -> Lane:
        name = f"b{next(_numbers)}{secrets.token_hex(3)}"  # the servers may outlive this session
        lane = Lane(
            kafka=kafka or request.getfixturevalue("kafka"),
            temporal=temporal_server,
            client=temporal_client,
            topic=f"orders-{name}",
            dlq=f"orders-{name}.dlq",
            group=f"group-{name}",
            task_queue=f"queue-{name}",
            prefix=name,
            database_url=database_url or f"sqlite:///{tmp_path / name}.db",
            folder=tmp_path,
            partitions=partitions,
        )
        if topics:
            lane.kafka.create_topic(lane.topic, partitions, {"max.message.bytes": str(2 * 2**20)})
            lane.kafka.create_topic(lane.dlq, 2, {"max.message.bytes": str(2 * 2**20 + 2**16)})
        book = OrderBook.open(lane.database_url, FieldCipher(PII_KEY), SystemClock())
        await book.migrate()
        await book.close()
        lanes.append(lane)
        return lane

    yield make
    for lane in lanes:
        lane.close()


@pytest.fixture
async def lane(make_lane: Callable[..., Awaitable[Lane]]) -> Lane:
    return await make_lane()


@pytest.fixture
def settings_of() -> Callable[[Mapping[str, str]], Any]:
    return lambda environ: load(environ, BridgeSettings)
