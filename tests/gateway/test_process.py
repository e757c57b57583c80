"""`topup gateway` as a process: its settings, its ports, real Kafka behind it, and its ends."""

import asyncio
import base64
import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from kafka import KafkaConsumer, TopicPartition

from configuration.processes import GatewaySettings
from devkit.servers.process import Program, free_port
from gateway.callbacks import ANSWER_SECONDS
from orders.arrival import arrival_of
from orders.attachment import Purchase, make_attachment
from orders.paid_order import Vehicle
from orders.record_mac import HEADER, sign
from runtime.settings import SettingsError, load
from tests.gateway.providers import (
    ALIPAY,
    ALIPAY_OLD,
    API_V3_KEY,
    APP_ID,
    APPID,
    ATTACH_KEY,
    CHINA,
    KEY_ID,
    MCHID,
    SELLER_ID,
    SERIAL,
    WECHAT,
    WECHAT_CERTIFICATE,
    alipay,
    alipay_form,
    event,
    payment,
    trade,
    wechat,
)
from tests.limits import WAIT_SECONDS

ROOT = Path(__file__).parents[2]
RECORD_KEY = bytes(range(32))


def base64_of(key: bytes) -> str:
    return base64.b64encode(key).decode()


SETTINGS = {
    "TOPUP_KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:9092",
    "TOPUP_ATTACH_KEY": base64_of(ATTACH_KEY),
    "TOPUP_RECORD_KEY": base64_of(RECORD_KEY),
    "TOPUP_WECHAT_MCHID": MCHID,
    "TOPUP_WECHAT_APPID": APPID,
    "TOPUP_WECHAT_API_V3_KEY": API_V3_KEY.decode(),
    "TOPUP_WECHAT_PUBLIC_KEY_ID": KEY_ID,
    "TOPUP_WECHAT_PUBLIC_KEY": WECHAT.public_pem,
    "TOPUP_CALLBACK_WECHAT_KEYS": json.dumps({SERIAL.lower(): WECHAT_CERTIFICATE.public_pem}),
    "TOPUP_WECHAT_API_V3_OLD_KEYS": "x" * 31 + "1," + "y" * 31 + "1",
    "TOPUP_ALIPAY_APP_ID": APP_ID,
    "TOPUP_ALIPAY_SELLER_ID": SELLER_ID,
    "TOPUP_ALIPAY_PUBLIC_KEY": ALIPAY_OLD.public_pem + ALIPAY.public_pem,
}


# --- settings -------------------------------------------------------------------------------------------------------


def faults(**changes: str | None) -> list[str]:
    environ = {name: value for name, value in (SETTINGS | changes).items() if value is not None}
    try:
        load(environ, GatewaySettings)
    except SettingsError as error:
        return list(error.faults)
    return []


def test_the_gateway_starts_with_what_the_contract_names():
    settings = load(SETTINGS, GatewaySettings)

    assert (settings.callback_port, settings.callback_host) == (8080, "127.0.0.1")
    assert (settings.http_port, settings.kafka_topic) == (8083, "topup.paid-orders")
    assert settings.kafka_unmatched_topic == "topup.payments.unmatched"
    assert settings.attach_keys == (ATTACH_KEY,)
    assert settings.record_keys == (RECORD_KEY,)
    assert settings.warnings == ()
    readers: dict[str, Any] = {name: group.open() for name, group in settings.notifications.items()}
    assert set(readers["wechat"].keys) == {KEY_ID, SERIAL.upper()}
    assert len(readers["wechat"].api_v3_keys) == 3
    assert len(readers["alipay"].keys) == 2


