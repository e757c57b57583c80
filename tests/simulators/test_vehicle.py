"""The cars book each notice from each broker, and acknowledge only what is booked."""

import asyncio
import hashlib
import json
import secrets
import socket
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from amqtt.broker import Broker
from paho.mqtt.client import Client, MQTTv5, MQTTv311
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

from devkit.servers.mosquitto import Mosquitto
from devkit.servers.process import free_port
from simulators.book import Book, verify
from simulators.mqtt_listener import BrokerAddress
from simulators.vehicle import Vehicle
from simulators.wire import Pace
from tests.limits import WAIT_SECONDS
from tests.simulators.processes import SimulatorProcess, start


def notice(order_id: str, result: str = "delivered") -> bytes:
    data = {"order_id": order_id, "package_id": "CT-DATA-10GB-30D", "result": result, "amount_fen": 9900}
    event = {
        "specversion": "1.0",
        "id": f"{order_id}:{result}",
        "source": "/topup",
        "type": f"topup.order.{result}",
        "subject": order_id,
        "time": "2023-08-21T10:34:36Z",
        "datacontenttype": "application/json",
        "data": data,
    }
    return json.dumps(event).encode()


async def publish(
    port: int, topic: str, *payloads: bytes, version: int = MQTTv5, properties: Properties | None = None
) -> None:
    client = Client(CallbackAPIVersion.VERSION2, protocol=version)
    client.connect("127.0.0.1", port)
    client.loop_start()
    try:
        for payload in payloads:
            sent = client.publish(topic, payload, qos=1, properties=properties)
            await asyncio.to_thread(sent.wait_for_publish, 10)
            assert sent.is_published()
    finally:
        client.disconnect()
        client.loop_stop()


class Cars:
    def __init__(self, process: SimulatorProcess) -> None:
        self.http = httpx.AsyncClient(base_url=process.url("vehicle"), timeout=WAIT_SECONDS, verify=False)

    async def until_subscribed(self, *names: str) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while {(await self.brokers()).get(name) for name in names} != {"subscribed"}:  # by itself
                await asyncio.sleep(0.05)

    async def brokers(self) -> dict[str, str]:
        return (await self.http.get("/healthz")).json()["brokers"]

    async def notices(self, order_id: str, count: int) -> list[dict[str, Any]]:
        async with asyncio.timeout(WAIT_SECONDS):
            while True:
                entries = (await self.http.get("/book")).json()
                found = [entry["data"] for entry in entries if entry["data"].get("order_id") == order_id]
                if len(found) >= count:
                    return found
                await asyncio.sleep(0.05)


@pytest.fixture(scope="module")
def topic() -> str:
    """Of this run alone, as the broker may be one that others use."""
    return f"vehicles-{secrets.token_hex(4)}/%s/topup"


