"""The broker's configuration, run by a real mosquitto."""

import asyncio
import json
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Self

import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from adapters.mqtt.settings import parse_brokers
from console.display import Step
from console.health_mqtt import let_in
from devkit.servers.mosquitto import CONNACK, CONNECT, Mosquitto
from devkit.servers.process import free_port
from tests.deploy.files import ROOT
from tests.deploy.tls import client_context
from tests.limits import WAIT_SECONDS

pytestmark = pytest.mark.real
REFUSED = 0x87
FAILURE = 0x80
CAR, OTHER = "LSGBC5342AG000001", "LSGBC5342AG000002"
TOPIC = f"vehicles/{CAR}/topup"
GRANTED = 1


class Deployed(Mosquitto):
    """mosquitto with the configuration of `deploy/`, its paths and port replaced."""

    def __init__(self, secrets: Path) -> None:
        super().__init__()
        self._secrets = secrets
        self.cars_port = free_port()
        self.context = client_context(secrets)

    def prepare(self) -> None:
        text = (ROOT / "deploy/mosquitto/mosquitto.conf").read_text()
        for theirs, ours in (
            ("listener 8884", f"listener {self.port} 127.0.0.1"),
            ("listener 8883", f"listener {self.cars_port} 127.0.0.1"),
            ("/run/secrets", str(self._secrets)),
            ("/mosquitto/config", str(ROOT / "deploy/mosquitto")),
            ("/mosquitto/data", str(self.folder)),
        ):
            assert theirs in text
            text = text.replace(theirs, ours)
        as_root = "" if os.geteuid() else "user root\n"
        (self.folder / "mosquitto.conf").write_text(as_root + text)

    def ask(self) -> None:
        with (
            socket.create_connection((self.host, self.port), timeout=WAIT_SECONDS) as plain,
            self.context.wrap_socket(plain, server_hostname="mosquitto") as connection,
        ):
            connection.sendall(CONNECT)
            assert connection.recv(4)[0] == CONNACK


@pytest.fixture(scope="module")
def broker(mosquitto: Mosquitto, made_secrets: Path) -> Iterator[Deployed]:
    """`mosquitto` is asked for, because it says what is missing where there is none."""
    deployed = Deployed(made_secrets)
    try:
        deployed.start()
        yield deployed
    finally:
        deployed.close()