def test_no_secret_is_shown():
    shown = repr(load(SETTINGS, GatewaySettings))

    assert [
        secret for secret in (base64_of(ATTACH_KEY), API_V3_KEY.decode(), repr(RECORD_KEY)) if secret in shown
    ] == []
    assert "BEGIN" not in shown


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"TOPUP_KAFKA_BOOTSTRAP_SERVERS": None}, ["TOPUP_KAFKA_BOOTSTRAP_SERVERS"]),
        ({"TOPUP_ATTACH_KEY": None}, ["TOPUP_ATTACH_KEY", "TOPUP_ORDER_LOOKUP_URL"]),
        ({"TOPUP_ATTACH_KEY": "c2hvcnQ="}, ["TOPUP_ATTACH_KEY"]),
        ({"TOPUP_ATTACH_OLD_KEYS": "x,y"}, ["TOPUP_ATTACH_OLD_KEYS"]),
        ({"TOPUP_RECORD_KEY": "x"}, ["TOPUP_RECORD_KEY"]),
        ({"TOPUP_WECHAT_MCHID": None}, ["TOPUP_WECHAT_MCHID"]),
        ({"TOPUP_WECHAT_API_V3_KEY": "short"}, ["TOPUP_WECHAT_API_V3_KEY"]),
        ({"TOPUP_WECHAT_API_V3_OLD_KEYS": "short"}, ["TOPUP_WECHAT_API_V3_OLD_KEYS"]),
        ({"TOPUP_CALLBACK_WECHAT_KEYS": "{"}, ["TOPUP_CALLBACK_WECHAT_KEYS"]),
        ({"TOPUP_CALLBACK_WECHAT_KEYS": '{"AB": "x"}'}, ["TOPUP_CALLBACK_WECHAT_KEYS"]),
        ({"TOPUP_CALLBACK_WECHAT_KEYS": "[]"}, ["TOPUP_CALLBACK_WECHAT_KEYS"]),
        ({"TOPUP_ALIPAY_PUBLIC_KEY": ALIPAY.private_pem}, ["TOPUP_ALIPAY_PUBLIC_KEY"]),
        ({"TOPUP_ALIPAY_SELLER_ID": None}, ["TOPUP_ALIPAY_SELLER_ID"]),
        ({"TOPUP_CALLBACK_PORT": "x"}, ["TOPUP_CALLBACK_PORT"]),
        ({"TOPUP_KAFKA_UNMATCHED_TOPIC": "topup.paid-orders"}, ["TOPUP_KAFKA_UNMATCHED_TOPIC"]),
        ({"TOPUP_ORDER_LOOKUP_URL": "ftp://x"}, ["TOPUP_ORDER_LOOKUP_URL"]),
        ({name: None for name in SETTINGS if "WECHAT" in name or "ALIPAY" in name}, ["TOPUP_WECHAT_MCHID"]),
    ],
)
def test_a_fault_names_its_variable_and_an_example(changes: dict[str, str | None], named: list[str]):
    told = faults(**changes)

    assert len(told) == 1
    assert [name for name in named if name not in told[0]] == []
    assert "for example" in told[0]


def test_one_provider_and_the_lookup_are_enough():
    wechat_only = {name: None for name in SETTINGS if "ALIPAY" in name}

    assert faults(**wechat_only, TOPUP_ATTACH_KEY=None, TOPUP_ORDER_LOOKUP_URL="http://127.0.0.1:1/orders") == []


def test_records_without_a_key_are_warned_about():
    warnings = load(SETTINGS | {"TOPUP_RECORD_KEY": ""}, GatewaySettings).warnings

    assert ["TOPUP_RECORD_KEY" in sentence for sentence in warnings] == [True]


