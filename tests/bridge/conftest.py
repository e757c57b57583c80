"""A lane per test: topics, group, order book, task queue and bridges of its own on the shared servers."""

import asyncio
import base64
import itertools
import json
import logging
import os
import secrets
import signal
import sys
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from temporalio.client import Client

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from configuration.processes import DoctorSettings
from devkit.servers.process import Program, free_port
from devkit.servers.temporal import Temporal
from runtime.clock import SystemClock
from runtime.settings import load
from tests.adapters.kafka.lane import KafkaLane, Sent, paid_order
from tests.limits import WAIT_SECONDS

__all__ = ["Lane", "Sent", "paid_order"]

PII_KEY = bytes(range(32))
_numbers = itertools.count(1)
ORDERS, LETTERS, UNMATCHED = "embedded-orders", "embedded-orders.dlq", "embedded-unmatched"
"""Topics of the embedded broker."""


@dataclass(kw_only=True)
class Lane(KafkaLane):
    temporal: Temporal
    client: Client
    task_queue: str
    database_url: str
    folder: Path
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
            **super().environment(),
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
        await self.until(lambda: self.readyz(program)["ready"], "the bridge is ready")
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
            with urllib.request.urlopen(
                f"http://127.0.0.1:{self.ports[id(bridge)]}/{path}", timeout=WAIT_SECONDS
            ) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:  # unready answers 503
            return error.read()

    def counts(self, bridge: Program) -> Counter[str]:
        """What `topup_records_total` says."""
        return +Counter({result: int(n) for result, n in self.metrics(bridge, "topup_records_total").items()})

    # --- Temporal ---

    async def started(self) -> Counter[str]:
        """Runs by order ID, over all runs there ever were."""
        query = f"TaskQueue = '{self.task_queue}'"
        return Counter([run.id.removeprefix("topup/") async for run in self.client.list_workflows(query)])

    async def claimed(self) -> int:
        """How many orders the book has."""
        book = OrderBook.open(self.database_url, FieldCipher(PII_KEY), SystemClock())
        try:
            return sum((await book.counts()).values())
        finally:
            await book.close()

    async def until_started(self, count: int) -> None:
        async def enough() -> bool:
            answer = await self.client.count_workflows(f"TaskQueue = '{self.task_queue}'")
            return answer.count >= count

        await self.until(enough, f"{count} runs are started")

    # --- the end ---

    def logs(self) -> str:
        return "The bridges' logs:\n" + "\n\n".join(program.log_tail(60) for program in self.bridges)

    def close(self) -> None:
        for bridge in self.bridges:
            bridge.close()


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
            task_queue=f"queue-{name}",
            prefix=name,
            database_url=database_url or f"sqlite:///{tmp_path / name}.db",
            folder=tmp_path,
            partitions=partitions,
        )
        if topics:
            lane.create_topics()
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


@dataclass
class Embedded:
    bootstrap_servers: str


@pytest.fixture
def embedded(tmp_path: Path) -> Iterator[Embedded]:
    address = tmp_path / "kafka"
    topics_named = [word for name in (ORDERS, LETTERS, UNMATCHED) for word in ("--topic", f"{name}=3")]
    named = [*topics_named, "--address-file", str(address)]
    broker = Program("embedded-kafka", [sys.executable, "-m", "devkit.stack.mock_kafka", *named])
    broker.start()
    while not address.exists():
        assert broker.running, broker.log_tail()
    yield Embedded(address.read_text().strip())
    broker.close()


@pytest.fixture
async def embedded_lane(make_lane: Any, embedded: Embedded) -> Lane:
    lane = await make_lane(kafka=embedded, topics=False)
    lane.topic, lane.dlq, lane.api_version = ORDERS, LETTERS, (2, 3)
    return lane


@pytest.fixture
def settings_of() -> Callable[[Mapping[str, str]], Any]:
    return lambda environ: load(environ, DoctorSettings)