class Client:
    """A client that has connected, or was refused, with what it received."""

    def __init__(
        self, broker: Deployed, user: str | None = None, password: str = "", *, car: bool = False, client_id: str = ""
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self.connected: asyncio.Future[int] = self._loop.create_future()
        self.received: asyncio.Queue[bytes] = asyncio.Queue()
        self.published: asyncio.Queue[int] = asyncio.Queue()
        self.subscribed: asyncio.Queue[int] = asyncio.Queue()
        self.client = mqtt.Client(CallbackAPIVersion.VERSION2, protocol=mqtt.MQTTv5, client_id=client_id)
        self.client.tls_set_context(broker.context)
        if user is not None:
            self.client.username_pw_set(user, password)
        self.client.on_connect = lambda _c, _u, _f, reason, _p: self._say(self._connect, reason.value)
        self.client.on_message = lambda _c, _u, message: self._say(self.received.put_nowait, message.payload)
        self.disconnected: asyncio.Queue[int] = asyncio.Queue()
        self.client.on_disconnect = lambda _c, _u, _f, reason, _p: self._say(self.disconnected.put_nowait, reason.value)
        self.client.on_publish = lambda _c, _u, _m, reason, _p: self._say(self.published.put_nowait, reason.value)
        self.client.on_subscribe = lambda _c, _u, _m, codes, _p: self._say(self.subscribed.put_nowait, codes[0].value)
        self.client.connect(broker.host, broker.cars_port if car else broker.port)
        self.client.loop_start()

    def _say(self, call, value) -> None:
        self._loop.call_soon_threadsafe(call, value)

    def _connect(self, reason: int) -> None:
        if not self.connected.done():
            self.connected.set_result(reason)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        self.client.disconnect()
        self.client.loop_stop()


async def soon(awaitable):
    return await asyncio.wait_for(awaitable, WAIT_SECONDS)


async def test_nobody_gets_in_without_the_password(broker):
    for user, password in ((None, ""), ("topup", "wrong"), ("vehicles", "")):
        async with Client(broker, user, password) as stranger:
            assert await soon(stranger.connected) in (0x86, 0x87)


async def test_a_notice_of_the_product_reaches_the_vehicles_and_nobody_else_can_write_or_read(broker, made_secrets):
    (product_settings,) = parse_brokers((made_secrets / "topup_mqtt_brokers").read_text())
    vehicles_password = (made_secrets / "mosquitto_vehicles_password").read_text().strip()
    async with (
        Client(broker, product_settings.username, product_settings.password or "") as product,
        Client(broker, "vehicles", vehicles_password) as vehicles,
    ):
        assert await soon(product.connected) == 0
        assert await soon(vehicles.connected) == 0
        vehicles.client.subscribe("vehicles/+/topup", qos=1)
        assert await soon(vehicles.subscribed.get()) == 1
        product.client.publish(TOPIC, b"notice", qos=1)
        assert await soon(vehicles.received.get()) == b"notice"
        assert await soon(product.published.get()) == 0
        product.client.publish("elsewhere", b"x", qos=1)
        assert await soon(product.published.get()) == REFUSED
        vehicles.client.publish(TOPIC, b"forged", qos=1)
        assert await soon(vehicles.published.get()) == REFUSED
        assert vehicles.received.empty()


async def test_a_car_reads_its_own_notices_and_no_other_car_s(broker, made_secrets):
    password = (made_secrets / "mosquitto_demo_car_password").read_text().strip()
    (product_settings,) = parse_brokers((made_secrets / "topup_mqtt_brokers").read_text())
    async with (
        Client(broker, product_settings.username, product_settings.password or "") as product,
        Client(broker, CAR, password, car=True, client_id=OTHER) as car,
    ):
        assert await soon(product.connected) == 0
        assert await soon(car.connected) == 0
        # mosquitto takes any subscription, and delivers what may be read.
        for topic in (f"vehicles/{OTHER}/topup", "#", "$SYS/#", TOPIC):
            car.client.subscribe(topic, qos=1)
            assert await soon(car.subscribed.get()) == GRANTED
        product.client.publish(f"vehicles/{OTHER}/topup", b"another's", qos=1)
        product.client.publish(TOPIC, b"its own", qos=1)
        assert await soon(car.received.get()) == b"its own"
        car.client.publish(f"vehicles/{OTHER}/topup", b"forged", qos=1)
        assert await soon(car.published.get()) == REFUSED
        # Whatever client ID it gives, its session is its own: the same car takes it over, and nobody else's.
        async with Client(broker, CAR, password, car=True, client_id="anything") as again:
            assert await soon(again.connected) == 0
            assert await soon(car.disconnected.get()) >= FAILURE, "2.0.11 says no more; later ones say taken over"


async def test_doctor_says_whether_the_product_is_let_in(broker, made_secrets):
    listed = json.loads((made_secrets / "topup_mqtt_brokers").read_text().replace("/run/secrets", str(made_secrets)))
    listed[0]["url"] = listed[0]["url"].replace("mosquitto:8884", f"127.0.0.1:{broker.port}")
    (right,) = parse_brokers(json.dumps(listed))
    assert "lets this user in" in str(await let_in(right))
    listed[0]["url"] = f"mqtts://topup:wrong@127.0.0.1:{broker.port}"
    (wrong,) = parse_brokers(json.dumps(listed))
    step = await let_in(wrong)
    assert isinstance(step, Step)
    assert not step.ok
    assert "wrong" not in step.says


def test_nobody_is_spoken_to_in_clear(broker):
    with socket.create_connection((broker.host, broker.cars_port), timeout=WAIT_SECONDS) as connection:
        connection.sendall(CONNECT)
        connection.settimeout(WAIT_SECONDS)
        try:
            answered = connection.recv(4)
        except ConnectionResetError:
            answered = b""
    assert answered[:1] != bytes([CONNACK])


def test_the_broker_of_the_settings_is_the_one_of_the_compose_file(made_secrets):
    (settings,) = parse_brokers((made_secrets / "topup_mqtt_brokers").read_text())
    assert (settings.host, settings.port, settings.tls) == ("mosquitto", 8884, True)
    assert settings.cafile == "/run/secrets/ca_certificate"
