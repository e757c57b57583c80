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
from tests.console.operator_shell import OperatorShell, until
from tests.console.stories import story
from tests.limits import WAIT_SECONDS
from tests.reliability.deployments import Deployment

Headers = list[tuple[str, bytes]]


async def kafka_lane(shell: OperatorShell, name: str, **changes: str) -> Deployment:
    """A deployment with topics, a group and a bridge of its own, and no worker yet."""
    topic = shell.env.unique("orders-")
    kafka = {
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS": shell.kafka.bootstrap_servers,
        "TOPUP_KAFKA_TOPIC": topic,
        "TOPUP_KAFKA_DLQ_TOPIC": f"{topic}.dlq",
        "TOPUP_KAFKA_UNMATCHED_TOPIC": f"{topic}.unmatched",
        "TOPUP_KAFKA_GROUP": topic,
    }
    deployed = await shell.deployed(name, scale=0.1, workers=0, **kafka, **changes)

    async def prepared() -> None:
        await shell.run("topup setup", deployed)
        await deployed.process("bridge")

    await shell.once(f"bridge of {name}", prepared)
    return deployed


async def with_worker(shell: OperatorShell, deployed: Deployment, name: str) -> None:
    async def work() -> None:
        bridge_port = deployed.settings["TOPUP_HTTP_PORT"]
        deployed.settings["TOPUP_HTTP_PORT"] = str(free_port())
        await deployed.process("worker")
        deployed.settings["TOPUP_HTTP_PORT"] = bridge_port

    await shell.once(f"worker of {name}", work)


def settings_of(deployed: Deployment) -> DlqSettings:
    return load(deployed.settings, DlqSettings)


def send(deployed: Deployment, topic: str, key: bytes | None, value: bytes, headers: Headers) -> None:
    producer = writer(settings_of(deployed))
    producer.send(topic, key=as_sent(key), value=as_sent(value), headers=headers).get(30)
    producer.close(5)


def last_record(deployed: Deployment) -> Any:
    """The newest record of the source topic."""
    settings = settings_of(deployed)
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
async def waits(shell: OperatorShell, command: str) -> None:
    name = f"gate {command}"
    deployed = await kafka_lane(shell, name, TOPUP_BRIDGE_MAX_FIRST_PASS="1")
    orders = [await shell.order(deployed, start=False) for _ in range(3)]
    topic = deployed.settings["TOPUP_KAFKA_TOPIC"]
    for order in orders:
        await asyncio.to_thread(send, deployed, topic, order.order_id.encode(), record_of(order), [])
    port = deployed.settings["TOPUP_HTTP_PORT"]
    pasted = command.replace(":8082", f":{port}")
    first = "1 of 1 orders are in their first pass" if command.startswith("curl") else f"worker polls {deployed.queue}"

    async def said() -> bool:
        done = await shell.run(pasted, deployed, code=None)
        return first in done.out

    await until(said, f"{command} names what is missing", WAIT_SECONDS)
    await with_worker(shell, deployed, name)
    for order in orders:

        async def delivered(order: PaidOrder = order) -> bool:
            known = await deployed.book.known([order.order_id])
            return bool(known) and (await shell.state(deployed, order)).outcome == "delivered"

        await until(delivered, f"{order.order_id} is delivered", WAIT_SECONDS)


@story("Dead letters")
async def letters(shell: OperatorShell, command: str) -> None:
    name = "letters by reason" if "--reason" in command else "letters"
    deployed = await kafka_lane(shell, name)
    order = await shell.order(deployed, start=False)
    if "redrive" in command:
        await redriven(shell, deployed, name, order, command)
        return
    value = record_of(order).replace(b'"amount_fen":', b'"amount_fen":-')
    await asyncio.to_thread(send, deployed, deployed.settings["TOPUP_KAFKA_TOPIC"], order.order_id.encode(), value, [])
    place = await place_of(shell, deployed, order)
    said = (await shell.run(command.replace("PARTITION:OFFSET", place), deployed)).out
    if "settle" in command or "discard" in command:
        still = json.loads((await shell.run("topup dlq list --open --json", deployed)).out)
        assert place not in [letter["place"] for letter in still]
        assert "ended once" in (await shell.run(command.replace("PARTITION:OFFSET", place) + "!", deployed, code=1)).err
        return
    assert "invalid" in said
    assert "amount_fen" in said
    assert (order.vehicle.vin in said) == ("--with-value" in command)