@pytest.fixture(scope="module")
def cars_process(
    mosquitto: Mosquitto, topic: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[SimulatorProcess]:
    process = start(
        "vehicle",
        *("--book", tmp_path_factory.mktemp("vehicle") / "vehicle.jsonl"),
        *("--broker", f"new=mqtt://127.0.0.1:{mosquitto.port}"),
        *("--broker", f"old=mqtt://127.0.0.1:{mosquitto.port}?version=3.1.1"),
        *("--topic", topic % "+"),
    )
    yield process
    assert process.stop()[0] == 0


@pytest.fixture
async def cars(cars_process: SimulatorProcess) -> AsyncIterator[Cars]:
    cars = Cars(cars_process)
    await cars.until_subscribed("new", "old")
    yield cars
    await cars.http.aclose()


async def test_each_broker_is_heard_and_what_came_is_booked_without_the_vin(
    cars: Cars, mosquitto: Mosquitto, topic: str
):
    order_id, vin = f"T{secrets.token_hex(8)}", "LSGBC5342AG000001"
    properties = Properties(PacketTypes.PUBLISH)
    properties.ContentType = "application/cloudevents+json"
    properties.MessageExpiryInterval = 604_800
    payload = notice(order_id)
    await publish(mosquitto.port, topic % vin, payload, properties=properties)
    by_broker = {entry["broker"]: entry for entry in await cars.notices(order_id, 2)}
    assert set(by_broker) == {"new", "old"}
    new = by_broker["new"]
    assert (new["id"], new["type"]) == (f"{order_id}:delivered", "topup.order.delivered")
    assert new["payload_sha256"] == hashlib.sha256(payload).hexdigest()
    assert new["topic_sha256"] == hashlib.sha256((topic % vin).encode()).hexdigest()
    assert (new["retain"], new["qos"]) == (False, 1)
    assert new["content_type"] == "application/cloudevents+json"
    assert 604_000 < new["message_expiry_seconds"] <= 604_800
    assert vin not in (await cars.http.get("/book")).text


async def test_the_summary_lists_types_in_order_and_tells_whether_repeats_were_identical(
    cars: Cars, mosquitto: Mosquitto, topic: str
):
    same, differs = f"T{secrets.token_hex(8)}", f"T{secrets.token_hex(8)}"
    await publish(mosquitto.port, topic % "A", notice(same, "failed"), notice(same, "refunded"), notice(same, "failed"))
    await publish(mosquitto.port, topic % "A", notice(differs), notice(differs) + b" ")
    await cars.notices(same, 6)
    await cars.notices(differs, 4)
    summary = (await cars.http.get("/book/summary")).json()
    for broker in ("new", "old"):
        assert summary[same][broker] == {
            "types": ["topup.order.failed", "topup.order.refunded"],
            "times": {"topup.order.failed": 2, "topup.order.refunded": 1},
            "identical": True,
        }
        assert summary[differs][broker]["identical"] is False


@pytest.mark.parametrize(
    "payload", [b"", b"\xff", b"[]", b'{"id": "x"}', b'{"id":1,"type":"t","data":{"order_id":"x"}}']
)
async def test_what_is_no_notice_is_booked_as_malformed(cars: Cars, mosquitto: Mosquitto, topic: str, payload: bytes):
    async def count() -> int:
        return sum(entry["kind"] == "malformed" for entry in (await cars.http.get("/book")).json())

    before = await count()
    await publish(mosquitto.port, topic % "A", payload)
    async with asyncio.timeout(WAIT_SECONDS):
        while await count() < before + 2:  # it happens in another process
            await asyncio.sleep(0.05)


@pytest.mark.slow
async def test_a_named_client_gets_what_came_while_it_was_away_and_loses_nothing_to_sigkill(
    mosquitto: Mosquitto, book_path: Path, topic: str
):
    """Acknowledged only once booked: every notice that the broker gave out stands in the book."""
    arguments = (
        "vehicle",
        *("--book", book_path, "--client-id", f"cars-{secrets.token_hex(4)}"),
        *("--broker", f"new=mqtt://127.0.0.1:{mosquitto.port}", "--topic", topic % "+"),
    )
    order_ids = [f"T{secrets.token_hex(8)}" for _ in range(200)]
    first = start(*arguments)
    cars = Cars(first)
    await cars.until_subscribed("new")
    sending = asyncio.create_task(publish(mosquitto.port, topic % "A", *(notice(one) for one in order_ids)))
    await asyncio.sleep(0.1)  # some are sent by now, some are not; asking for the book would write it
    await asyncio.to_thread(first.stop, 9)
    await sending
    await cars.http.aclose()

    second = start(*arguments)
    cars = Cars(second)
    for order_id in order_ids:
        await cars.notices(order_id, 1)
    summary = (await cars.http.get("/book/summary")).json()
    assert all(summary[order_id]["new"]["identical"] for order_id in order_ids)
    await cars.http.aclose()
    assert second.stop()[0] == 0
    verify(book_path)


async def test_what_is_not_on_the_disk_is_not_acknowledged(
    mosquitto: Mosquitto, topic: str, monkeypatch: pytest.MonkeyPatch
):
    order_id, client_id = f"T{secrets.token_hex(8)}", f"cars-{secrets.token_hex(4)}"
    address = BrokerAddress.parse("new", f"mqtt://127.0.0.1:{mosquitto.port}", "5")

    def vehicle() -> Vehicle:
        pace = Pace(1)
        return Vehicle(Book(None), pace, brokers=[address], topic=topic % "+", client_id=client_id, default_version="5")

    async def until(holds: Callable[[], bool]) -> None:
        async with asyncio.timeout(WAIT_SECONDS):
            while not holds():  # paho's thread does it
                await asyncio.sleep(0.02)

    first, second = vehicle(), vehicle()
    monkeypatch.setattr(first.book, "durable", asyncio.Event().wait)  # a disk that never answers
    await first.start()
    await until(lambda: first._health() == {"brokers": {"new": "subscribed"}})
    await publish(mosquitto.port, topic % "A", notice(order_id))
    await until(lambda: first.book.next_seq > 1)
    await first.stop()
    await second.start()
    await until(lambda: second.book.next_seq > 1)
    await second.stop()
    (again,) = second.book.replay()
    assert (again.data["order_id"], again.data["dup"]) == (order_id, True)


async def test_a_broker_may_come_later_and_be_named_later(book_path: Path):
    """Against amqtt, which the local stack runs: MQTT 3.1.1."""
    port, order_id = free_port(), f"T{secrets.token_hex(8)}"
    process = start(
        "vehicle", "--book", book_path, "--broker", f"old=mqtt://127.0.0.1:{port}", "--mqtt-version", "3.1.1"
    )
    cars = Cars(process)
    assert (await cars.brokers())["old"] == "connecting"
    broker = Broker(
        {
            "listeners": {"default": {"type": "tcp", "bind": f"127.0.0.1:{port}"}},
            "plugins": {"amqtt.plugins.authentication.AnonymousAuthPlugin": {"allow_anonymous": True}},
        }
    )
    await broker.start()
    await cars.until_subscribed("old")
    answer = await cars.http.put("/brokers/again", json={"url": f"mqtt://127.0.0.1:{port}"})
    assert answer.status_code == 200
    await cars.until_subscribed("old", "again")
    await publish(port, "vehicles/A/topup", notice(order_id), version=MQTTv311)
    assert {entry["broker"] for entry in await cars.notices(order_id, 2)} == {"old", "again"}
    assert (await cars.http.delete("/brokers/again")).json()["brokers"].keys() == {"old"}
    wrong = await cars.http.put("/brokers/again", json={"url": "http://127.0.0.1"})
    assert (wrong.status_code, "mqtt://host:port" in wrong.json()["error"]) == (422, True)
    await cars.http.aclose()
    assert (await asyncio.to_thread(process.stop))[0] == 0
    await broker.shutdown()


async def test_a_hung_broker_accepts_and_never_answers_and_the_cars_come_back_from_it():
    process = start("hung-broker")
    port = process.ports["hung-broker"]
    cars_process = start("vehicle", "--broker", f"old=mqtt://127.0.0.1:{port}")
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(bytes.fromhex("100c00044d5154540402000a0000"))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.5):
            await reader.read(1)
    cars = Cars(cars_process)
    assert (await cars.brokers())["old"] == "connecting"
    await cars.http.aclose()
    assert (await asyncio.to_thread(cars_process.stop))[0] == 0
    assert (await asyncio.to_thread(process.stop))[0] == 0
    writer.close()
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
