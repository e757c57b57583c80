"""Drills with the real bridge on a real Kafka: killed, frozen and lied to between record and commit; the incident."""

import asyncio
import json
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, closing
from datetime import timedelta
from typing import Any, Final

import kafka as kafka_python

from adapters.order_book.book import UnknownOrder
from devkit.audit.books import Paid, Seen
from devkit.audit.records import DeadLetter
from devkit.servers.kafka import Kafka
from devkit.servers.mosquitto import Mosquitto
from devkit.servers.process import Program, free_port
from devkit.stack.tcp_proxy import TcpProxy
from orders.paid_order import PaidOrder
from orders.state import OrderState
from tests.reliability.cases import REFUSED
from tests.reliability.crashing_process import Fault, When
from tests.reliability.deployments import HEAL_SECONDS, Deployment, NotShown, posted, thaw, until
from tests.reliability.environment import PLATFORM
from tests.reliability.running import COMES_ABOUT, ENDS, Drill, Runner, Shown

RECORDS_ADD_UP: Final = "records in = runs + duplicates"
NO_OPERATOR: Final = "no operator is needed"
AT_ONCE: Final = "told at once, whatever another platform does"
PARTITIONS: Final = 2
CLIENT: Final[Any] = kafka_python
"""kafka-python, whose types are partly unknown."""
SCALE: Final = 0.05
INCIDENT_SCALE: Final = 0.1
OLD: Final = "old"
AT_ONCE_SECONDS: Final = 60.0
"""Far above what it takes (1 s; 22 s on a machine that did much else): the old platform hangs all the while, so that
whatever waited for it would not come at all."""
ECHO_SECONDS: Final = 6.0

POINTS: Final[Sequence[tuple[str, Fault, When]]] = (
    ("book:claim", "kill", "before"),
    ("book:claim", "kill", "middle"),
    ("book:claim", "kill", "after"),
    ("book:claim", "lost", "after"),
    ("book:claim", "stop", "after"),
    ("temporal:start", "kill", "before"),
    ("temporal:start", "kill", "after"),
    ("temporal:start", "lost", "after"),
    ("temporal:start", "stop", "before"),
    ("temporal:start", "stop", "after"),
    ("kafka:commit", "kill", "before"),
    ("kafka:commit", "kill", "after"),
    ("kafka:commit", "stop", "before"),
)
"""Between claim and start, between start and commit."""


class Topic:
    """The Kafka side of a deployment: topics and a group of its own."""

    def __init__(self, kafka: Kafka, name: str) -> None:
        self._kafka = kafka
        self.name, self._dlq, self._group = name, f"{name}.dlq", f"group-{name}"
        for topic in (self.name, self._dlq):
            kafka.create_topic(topic, PARTITIONS)

    @property
    def settings(self) -> dict[str, str]:
        """The bridge's settings for it."""
        return {
            "TOPUP_KAFKA_BOOTSTRAP_SERVERS": self._kafka.bootstrap_servers,
            "TOPUP_KAFKA_TOPIC": self.name,
            "TOPUP_KAFKA_DLQ_TOPIC": self._dlq,
            "TOPUP_KAFKA_GROUP": self._group,
        }

    async def send(self, orders: Sequence[PaidOrder], *, times: int = 1) -> None:
        """Each order's record, so many times over, acknowledged."""
        await asyncio.to_thread(self._send, orders, times)

    async def send_bytes(self, records: Sequence[tuple[bytes | None, bytes | None]]) -> None:
        """Keys and values as they are, in this order in each partition, acknowledged."""
        await asyncio.to_thread(self._send_bytes, records)

    async def rewind(self) -> None:
        """Set the group's offsets to the earliest; the group must be empty."""
        await asyncio.to_thread(self._rewind)

    async def dead_letters(self) -> list[DeadLetter]:
        """All of them so far."""
        return await asyncio.to_thread(self._dead_letters)

    async def counts(self) -> tuple[bool, int]:
        """Whether all is committed, and how many dead letters there are."""
        return await asyncio.to_thread(self._counts)

    def _send(self, orders: Sequence[PaidOrder], times: int) -> None:
        self._send_bytes([(order.order_id.encode(), record_of(order)) for _ in range(times) for order in orders])

    def _send_bytes(self, records: Sequence[tuple[bytes | None, bytes | None]]) -> None:
        with closing(CLIENT.KafkaProducer(bootstrap_servers=self._kafka.bootstrap_servers, acks="all")) as producer:
            for future in [producer.send(self.name, key=key, value=value) for key, value in records]:
                future.get(timeout=30)

    def _rewind(self) -> None:
        with closing(self._kafka.admin()) as admin:
            earliest = {CLIENT.TopicPartition(self.name, number): 0 for number in range(PARTITIONS)}
            for answer in admin.reset_group_offsets(self._group, earliest).values():
                if answer["error"].errno:
                    raise NotShown(f"the group's offsets can't be set: {answer['error'].__name__}")

    def _dead_letters(self) -> list[DeadLetter]:
        partitions = [CLIENT.TopicPartition(self._dlq, number) for number in range(PARTITIONS)]
        found: list[DeadLetter] = []
        options = {"bootstrap_servers": self._kafka.bootstrap_servers, "auto_offset_reset": "earliest"}
        with closing(CLIENT.KafkaConsumer(**options, enable_auto_commit=False)) as consumer:
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            while any(consumer.position(partition) < end for partition, end in ends.items()):
                for records in consumer.poll(timeout_ms=500).values():
                    found += [DeadLetter(record.key, record.value, tuple(record.headers)) for record in records]
        return found

    def _counts(self) -> tuple[bool, int]:
        options = {"bootstrap_servers": self._kafka.bootstrap_servers, "group_id": self._group}
        with closing(CLIENT.KafkaConsumer(**options, enable_auto_commit=False)) as consumer:
            partitions = [CLIENT.TopicPartition(self.name, number) for number in range(PARTITIONS)]
            ends = consumer.end_offsets(partitions)
            committed = all(not end or consumer.committed(partition) == end for partition, end in ends.items())
            dead = consumer.end_offsets([CLIENT.TopicPartition(self._dlq, number) for number in range(PARTITIONS)])
            return committed, sum(dead.values())