async def redriven(shell: OperatorShell, deployed: Deployment, name: str, order: PaidOrder, command: str) -> None:
    """A record that an older product could not read: it is an order as soon as it comes again."""
    await with_worker(shell, deployed, name)
    value = record_of(order)
    originals: Headers = [("b", b"1"), ("traceparent", b"00-x"), ("b", b"2")]
    ours = {"reason": "invalid", "error": "schema is not known", "topic": "x", "partition": "0", "offset": "7"}
    headers = [*originals, *((PREFIX + key, text.encode()) for key, text in ours.items())]
    dlq = deployed.settings["TOPUP_KAFKA_DLQ_TOPIC"]
    await asyncio.to_thread(send, deployed, dlq, order.order_id.encode(), value, headers)
    place = await place_of(shell, deployed, order)
    await shell.run(command.replace("PARTITION:OFFSET", place), deployed)

    async def delivered() -> bool:
        known = await deployed.book.known([order.order_id])
        return bool(known) and (await shell.state(deployed, order)).outcome == "delivered"

    await until(delivered, f"{order.order_id} is delivered", WAIT_SECONDS)
    sent = await asyncio.to_thread(last_record, deployed)
    assert (sent.key, sent.value, sent.headers) == (order.order_id.encode(), value, originals)
    listed = json.loads((await shell.run("topup dlq list --json", deployed)).out)
    [ended] = [
        one for one in listed if one["order_id"] == order.order_id
    ]  # the other commands' letters stand there too
    assert (ended["ending"], ended["ended_note"]) == ("redriven", "the bridge was too old")


async def place_of(shell: OperatorShell, deployed: Deployment, order: PaidOrder) -> str:
    """PARTITION:OFFSET of the order's dead letter, as an operator finds it."""

    async def found() -> str | None:
        letters = json.loads((await shell.run("topup dlq list --json", deployed)).out)
        for letter in letters:
            shown = json.loads((await shell.run(f"topup dlq show {letter['place']} --with-value --json", deployed)).out)
            if shown["key"] == order.order_id:
                return letter["place"]
        return None

    return await until(found, f"the dead letter of {order.order_id}", WAIT_SECONDS)


@story("A payment has no order")
async def payment_without_order(shell: OperatorShell, command: str) -> None:
    """Each command on a payment of its own, from the topic by the bridge into the book."""
    deployed = await kafka_lane(shell, "unmatched")
    await with_worker(shell, deployed, "unmatched")
    order = await shell.order(deployed, start=False)
    payment = order.payment
    members = {
        "schema": "topup.unmatched-payment/1",
        **{name: getattr(payment, name) for name in ("provider", "merchant_id", "out_trade_no", "transaction_id")},
        "amount_fen": order.amount_fen,
        "currency": "CNY",
        "paid_at": payment.paid_at,
        "reason": "lookup",
    }
    topic = deployed.settings["TOPUP_KAFKA_UNMATCHED_TOPIC"]
    key = payment.out_trade_no.encode()
    await asyncio.to_thread(send, deployed, topic, key, json.dumps(members).encode(), [])
    named = f"{payment.provider}:{payment.transaction_id}"

    async def kept() -> bool:
        found = json.loads((await shell.run("topup payments list --json", deployed)).out)
        return named in [one["payment"] for one in found]

    await until(kept, f"{named} is kept", WAIT_SECONDS)
    vehicle = shell.env.folder / f"{order.order_id}.json"
    await asyncio.to_thread(vehicle.write_text, order.vehicle.model_dump_json(exclude_none=True))
    pasted = command.replace("$PAYMENT", named).replace("vehicle.json", str(vehicle))
    said = (await shell.run(pasted, deployed)).out
    if "list" in command or "show" in command:
        assert named in said
        assert "lookup" in said
        return
    still = json.loads((await shell.run("topup payments list --json", deployed)).out)
    assert "adopt" in command or named not in [one["payment"] for one in still]
    if "settle" in command:
        assert "ended once" in (await shell.run(pasted, deployed, code=1)).err
        return

    async def claimed() -> bool:
        return bool(await deployed.book.known([order.order_id]))

    await until(claimed, f"{order.order_id} is in the book", WAIT_SECONDS)
    await shell.ended(deployed, order, "delivered" if "adopt" in command else "refunded")


@story("Which order is it")
async def which_order(shell: OperatorShell, command: str) -> None:
    deployed = await shell.deployed("which order")
    order = await shell.order(deployed)
    values = {"phone": order.vehicle.msisdn or "", "iccid": order.vehicle.iccid, "vin": order.vehicle.vin}
    pasted = command.replace("4200001923202308213518640001", order.payment.transaction_id)
    for name, value in values.items():
        file = shell.env.folder / f"{order.order_id}-{name}.txt"
        await asyncio.to_thread(file.write_text, value)
        pasted = pasted.replace(f"{name}.txt", str(file))
    said = (await shell.run(pasted, deployed)).said
    assert order.order_id in said
    assert order.vehicle.vin not in said