def test_wrong_configuration_ends_with_2():
    environ = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    ended = subprocess.run(
        [sys.executable, "-m", "gateway"],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert "TOPUP_KAFKA_BOOTSTRAP_SERVERS" in ended.stderr
    assert "Traceback" not in ended.stderr


# --- with real Kafka ------------------------------------------------------------------------------------------------


@dataclass
class Running:
    program: Program
    callbacks: str
    health: str
    topic: str
    unmatched: str
    bootstrap_servers: str

    async def pay(self, http: httpx.AsyncClient, order_id: str, provider: str = "wechat", **changes: Any) -> int:
        return (
            await http.post(f"{self.callbacks}/callbacks/{provider}", **paid(order_id, provider, **changes))
        ).status_code

    def ready(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.health}/readyz", timeout=WAIT_SECONDS) as answer:
                return json.loads(answer.read())["ready"]
        except (urllib.error.URLError, ConnectionError):
            return False

    def records(self, topic: str) -> list[Any]:
        with contextlib.closing(KafkaConsumer(bootstrap_servers=self.bootstrap_servers)) as consumer:
            partitions = [TopicPartition(topic, number) for number in consumer.partitions_for_topic(topic)]
            consumer.assign(partitions)
            ends = consumer.end_offsets(partitions)
            consumer.seek_to_beginning(*partitions)
            found: list[Any] = []
            while any(consumer.position(partition) < end for partition, end in ends.items()):
                for records in consumer.poll(1000).values():
                    found += records
            return found


def paid(order_id: str, provider: str, **changes: Any) -> dict[str, Any]:
    """A request of a payment that was made now."""
    car = Purchase(Vehicle(vin="LSGBC5342AG000001", iccid="89860321247550000015"), "CT-DATA-10GB-30D")
    attachment = make_attachment(ATTACH_KEY, car, out_trade_no=order_id, amount_fen=9900)
    now = datetime.now(CHINA)
    if provider == "wechat":
        content = payment(out_trade_no=order_id, transaction_id=f"42{order_id}", attach=attachment) | changes
        headers, body = wechat(event(content), at=now)
    else:
        members: dict[str, Any] = {"notify_time": now.strftime("%Y-%m-%d %H:%M:%S"), "passback_params": attachment}
        headers, body = alipay(alipay_form(trade(out_trade_no=order_id, **(members | changes))))
    return {"headers": headers, "content": body}


async def until(condition: Any, what: str, program: Program) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while time.monotonic() < deadline:
        if await asyncio.to_thread(condition):
            return
        await asyncio.sleep(0.1)
    pytest.fail(f"not within {WAIT_SECONDS:g} s: {what}\n{program.log_tail(40)}")


@pytest.fixture
def start(kafka: Any, tmp_path: Path) -> Iterator[Any]:
    started: list[Program] = []

    def run(bootstrap_servers: str = "", *, topics: bool = True, **changes: str) -> Running:
        name = secrets.token_hex(4)
        topic, unmatched = f"orders-{name}", f"unmatched-{name}"
        if topics:
            kafka.create_topic(topic, 3)
            kafka.create_topic(unmatched, 1)
        ports = free_port(), free_port()
        kept = {name: os.environ[name] for name in ("PATH", "HOME", "LANG") if name in os.environ}
        environ = {
            **kept,
            **SETTINGS,
            "TOPUP_KAFKA_BOOTSTRAP_SERVERS": bootstrap_servers or kafka.bootstrap_servers,
            "TOPUP_KAFKA_TOPIC": topic,
            "TOPUP_KAFKA_UNMATCHED_TOPIC": unmatched,
            "TOPUP_CALLBACK_PORT": str(ports[0]),
            "TOPUP_HTTP_PORT": str(ports[1]),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{free_port()}",  # nobody there: the gateway needs none
            **changes,
        }
        program = Program(f"gateway-{name}", [sys.executable, "-m", "gateway"], env=environ, listens_on=ports[0])
        started.append(program)
        program.start()
        urls = [f"http://127.0.0.1:{port}" for port in ports]
        return Running(program, *urls, topic, unmatched, kafka.bootstrap_servers)

    yield run
    for program in started:
        program.close()


async def until_stored(
    gateway: Running, http: httpx.AsyncClient, order_id: str, *provider: str, **members: Any
) -> None:
    """Send as a provider does, until it is told that the payment is stored: Kafka may take longer than its limit."""
    stored = 200 if "alipay" in provider else 204
    deadline = time.monotonic() + WAIT_SECONDS
    while await gateway.pay(http, order_id, *provider, **members) != stored:
        assert time.monotonic() < deadline, gateway.program.log_tail(40)


async def test_what_is_acknowledged_is_in_kafka(start: Any):
    gateway: Running = start()
    await until(gateway.ready, "the gateway is ready", gateway.program)
    async with httpx.AsyncClient(timeout=WAIT_SECONDS) as http:
        for number in range(20):
            await until_stored(gateway, http, f"T{number:06}")
            await until_stored(gateway, http, f"A{number:06}", "alipay")
        await until_stored(gateway, http, "T000000")
        await until_stored(gateway, http, "U000000", attach="")
        assert await gateway.pay(http, "X000000", mchid="1") == 500

    records = await asyncio.to_thread(gateway.records, gateway.topic)
    keys = Counter(record.key.decode() for record in records)  # one that was answered too late is there twice
    assert set(keys) == {f"{letter}{number:06}" for letter in "TA" for number in range(20)}
    assert keys["T000000"] >= 2
    for record in records:
        assert record.headers[0] == (HEADER, sign(RECORD_KEY, record.key, record.value))
        assert arrival_of(0, 0, record.headers).notified_at
    unmatched, *_ = await asyncio.to_thread(gateway.records, gateway.unmatched)
    assert json.loads(unmatched.value)["reason"] == "attachment"
    async with httpx.AsyncClient(timeout=WAIT_SECONDS) as http:
        exposition = (await http.get(f"{gateway.health}/metrics")).text
    assert 'topup_callbacks_total{provider="wechat",result="order"} 21.0' in exposition
    assert 'topup_callbacks_total{provider="wechat",result="unmatched"} 1.0' in exposition
    assert 'topup_callbacks_total{provider="wechat",result="refused"} 1.0' in exposition
    assert 'topup_callback_alerts_total{provider="wechat",reason="identity"} 1.0' in exposition
    os.kill(gateway.program.pid, signal.SIGTERM)
    assert await asyncio.to_thread(gateway.program.wait, WAIT_SECONDS) == 0


async def test_the_port_listens_from_the_start_and_says_again_until_kafka_is_there(start: Any):
    gateway: Running = start(f"127.0.0.1:{free_port()}", topics=False)
    async with httpx.AsyncClient(timeout=WAIT_SECONDS) as http:
        assert await gateway.pay(http, "T000001") == 500
        assert await gateway.pay(http, "A000001", "alipay") == 400
        assert await gateway.pay(http, "T000002", trade_state="NOTPAY") == 500

    assert not await asyncio.to_thread(gateway.ready)
    os.kill(gateway.program.pid, signal.SIGTERM)
    assert await asyncio.to_thread(gateway.program.wait, WAIT_SECONDS) == 0


async def test_kafka_that_freezes_costs_no_provider_more_than_five_seconds_and_no_payment(start: Any, kafka: Any):
    gateway: Running = start()
    await until(gateway.ready, "the gateway is ready", gateway.program)
    async with httpx.AsyncClient(timeout=WAIT_SECONDS) as http:
        await until_stored(gateway, http, "T000001")
        kafka.freeze()
        try:
            refused = await asyncio.gather(*(gateway.pay(http, f"T{number:06}") for number in range(2, 12)))
        finally:
            kafka.thaw()
        assert set(refused) == {500}  # while Kafka was frozen: the limit has passed
        assert ANSWER_SECONDS < 5
        for number in range(2, 12):
            await until_stored(gateway, http, f"T{number:06}")
    records = await asyncio.to_thread(gateway.records, gateway.topic)
    assert {record.key.decode() for record in records} == {f"T{number:06}" for number in range(1, 12)}
    assert len({(record.key, record.value) for record in records}) == 11


@pytest.mark.slow
async def test_a_callback_port_that_is_taken_ends_with_2(start: Any):
    gateway: Running = start()
    port = gateway.callbacks.rpartition(":")[2]
    environ = {**os.environ, **SETTINGS, "TOPUP_CALLBACK_PORT": port, "TOPUP_HTTP_PORT": "0"}
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "gateway"],
        env=environ,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )

    assert ended.returncode == 2
    assert "TOPUP_CALLBACK_PORT" in ended.stderr


