"""Thousands of callbacks, resent on the providers' schedule, while gateway and Kafka are killed under them."""

import asyncio
import base64
import contextlib
import os
import secrets
import sys
import time
from collections.abc import AsyncGenerator, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from devkit.audit.files import BookFiles
from devkit.servers import kafka
from devkit.servers.process import Program, free_port
from devkit.simulation.control import SimulatorControl
from devkit.simulation.processes import Simulators
from orders.record import parse
from runtime.clock import SystemClock

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(900)]

PAYMENTS = 5_000
AT_ONCE = 8
TIME_SCALE = 0.01
"""The first resends of WeChat Pay come within 0.6 s, those of Alipay within 15 s."""
KILLED_AT = {"gateway": 0.2, "kafka": 0.4, "both": 0.6}
"""When so much of all has been stored."""
STORED_SECONDS = 600
TOPIC, UNMATCHED = "topup.paid-orders", "topup.payments.unmatched"
PRICES_FEN = {"wechat": 9900, "alipay": 1990}


@dataclass
class World:
    broker: kafka.Kafka
    gateway: Program
    control: SimulatorControl
    books: BookFiles
    callback_port: int

    def stored(self) -> set[str]:
        """The payments whose provider has heard that they are stored."""
        told = [entry for entry in self.books.look().money if entry.kind == "notice"]
        return {entry.data["out_trade_no"] for entry in told if entry.data["stored"]}

    def records(self) -> list[Any]:
        with contextlib.closing(KafkaConsumer(bootstrap_servers=self.broker.bootstrap_servers)) as consumer:
            partitions = [TopicPartition(TOPIC, number) for number in consumer.partitions_for_topic(TOPIC)]
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            consumer.seek_to_beginning(*partitions)
            found: list[Any] = []
            while any(consumer.position(partition) < end for partition, end in ends.items()):
                for some in consumer.poll(1000).values():
                    found += some
            return found


@pytest.fixture
def broker() -> Iterator[kafka.Kafka]:
    """One of this test's own: it is killed."""
    with kafka.Kafka() as own:
        own.create_topic(TOPIC, 4)
        own.create_topic(UNMATCHED, 1)
        yield own


@pytest.fixture
async def world(broker: kafka.Kafka, tmp_path: Path) -> AsyncGenerator[World]:
    simulators, ports = Simulators(tmp_path), (free_port(), free_port())
    simulators.make_keys()
    attach_key = base64.b64encode(secrets.token_bytes(32)).decode()
    (tmp_path / "attach.key").write_text(attach_key)
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environ = kept | {
        **simulators.settings,
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "TOPUP_ATTACH_KEY": attach_key,
        "TOPUP_CALLBACK_PORT": str(ports[0]),
        "TOPUP_HTTP_PORT": str(ports[1]),
    }
    gateway = Program("gateway", [sys.executable, "-m", "gateway"], env=environ, listens_on=ports[0])
    options = ("--no-fsync", "--time-scale", str(TIME_SCALE), "--attach-key", str(tmp_path / "attach.key"))
    outside = simulators.all_in_one({}, *options)
    with outside, gateway:
        async with SimulatorControl(simulators.urls) as control:
            yield World(broker, gateway, control, BookFiles(simulators.books), ports[0])


async def pay_all(world: World, payments: dict[str, str]) -> None:
    """Each payment by its provider, as the customers come."""
    car = {"vin": "LSGBC5342AG000001", "iccid": "89860321247550000015"}
    placed = {
        order_id: {"vehicle": car, "package_id": "CT-DATA-10GB-30D", "amount_fen": PRICES_FEN[provider]}
        for order_id, provider in payments.items()
    }
    attachments = await world.control.place_orders(placed)
    some = asyncio.Semaphore(AT_ONCE)

    async def pay(order_id: str, provider: str) -> None:
        url = f"http://127.0.0.1:{world.callback_port}/callbacks/{provider}"
        asked = {"amount_fen": PRICES_FEN[provider], "out_trade_no": order_id, "notify_url": url}
        async with some:
            await world.control.pay(
                provider, asked | {"attach": attachments[order_id], "transaction_id": f"42{order_id}"}
            )

    await asyncio.gather(*(pay(order_id, provider) for order_id, provider in payments.items()))


async def kill(world: World, what: str) -> None:
    """kill -9, and up again."""
    if what in ("kafka", "both"):
        world.broker.kill()
    if what in ("gateway", "both"):
        world.gateway.kill()
        await asyncio.to_thread(world.gateway.start)
    if what in ("kafka", "both"):
        await asyncio.to_thread(world.broker.start)


async def claims(records: list[Any], path: Path) -> list[str]:
    """What becomes of each record in an order book."""
    book = OrderBook.open(f"sqlite:///{path}", FieldCipher(bytes(range(32))), SystemClock())
    await book.migrate()
    try:
        found: list[str] = []
        for start in range(0, len(records), 200):
            orders = [parse(record.key, record.value) for record in records[start : start + 200]]
            found += [result.conflict or result.outcome.name for result in await book.claim(orders)]
        return found
    finally:
        await book.close()


async def test_every_payment_becomes_one_order_whatever_is_killed(world: World, tmp_path: Path):
    names = list(PRICES_FEN)
    payments = {f"T{number:08d}": names[number % 2] for number in range(PAYMENTS)}
    paying = asyncio.create_task(pay_all(world, payments))
    to_kill = dict(KILLED_AT)
    deadline = time.monotonic() + STORED_SECONDS
    while len(stored := world.stored()) < PAYMENTS:
        assert time.monotonic() < deadline, f"{len(stored)} of {PAYMENTS}: {world.gateway.log_tail(20)}"
        for what in [what for what, share in to_kill.items() if len(stored) >= share * PAYMENTS]:
            del to_kill[what]
            await kill(world, what)
        await asyncio.sleep(0.5)
    await paying
    assert to_kill == {}

    records = await asyncio.to_thread(world.records)
    assert {record.key.decode() for record in records} == set(payments), "nothing is lost, and nothing is made up"
    assert len({(record.key, record.value) for record in records}) == PAYMENTS, "what comes twice is the same"
    outcomes = await claims(records, tmp_path / "book.db")
    assert outcomes.count("NEW") == PAYMENTS
    assert set(outcomes) <= {"NEW", "UNSETTLED"}