def record_of(order: PaidOrder) -> bytes:
    """The value of an order's record."""
    return order.model_dump_json(by_alias=True, exclude_none=True).encode()


def bridge_drill(kafka: Kafka, point: str, fault: Fault, when: When) -> Drill:
    """The bridge at one point; the worker is well."""

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        topic = await asyncio.to_thread(Topic, kafka, runner.env.unique("orders-"))
        deployed = runner.deployed(result.name, stack, scale=SCALE, **topic.settings)
        orders = [await runner.order(deployed, provider, end="delivered") for provider in ("wechat", "alipay")]
        refused = [await runner.order(deployed, provider, end="refunded") for provider in ("wechat", "alipay")]
        for order, _ in refused:
            await runner.env.order_faults("carrier", order.order_id, [REFUSED])
        both = orders + refused
        await topic.send([order for order, _ in both], times=2)
        await deployed.process("worker")
        plan = deployed.plan(fault, when, point)
        crasher = await deployed.process("bridge", plan)
        await deployed.until_fired(plan, crasher)
        result.report.add(COMES_ABOUT, result.name, ())
        fired_at = time.monotonic()
        if fault != "lost":
            await deployed.process("bridge")
        await _ended(deployed, [order for order, _ in both], result)
        result.healed_seconds = time.monotonic() - fired_at
        if fault == "stop":
            thaw(crasher)
            await asyncio.sleep(ECHO_SECONDS)
        for _, paid in both:
            await runner.judge(result, deployed, paid)
        result.report.add(RECORDS_ADD_UP, result.name, await _records(topic, deployed, both))

    return drill


async def _ended(deployed: Deployment, orders: Sequence[PaidOrder], result: Shown) -> None:
    """Wait until each order has its end and its run has told the car."""

    async def all_ended() -> bool:
        try:
            return all([(await deployed.book.read(order.order_id)).state.outcome for order in orders])
        except UnknownOrder:
            return False

    await until(all_ended, "every order has an end in the book", HEAL_SECONDS)
    for order in orders:
        await deployed.result(order)
    result.report.add(ENDS, result.name, ())


async def _records(topic: Topic, deployed: Deployment, both: Sequence[tuple[PaidOrder, Paid]]) -> list[str]:
    async def committed() -> bool:
        return (await topic.counts())[0]

    sentences: list[str] = []
    try:
        await until(committed, "all offsets are committed")
    except Exception as error:  # noqa: BLE001 - whatever it was, it is the sentence
        sentences.append(str(error))
    dead = (await topic.counts())[1]
    if dead:
        sentences.append(f"{dead} records went to the dead letters")

    async def seen() -> Counter[str]:
        runs = Counter([run.id async for run in deployed.client.list_workflows(f"TaskQueue = '{deployed.queue}'")])
        return runs if len(runs) == len(both) else Counter()

    runs: Counter[str] = await until(seen, "the runs are visible")
    sentences += [f"{name} has {count} runs" for name, count in runs.items() if count != 1]
    return sentences


