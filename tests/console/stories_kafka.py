"""The runbook's stories that need the bridge and a real Kafka."""

import asyncio
import contextlib
import json
from typing import Any

from adapters.kafka.clients import as_sent, reader, writer
from adapters.kafka.dead_letters import PREFIX
from adapters.kafka.protocols import Partition
from configuration.processes import DlqSettings
from devkit.servers.process import free_port
from orders.paid_order import PaidOrder
from runtime.settings import load
from tests.console.desk import Desk, until
from tests.console.stories import story
from tests.reliability.lanes import Lane

Headers = list[tuple[str, bytes]]


async def kafka_lane(desk: Desk, name: str, **changes: str) -> Lane:
    """A lane with topics, a group and a bridge of its own, and no worker yet."""
    topic = desk.world.unique("orders-")
    kafka = {
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS": desk.kafka.bootstrap_servers,
        "TOPUP_KAFKA_TOPIC": topic,
        "TOPUP_KAFKA_DLQ_TOPIC": f"{topic}.dlq",
        "TOPUP_KAFKA_GROUP": topic,
    }
    lane = await desk.lane(name, scale=0.1, workers=0, **kafka, **changes)

    async def prepared() -> None:
        await desk.run("topup setup", lane)
        await lane.process("bridge")

    await desk.once(f"bridge of {name}", prepared)
    return lane


async def with_worker(desk: Desk, lane: Lane, name: str) -> None:
    async def work() -> None:
        bridge_port = lane.environment["TOPUP_HTTP_PORT"]
        lane.environment["TOPUP_HTTP_PORT"] = str(free_port())
        await lane.process("worker")
        lane.environment["TOPUP_HTTP_PORT"] = bridge_port

    await desk.once(f"worker of {name}", work)


def settings_of(lane: Lane) -> DlqSettings:
    return load(lane.environment, DlqSettings)


def send(lane: Lane, topic: str, key: bytes | None, value: bytes, headers: Headers) -> None:
    producer = writer(settings_of(lane))
    producer.send(topic, key=as_sent(key), value=as_sent(value), headers=headers).get(30)
    producer.close(5)


def last_record(lane: Lane) -> Any:
    """The newest record of the source topic."""
    settings = settings_of(lane)
    with contextlib.closing(reader(settings)) as consumer:
        found: list[Any] = []
        for number in consumer.partitions_for_topic(settings.kafka_topic):
            partition = Partition(settings.kafka_topic, number)
            consumer.assign([partition])
            consumer.seek_to_beginning(partition)
            end = consumer.end_offsets([partition], timeout_ms=5000)[partition]
            while (consumer.position(partition) or 0) < end:
                found += consumer.poll(1000).get(partition, ())
        return max(found, key=lambda record: record.timestamp)


def record_of(order: PaidOrder) -> bytes:
    return order.model_dump_json(by_alias=True, exclude_none=True).encode()


@story("The bridge waits")
async def waits(desk: Desk, command: str) -> None:
    name = f"gate {command}"
    lane = await kafka_lane(desk, name, TOPUP_BRIDGE_MAX_FIRST_PASS="1")
    orders = [await desk.order(lane, start=False) for _ in range(3)]
    topic = lane.environment["TOPUP_KAFKA_TOPIC"]
    for order in orders:
        await asyncio.to_thread(send, lane, topic, order.order_id.encode(), record_of(order), [])
    port = lane.environment["TOPUP_HTTP_PORT"]
    pasted = command.replace(":8082", f":{port}")
    first = "1 of 1 orders are in their first pass" if command.startswith("curl") else f"worker polls {lane.queue}"

    async def said() -> bool:
        done = await desk.run(pasted, lane, code=None)
        return first in done.out

    await until(said, f"{command} names what is missing", 60)
    await with_worker(desk, lane, name)
    for order in orders:

        async def delivered(order: PaidOrder = order) -> bool:
            known = await lane.book.known([order.order_id])
            return bool(known) and (await desk.state(lane, order)).outcome == "delivered"

        await until(delivered, f"{order.order_id} is delivered", 60)


@story("Dead letters")
async def letters(desk: Desk, command: str) -> None:
    name = "letters by reason" if "--reason" in command else "letters"
    lane = await kafka_lane(desk, name)
    order = await desk.order(lane, start=False)
    if "redrive" in command:
        await redriven(desk, lane, name, order, command)
        return
    value = record_of(order).replace(b'"amount_fen":', b'"amount_fen":-')
    await asyncio.to_thread(send, lane, lane.environment["TOPUP_KAFKA_TOPIC"], order.order_id.encode(), value, [])
    place = await place_of(desk, lane, order)
    said = (await desk.run(command.replace("PARTITION:OFFSET", place), lane)).out
    assert "invalid" in said
    assert "amount_fen" in said
    assert (order.vehicle.vin in said) == ("--with-value" in command)


async def redriven(desk: Desk, lane: Lane, name: str, order: PaidOrder, command: str) -> None:
    """A record that an older product could not read: it is an order as soon as it comes again."""
    await with_worker(desk, lane, name)
    value = record_of(order)
    originals: Headers = [("b", b"1"), ("traceparent", b"00-x"), ("b", b"2")]
    ours = {"reason": "invalid", "error": "schema is not known", "topic": "x", "partition": "0", "offset": "7"}
    headers = [*originals, *((PREFIX + key, text.encode()) for key, text in ours.items())]
    dlq = lane.environment["TOPUP_KAFKA_DLQ_TOPIC"]
    await asyncio.to_thread(send, lane, dlq, order.order_id.encode(), value, headers)
    place = await place_of(desk, lane, order)
    await desk.run(command.replace("PARTITION:OFFSET", place), lane)

    async def delivered() -> bool:
        known = await lane.book.known([order.order_id])
        return bool(known) and (await desk.state(lane, order)).outcome == "delivered"

    await until(delivered, f"{order.order_id} is delivered", 60)
    sent = await asyncio.to_thread(last_record, lane)
    assert (sent.key, sent.value, sent.headers) == (order.order_id.encode(), value, originals)


async def place_of(desk: Desk, lane: Lane, order: PaidOrder) -> str:
    """PARTITION:OFFSET of the order's dead letter, as an operator finds it."""

    async def found() -> str | None:
        letters = json.loads((await desk.run("topup dlq list --json", lane)).out)
        for letter in letters:
            shown = json.loads((await desk.run(f"topup dlq show {letter['place']} --with-value --json", lane)).out)
            if shown["key"] == order.order_id:
                return letter["place"]
        return None

    return await until(found, f"the dead letter of {order.order_id}", 60)
