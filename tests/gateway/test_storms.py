"""Thousands of callbacks, resent on the providers' schedule, while gateway and Kafka are killed under them."""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from kafka import KafkaConsumer, TopicPartition

from adapters.order_book.book import OrderBook
from adapters.order_book.field_cipher import FieldCipher
from bench.gateway import STORED, Customers
from devkit.servers import kafka
from devkit.servers.process import Program, free_port
from orders.record import parse
from runtime.clock import SystemClock
from simulators import alipay_notices, wechat_notices
from simulators.keys import write_keys

pytestmark = [pytest.mark.real, pytest.mark.long, pytest.mark.timeout(900)]

PAYMENTS = 5_000
AT_ONCE = 200
TIME_SCALE = 0.01
"""The first resends of WeChat Pay come after 0.15 s, of Alipay after 2.4 s."""
ANSWER_SECONDS = 5.0
"""So long the providers wait, unscaled."""
KILLED_AT = {"gateway": 0.2, "kafka": 0.4, "both": 0.6}
"""When so much of all has been stored."""
ALL_SECONDS = 600
TOPIC, UNMATCHED = "topup.paid-orders", "topup.payments.unmatched"


@dataclass
class Storm:
    """Providers that send each callback until it is stored, and gateway and Kafka that are killed."""

    broker: kafka.Kafka
    gateway: Program
    port: int
    stored: set[int] = field(default_factory=set)
    attempts: int = 0

    async def tell(self, number: int, request: bytes) -> None:
        pauses = (wechat_notices if b"/wechat " in request[:64] else alipay_notices).RESEND_AFTER_SECONDS
        for pause_seconds in (*pauses, None):
            self.attempts += 1
            if await self._is_stored(request):
                self.stored.add(number)
                return
            assert pause_seconds is not None, f"payment {number} was never stored, and its provider has given up"
            await asyncio.sleep(pause_seconds * TIME_SCALE)

    async def _is_stored(self, request: bytes) -> bool:
        with contextlib.suppress(OSError, TimeoutError, asyncio.IncompleteReadError):
            async with asyncio.timeout(ANSWER_SECONDS):
                reader, writer = await asyncio.open_connection("127.0.0.1", self.port)
                try:
                    writer.write(request)
                    return (await reader.readuntil(b"\r\n\r\n")).startswith(STORED)
                finally:
                    writer.close()
        return False

    async def tell_all(self, requests: Sequence[bytes]) -> None:
        some = asyncio.Semaphore(AT_ONCE)

        async def tell(number: int, request: bytes) -> None:
            async with some:
                await self.tell(number, request)

        await asyncio.gather(*(tell(number, request) for number, request in enumerate(requests)))

    async def kill(self, what: str) -> None:
        """kill -9, and up again."""
        if what in ("kafka", "both"):
            await asyncio.to_thread(self.broker.kill)
        if what in ("gateway", "both"):
            await asyncio.to_thread(self.gateway.kill)
            await asyncio.to_thread(self.gateway.start)
        if what in ("kafka", "both"):
            await asyncio.to_thread(self.broker.start)

    async def kill_in_turn(self) -> None:
        for what, share in KILLED_AT.items():
            while len(self.stored) < share * PAYMENTS:
                await asyncio.sleep(0.05)
            await self.kill(what)

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
def attach_key() -> bytes:
    return secrets.token_bytes(32)


@pytest.fixture
def storm(broker: kafka.Kafka, attach_key: bytes, tmp_path: Path) -> Iterator[Storm]:
    ports = (free_port(), free_port())
    kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
    environ = kept | {
        **json.loads(write_keys(tmp_path / "keys").read_text()),
        "TOPUP_KAFKA_BOOTSTRAP_SERVERS": broker.bootstrap_servers,
        "TOPUP_ATTACH_KEY": base64.b64encode(attach_key).decode(),
        "TOPUP_CALLBACK_PORT": str(ports[0]),
        "TOPUP_HTTP_PORT": str(ports[1]),
    }
    with Program("gateway", [sys.executable, "-m", "gateway"], env=environ, listens_on=ports[0]) as gateway:
        yield Storm(broker, gateway, ports[0])


async def claims(records: Sequence[Any], path: Path) -> list[str]:
    """What becomes of each record in an order book."""
    book = OrderBook.open(f"sqlite:///{path}", FieldCipher(bytes(range(32))), SystemClock())
    await book.migrate()
    try:
        found: list[str] = []
        for start in range(0, len(records), 200):
            orders = [parse(record.key, record.value) for record in records[start : start + 200]]
            found += [result.conflict or result.outcome for result in await book.claim(orders)]
        return found
    finally:
        await book.close()


async def test_every_payment_becomes_one_order_whatever_is_killed(storm: Storm, attach_key: bytes, tmp_path: Path):
    began_at = time.monotonic()
    requests = Customers(tmp_path / "keys", attach_key).requests(PAYMENTS)
    async with asyncio.timeout(ALL_SECONDS), asyncio.TaskGroup() as group:
        group.create_task(storm.tell_all(requests))
        group.create_task(storm.kill_in_turn())

    records = await asyncio.to_thread(storm.records)
    took_seconds = time.monotonic() - began_at
    figures = f"{PAYMENTS} payments in {took_seconds:.0f} s, {storm.attempts} attempts, {len(records)} records"
    print(figures)  # noqa: T201 - for whoever runs it alone
    keys = {record.key.decode() for record in records}
    assert keys == {f"T{number:010d}" for number in range(1, PAYMENTS + 1)}, "nothing is lost, nothing is made up"
    assert len({(record.key, record.value) for record in records}) == PAYMENTS, "what comes twice is the same"
    outcomes = await claims(records, tmp_path / "book.db")
    assert outcomes.count("new") == PAYMENTS, "each payment is one order"
    assert set(outcomes) <= {"new", "unsettled"}