def incident_drill(kafka: Kafka, mosquitto: Mosquitto, *, kill_worker: bool) -> Drill:
    """The incident: one record three times, the carrier takes 40 s and fails, the old MQTT platform hangs.

    Args:
        kafka: the broker.
        mosquitto: what the old platform is once it is back.
        kill_worker: -9 for the worker while the carrier is slow.
    """

    async def drill(runner: Runner, result: Shown, stack: AsyncExitStack) -> None:
        env = runner.env
        topic = await asyncio.to_thread(Topic, kafka, env.unique("orders-"))
        hung = await _hung_broker(stack)
        brokers = [{"name": PLATFORM, "url": env.mosquitto.url}, {"name": OLD, "url": hung.url, "version": "3.1.1"}]
        changes = {"TOPUP_MQTT_BROKERS": json.dumps(brokers), **topic.settings}
        deployed = runner.deployed(result.name, stack, scale=INCIDENT_SCALE, **changes)
        deployed.platforms = (PLATFORM, OLD)
        order, paid = await runner.order(deployed, "wechat", end="refunded")
        slow = {"kind": "delay", "seconds": 40 * INCIDENT_SCALE}
        await env.order_faults("carrier", order.order_id, [slow, {"kind": "failed"}])
        worker = await deployed.process("worker")
        await deployed.process("bridge")
        await topic.send([order], times=3)
        if kill_worker:
            await deployed.until_books(lambda books: posted(books, order, "post"), "the carrier has the POST")
            await asyncio.to_thread(worker.kill)
            await deployed.process("worker")
        await deployed.until_books(
            lambda books: len(books.about(paid).notices) >= 2,
            "both notices on the live platform while the old one hangs",
            HEAL_SECONDS,
        )
        result.report.add(COMES_ABOUT, result.name, ())
        if not kill_worker:
            entry = (await deployed.book.read(order.order_id)).state
            result.report.add(AT_ONCE, result.name, _late(env.books.about(paid), entry))
        back_at = time.monotonic()
        await _bring_back(runner, hung, mosquitto, stack)
        await deployed.result(order)
        result.healed_seconds = time.monotonic() - back_at
        result.report.add(ENDS, result.name, ())
        await runner.judge(result, deployed, paid)
        asked_for = [
            event for event in await deployed.book.events(order.order_id) if event.detail.get("needs_operator")
        ]
        result.report.add(NO_OPERATOR, result.name, [str(event.detail) for event in asked_for])
        result.report.add(RECORDS_ADD_UP, result.name, await _records(topic, deployed, [(order, paid)]))

    return drill


class _Hung:
    """The old platform's address; behind it first nothing that answers."""

    def __init__(self, port: int, program: Program) -> None:
        self.port = port
        self.url = f"mqtt://127.0.0.1:{port}"
        self.program = program


async def _hung_broker(stack: AsyncExitStack) -> _Hung:
    port = free_port()
    command = [sys.executable, "-m", "simulators", "hung-broker", "--port", str(port)]
    program = Program("hung-broker", command, listens_on=port)
    stack.callback(program.close)
    await asyncio.to_thread(program.start)
    return _Hung(port, program)


async def _bring_back(runner: Runner, hung: _Hung, mosquitto: Mosquitto, stack: AsyncExitStack) -> None:
    """The old platform answers again, on its port, with the cars listening behind it."""
    await runner.env.control.add_broker(OLD, mosquitto.url)
    await runner.env.control.until_cars_listen(30, OLD)
    await asyncio.to_thread(hung.program.kill)
    proxy = TcpProxy(mosquitto.url, port=hung.port)
    stack.callback(proxy.close)
    proxy.open()


def _late(seen: Seen, entry: OrderState) -> list[str]:
    """Notices that came later than at once after the product had heard what they tell of."""
    told: Mapping[str, Any] = {entry.data["result"]: entry.at for entry in reversed(seen.notices)}
    happened = {"failed": entry.carrier_outcome_at, "refunded": entry.refund_confirmed_at}
    return [
        f"the notice {result} came {(told[result] - at).total_seconds():.1f} s after its event"
        for result, at in happened.items()
        if at is not None and told[result] - at > timedelta(seconds=AT_ONCE_SECONDS)
    ]