async def test_kill_9_loses_nothing_that_was_acknowledged(start: Any, kafka: Any):
    """A payment is sent until it is acknowledged, as the provider does, by whichever gateway lives."""
    gateways: list[Running] = [start()]
    await until(gateways[0].ready, "the gateway is ready", gateways[0].program)
    acknowledged: set[str] = set()
    rest = [f"T{number:06}" for number in range(300)]
    killed = False
    async with httpx.AsyncClient(timeout=6) as http:

        async def send(order_id: str) -> None:
            with contextlib.suppress(httpx.HTTPError):
                if await gateways[-1].pay(http, order_id) == 204:
                    acknowledged.add(order_id)

        deadline = time.monotonic() + WAIT_SECONDS
        while len(acknowledged) < len(rest) and time.monotonic() < deadline:
            batch = [order_id for order_id in rest if order_id not in acknowledged][:50]
            sending = [asyncio.create_task(send(order_id)) for order_id in batch]
            if len(acknowledged) >= 100 and not killed:
                await asyncio.wait(sending, return_when=asyncio.FIRST_COMPLETED)
                gateways[0].program.kill()
                killed = True
                name = gateways[0]
                again: Running = start(
                    topics=False, TOPUP_KAFKA_TOPIC=name.topic, TOPUP_KAFKA_UNMATCHED_TOPIC=name.unmatched
                )
                gateways.append(again)
            await asyncio.gather(*sending)
    assert killed
    assert acknowledged == set(rest)
    records = await asyncio.to_thread(gateways[0].records, gateways[0].topic)
    assert {record.key.decode() for record in records} == set(rest)
    assert len({(record.key, record.value) for record in records}) == len(rest)
